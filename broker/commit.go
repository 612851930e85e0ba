package broker

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/synadia-io/orbit.go/jetstreamext"

	"dpfpl/schemas"
)

// commit stores a model and its checkpoint in one atomic batch, on condition that fence is still the
// sequence of the newest checkpoint (0: there is none). It returns the checkpoint's sequence; the model's
// is one less. errFenced says that someone else was first. After any other error the outcome is unknown, and a
// second try could not tell its own first one from someone else's: the fold starts over from what is stored.
func (c *Conn) commit(ctx context.Context, model, checkpoint schemas.Message, fence uint64) (uint64, error) {
	batch, err := jetstreamext.NewBatchPublisher(c.js, jetstreamext.BatchFlowControl{AckFirst: false})
	if err != nil {
		return 0, err
	}
	if err := batch.Add(schemas.Subject(model.Body), model.Raw); err != nil {
		return 0, err
	}
	var ack *jetstreamext.BatchAck
	err = c.try(ctx, tryTime, func(ctx context.Context) (err error) {
		ack, err = batch.Commit(ctx, schemas.Subject(checkpoint.Body), checkpoint.Raw,
			jetstreamext.WithBatchExpectLastSequencePerSubject(fence))
		return err
	})
	switch {
	case isFenced(err):
		return 0, fmt.Errorf("%w: %v", errFenced, err)
	case err != nil:
		return 0, err
	}
	return ack.Sequence, nil
}

// isTaken reports that a one-message-per-subject stream refused a publish because of another one to the same
// subject. Server code 10077 covers every failure to store, so the text decides.
//
// It does not say that anything is stored: a replicated stream counts what is only on its way to the other servers,
// too, and a leader that has been cut off from them gives it up.
func isTaken(err error) bool {
	return apiCode(err) == codeStoreFailed && strings.Contains(err.Error(), "maximum messages per subject")
}

// publishControl appends a control message to the log. Someone else having stored event n first is as good, and
// if that is not stored after all, the folder says it again.
func (c *Conn) publishControl(ctx context.Context, m schemas.Message) error {
	err := c.insist(ctx, func(ctx context.Context) error {
		_, err := c.js.Publish(ctx, schemas.Subject(m.Body), m.Raw)
		return err
	})
	if err == nil || isTaken(err) {
		return nil
	}
	return fmt.Errorf("broker: publish %s: %w", schemas.Subject(m.Body), err)
}

// publishDead keeps a refused message for the operator, once per log sequence.
func (c *Conn) publishDead(ctx context.Context, d *schemas.Dead, raw []byte) error {
	err := c.insist(ctx, func(ctx context.Context) error {
		_, err := c.js.Publish(ctx, schemas.Subject(d), raw, jetstream.WithMsgID(fmt.Sprintf("%s:%d", d.Run, d.Seq)))
		return err
	})
	if err != nil {
		return fmt.Errorf("broker: publish %s: %w", schemas.Subject(d), err)
	}
	return nil
}

// position is where a fold starts: what is stored of it, and the fence for its next commit.
type position struct {
	checkpoint, model schemas.Message
	applied           uint64
	fence             uint64
	final             bool
}

// position reads the newest checkpoint, the model that was stored in the same batch, and holds the log
// against them. public is the key that must have signed them.
func (c *Conn) position(ctx context.Context, run, public string) (position, error) {
	checkpoint, err := c.last(ctx, run, stateStream(run), "checkpoint")
	if errors.Is(err, errNothing) {
		return position{}, nil
	}
	if err != nil {
		return position{}, err
	}
	p := position{checkpoint: checkpoint, fence: checkpoint.Seq}
	body, err := ours[*schemas.Checkpoint](checkpoint, public)
	if err != nil {
		return p, err
	}
	state, err := c.stream(ctx, stateStream(run))
	if err != nil {
		return p, explain(err, run)
	}
	raw, err := c.message(ctx, state, checkpoint.Seq-1)
	if err != nil {
		return p, explain(err, run)
	}
	p.model = receive(raw.Subject, raw.Data, raw.Sequence, raw.Time)
	if _, err := ours[*schemas.Model](p.model, public); err != nil {
		return p, err
	}
	p.applied, p.final = body.Applied, body.Final
	return p, c.checkLog(ctx, run, body)
}

// ours returns the body of a stored message that must be a B signed by us.
func ours[B schemas.Body](m schemas.Message, public string) (B, error) {
	var none B
	if m.Err != nil {
		return none, fmt.Errorf("broker: stored message %d at %s: %w", m.Seq, m.Subject, m.Err)
	}
	body, ok := m.Body.(B)
	if !ok {
		return none, fmt.Errorf("broker: stored message %d at %s is a %v", m.Seq, m.Subject, m.Body.Kind())
	}
	if err := schemas.Verify(m.Raw, public); err != nil {
		return none, fmt.Errorf("broker: stored message %d at %s: %w", m.Seq, m.Subject, err)
	}
	return body, nil
}

// checkLog makes sure that the log is still the one that the checkpoint was made from. Sequence numbers
// alone do not show it: a stream that was rolled back uses them again. Expected errors: ErrRolledBack,
// ErrTrimmed.
func (c *Conn) checkLog(ctx context.Context, run string, cp *schemas.Checkpoint) error {
	log, err := c.stream(ctx, logStream(run))
	if err != nil {
		return explain(err, run)
	}
	if cp.Applied == 0 {
		return nil
	}
	info := log.CachedInfo()
	state := info.State
	if state.LastSeq < cp.Applied {
		err := fmt.Errorf("%w: run %q: the checkpoint of version %d has seen message %d, but the log ends at %d; restore the log, or start a new run",
			ErrRolledBack, run, cp.Version, cp.Applied, state.LastSeq)
		if info.Cluster != nil && len(info.Cluster.Replicas) > 0 {
			err = fmt.Errorf("%w; %w", err, errBehind)
		}
		return err
	}
	if state.FirstSeq > cp.Applied+1 {
		return fmt.Errorf("%w: run %q: the checkpoint of version %d needs message %d, but the log begins at %d; restore the log, or start a new run",
			ErrTrimmed, run, cp.Version, cp.Applied+1, state.FirstSeq)
	}
	m, err := c.message(ctx, log, cp.Applied)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil // trimmed up to here, which loses nothing
	}
	if err != nil {
		return explain(err, run)
	}
	if m.Time.UnixNano() != cp.AppliedTime {
		return fmt.Errorf("%w: run %q: message %d was stored at %d ns, but the checkpoint of version %d saw one stored at %d ns; restore the log, or start a new run",
			ErrRolledBack, run, cp.Applied, m.Time.UnixNano(), cp.Version, cp.AppliedTime)
	}
	return nil
}
