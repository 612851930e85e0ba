package broker

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// lease says that we lead. It is for liveness and cost only: safety is the fence's.
//
// The lease is the newest message of its stream. Its holder stores the next one every quarter of its length.
// Whoever has seen no new one for a whole length, by its own clock, stores the next in its turn. Either does so
// on condition that the newest is the one it knows, and a message without a holder gives the lease back. So
// nothing depends on the server's clock, and no right to change or delete anything is needed.
type lease struct {
	c         *Conn
	run       string
	holder    string
	length    time.Duration
	seq       uint64
	confirmed time.Time // when the last renewal that succeeded was begun
	ticker    *time.Ticker
}

// acquire waits until the lease is free and takes it. An empty holder needs none. It calls standby once when it has
// to wait.
// Expected errors: ctx's, ErrUnknownRun, ErrNoJetStream.
func (c *Conn) acquire(ctx context.Context, run, holder string, length time.Duration, standby func()) (*lease, error) {
	l := &lease{c: c, run: run, holder: holder, length: length}
	if holder == "" {
		return l, nil
	}
	stream, err := c.leaseStream(ctx, run)
	if err != nil {
		return nil, err
	}
	var waits sync.Once
	var since time.Time // when the newest message was first seen
	for first := true; ; first = false {
		seq, held, err := l.newest(ctx, stream)
		if err != nil {
			return nil, explain(err, run)
		}
		if first || seq != l.seq {
			l.seq, since = seq, time.Now()
		}
		if held == "" || time.Since(since) >= length {
			err := l.put(ctx, holder)
			if err == nil {
				l.ticker = time.NewTicker(length / 4)
				return l, nil
			}
			if !isFenced(err) {
				return nil, explain(err, run)
			}
		}
		waits.Do(standby)
		if err := c.nc.Publish(subject(run, "standby"), []byte(holder)); err != nil { // for who watches
			return nil, explain(err, run)
		}
		if err := pause(ctx, length/16); err != nil {
			return nil, err
		}
	}
}

// leaseStream returns the run's lease stream, which Provision makes.
func (c *Conn) leaseStream(ctx context.Context, run string) (jetstream.Stream, error) {
	s, err := c.stream(ctx, leaseStream(run))
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil, fmt.Errorf("%w %q: stream %s, in which its aggregators agree on who leads, is not on this server; provision the run first, or check the name",
			ErrUnknownRun, run, leaseStream(run))
	}
	return s, explain(err, run)
}

// newest returns the newest lease message: sequence 0 and no holder when there is none.
func (l *lease) newest(ctx context.Context, s jetstream.Stream) (seq uint64, holder string, err error) {
	m, err := asked(ctx, l.c, func(ctx context.Context) (*jetstream.RawStreamMsg, error) {
		return s.GetLastMsgForSubject(ctx, subject(l.run, "lease"))
	})
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return 0, "", nil
	}
	if err != nil {
		return 0, "", err
	}
	return m.Sequence, string(m.Data), nil
}

// put stores the next lease message on condition that the newest is the one we know.
func (l *lease) put(ctx context.Context, holder string) error {
	ctx, cancel := context.WithTimeout(ctx, l.length)
	defer cancel()
	begun := time.Now()
	ack, err := l.c.js.Publish(ctx, subject(l.run, "lease"), []byte(holder), jetstream.WithExpectLastSequencePerSubject(l.seq))
	if err != nil {
		return err
	}
	l.seq, l.confirmed = ack.Sequence, begun
	return nil
}

// renew renews the lease when a quarter of it has passed. It fails when the lease is lost, or when too
// little of it is left to be sure.
func (l *lease) renew(ctx context.Context) error {
	if l.holder == "" || time.Since(l.confirmed) < l.length/4 {
		return nil
	}
	err := l.put(ctx, l.holder)
	switch {
	case err == nil:
		return nil
	case isFenced(err):
		return fmt.Errorf("%w: lease of %q lost: %v", errAgain, l.holder, err)
	case time.Since(l.confirmed) > 3*l.length/4:
		return fmt.Errorf("%w: lease of %q not renewed for %v: %v", errAgain, l.holder, time.Since(l.confirmed), err)
	}
	return nil
}

// due returns a channel that fires when it is time to renew; without a lease it never does.
func (l *lease) due() <-chan time.Time {
	if l.ticker == nil {
		return nil
	}
	return l.ticker.C
}

// release gives the lease back, so that a standby need not wait for it to run out. It may fail; then it
// runs out.
func (l *lease) release(ctx context.Context) {
	if l.holder == "" {
		return
	}
	l.ticker.Stop()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), l.length/2)
	defer cancel()
	if err := l.put(ctx, ""); err != nil {
		l.c.log.Debug().Err(err).Msg("lease not given back")
	}
}
