package logfile

import (
	"fmt"

	"dpfpl/schemas"
)

// sequence holds what writer and reader both know of the records so far.
type sequence struct {
	run    string
	counts Counts
	chain  [32]byte
	log    uint64 // sequence of the newest log record
	state  uint64 // sequence of the newest model or checkpoint
}

// place says whether a record with this subject and sequence may come next, and if not, why.
func (s *sequence) place(subject string, seq uint64) (schemas.Kind, error) {
	kind, run, _, _, err := schemas.ParseSubject(subject)
	switch {
	case err != nil:
		return 0, err
	case s.run == "" && kind != schemas.KindPlan:
		return 0, fmt.Errorf("a %v where the plan belongs", kind)
	case s.run != "" && kind == schemas.KindPlan:
		return 0, fmt.Errorf("a second plan")
	case s.run != "" && run != s.run:
		return 0, fmt.Errorf("run %q in the log of run %q", run, s.run)
	case !new(Counts).add(kind):
		return 0, fmt.Errorf("a %v message is never kept", kind)
	}
	switch kind {
	case schemas.KindUpdate, schemas.KindControl:
		return kind, ascending(s.log, seq)
	case schemas.KindModel, schemas.KindCheckpoint:
		return kind, ascending(s.state, seq)
	}
	return kind, nil
}

func ascending(last, seq uint64) error {
	switch {
	case seq == last && seq > 0:
		return fmt.Errorf("sequence %d is there twice", seq)
	case seq <= last:
		return fmt.Errorf("sequence %d comes after sequence %d", seq, last)
	}
	return nil
}

// take notes a record that place allowed, and returns the chain with it.
func (s *sequence) take(kind schemas.Kind, subject string, seq uint64, raw []byte) [32]byte {
	s.counts.add(kind)
	switch kind {
	case schemas.KindPlan:
		_, s.run, _, _, _ = schemas.ParseSubject(subject)
	case schemas.KindUpdate, schemas.KindControl:
		s.log = seq
		s.chain = schemas.Chain(s.chain, schemas.Digest(raw))
	default:
		s.state = seq
	}
	return s.chain
}
