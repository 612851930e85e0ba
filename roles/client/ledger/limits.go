package ledger

import (
	"fmt"
	"math"

	"dpfpl/mathx/dp"
)

// Limits are what the client itself insists on, whatever a plan asks for. A zero
// field is no limit.
type Limits struct {
	MinZ     float64 // smallest joint noise multiplier of a step
	MaxQ     float64 // largest sampling rate
	MaxSteps uint64  // over all runs

	// MaxEpsilon caps the epsilon at Delta of all steps of all runs together, by Rényi
	// divergence under Adjacency.
	MaxEpsilon float64
	Delta      float64 // needed with MaxEpsilon
	Adjacency  dp.Adjacency
}

func (l Limits) validate() error {
	switch {
	case !(l.MinZ >= 0) || math.IsInf(l.MinZ, 0):
		return fmt.Errorf("%w: MinZ = %v, want a finite number >= 0", ErrInvalid, l.MinZ)
	case !(l.MaxQ >= 0 && l.MaxQ <= 1):
		return fmt.Errorf("%w: MaxQ = %v, want in [0, 1]", ErrInvalid, l.MaxQ)
	case !(l.MaxEpsilon >= 0) || math.IsInf(l.MaxEpsilon, 0):
		return fmt.Errorf("%w: MaxEpsilon = %v, want a finite number >= 0", ErrInvalid, l.MaxEpsilon)
	case (l.MaxEpsilon > 0 || l.Delta != 0) && !(l.Delta > 0 && l.Delta < 1):
		return fmt.Errorf("%w: Delta = %v, want in (0, 1)", ErrInvalid, l.Delta)
	}
	return nil
}

// allows reports whether count more steps fit, given what is spent. Errors:
// ErrInvalid, ErrLimit, ErrExhausted.
func (l Limits) allows(spent *dp.Account, step dp.Step, count uint64) error {
	after := spent.Clone()
	if err := after.Spend(step, count); err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if step.Z < l.MinZ {
		return fmt.Errorf("%w: noise multiplier z = %v, minimum %v", ErrLimit, step.Z, l.MinZ)
	}
	if l.MaxQ > 0 && step.Q > l.MaxQ {
		return fmt.Errorf("%w: sampling rate q = %v, maximum %v", ErrLimit, step.Q, l.MaxQ)
	}
	if l.MaxSteps > 0 && after.Steps() > l.MaxSteps {
		return fmt.Errorf("%w: %d steps spent, %d more would exceed the maximum of %d",
			ErrExhausted, spent.Steps(), count, l.MaxSteps)
	}
	if l.MaxEpsilon > 0 {
		r, err := after.EpsilonRDP(l.Delta)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrInvalid, err)
		}
		if r.Epsilon > l.MaxEpsilon {
			return fmt.Errorf("%w: %d more steps would bring epsilon to %.4g at delta %g (%v), maximum %v",
				ErrExhausted, count, r.Epsilon, l.Delta, l.Adjacency, l.MaxEpsilon)
		}
	}
	return nil
}
