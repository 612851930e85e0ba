package dp

import (
	"errors"
	"math"
)

// ErrNoPLD reports steps for which no privacy-loss distribution is known: batches of a
// fixed size. Their Rényi bound is all there is.
var ErrNoPLD = errors.New("dp: no privacy-loss distribution for fixed-size sampling")

// EpsilonPLD returns the tight epsilon at delta for continuous Gaussian noise of the
// same size, by privacy-loss distributions in both directions: the reference beside
// [Account.EpsilonRDP]. It is +Inf when the grid cannot hold the run. Errors:
// ErrInvalid for a delta outside [1e-10, 1) and [ErrNoPLD].
func (a *Account) EpsilonPLD(delta float64) (float64, error) {
	return a.epsilonPLD(delta, reportGrid)
}

func (a *Account) epsilonPLD(delta, grid float64) (float64, error) {
	if err := validateDelta(delta); err != nil {
		return 0, err
	}
	exact, sampled, err := a.split()
	if err != nil {
		return 0, err
	}
	if len(sampled) == 0 {
		return GDPEpsilon(exact, delta), nil
	}
	if delta < minDelta {
		return 0, invalid("delta", delta, "at least 1e-10 for a privacy-loss distribution of sampled steps")
	}
	epsilon := 0.0
	for _, d := range a.distributions(exact, sampled, grid) {
		epsilon = max(epsilon, d.epsilon(delta))
	}
	return epsilon, nil
}

// DeltaPLD returns the tight delta at epsilon >= 0, as [Account.EpsilonPLD].
func (a *Account) DeltaPLD(epsilon float64) (float64, error) {
	if err := validateEpsilon(epsilon); err != nil {
		return 0, err
	}
	exact, sampled, err := a.split()
	if err != nil {
		return 0, err
	}
	if len(sampled) == 0 {
		return GDPDelta(exact, epsilon), nil
	}
	delta := 0.0
	for _, d := range a.distributions(exact, sampled, reportGrid) {
		delta = max(delta, d.delta(epsilon))
	}
	return min(delta, 1), nil
}

// split separates the steps without sampling, which are together exactly one Gaussian
// with mu^2 the sum of 1/z^2, from the sampled ones.
func (a *Account) split() (mu float64, sampled []spending, err error) {
	square := 0.0
	for _, s := range a.spent {
		switch {
		case s.step.Q == 1:
			z := s.step.relative(a.adjacency)
			square += float64(s.count) / (z * z)
		case s.step.Sampler == FixedSize:
			return 0, nil, ErrNoPLD
		default:
			sampled = append(sampled, s)
		}
	}
	return math.Sqrt(square), sampled, nil
}

// distributions returns the composed losses, one for each direction of the adjacency.
func (a *Account) distributions(exact float64, sampled []spending, grid float64) []lossDistribution {
	directions := []func(q, z float64) pair{removePair, addPair}
	if a.adjacency == ReplaceOne {
		directions = []func(q, z float64) pair{replacePair}
	}
	var composed []lossDistribution
	for _, direction := range directions {
		var pairs []pair
		var counts []float64
		for _, s := range sampled {
			pairs, counts = append(pairs, direction(s.step.Q, s.step.Z)), append(counts, float64(s.count))
		}
		if exact > 0 {
			pairs, counts = append(pairs, removePair(1, 1/exact)), append(counts, 1)
		}
		composed = append(composed, composePairs(pairs, counts, grid))
	}
	return composed
}

// composePairs puts each pair on the finest common grid, no finer than asked for, that
// keeps the transform within maxBins.
func composePairs(pairs []pair, counts []float64, grid float64) lossDistribution {
	for _, p := range pairs {
		low, high := p.losses()
		for (high-low)/grid > maxBins {
			grid *= 2
		}
	}
	for ; ; grid *= 2 {
		parts := make([]repeated, len(pairs))
		for i, p := range pairs {
			parts[i] = repeated{connectDots(p, grid), counts[i]}
		}
		if low, high := window(parts); (high-low)/grid < maxBins {
			return compose(parts, low, high)
		}
	}
}
