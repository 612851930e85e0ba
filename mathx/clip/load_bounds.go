package clip

import "fmt"

// A configuration may describe a tower of any size within its bounds. Before
// anything is allocated for it, its matrices are counted: the weights must
// hold at least as many numbers.

// parameters counts the elements of the tower's matrices.
func (c TextConfig) parameters() int64 {
	return blockParameters(c.Width, c.Hidden, c.Layers) + int64(c.Width)*int64(c.Vocab+c.Positions+c.Dim)
}

// parameters counts the elements of the tower's matrices.
func (c VisionConfig) parameters() int64 {
	n := blockParameters(c.Width, c.Hidden, c.Layers) + int64(c.Width)*int64(c.Grid()*c.Grid()+1+c.Dim)
	if len(c.Stem) == 0 {
		return n + 3*int64(c.Width)*int64(c.Patch)*int64(c.Patch)
	}
	in := 3
	for _, l := range c.Stem {
		n += int64(in) * int64(l.Out) * int64(l.Kernel*l.Kernel)
		in = l.Out
	}
	return n
}

// blockParameters counts attention's four matrices and the MLP's two.
func blockParameters(width, hidden, layers int) int64 {
	w := int64(width)
	return int64(layers) * (4*w*w + 2*w*int64(hidden))
}

// parameters counts the elements of the tower's matrices, shortcuts left out.
func (c ResNetConfig) parameters() int64 {
	var n int64
	in, embed := int64(c.Width), 32*int64(c.Width)
	for stage, blocks := range c.Layers {
		planes := int64(c.Width) << stage
		n += in*planes + int64(blocks)*(9*planes*planes+4*planes*planes) + int64(blocks-1)*4*planes*planes
		in = 4 * planes
	}
	grid := int64(c.Image / 32)
	return n + 4*embed*embed + (grid*grid+1)*embed
}

// checkSize refuses a tower that the weights cannot fill.
func (m *Model) checkSize(tower string, parameters int64) error {
	var held int64
	for name := range m.weights.tensors {
		info, _ := m.weights.Info(name)
		held += info.size / dtypeSize[info.DType]
	}
	if parameters > held {
		return fmt.Errorf("%w: a %s of %d parameters is described, the weights hold %d", ErrWeights, tower, parameters, held)
	}
	return nil
}
