package replayer

import (
	"fmt"
	"iter"

	"dpfpl/schemas"
)

// Source yields a run in file order, and ends with the first error. A message with neither Body nor Err is
// opened on the way.
type Source = iter.Seq2[schemas.Message, error]

// opened returns m with Body or Err.
func opened(m schemas.Message) schemas.Message {
	if m.Body == nil && m.Err == nil {
		m.Body, m.Err = schemas.Open(m.Raw)
	}
	return m
}

// run is a source of which plan and model 0 have been read.
type run struct {
	plan   *schemas.Plan
	first  *schemas.Model // version 0
	digest [32]byte       // of its sealed bytes
	rest   Source
	stop   func()
}

// begin reads plan and model 0. The caller must call stop unless there is an error. Errors: ErrSource, and
// those of the source.
func begin(src Source) (*run, error) {
	next, stop := iter.Pull2(src)
	r := &run{stop: stop, rest: func(yield func(schemas.Message, error) bool) {
		for m, err, ok := next(); ok && yield(m, err); m, err, ok = next() {
		}
	}}
	if err := r.open(next); err != nil {
		stop()
		return nil, err
	}
	return r, nil
}

func (r *run) open(next func() (schemas.Message, error, bool)) error {
	m, err := signedHead(next, func(b schemas.Body) (ok bool, key string) {
		if r.plan, ok = b.(*schemas.Plan); ok {
			key = r.plan.Operator
		}
		return ok, key
	})
	if err != nil {
		return err
	}
	m, err = signedHead(next, func(b schemas.Body) (ok bool, key string) {
		r.first, ok = b.(*schemas.Model)
		return ok && r.first.Version == 0, r.plan.Aggregator
	})
	r.digest = schemas.Digest(m.Raw)
	return err
}

// signedHead reads one of the two messages that a run begins with: is says whether it is the right one, and
// whose signature it must bear.
func signedHead(next func() (schemas.Message, error, bool), is func(schemas.Body) (bool, string)) (schemas.Message, error) {
	m, err, more := next()
	switch {
	case !more:
		return m, fmt.Errorf("%w: it ends before plan and model 0", ErrSource)
	case err != nil:
		return m, err
	}
	m = opened(m)
	if m.Err != nil {
		return m, fmt.Errorf("%w: %s: %w", ErrSource, m.Subject, m.Err)
	}
	ok, key := is(m.Body)
	if !ok {
		return m, fmt.Errorf("%w: %s where plan and model 0 belong", ErrSource, m.Subject)
	}
	if err := schemas.Verify(m.Raw, key); err != nil {
		return m, fmt.Errorf("%w: %s: %w", ErrSource, m.Subject, err)
	}
	return m, nil
}
