package dp

// Noised is the released output of one step: for each group integers with noise,
// in units of the lattice step. Only [Mechanism.Release] fills one, so a function
// that takes a *Noised cannot be handed raw gradients. What is computed from it is
// post-processing and costs no privacy.
type Noised struct {
	ints     [][]int32
	lattices []lattice
}

// Groups returns the number of groups.
func (n *Noised) Groups() int { return len(n.ints) }

// Name returns the name of a group.
func (n *Noised) Name(group int) string { return n.lattices[group].name }

// Step returns the value of one integer unit of a group.
func (n *Noised) Step(group int) float64 { return n.lattices[group].step }

// Ints returns a copy of the released integers of a group. The sum over the batch
// that they stand for is Ints times Step.
func (n *Noised) Ints(group int) []int32 {
	return append([]int32(nil), n.ints[group]...)
}

// Float writes the released sum (not mean) of a group to dst and returns it. A nil
// dst is allocated; otherwise its length must be the group's dimension.
func (n *Noised) Float(dst []float64, group int) []float64 {
	ints, step := n.ints[group], n.lattices[group].step
	if dst == nil {
		dst = make([]float64, len(ints))
	}
	if len(dst) != len(ints) {
		panic("dp: Float: length of dst is not the dimension of the group")
	}
	for j, v := range ints {
		dst[j] = float64(v) * step
	}
	return dst
}
