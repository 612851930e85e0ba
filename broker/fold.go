package broker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"dpfpl/broker/logkey"
	"dpfpl/schemas"
)

// Folder turns the log into versions. It is called from one goroutine, but see [Preparer]. It reads no clock
// and sends nothing: equal calls give equal answers.
type Folder interface {
	// Restore sets the state to a stored checkpoint and its model, whatever it was before. Without one,
	// both messages are zero and it returns Model 0 and Checkpoint 0.
	Restore(now time.Time, checkpoint, model schemas.Message) ([]schemas.Message, error)
	// Step takes the next log message, or a Presence, or a Tick, and returns what follows: a Model with its
	// Checkpoint, Controls, Notes, Dead letters.
	Step(now time.Time, m schemas.Message) ([]schemas.Message, error)
}

// Point names a moment of Fold or Follow at which a test may end the process.
type Point string

// The points of Fold, in order.
const (
	PointRestored  Point = "restored"  // the folder holds the stored state
	PointStepped   Point = "stepped"   // a log message was folded in, nothing of it was sent
	PointCommit    Point = "commit"    // a model and checkpoint are about to be stored
	PointCommitted Point = "committed" // they are stored
	PointSent      Point = "sent"      // everything that followed from a log message was sent
)

// FoldOptions tunes Fold. The zero value of each field is a usable default.
type FoldOptions struct {
	// Sender is the header's sender of messages that the folder leaves open; default "aggregator".
	Sender string
	// Tick is how often the folder sees a Tick; default 1 s.
	Tick time.Duration
	// Holder names this aggregator in the run's lease: it folds only while it holds the lease, and a
	// standby waits. Empty goes without a lease; two folds then both work, and the fence alone decides.
	Holder string
	// Lease is how long a silent leader keeps the lease, the same for all aggregators of a run; default 2 s.
	Lease time.Duration
	// Retry is the pause after a failure that may pass; default 250 ms, growing to 16 times that.
	Retry time.Duration
	// At is called at every point.
	At func(Point)
	// Events are told what happens, one after the other.
	Events []FoldEvents
}

func (o *FoldOptions) setDefaults() {
	defaultTo(&o.Sender, "aggregator")
	defaultTo(&o.Tick, time.Second)
	defaultTo(&o.Lease, 2*time.Second)
	defaultTo(&o.Retry, 250*time.Millisecond)
	if o.At == nil {
		o.At = func(Point) {}
	}
}

// electionTime is how long a cluster may need to choose the leader of a stream. Until then nobody answers for the stream,
// as nobody does for ever on a server without JetStream.
const electionTime = 30 * time.Second

// Fold reads the run's log and lets f turn it into versions, until a final checkpoint is committed, whoever
// commits it; then it returns nil. What passes by itself (a lost connection, a lost race, an unknown
// outcome) makes it start over from what is stored. Expected errors: ctx's, ErrUnknownRun at the start,
// ErrNoJetStream after half a minute without any at the start, ErrRolledBack (in a cluster, where a server may be behind
// the others, after half a minute of it), ErrTrimmed, ErrClosed, schemas.ErrSignature for a stored state that key did not
// sign, and f's own.
func Fold(ctx context.Context, c *Conn, run string, key nkeys.KeyPair, f Folder, o FoldOptions) error {
	o.setDefaults()
	public, err := key.PublicKey()
	if err != nil {
		return fmt.Errorf("broker: key of the fold: %w", err)
	}
	l := &folding{c: c, run: run, key: schemas.Prepare(key), public: public, f: f, o: o}
	if p, ok := f.(Preparer); ok {
		l.prepare = p.Prepare
	}
	wait, since := o.Retry, time.Now() // since when there were none but electoral errors
	for {
		begun, asked := l.restored, time.Now()
		err := l.lead(ctx)
		if !electoral(err) || time.Since(asked) > electionTime {
			since = time.Now()
		}
		var fatal fatalError
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.As(err, &fatal):
			return fatal.error
		case errors.Is(err, ErrClosed), c.nc.IsClosed():
			return fmt.Errorf("%w: %v", ErrClosed, err)
		case l.lasting(err, time.Since(since)):
			return err
		}
		for _, e := range o.Events {
			call(e.OnLost, err)
		}
		c.log.Warn().Err(err).Str(logkey.Run, run).Msg("fold starts over")
		if l.restored > begun {
			wait = o.Retry
		}
		if err := pause(ctx, wait); err != nil {
			return err
		}
		wait = min(2*wait, 16*o.Retry)
	}
}

// electoral reports whether err may come of servers that choose a leader, or that do not yet know whom they have chosen.
func electoral(err error) bool { return errors.Is(err, ErrNoJetStream) || errors.Is(err, errBehind) }

// lasting reports whether err, after none but electoral ones for so long, is not going to pass.
func (l *folding) lasting(err error, since time.Duration) bool {
	switch {
	case errors.Is(err, errBehind):
		return since >= electionTime
	case errors.Is(err, ErrNoJetStream):
		return !l.met && since >= electionTime
	case errors.Is(err, ErrUnknownRun):
		return !l.met
	}
	return errors.Is(err, ErrRolledBack) || errors.Is(err, ErrTrimmed) || errors.Is(err, schemas.ErrSignature)
}

// fatalError marks what must not be retried.
type fatalError struct{ error }

func (e fatalError) Unwrap() error { return e.error }

// folding is the state of one Fold.
type folding struct {
	c        *Conn
	run      string
	key      nkeys.KeyPair
	public   string
	f        Folder
	prepare  func(schemas.Message) schemas.Message // nil unless f is a Preparer
	o        FoldOptions
	met      bool   // the run has been there
	restored int    // how often the folder was restored
	fence    uint64 // sequence of the newest checkpoint we know of
	final    bool
}

// lead takes the lease, restores the folder and folds until the run is over, returning nil, or until it
// must start over.
func (l *folding) lead(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	renewed := l.c.Renewed() // before anything is read, so that nothing read can be older than it
	lease, err := l.c.acquire(ctx, l.run, l.o.Holder, l.o.Lease, l.standby)
	if err != nil {
		return err
	}
	defer lease.release(ctx)
	at, err := l.c.position(ctx, l.run, l.public)
	if err != nil {
		return err
	}
	l.met = true
	l.fence, l.final = at.fence, at.final
	if l.final {
		return nil
	}
	for _, e := range l.o.Events {
		notify(e.OnLead)
	}
	first, err := l.f.Restore(time.Now(), at.checkpoint, at.model)
	if err != nil {
		return fatalError{err}
	}
	l.restored++
	for _, e := range l.o.Events {
		call(e.OnRestored, Stored{Model: at.model, Checkpoint: at.checkpoint})
	}
	l.o.At(PointRestored)
	if err := l.send(ctx, first); err != nil {
		return err
	}
	if l.final {
		return nil
	}
	return l.follow(ctx, at.applied, renewed, lease)
}

// follow folds the log from the message after applied.
func (l *folding) follow(ctx context.Context, applied uint64, renewed <-chan struct{}, lease *lease) error {
	presence := make(chan *nats.Msg, 1024) // what overflows is a heartbeat, and another follows
	sub, err := l.c.nc.ChanSubscribe(subject(l.run, "presence.*"), presence)
	if err != nil {
		return explain(err, l.run)
	}
	defer sub.Unsubscribe() //nolint:errcheck // it ends with the connection at the latest
	log, err := l.c.stream(ctx, logStream(l.run))
	if err != nil {
		return explain(err, l.run)
	}
	behind := log.CachedInfo().State.LastSeq > applied
	r, err := l.c.openReader(ctx, log, "", applied+1)
	if err != nil {
		return explain(err, l.run)
	}
	incoming := readAhead(ctx, r, l.prepare, l.read)
	defer incoming.stop()

	tick := time.NewTicker(l.o.Tick)
	defer tick.Stop()
	for {
		if err := lease.renew(ctx); err != nil {
			return err
		}
		select { // a new connection comes before everything: the log may be another one
		case <-renewed:
			return fmt.Errorf("%w: connection renewed", errAgain)
		default:
		}
		var m schemas.Message
		select {
		case turn := <-incoming.turns:
			a := <-turn
			if a.Seq <= applied {
				continue
			}
			applied, behind = a.Seq, a.behind > 0
			m = a.Message
		case p := <-presence:
			m = receive(p.Subject, p.Data, 0, time.Now())
		case <-tick.C:
			if behind {
				continue // a deadline must not fall before what is already in the log
			}
			m = schemas.Message{Body: &schemas.Tick{Header: schemas.Header{Version: schemas.Version, Run: l.run}}, Time: time.Now()}
		case <-lease.due():
			continue
		case <-renewed:
			continue
		case err := <-incoming.failed:
			return fmt.Errorf("%w: %v", errAgain, err)
		case <-ctx.Done():
			return ctx.Err()
		}
		if err := l.step(ctx, m); err != nil || l.final {
			return err
		}
	}
}

// step folds one message and sends what follows.
func (l *folding) step(ctx context.Context, m schemas.Message) error {
	out, err := l.f.Step(time.Now(), m)
	if err != nil {
		return fatalError{err}
	}
	if m.Seq > 0 {
		l.at(PointStepped)
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err := l.send(ctx, out); err != nil {
		return err
	}
	if m.Seq > 0 {
		l.at(PointSent)
		for _, e := range l.o.Events {
			call(e.OnFolded, m)
		}
	}
	return nil
}

// standby tells that another one leads, and with that that the run is there.
func (l *folding) standby() {
	l.met = true
	for _, e := range l.o.Events {
		notify(e.OnStandby)
	}
}

// read tells what was read ahead.
func (l *folding) read(p Position) {
	for _, e := range l.o.Events {
		call(e.OnRead, p)
	}
}

func (l *folding) at(p Point) { l.o.At(p) }

// send does with each message what its kind asks for. A Model must come directly before its Checkpoint.
func (l *folding) send(ctx context.Context, out []schemas.Message) error {
	var model schemas.Message
	for i := range out {
		m := &out[i]
		if err := l.seal(m); err != nil {
			return fatalError{err}
		}
		var err error
		switch body := m.Body.(type) {
		case *schemas.Model:
			model = *m
		case *schemas.Checkpoint:
			if model.Body == nil {
				return fatalError{errors.New("broker: the folder returned a checkpoint without its model")}
			}
			err = l.commit(ctx, model, *m, body.Final)
			model = schemas.Message{}
		case *schemas.Control:
			err = l.c.publishControl(ctx, *m)
		case *schemas.Dead:
			err = l.c.publishDead(ctx, body, m.Raw)
		case *schemas.Note:
			err = l.c.nc.Publish(schemas.Subject(body), m.Raw)
		default:
			return fatalError{fmt.Errorf("broker: the folder returned a %v", m.Body.Kind())}
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (l *folding) commit(ctx context.Context, model, checkpoint schemas.Message, final bool) error {
	l.at(PointCommit)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	begun := time.Now()
	fence, err := l.c.commit(ctx, model, checkpoint, l.fence)
	if err != nil {
		return err
	}
	l.fence, l.final = fence, final
	for _, e := range l.o.Events {
		call(e.OnCommitted, Stored{model, checkpoint, time.Since(begun)})
	}
	l.at(PointCommitted)
	return ctx.Err()
}

// seal fills in what the folder left open.
func (l *folding) seal(m *schemas.Message) error {
	return seal(m, l.run, l.o.Sender, l.key)
}

// seal completes a message that a role returned: header, and bytes if it has none.
func seal(m *schemas.Message, run, sender string, key nkeys.KeyPair) error {
	if m.Body == nil {
		return errors.New("broker: a role returned a message without a body")
	}
	if m.Raw != nil {
		return nil
	}
	h := m.Body.Head()
	defaultTo(&h.Run, run)
	defaultTo(&h.Sender, sender)
	raw, err := schemas.Seal(m.Body, key)
	m.Raw = raw
	return err
}
