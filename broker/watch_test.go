package broker_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"dpfpl/broker"
	"dpfpl/broker/brokertest"
	"dpfpl/schemas"
)

// onlooker notes what a watch shows, by subject, and the newest sight.
type onlooker struct {
	mu    sync.Mutex
	seen  []string
	sight schemas.Sight
	anew  int
	news  chan struct{}
}

func (o *onlooker) Step(_ time.Time, m schemas.Message) ([]schemas.Message, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if s, ok := m.Body.(*schemas.Sight); ok {
		o.sight = *s
		if s.Anew {
			o.anew++
			o.seen = nil
		}
	} else {
		o.seen = append(o.seen, m.Subject)
	}
	select {
	case o.news <- struct{}{}:
	default:
	}
	return nil, nil
}

// until waits until ok holds.
func (o *onlooker) until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	late := time.After(time.Minute)
	for {
		o.mu.Lock()
		done, now := ok(), fmt.Sprintf("seen %v, %d times anew, sight %+v", o.seen, o.anew, o.sight)
		o.mu.Unlock()
		if done {
			return
		}
		select {
		case <-o.news:
		case <-late:
			t.Fatalf("never: %s; %s", what, now)
		}
	}
}

// TestWatch: everything that is stored is shown once and in order, through a restart of the server; a server that comes
// back with other streams is read anew.
func TestWatch(t *testing.T) {
	plan := newPlan(2, 5, 5)
	publish := func(conn *broker.Conn, subject string) {
		if _, err := conn.NATS().Request(subject, []byte("an update"), time.Minute); err != nil {
			t.Fatal(err)
		}
	}
	fill := func(n uint64) *brokertest.Server {
		server, conn := connected(t, brokertest.Options{})
		if err := conn.Provision(t.Context(), plan, broker.StreamOptions{AllowLax: true}); err != nil {
			t.Fatal(err)
		}
		for k := range n {
			publish(conn, schemas.UpdateSubject(plan.Run, "anna", k+1))
		}
		return server
	}
	server := fill(3)
	place := &elsewhere{to: server}
	o := &onlooker{news: make(chan struct{}, 1)}
	ctx, cancel := context.WithCancel(t.Context())
	watching, err := server.Connect(ctx, broker.Options{InProcess: place, ReconnectWait: 10 * time.Millisecond, ReconnectJitter: 10 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	defer watching.Close()
	done := make(chan error, 1)
	go func() {
		done <- broker.Watch(ctx, watching, plan.Run, o, broker.WatchOptions{Every: 20 * time.Millisecond})
	}()
	update := func(k uint64) string { return schemas.UpdateSubject(plan.Run, "anna", k) }
	logged := func(k ...uint64) func() bool {
		return func() bool {
			var want []string
			for _, k := range k {
				want = append(want, update(k))
			}
			return slices.Equal(o.seen, want) && o.sight.Connected
		}
	}
	o.until(t, "three updates", logged(1, 2, 3))
	server.Stop()
	o.until(t, "the connection is lost", func() bool { return !o.sight.Connected })
	if err := server.Restart(); err != nil {
		t.Fatal(err)
	}
	conn, err := server.Connect(ctx, broker.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	publish(conn, update(4))
	o.until(t, "one more, and nothing anew", func() bool { return logged(1, 2, 3, 4)() && o.anew == 0 })
	place.move(fill(2))
	server.Stop()
	o.until(t, "the other server's two", func() bool { return o.anew > 0 && logged(1, 2)() })
	cancel()
	if err := <-done; err != context.Canceled {
		t.Error(err)
	}
}
