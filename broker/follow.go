package broker

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"

	"dpfpl/broker/logkey"
	"dpfpl/schemas"
)

// Follower works from the newest model. Its methods are called from one goroutine.
type Follower interface {
	// Step takes the plan, the newest model, a note, or a tick, and returns the updates that follow from it.
	// An update that it returns is durable and carries Raw.
	Step(now time.Time, m schemas.Message) ([]schemas.Message, error)
	// Pending returns the updates that are durable but not known to be stored, in order of K.
	Pending() []schemas.Message
	// Acked says that update k is stored.
	Acked(k uint64) error
	// Presence returns what the next heartbeat says; nil for none.
	Presence() *schemas.Presence
}

// The points of Follow, in order.
const (
	PointModel     Point = "model"     // a model is about to be handed to the follower
	PointReturned  Point = "returned"  // the follower has returned from it
	PointPublished Point = "published" // an update is stored, the follower does not know yet
	PointAcked     Point = "acked"     // the follower knows
)

// FollowOptions tunes Follow. The zero value of each field is a usable default.
type FollowOptions struct {
	// Aggregator is the public key that must have signed models and notes: others are ignored. Empty
	// leaves the check to the follower, and lets whoever may publish on the broadcast subjects keep newer
	// models away from it.
	Aggregator string
	// Delay simulates a slow machine: Follow waits so long before it hands a model to the follower, which
	// then works from that model even if a newer one has come.
	Delay func(schemas.Message) time.Duration
	// Heartbeat is how often presence is shown; default 5 s.
	Heartbeat time.Duration
	// Tick is how often the follower sees a Tick; default 5 s.
	Tick time.Duration
	// CatchUp is how often the newest model is read although none was announced, in case an announcement
	// was lost; default 1 min.
	CatchUp time.Duration
	// Retry is the first pause between attempts to publish; default 250 ms, growing to 32 times that.
	Retry time.Duration
	// GiveUp is how long the broker may have no place for an update before it counts as refused; default 1 min.
	GiveUp time.Duration
	// At is called at every point, some of them from another goroutine than Step.
	At func(Point)
	// Events are told what happens, one after the other.
	Events []FollowEvents
}

func (o *FollowOptions) setDefaults() {
	defaultTo(&o.Heartbeat, 5*time.Second)
	defaultTo(&o.Tick, 5*time.Second)
	defaultTo(&o.CatchUp, time.Minute)
	defaultTo(&o.Retry, 250*time.Millisecond)
	defaultTo(&o.GiveUp, time.Minute)
	if o.Delay == nil {
		o.Delay = func(schemas.Message) time.Duration { return 0 }
	}
	if o.At == nil {
		o.At = func(Point) {}
	}
}

// Follow keeps f supplied with the newest model and publishes its updates until the final model has been
// stepped and every update is stored; then it returns nil. It works on through lost connections. When ctx
// ends it says goodbye and returns ctx's error; when f fails it first publishes what is pending, for at
// most GiveUp. Expected errors: ctx's, ErrRefused, ErrClosed, and f's own.
func Follow(ctx context.Context, c *Conn, run, client string, key nkeys.KeyPair, f Follower, o FollowOptions) error {
	o.setDefaults()
	l := &following{c: c, run: run, client: client, key: schemas.Prepare(key), f: f, o: o, wake: make(chan struct{}, 1)}
	l.out = newOutbox(c, run, client, o, func(update schemas.Message) {
		o.At(PointPublished)
		for _, e := range o.Events {
			call(e.OnStored, update)
		}
		l.mu.Lock()
		l.acks = append(l.acks, update.Body.(*schemas.Update).K)
		l.mu.Unlock()
		signal(l.wake)
	})
	for _, m := range f.Pending() {
		l.queue(m)
	}
	l.show(f.Presence())
	stop, err := l.subscribe() // before the first read, so that no model falls between the two
	if err != nil {
		return err
	}
	defer stop()

	ctx, cancel := context.WithCancelCause(ctx)
	var background sync.WaitGroup
	background.Go(func() {
		if err := l.out.work(ctx); err != nil {
			cancel(err)
		}
	})
	background.Go(func() { l.beat(ctx) })
	background.Go(func() { l.catchUp(ctx) })
	err = l.work(ctx)
	if err != nil && ctx.Err() == nil {
		l.drain(ctx)
	}
	cancel(nil)
	background.Wait()
	l.say(schemas.StateLeave)
	return err
}

// following is the state of one Follow.
type following struct {
	c      *Conn
	run    string
	client string
	key    nkeys.KeyPair
	f      Follower
	o      FollowOptions
	out    *outbox
	wake   chan struct{} // holds one token while there may be something below

	mu       sync.Mutex
	acks     []uint64
	plan     *schemas.Message
	planRaw  string
	notes    []schemas.Message
	model    *schemas.Message // newest, not yet handed on
	next     uint64           // the lowest version that is newer than all we have seen
	presence *schemas.Presence
}

// maxNotes bounds the notes that wait for a busy follower; the oldest go first.
const maxNotes = 1024

// work hands everything to the follower, acks first.
func (l *following) work(ctx context.Context) error {
	tick := time.NewTicker(l.o.Tick)
	defer tick.Stop()
	final := false
	for {
		if err := l.settle(); err != nil {
			return err
		}
		if final && l.out.empty() {
			return l.settle()
		}
		m, ok := l.take()
		if !ok {
			select {
			case <-l.wake:
				continue
			case now := <-tick.C:
				m = schemas.Message{Body: &schemas.Tick{Header: schemas.Header{Version: schemas.Version, Run: l.run}}, Time: now}
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
		model, isModel := m.Body.(*schemas.Model)
		if isModel {
			l.o.At(PointModel)
			if d := l.o.Delay(m); d > 0 {
				if err := pause(ctx, d); err != nil {
					return context.Cause(ctx)
				}
			}
		}
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if err := l.step(m); err != nil {
			return err
		}
		if isModel {
			l.o.At(PointReturned)
			final = final || model.Final
		}
	}
}

// step hands one message to the follower and queues what follows.
func (l *following) step(m schemas.Message) error {
	out, err := l.f.Step(time.Now(), m)
	for _, m := range out {
		if u, ok := m.Body.(*schemas.Update); !ok || m.Raw == nil {
			return errors.Join(err, fmt.Errorf("broker: the follower returned something other than a sealed update: %T", m.Body))
		} else if u.Run != l.run {
			return errors.Join(err, fmt.Errorf("broker: the follower of run %q returned an update of run %q", l.run, u.Run))
		}
		l.queue(m)
	}
	l.show(l.f.Presence())
	return err
}

// queue puts an update into the outbox.
func (l *following) queue(update schemas.Message) {
	for _, e := range l.o.Events {
		call(e.OnUpdate, update)
	}
	l.out.add(update)
}

// ignore tells that a message does not count.
func (l *following) ignore(why Ignored) {
	for _, e := range l.o.Events {
		call(e.OnIgnored, why)
	}
}

// settle tells the follower which updates are stored.
func (l *following) settle() error {
	l.mu.Lock()
	acks := l.acks
	l.acks = nil
	l.mu.Unlock()
	for _, k := range acks {
		if err := l.f.Acked(k); err != nil {
			return err
		}
		l.o.At(PointAcked)
	}
	if len(acks) > 0 {
		l.show(l.f.Presence())
	}
	return nil
}

// drain gives pending updates a last chance after the follower has failed.
func (l *following) drain(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, l.o.GiveUp)
	defer cancel()
	for !l.out.empty() {
		select {
		case <-l.wake:
		case <-ctx.Done():
			return
		}
	}
	if err := l.settle(); err != nil {
		l.c.log.Warn().Err(err).Msg("ack not recorded")
	}
}

// take returns what the follower should see next.
func (l *following) take() (schemas.Message, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.plan != nil:
		m := *l.plan
		l.plan = nil
		return m, true
	case len(l.notes) > 0:
		m := l.notes[0]
		l.notes = l.notes[1:]
		return m, true
	case l.model != nil:
		m := *l.model
		l.model = nil
		return m, true
	}
	return schemas.Message{}, false
}

// offer sorts in what the broker brought: of models only the newest counts.
func (l *following) offer(m schemas.Message) {
	if m.Err != nil {
		l.c.log.Warn().Err(m.Err).Str(logkey.Subject, m.Subject).Msg("unreadable message ignored")
		l.ignore(IgnoredUnreadable)
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	switch body := m.Body.(type) {
	case *schemas.Plan: // the follower knows the operator's key
		if l.planRaw == string(m.Raw) {
			return
		}
		l.plan, l.planRaw = &m, string(m.Raw)
	case *schemas.Model:
		if body.Run != l.run || body.Version < l.next || !l.authentic(m) {
			return
		}
		l.model, l.next = &m, body.Version+1
		for _, e := range l.o.Events {
			call(e.OnModel, m)
		}
	case *schemas.Note:
		if body.Run != l.run || body.Client != l.client || !l.authentic(m) {
			return
		}
		l.notes = append(l.notes, m)
		l.notes = l.notes[max(0, len(l.notes)-maxNotes):]
		for _, e := range l.o.Events {
			call(e.OnNote, body)
		}
	default:
		return
	}
	signal(l.wake)
}

// authentic reports whether the aggregator signed m, or whether that is not ours to check.
func (l *following) authentic(m schemas.Message) bool {
	if l.o.Aggregator == "" {
		return true
	}
	err := schemas.Verify(m.Raw, l.o.Aggregator)
	if err != nil {
		l.c.log.Warn().Err(err).Str(logkey.Subject, m.Subject).Msg("message ignored")
		l.ignore(IgnoredSignature)
	}
	return err == nil
}

// subscribe listens to broadcasts and to our notes.
func (l *following) subscribe() (stop func(), err error) {
	var subs []*nats.Subscription
	stop = func() {
		for _, s := range subs {
			s.Unsubscribe() //nolint:errcheck // it ends with the connection at the latest
		}
	}
	for _, subject := range []string{
		schemas.Broadcast(l.run, schemas.KindPlan), schemas.Broadcast(l.run, schemas.KindModel), subject(l.run, "note."+l.client),
	} {
		s, err := l.c.nc.Subscribe(subject, func(m *nats.Msg) {
			seq, _ := strconv.ParseUint(m.Header.Get(jetstream.SequenceHeader), 10, 64) // 0 for notes
			l.offer(receive(m.Subject, m.Data, seq, time.Now()))
		})
		if err != nil {
			stop()
			return nil, explain(err, l.run)
		}
		subs = append(subs, s)
	}
	return stop, nil
}

// catchUp reads the newest plan and model at the start, after every reconnect, and now and then.
func (l *following) catchUp(ctx context.Context) {
	for {
		renewed := l.c.Renewed()
		wait := l.o.CatchUp
		if m, err := l.c.Plan(ctx, l.run); err == nil {
			l.offer(m)
		} else if !errors.Is(err, ErrNoPlan) {
			wait = min(wait, 4*l.o.Retry)
		}
		if m, ok, err := l.c.Model(ctx, l.run); err != nil {
			wait = min(wait, 4*l.o.Retry)
		} else if ok {
			l.offer(m)
		}
		t := time.NewTimer(wait)
		select {
		case <-renewed:
		case <-t.C:
		case <-ctx.Done():
		}
		t.Stop()
		if ctx.Err() != nil {
			return
		}
	}
}

// show sets what heartbeats say from here on.
func (l *following) show(p *schemas.Presence) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.presence = p
}

// beat shows presence until ctx ends.
func (l *following) beat(ctx context.Context) {
	l.say(schemas.StateJoin)
	tick := time.NewTicker(l.o.Heartbeat)
	defer tick.Stop()
	for {
		renewed := l.c.Renewed()
		select {
		case <-tick.C:
		case <-renewed:
		case <-ctx.Done():
			return
		}
		l.say(schemas.StateHeartbeat)
	}
}

// say publishes one sign of life. It may be lost: another follows, or silence says the same.
func (l *following) say(state schemas.State) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.presence == nil {
		return
	}
	p := *l.presence
	p.State = state
	m := schemas.Message{Body: &p}
	if err := seal(&m, l.run, l.client, l.key); err != nil {
		l.c.log.Warn().Err(err).Msg("presence not sent")
		return
	}
	if err := l.c.nc.Publish(schemas.Subject(&p), m.Raw); err == nil && state == schemas.StateLeave {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		l.c.nc.FlushWithContext(ctx) //nolint:errcheck // best effort, silence says the same
	}
}
