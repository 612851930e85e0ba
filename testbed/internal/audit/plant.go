package audit

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"

	"dpfpl/mathx/prompt"
)

// A plant is a step with a bug, for showing that the audit would notice. Plants are built around the real
// learner; the learner has no switch for them.
type plant func(noise func() rand.Source) (step, error)

// The honest step, and the bugs that can be planted in a whole federation as well.
const (
	Honest    = "none"
	HalfNoise = "half-noise"
	NoNoise   = "no-noise"
)

var plants = map[string]plant{
	Honest: func(noise func() rand.Source) (step, error) {
		return learnerStep(claimed(), noise)
	},
	NoNoise: func(noise func() rand.Source) (step, error) {
		return learnerStep(bare(claimed()), noise)
	},
	HalfNoise: func(noise func() rand.Source) (step, error) {
		c := claimed()
		c.Z.U, c.Z.V, c.Z.G = c.Z.U/2, c.Z.V/2, c.Z.G/2
		return learnerStep(c, noise)
	},
	"half-noise-global": func(noise func() rand.Source) (step, error) {
		c := claimed()
		c.Z.G /= 2
		return learnerStep(c, noise)
	},
	"batch-clipping": func(noise func() rand.Source) (step, error) {
		c := claimed()
		c.Mode = prompt.Paper
		return learnerStep(c, noise)
	},
	"no-noise-u":  withoutNoiseOnU,
	"retry":       noisedTwice,
	"float-noise": floatNoise,
}

// Plants lists the names of the planted bugs and of the honest step, sorted.
func Plants() []string { return slices.Sorted(maps.Keys(plants)) }

func newStep(name string, noise func() rand.Source) (step, error) {
	p, ok := plants[name]
	if !ok {
		return nil, fmt.Errorf("%w: --plant %q: want one of %s", ErrOptions, name, strings.Join(Plants(), ", "))
	}
	return p(noise)
}

func learnerStep(c prompt.Config, noise func() rand.Source) (step, error) {
	s, err := newStudent(c, noise)
	if err != nil {
		return nil, err
	}
	return s.step, nil
}

// withoutNoiseOnU releases u's gradient as it is: "it stays on the client anyway".
func withoutNoiseOnU(noise func() rand.Source) (step, error) {
	honest, err := learnerStep(claimed(), noise)
	if err != nil {
		return nil, err
	}
	naked, err := learnerStep(bare(claimed()), noise)
	if err != nil {
		return nil, err
	}
	return func(batch []prompt.Example) ([][]float64, error) {
		sums, err := honest(batch)
		if err != nil {
			return nil, err
		}
		raw, err := naked(batch)
		if err != nil {
			return nil, err
		}
		sums[0] = raw[0]
		return sums, nil
	}, nil
}

// noisedTwice draws new noise for the retry of a step. Whoever saw both messages takes their mean.
func noisedTwice(noise func() rand.Source) (step, error) {
	honest, err := learnerStep(claimed(), noise)
	if err != nil {
		return nil, err
	}
	return func(batch []prompt.Example) ([][]float64, error) {
		first, err := honest(batch)
		if err != nil {
			return nil, err
		}
		second, err := honest(batch)
		if err != nil {
			return nil, err
		}
		for g := range first {
			for i, v := range second[g] {
				first[g][i] = (first[g][i] + v) / 2
			}
		}
		return first, nil
	}, nil
}

// floatNoise adds noise of the right size as floating-point numbers.
func floatNoise(noise func() rand.Source) (step, error) {
	c := claimed()
	naked, err := learnerStep(bare(c), noise)
	if err != nil {
		return nil, err
	}
	groups := c.Groups(stepContext, stepWidth)
	return func(batch []prompt.Example) ([][]float64, error) {
		sums, err := naked(batch)
		if err != nil {
			return nil, err
		}
		normal := rand.New(noise())
		for g, group := range groups {
			for i := range sums[g] {
				sums[g][i] += group.Clip * group.Z * normal.NormFloat64()
			}
		}
		return sums, nil
	}, nil
}
