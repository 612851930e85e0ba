package broker

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/nats-io/nats.go/jetstream"

	"dpfpl/schemas"
)

// ErrImport means that a recorded run cannot be stored as it was.
var ErrImport = errors.New("broker: cannot import")

// Import stores a recorded run, the plan first, under the sequences that it had, then reads the log back
// and compares the digest chain. It goes on where an earlier Import was interrupted. The server's times are
// new, so a Fold refuses to go on with the run (ErrRolledBack). Expected errors: those of Provision and
// PublishPlan, ErrImport, and those of src.
func (c *Conn) Import(ctx context.Context, src iter.Seq2[schemas.Message, error], o StreamOptions) error {
	in := importing{c: c}
	for m, err := range src {
		if err == nil && in.run == "" {
			err = in.begin(ctx, m, o)
		} else if err == nil {
			err = in.store(ctx, m)
		}
		if err != nil {
			return err
		}
	}
	if in.run == "" {
		return fmt.Errorf("%w: no plan", ErrImport)
	}
	return in.compare(ctx)
}

// importing is the state of one Import.
type importing struct {
	c     *Conn
	run   string
	last  map[string]uint64 // newest sequence, by stream
	chain [32]byte          // over the log messages of the source
}

// begin creates the streams and stores the plan.
func (in *importing) begin(ctx context.Context, m schemas.Message, o StreamOptions) error {
	body, err := schemas.Open(m.Raw)
	if err != nil {
		return err
	}
	plan, ok := body.(*schemas.Plan)
	if !ok {
		return fmt.Errorf("%w: %s where the plan belongs", ErrImport, m.Subject)
	}
	if err := in.c.Provision(ctx, plan, o); err != nil {
		return err
	}
	if err := in.c.PublishPlan(ctx, m.Raw); err != nil {
		return err
	}
	in.run, in.last = plan.Run, map[string]uint64{}
	for _, name := range []string{logStream(plan.Run), stateStream(plan.Run)} {
		s, err := in.c.js.Stream(ctx, name)
		if err != nil {
			return explain(err, plan.Run)
		}
		in.last[name] = s.CachedInfo().State.LastSeq
	}
	return nil
}

// store stores a message unless its sequence is already taken.
func (in *importing) store(ctx context.Context, m schemas.Message) error {
	kind, run, _, _, err := schemas.ParseSubject(m.Subject)
	if err != nil || run != in.run {
		return fmt.Errorf("%w: %s does not belong to run %q", ErrImport, m.Subject, in.run)
	}
	stream := stateStream(run)
	if kind == schemas.KindUpdate || kind == schemas.KindControl {
		stream = logStream(run)
		in.chain = schemas.Chain(in.chain, schemas.Digest(m.Raw))
	}
	if m.Seq <= in.last[stream] {
		return nil
	}
	ack, err := in.c.js.Publish(ctx, m.Subject, m.Raw, jetstream.WithExpectLastSequence(m.Seq-1))
	switch {
	case isFenced(err):
		return fmt.Errorf("%w: %s cannot have sequence %d, the server's newest is %d: the record has a hole, or somebody else writes this run", ErrImport, m.Subject, m.Seq, in.last[stream])
	case err != nil:
		return explain(err, run)
	}
	in.last[stream] = ack.Sequence
	return nil
}

// compare reads the log back.
func (in *importing) compare(ctx context.Context) error {
	var chain [32]byte
	for m, err := range in.c.ReadLog(ctx, in.run, 1) {
		if err != nil {
			return err
		}
		chain = schemas.Chain(chain, schemas.Digest(m.Raw))
	}
	if chain != in.chain {
		return fmt.Errorf("%w: the server holds another log of run %q", ErrImport, in.run)
	}
	return nil
}
