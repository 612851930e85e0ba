package audit

import (
	"math/rand/v2"
	"slices"

	"dpfpl/mathx/dp"
	"dpfpl/mathx/prompt"
)

// The step under audit: DP-FPL on a prompt small enough to be run thousands of times. The multipliers make
// one step leak much, so that few trials measure it well.
const (
	stepContext, stepWidth, stepRank = 4, 16, 2
	stepClip, stepZ                  = 0.5, 0.5
)

// claimed is the configuration that the accountant is told.
func claimed() prompt.Config {
	return prompt.Config{
		Method: prompt.DPFPL, Mode: prompt.Corrected, Rank: stepRank, Batch: 1,
		Clip: prompt.Norms{U: stepClip, V: stepClip, G: stepClip},
		Z:    prompt.Norms{U: stepZ, V: stepZ, G: stepZ},
	}
}

// The two records of the step's audit. Both are far larger than the clip norm, so that every group's
// gradient is clipped, and the canary outweighs the other in any average of the two, so that a mechanism
// that clips the batch and not each record moves by twice the clip norm.
const other, canary = 0, 1

func stepScript() []Gradient {
	const axis, size = stepWidth + 3, 1000 * stepClip
	return []Gradient{other: {axis, -size}, canary: {axis, 3 * size}}
}

// step runs one training step on a batch and returns the released sums, a slice for each group.
type step func(batch []prompt.Example) ([][]float64, error)

// student is a learner that takes the same step over and over: its local rate is 0, and the public
// randomness, which draws the factors for the next step, is the same each time.
type student struct {
	*prompt.Learner
	tower  *Tower
	global []float32
	noise  func() rand.Source
}

func newStudent(c prompt.Config, noise func() rand.Source) (*student, error) {
	learner, err := prompt.NewLearner(c, stepContext, stepWidth, 1, public())
	if err != nil {
		return nil, err
	}
	tower := NewTower(stepContext, stepWidth, stepScript())
	s := &student{learner, tower, make([]float32, stepContext*stepWidth), noise}
	_, err = s.release(nil) // from here on the factors stay
	return s, err
}

func public() rand.Source { return rand.NewPCG(1, 2) }

func (s *student) release(batch []prompt.Example) (*dp.Noised, error) {
	return s.Step(s.tower, LogitScale, s.global, batch, s.noise(), public())
}

// step returns the releases of a learner with a configuration.
func (s *student) step(batch []prompt.Example) ([][]float64, error) {
	n, err := s.release(batch)
	if err != nil {
		return nil, err
	}
	sums := make([][]float64, n.Groups())
	for g := range sums {
		sums[g] = n.Float(nil, g)
	}
	return sums, nil
}

// bare is a configuration without its noise: what a step's sums are.
func bare(c prompt.Config) prompt.Config {
	c.Unprotected, c.Z = true, prompt.Norms{}
	return c
}

// batches returns the records of a step without and with the canary.
func batches() (without, with []prompt.Example) {
	with = NewTower(stepContext, stepWidth, stepScript()).Records()
	return slices.Clone(with[:canary]), with
}
