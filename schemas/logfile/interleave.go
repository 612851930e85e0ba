package logfile

import (
	"iter"

	"dpfpl/schemas"
)

// Interleave puts the three parts of a run, each in its own order, into the order of a file: a model and
// its checkpoint follow the log message with which they were complete. It ends with the first error of any.
func Interleave(log, models, checkpoints iter.Seq2[schemas.Message, error]) iter.Seq2[schemas.Message, error] {
	return func(yield func(schemas.Message, error) bool) {
		next, stop := iter.Pull2(merge(models, checkpoints))
		defer stop()
		state, err, more := next()
		// release yields what was complete before log sequence seq.
		release := func(seq uint64) bool {
			for more && (err != nil || applied(state) < seq) {
				if !yield(state, err) || err != nil {
					return false
				}
				state, err, more = next()
			}
			return true
		}
		for m, err := range log {
			if err == nil && !release(m.Seq) || !yield(m, err) || err != nil {
				return
			}
		}
		release(1<<64 - 1)
	}
}

// applied is the log sequence with which a model or checkpoint was complete; 0 for what cannot be read.
func applied(m schemas.Message) uint64 {
	switch b := m.Body.(type) {
	case *schemas.Model:
		return b.Applied
	case *schemas.Checkpoint:
		return b.Applied
	}
	return 0
}

// merge merges two parts of one stream by sequence.
func merge(a, b iter.Seq2[schemas.Message, error]) iter.Seq2[schemas.Message, error] {
	return func(yield func(schemas.Message, error) bool) {
		next, stop := iter.Pull2(b)
		defer stop()
		other, otherErr, more := next()
		// release yields what comes before sequence seq.
		release := func(seq uint64) bool {
			for more && (otherErr != nil || other.Seq < seq) {
				if !yield(other, otherErr) || otherErr != nil {
					return false
				}
				other, otherErr, more = next()
			}
			return true
		}
		for m, err := range a {
			if err == nil && !release(m.Seq) || !yield(m, err) || err != nil {
				return
			}
		}
		release(1<<64 - 1)
	}
}
