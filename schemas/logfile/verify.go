package logfile

import (
	"errors"
	"fmt"
	"io"

	"dpfpl/schemas"
)

// ErrForged reports a record that its author did not write; it is always a *Forgery.
var ErrForged = errors.New("logfile: not what was signed")

// Forgery names a record that does not stand up to the signatures.
type Forgery struct {
	Seq     uint64
	Subject string
	What    string
}

func (f *Forgery) Error() string {
	return fmt.Sprintf("%v: sequence %d, %s: %s", ErrForged, f.Seq, f.Subject, f.What)
}

// Unwrap returns ErrForged.
func (f *Forgery) Unwrap() error { return ErrForged }

// Summary is what Verify found in a file.
type Summary struct {
	Plan    *schemas.Plan
	Counts  Counts
	Final   bool   // the last model says that the run is over
	Last    uint64 // newest log sequence
	Version uint64 // newest model
	// Strange counts log records that are no message of the member or aggregator whose subject they
	// bear. They are part of the history: the aggregator refused them.
	Strange uint64
}

// Verify reads a whole file and checks every signature, that each model names the one before as its
// parent, and that each checkpoint, which the aggregator signed, has the digests of its model and of the
// log up to it. So whoever mends checksums and chain after changing a record is found, without the fold
// being run again. Errors: ErrForged, and those of NewReader and Next; the summary then says how far it
// came.
func Verify(file io.Reader) (Summary, error) {
	r, err := NewReader(file)
	if err != nil {
		return Summary{}, err
	}
	v := verifier{reader: r, subjects: map[string]uint64{}}
	for {
		m, err := r.Next()
		if err == io.EOF {
			return v.summary(), nil
		}
		if err != nil {
			return v.summary(), err
		}
		if what := v.check(m); what != nil {
			return v.summary(), &Forgery{Seq: m.Seq, Subject: m.Subject, What: what.Error()}
		}
		v.last = r.seen.log
	}
}

type verifier struct {
	reader *Reader
	sum    Summary
	keys   map[string]string // by member
	model  [32]byte          // digest of the newest model
	begun  bool              // there is one

	subjects map[string]uint64 // of the log so far, with their sequence
	last     uint64            // log sequence before the current record
	hole     string            // the first sequences that the log leaves out
}

func (v *verifier) summary() Summary {
	v.sum.Counts = v.reader.Counts()
	v.sum.Last = v.reader.seen.log
	return v.sum
}

func (v *verifier) check(m schemas.Message) error {
	kind, _, client, _, _ := schemas.ParseSubject(m.Subject)
	switch kind {
	case schemas.KindUpdate:
		v.count(m, v.keys[client])
		return v.logged(m)
	case schemas.KindControl:
		v.count(m, v.sum.Plan.Aggregator, v.sum.Plan.Operator)
		return v.logged(m)
	}
	switch {
	case m.Err != nil:
		return m.Err
	case m.Body.Kind() != kind:
		return fmt.Errorf("holds a message of kind %v", m.Body.Kind())
	}
	switch b := m.Body.(type) {
	case *schemas.Plan:
		return v.plan(b, m.Raw)
	case *schemas.Model:
		return v.version(b, m.Raw)
	case *schemas.Checkpoint:
		return v.checkpoint(b, m.Raw)
	}
	return fmt.Errorf("a %v message is never kept", kind)
}

// count counts a log record as strange unless one of the keys signed it.
func (v *verifier) count(m schemas.Message, keys ...string) {
	for _, key := range keys {
		if m.Err == nil && key != "" && schemas.Verify(m.Raw, key) == nil {
			return
		}
	}
	v.sum.Strange++
}

// logged checks that no message is in the log twice.
func (v *verifier) logged(m schemas.Message) error {
	if first, twice := v.subjects[m.Subject]; twice {
		return fmt.Errorf("it is there twice, first at sequence %d", first)
	}
	v.subjects[m.Subject] = m.Seq
	if m.Seq > v.last+1 && v.hole == "" {
		v.hole = fmt.Sprintf("; no message from sequence %d to %d", v.last+1, m.Seq-1)
	}
	return nil
}

func (v *verifier) plan(p *schemas.Plan, raw []byte) error {
	v.sum.Plan = p
	v.keys = make(map[string]string, len(p.Members))
	for _, m := range p.Members {
		v.keys[m.ID] = m.Key
	}
	return schemas.Verify(raw, p.Operator)
}

func (v *verifier) version(m *schemas.Model, raw []byte) error {
	if err := schemas.Verify(raw, v.sum.Plan.Aggregator); err != nil {
		return err
	}
	switch want := v.sum.Version + 1; {
	case v.begun && m.Version != want, !v.begun && m.Version != 0:
		return fmt.Errorf("version %d, the newest before it is %d", m.Version, v.sum.Version)
	case v.begun && m.Parent != v.model:
		return fmt.Errorf("version %d does not descend from the version %d before it", m.Version, m.Version-1)
	case m.Applied != v.reader.seen.log:
		return fmt.Errorf("version %d was complete with log sequence %d, here the log is at %d%s", m.Version, m.Applied, v.reader.seen.log, v.hole)
	}
	v.begun, v.model = true, schemas.Digest(raw)
	v.sum.Version, v.sum.Final = m.Version, m.Final
	return nil
}

func (v *verifier) checkpoint(c *schemas.Checkpoint, raw []byte) error {
	if err := schemas.Verify(raw, v.sum.Plan.Aggregator); err != nil {
		return err
	}
	switch {
	case !v.begun || c.Version != v.sum.Version || c.Model != v.model:
		return fmt.Errorf("checkpoint %d is not of the model before it", c.Version)
	case c.Applied != v.reader.seen.log:
		return fmt.Errorf("checkpoint %d is of log sequence %d, here the log is at %d", c.Version, c.Applied, v.reader.seen.log)
	case c.Chain != v.reader.seen.chain:
		return fmt.Errorf("the log up to sequence %d is not the one that the aggregator read: a record was changed, removed or added%s", c.Applied, v.hole)
	}
	return nil
}
