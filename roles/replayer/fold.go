package replayer

import (
	"dpfpl/schemas"
)

// Fold is what turns a log into versions; roles/aggregator has it.
type Fold interface {
	// Examine judges a log message by itself and returns the digest of its sealed bytes. It is safe for
	// concurrent use.
	Examine(m schemas.Message) (digest [32]byte, err error)
	// Apply takes in the next log message, with the error of Examine, and returns what follows from it, among
	// it the versions that are complete.
	Apply(m schemas.Message, checked error) []schemas.Body
}

// NewFold makes the fold of a plan that starts from the given parameters.
type NewFold func(plan *schemas.Plan, initial []float32) (Fold, error)

// Tally counts what became of the log.
type Tally struct {
	Messages uint64 // of the log
	Controls uint64
	Accepted uint64
	Stale    uint64
	Refused  uint64 // forged control messages among them
	After    uint64 // after the final version, and so not looked at
	Versions uint64 // completed, without version 0
}

// take counts a log message and what followed from it, and returns the versions that are complete.
func (t *Tally) take(m schemas.Message, followed []schemas.Body) []*schemas.Model {
	t.Messages++
	count := &t.After
	if _, control := m.Body.(*schemas.Control); control {
		count = &t.Controls
	}
	var models []*schemas.Model
	for _, b := range followed {
		switch b := b.(type) {
		case *schemas.Note:
			count = t.of(b.Verdict)
		case *schemas.Dead:
			count = &t.Refused
		case *schemas.Model:
			t.Versions++
			models = append(models, b)
		}
	}
	*count++
	return models
}

// of returns the counter of a verdict.
func (t *Tally) of(v schemas.Verdict) *uint64 {
	switch v {
	case schemas.VerdictAccepted:
		return &t.Accepted
	case schemas.VerdictStale:
		return &t.Stale
	}
	return &t.Refused
}
