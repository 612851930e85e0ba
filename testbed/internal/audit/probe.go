package audit

import (
	"math/rand/v2"

	"dpfpl/mathx/dp"
)

// wholeStep is the name of the row for all groups together.
const wholeStep = "step"

// probe is what the attacker of a step knows: how far the canary moves each released group, and the noise
// that is claimed. Its rows are the groups and, last, all of them together.
type probe struct {
	names   []string
	mu      []float64   // accounted: sensitivity over standard deviation
	shift   [][]float64 // of the groups
	sigma   []float64   // of the groups
	lattice []float64   // step of the groups
}

func newProbe(noise func() rand.Source) (*probe, error) {
	honest, err := newStudent(claimed(), noise)
	if err != nil {
		return nil, err
	}
	one, err := honest.release(nil)
	if err != nil {
		return nil, err
	}
	p := &probe{}
	for g, group := range honest.Groups() {
		p.names = append(p.names, group.Name)
		p.mu = append(p.mu, 1/group.Z)
		p.sigma = append(p.sigma, group.Clip*group.Z)
		p.lattice = append(p.lattice, one.Step(g))
	}
	p.names = append(p.names, wholeStep)
	p.mu = append(p.mu, 1/honest.Joint())
	p.shift, err = canaryShift(noise)
	return p, err
}

// canaryShift is the difference that the canary makes to the un-noised sums of the claimed step.
func canaryShift(noise func() rand.Source) ([][]float64, error) {
	naked, err := newStudent(bare(claimed()), noise)
	if err != nil {
		return nil, err
	}
	without, with := batches()
	before, err := naked.step(without)
	if err != nil {
		return nil, err
	}
	after, err := naked.step(with)
	if err != nil {
		return nil, err
	}
	for g := range after {
		for i, v := range before[g] {
			after[g][i] -= v
		}
	}
	return after, nil
}

// project returns the log-likelihood ratio of with against without the canary for each row, up to a constant,
// if the noise is what is claimed.
func (p *probe) project(sums [][]float64) []float64 {
	scores := make([]float64, len(p.names))
	all := &scores[len(scores)-1]
	for g, sum := range sums {
		for i, v := range sum {
			scores[g] += p.shift[g][i] * v
		}
		scores[g] /= p.sigma[g] * p.sigma[g]
		*all += scores[g]
	}
	return scores
}

// above counts the scores of the whole step that lie three claimed standard deviations above what they are
// without the canary: a threshold fixed beforehand. Without the canary the other record moves the step by as
// much in the opposite direction, so the mean there is -mu² and the deviation mu.
func (p *probe) above(scores []float64) int {
	mu, n := p.mu[len(p.mu)-1], 0
	for _, s := range scores {
		if s > mu*(3-mu) {
			n++
		}
	}
	return n
}

func (p *probe) onLattice(sums [][]float64) bool {
	for g, sum := range sums {
		if !dp.OnLattice(sum, p.lattice[g]) {
			return false
		}
	}
	return true
}
