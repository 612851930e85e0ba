package logfile

import (
	"io"
	"iter"

	"dpfpl/schemas"
)

// All yields the messages that are left, unopened as by NextSealed, and ends after the trailer or with the
// first error.
func (r *Reader) All() iter.Seq2[schemas.Message, error] {
	return func(yield func(schemas.Message, error) bool) {
		for {
			m, err := r.NextSealed()
			if err == io.EOF || !yield(m, err) || err != nil {
				return
			}
		}
	}
}
