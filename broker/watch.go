package broker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/synadia-io/orbit.go/jetstreamext"

	"dpfpl/schemas"
)

// Watcher sees a run from outside: every log message, model, checkpoint and dead letter, each once and in the
// order of its stream; presence and notes as they are said; and a Sight after every look around. It is called
// from one goroutine. What Step returns is dropped: who watches says nothing.
type Watcher interface {
	Step(now time.Time, m schemas.Message) ([]schemas.Message, error)
}

// WatchOptions tunes Watch. The zero value of each field is a usable default.
type WatchOptions struct {
	// Every is how often to look for what is new; default 1 s. A new model is looked at when it comes.
	Every time.Duration
	// After is called after every look around, from the goroutine that calls the watcher.
	After func(now time.Time)
}

// How much a watch asks for at a time, and how long it waits for it.
const (
	watchBatch = 256
	watchBytes = 4 << 20
	watchWait  = 5 * time.Second
)

// An aggregator leads, or stands by, until it has not said so for leaderLife or standbyLife: ten times as long as it
// takes at the usual lease. More than maxStandby are not told apart.
const (
	leaderLife  = 5 * time.Second
	standbyLife = 2 * time.Second
	maxStandby  = 32
)

// Watch shows w a run from its beginning on, until ctx ends or w fails. It only reads, by direct gets, and makes no
// consumer, so that its permissions can be as narrow as that. A broker that goes away is waited for. Expected errors:
// ctx's, ErrClosed and w's.
func Watch(ctx context.Context, c *Conn, run string, w Watcher, o WatchOptions) error {
	defaultTo(&o.Every, time.Second)
	if o.After == nil {
		o.After = func(time.Time) {}
	}
	v := &watching{c: c, run: run, w: w, heard: map[string]time.Time{}, streams: []*watched{
		{what: "log", name: logStream(run), next: 1}, {what: "state", name: stateStream(run), next: 1}, {what: "dead", name: deadStream(run), next: 1},
	}}
	said := make(chan *nats.Msg, 4096) // what overflows is said again, or stored
	for _, what := range []string{"presence.*", "note.*", "standby", "pub.model"} {
		sub, err := c.nc.ChanSubscribe(subject(run, what), said)
		if err != nil {
			return explain(err, run)
		}
		defer sub.Unsubscribe() //nolint:errcheck // it ends with the connection at the latest
	}
	tick := time.NewTicker(o.Every)
	defer tick.Stop()
	renewed := c.Renewed()
	for {
		if err := v.look(ctx, func() { o.After(time.Now()) }); err != nil {
			return err
		}
		o.After(time.Now())
		for news := false; !news; {
			select {
			case m := <-said:
				err := v.hear(m)
				if err != nil {
					return err
				}
				news = m.Subject == schemas.Broadcast(run, schemas.KindModel)
			case <-tick.C:
				news = true
			case <-renewed:
				renewed = c.Renewed()
				v.doubt = true
				news = true
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		if c.nc.IsClosed() {
			return fmt.Errorf("%w (run %q)", ErrClosed, run)
		}
	}
}

// watching is the state of one Watch.
type watching struct {
	c       *Conn
	run     string
	w       Watcher
	streams []*watched
	heard   map[string]time.Time // standby aggregators
	doubt   bool                 // the streams may be others than those that were read

	leased   uint64    // sequence of the newest word of who leads
	since    time.Time // it was said
	renewing bool      // there was one
}

// watched is a stream and how far it was read.
type watched struct {
	what, name string
	next       uint64    // sequence
	last       time.Time // when the message before it was stored
	left       uint64    // messages that are still to be read
}

func (v *watching) give(m schemas.Message) error {
	_, err := v.w.Step(time.Now(), m)
	return err
}

func (v *watching) see(s *schemas.Sight) error {
	s.Header = schemas.Header{Version: schemas.Version, Run: v.run}
	return v.give(schemas.Message{Body: s, Time: time.Now()})
}

// hear takes in what is said on a core subject.
func (v *watching) hear(m *nats.Msg) error {
	switch m.Subject {
	case subject(v.run, "standby"):
		name := string(m.Data)
		if _, known := v.heard[name]; known || len(name) <= schemas.MaxName && len(v.heard) < maxStandby {
			v.heard[name] = time.Now()
		}
		return nil
	case schemas.Broadcast(v.run, schemas.KindModel):
		return nil // it is read where it is stored
	}
	return v.give(receive(m.Subject, m.Data, 0, time.Now()))
}

// look reads what is new in every stream, a batch of each at a time, and then who leads. progress is called
// between batches.
func (v *watching) look(ctx context.Context, progress func()) error {
	sight := &schemas.Sight{Connected: v.c.nc.IsConnected()}
	if !sight.Connected {
		return v.see(sight)
	}
	if v.doubt {
		anew, err := v.changed(ctx)
		if err != nil {
			return v.see(sight) // and again
		}
		v.doubt = false
		if anew {
			for _, s := range v.streams {
				*s = watched{what: s.what, name: s.name, next: 1}
			}
			if err := v.see(&schemas.Sight{Anew: true, Connected: true}); err != nil {
				return err
			}
		}
	}
	for more := true; more; {
		more = false
		sight.Left, sight.Unread = 0, nil
		for _, s := range v.streams {
			again, err := v.read(ctx, s)
			var fatal fatalError
			switch {
			case errors.As(err, &fatal):
				return fatal.error
			case ctx.Err() != nil:
				return ctx.Err()
			case err != nil:
				sight.Unread = append(sight.Unread, s.what)
			}
			more = more || again
			sight.Left += s.left
		}
		if more {
			if err := v.see(v.lead(ctx, sight)); err != nil {
				return err
			}
			progress()
		}
	}
	sight.Connected = v.c.nc.IsConnected()
	return v.see(v.lead(ctx, sight))
}

// read gives the watcher the next messages of a stream, and reports whether there may be more.
func (v *watching) read(ctx context.Context, s *watched) (more bool, err error) {
	asking, cancel := context.WithTimeout(ctx, watchWait)
	defer cancel()
	batch, err := jetstreamext.GetBatch(asking, v.c.js, s.name, watchBatch, jetstreamext.GetBatchSeq(s.next), jetstreamext.GetBatchMaxBytes(watchBytes))
	if err != nil {
		return false, err
	}
	s.left = 0
	for m, err := range batch {
		if errors.Is(err, jetstreamext.ErrNoMessages) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		if m.Sequence < s.next {
			continue
		}
		if err := v.give(receive(m.Subject, m.Data, m.Sequence, m.Time)); err != nil {
			return false, fatalError{err}
		}
		s.next, s.last = m.Sequence+1, m.Time
		s.left = pending(m)
	}
	return s.left > 0, asking.Err() // the batch itself ends without a word
}

// pending returns how many messages follow one of a batch.
func pending(m *jetstream.RawStreamMsg) uint64 {
	var n uint64
	fmt.Sscan(m.Header.Get("Nats-Num-Pending"), &n) //nolint:errcheck // 0 then: it is asked for again
	return n
}

// changed reports whether a stream is no longer the one that was read: the message that was read last is another
// one now, or gone from a stream that forgets nothing.
func (v *watching) changed(ctx context.Context) (bool, error) {
	for _, s := range v.streams {
		if s.next == 1 {
			continue
		}
		asking, cancel := context.WithTimeout(ctx, watchWait)
		last, err := v.c.get(asking, s.name, fmt.Sprintf(`{"seq":%d}`, s.next-1))
		cancel()
		switch {
		case errors.Is(err, errNothing) && s.what == "dead":
		case errors.Is(err, errNothing), err == nil && !last.Time.Equal(s.last):
			return true, nil
		case err != nil:
			return false, err
		}
	}
	return false, nil
}

// leaseOf reads who leads where it is written, as aggregators do. Errors: errNothing, nats'.
func (c *Conn) leaseOf(ctx context.Context, run string) (*jetstream.RawStreamMsg, error) {
	question := fmt.Sprintf(`{"last_by_subj":%q}`, subject(run, "lease"))
	reply, err := c.nc.RequestWithContext(ctx, c.prefix+".STREAM.MSG.GET."+leaseStream(run), []byte(question))
	if err != nil {
		return nil, err
	}
	var answer struct {
		Error   *jetstream.APIError
		Message struct {
			Seq  uint64
			Data []byte
			Time time.Time
		}
	}
	if err := json.Unmarshal(reply.Data, &answer); err != nil {
		return nil, fmt.Errorf("read the lease: %w", err)
	}
	if e := answer.Error; e != nil {
		if e.ErrorCode == jetstream.JSErrCodeMessageNotFound {
			return nil, errNothing
		}
		return nil, e
	}
	return &jetstream.RawStreamMsg{Sequence: answer.Message.Seq, Data: answer.Message.Data, Time: answer.Message.Time}, nil
}

// lead completes a sight with who leads and who stands by.
func (v *watching) lead(ctx context.Context, s *schemas.Sight) *schemas.Sight {
	s.Holder, s.Standby = "", nil
	asking, cancel := context.WithTimeout(ctx, watchWait)
	defer cancel()
	m, err := v.c.leaseOf(asking, v.run)
	switch {
	case err == nil:
		if m.Sequence != v.leased {
			v.leased, v.since = m.Sequence, time.Now()
			if !v.renewing { // the first one may be old: believe the server's clock, once
				v.renewing, v.since = true, m.Time
			}
		}
		if time.Since(v.since) < leaderLife {
			s.Holder = string(m.Data)
		}
	case !errors.Is(err, errNothing):
		s.Unread = append(slices.Clone(s.Unread), "lease")
	}
	for name, at := range v.heard {
		if time.Since(at) > standbyLife || name == s.Holder {
			delete(v.heard, name)
			continue
		}
		s.Standby = append(s.Standby, name)
	}
	slices.Sort(s.Standby)
	return s
}
