package broker

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"dpfpl/broker/logkey"
	"dpfpl/schemas"
)

// outbox publishes sealed updates, one after the other, each until it is known to be stored. It never
// makes bytes: a retry sends what the role has put on disk.
type outbox struct {
	c      *Conn
	run    string
	retry  time.Duration
	giveUp time.Duration
	jitter *rand.Rand
	acked  func(schemas.Message)
	events []FollowEvents

	mu    sync.Mutex
	queue []schemas.Message
	more  chan struct{} // holds one token while there may be something in queue
}

func newOutbox(c *Conn, run, client string, o FollowOptions, acked func(schemas.Message)) *outbox {
	h := fnv.New64a()
	h.Write([]byte(client)) // so that clients that fail together do not return together
	return &outbox{
		c: c, run: run, retry: o.Retry, giveUp: o.GiveUp, acked: acked, events: o.Events,
		jitter: rand.New(rand.NewPCG(h.Sum64(), 1)), more: make(chan struct{}, 1),
	}
}

// add queues an update.
func (b *outbox) add(m schemas.Message) {
	b.mu.Lock()
	b.queue = append(b.queue, m)
	b.mu.Unlock()
	signal(b.more)
}

// empty reports that every update is stored.
func (b *outbox) empty() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.queue) == 0
}

// work publishes until ctx ends or the broker refuses an update.
func (b *outbox) work(ctx context.Context) error {
	for {
		b.mu.Lock()
		var next *schemas.Message
		if len(b.queue) > 0 {
			next = &b.queue[0]
		}
		b.mu.Unlock()
		if next == nil {
			select {
			case <-b.more:
			case <-ctx.Done():
				return ctx.Err()
			}
			continue
		}
		update := *next
		if err := b.publish(ctx, update); err != nil {
			return err
		}
		b.mu.Lock()
		b.queue = b.queue[1:]
		b.mu.Unlock()
		b.acked(update)
	}
}

// publish repeats one update until it is stored. Expected errors: ctx's, ErrRefused, ErrClosed.
func (b *outbox) publish(ctx context.Context, m schemas.Message) error {
	u := m.Body.(*schemas.Update)
	subject := schemas.UpdateSubject(b.run, u.Sender, u.K)
	wait, limit := b.retry, tryTime
	var refused time.Time // since when there has been no place for it
	for {
		renewed := b.c.Renewed()
		for _, e := range b.events {
			call(e.OnAttempt, m)
		}
		err := b.try(ctx, limit, u, m.Raw)
		switch {
		case err == nil:
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case b.c.nc.IsClosed():
			return fmt.Errorf("%w: update %d of %s not known to be stored", ErrClosed, u.K, u.Sender)
		case !errors.Is(err, jetstream.ErrNoStreamResponse):
			refused = time.Time{}
		case refused.IsZero():
			refused = time.Now()
		case time.Since(refused) >= b.giveUp:
			return fmt.Errorf("%w: nothing takes %s: the run is unknown, or it allows fewer updates per client", ErrRefused, subject)
		}
		if unanswered(err) {
			limit += moreTime
		}
		b.c.log.Debug().Err(err).Str(logkey.Subject, subject).Msg("publish again")
		for _, e := range b.events {
			call(e.OnRetry, why(err))
		}
		select {
		case <-time.After(b.spread(wait)):
			wait = min(2*wait, 32*b.retry)
		case <-renewed: // what had grown the wait is over; the first one is short, and spread over the clients
			wait, limit = b.retry, tryTime
			if err := pause(ctx, b.spread(wait)); err != nil {
				return err
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// spread returns between half and one and a half times wait, so that clients do not come all at once.
func (b *outbox) spread(wait time.Duration) time.Duration {
	return wait/2 + time.Duration(b.jitter.Int64N(int64(wait)))
}

// try publishes once. nil means that the subject holds a message: ours or, byte-identical or not, an earlier one.
func (b *outbox) try(ctx context.Context, limit time.Duration, u *schemas.Update, raw []byte) error {
	err := b.c.try(ctx, limit, func(ctx context.Context) error {
		_, err := b.c.js.Publish(ctx, schemas.Subject(u), raw)
		return err
	})
	if !isTaken(err) {
		return err
	}
	if _, err := b.c.last(ctx, b.run, logStream(b.run), "update."+u.Sender+"."+strconv.FormatUint(u.K, 10)); err != nil {
		return fmt.Errorf("broker: taken, but not seen to be stored: %w", err)
	}
	return nil
}

// signal leaves a token in a channel that holds one.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
