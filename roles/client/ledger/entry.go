package ledger

import (
	"fmt"
	"math"

	"dpfpl/mathx/dp"
)

// Entry is the debit of one step.
type Entry struct {
	Run string // at most 255 bytes
	K   uint64 // number of the client's step in the run, from 1, ascending
	// Step is what is accounted: sampler, rate and joint multiplier.
	Step dp.Step
	// Groups are the releases that the joint multiplier stands for, with their
	// accounted multipliers (dp.Mechanism.Groups). May be nil; else they must agree.
	Groups []dp.Group
	// Adjacency and Delta are those of the plan's statement. They are recorded; the
	// limits are checked under the client's own.
	Adjacency dp.Adjacency
	Delta     float64
}

func (e Entry) validate() error {
	switch {
	case e.Run == "" || len(e.Run) > maxName:
		return fmt.Errorf("%w: Run of %d bytes, want 1 to %d", ErrInvalid, len(e.Run), maxName)
	case e.K == 0:
		return fmt.Errorf("%w: K = 0, want steps counted from 1", ErrInvalid)
	case e.Adjacency > dp.ReplaceOne:
		return fmt.Errorf("%w: Adjacency = %d is unknown", ErrInvalid, e.Adjacency)
	case !(e.Delta > 0 && e.Delta < 1):
		return fmt.Errorf("%w: Delta = %v, want in (0, 1)", ErrInvalid, e.Delta)
	case len(e.Groups) > maxGroups:
		return fmt.Errorf("%w: %d Groups, want at most %d", ErrInvalid, len(e.Groups), maxGroups)
	}
	return e.validateGroups()
}

func (e Entry) validateGroups() error {
	if len(e.Groups) == 0 {
		return nil
	}
	z := make([]float64, len(e.Groups))
	for i, g := range e.Groups {
		if len(g.Name) > maxName || g.Dim < 0 {
			return fmt.Errorf("%w: Groups[%d] has a name of %d bytes and %d coordinates", ErrInvalid, i, len(g.Name), g.Dim)
		}
		z[i] = g.Z
	}
	if joint := dp.Joint(z...); !(math.Abs(joint-e.Step.Z) <= 1e-9*e.Step.Z) {
		return fmt.Errorf("%w: Step.Z = %v, but Groups give a joint multiplier of %v", ErrInvalid, e.Step.Z, joint)
	}
	return nil
}

// Spending is a step that was debited, and what came of it.
type Spending struct {
	Entry
	Committed bool
	Digest    [32]byte // SHA-256 of the update that was committed
}

// Record is an update that was committed and is not yet acknowledged: the bytes to
// send, again and again the same.
type Record struct {
	Run     string
	K       uint64
	Payload []byte

	order int // index of the debit
}
