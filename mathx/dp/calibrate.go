package dp

import (
	"fmt"
	"math"
)

// Budget is what a run may cost, and the run. The noise is what is asked for.
type Budget struct {
	Epsilon   float64
	Delta     float64
	Adjacency Adjacency
	Sampler   Sampler
	Q         float64
	Steps     uint64
}

func (b Budget) validate() error {
	if err := validateEpsilon(b.Epsilon); err != nil {
		return err
	}
	if b.Epsilon == 0 {
		return invalid("epsilon", b.Epsilon, "> 0")
	}
	if err := validateDelta(b.Delta); err != nil {
		return err
	}
	if b.Steps == 0 {
		return invalid("steps", b.Steps, "> 0")
	}
	if err := b.Adjacency.validate(); err != nil {
		return err
	}
	_, err := b.account(1)
	return err
}

// account returns the account of the run with noise multiplier z.
func (b Budget) account(z float64) (*Account, error) {
	a, err := NewAccount(b.Adjacency)
	if err != nil {
		return nil, err
	}
	return a, a.Spend(Step{Sampler: b.Sampler, Q: b.Q, Z: z}, b.Steps)
}

// precision is the relative precision of a calibrated multiplier.
const precision = 1e-6

// leastZ is where a search for the smallest multiplier ends.
const leastZ = 0x1p-10

// CalibrateRDP returns the smallest joint noise multiplier for which the proven
// epsilon ([Account.EpsilonRDP]) of the run is within the budget, from above: the
// returned value satisfies it. Errors: ErrInvalid, naming the field, also for a budget
// that no noise on the lattice can meet.
func CalibrateRDP(b Budget) (z float64, err error) {
	if err := b.validate(); err != nil {
		return 0, err
	}
	return b.smallest(1, func(a *Account) (float64, error) {
		r, err := a.EpsilonRDP(b.Delta)
		return r.Epsilon, err
	})
}

// CalibratePLD is [CalibrateRDP] for the tight epsilon ([Account.EpsilonPLD]). It
// searches on a coarser grid, whose epsilon is larger, so the returned value satisfies
// the budget on the fine grid too.
func CalibratePLD(b Budget) (z float64, err error) {
	start, err := CalibrateRDP(b)
	if err != nil {
		return 0, err
	}
	return b.smallest(start, func(a *Account) (float64, error) {
		return a.epsilonPLD(b.Delta, searchGrid)
	})
}

// smallest returns the smallest z, up to precision and from above, at which epsilon is
// within the budget. It begins to look at start.
func (b Budget) smallest(start float64, epsilon func(*Account) (float64, error)) (z float64, err error) {
	excess := func(z float64) float64 { // how far epsilon is above the budget, in logarithms
		a, failed := b.account(z)
		if failed == nil {
			var e float64
			if e, failed = epsilon(a); failed == nil {
				return math.Log(e / b.Epsilon)
			}
		}
		err = failed
		return 0 // ends every search
	}
	low, high := at(start, excess), at(start, excess)
	for low.y <= 0 && low.x > leastZ && err == nil {
		high, low = low, at(max(0.7*low.x, leastZ), excess)
	}
	for high.y > 0 && high.x < scale {
		low, high = high, at(min(1.5*high.x, scale), excess)
	}
	switch {
	case err != nil:
		return 0, err
	case high.y > 0:
		return 0, fmt.Errorf("%w: epsilon = %v needs a noise multiplier above %d, more than the lattice holds", ErrInvalid, b.Epsilon, scale)
	case low.y <= 0:
		return low.x, nil
	}
	z = falling(low, high, excess)
	return z, err
}

// sample is a value of a function.
type sample struct{ x, y float64 }

func at(x float64, f func(float64) float64) sample { return sample{x, f(x)} }

// falling returns where a falling function reaches zero, up to precision and on the
// side where it is not positive, given samples on both sides. It interpolates in ln x,
// in which the functions here are nearly straight, and halves when that is slow.
func falling(low, high sample, f func(float64) float64) float64 {
	for round := 0; high.x-low.x > precision*high.x; round++ {
		share := low.y / (low.y - high.y)
		if !(share > 0 && share < 1) || round%4 == 3 { // infinite, or not to be trusted
			share = 0.5
		}
		x := low.x * math.Pow(high.x/low.x, share)
		// Step a little past the zero, to one side and then the other, to close in on it.
		if nudge := 0.4 * precision * x; round%2 == 0 {
			x = min(x+nudge, high.x-nudge/2)
		} else {
			x = max(x-nudge, low.x+nudge/2)
		}
		if s := at(x, f); s.y > 0 {
			low = s
		} else {
			high = s
		}
	}
	return high.x
}

// SplitEvenly gives each of n groups the same multiplier such that together they have
// the joint multiplier z: z sqrt(n).
func SplitEvenly(z float64, n int) []float64 {
	split := make([]float64, n)
	for i := range split {
		split[i] = z * math.Sqrt(float64(n))
	}
	return split
}

// SplitLeastNoise chooses the multipliers of the groups (whose Z are ignored) such that
// together they have the joint multiplier z with the least total noise energy, the sum
// of Dim sigma^2: sigma_k^2 = z^2 (C_k/sqrt(d_k)) sum_j C_j sqrt(d_j).
func SplitLeastNoise(z float64, groups []Group) []float64 {
	total := 0.0
	for _, g := range groups {
		total += g.Clip * math.Sqrt(float64(g.Dim))
	}
	split := make([]float64, len(groups))
	for i, g := range groups {
		split[i] = z * math.Sqrt(total/(g.Clip*math.Sqrt(float64(g.Dim))))
	}
	return split
}
