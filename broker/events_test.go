package broker_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"dpfpl/broker"
	"dpfpl/broker/brokertest"
	"dpfpl/schemas"
)

// heard counts events.
type heard struct {
	mu    sync.Mutex
	times map[string]int
}

func (h *heard) add(what string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.times[what]++
}

// count returns how often something was heard whose name begins so.
func (h *heard) count(prefix string) (n int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for what, times := range h.times {
		if strings.HasPrefix(what, prefix) {
			n += times
		}
	}
	return n
}

func (h *heard) fold() broker.FoldEvents {
	return broker.FoldEvents{
		OnStandby:   func() { h.add("standby") },
		OnLead:      func() { h.add("lead") },
		OnLost:      func(error) { h.add("lost") },
		OnRestored:  func(broker.Stored) { h.add("restored") },
		OnRead:      func(p broker.Position) { h.add(fmt.Sprint("read ", p.Seq)) },
		OnFolded:    func(m schemas.Message) { h.add(fmt.Sprint("folded ", m.Seq)) },
		OnCommitted: func(s broker.Stored) { h.add(fmt.Sprint("committed ", s.Model.Body.(*schemas.Model).Version)) },
	}
}

func (h *heard) follow() broker.FollowEvents {
	return broker.FollowEvents{
		OnModel:   func(schemas.Message) { h.add("model") },
		OnIgnored: func(why broker.Ignored) { h.add("ignored " + string(why)) },
		OnUpdate:  func(schemas.Message) { h.add("update") },
		OnAttempt: func(schemas.Message) { h.add("attempt") },
		OnRetry:   func(why broker.Why) { h.add("retry " + string(why)) },
		OnStored:  func(schemas.Message) { h.add("stored") },
	}
}

// TestEvents hears of everything in a run whose client loses its connection with an update on its hands, and in
// which nonsense is broadcast.
func TestEvents(t *testing.T) {
	leader, standby, client := &heard{times: map[string]int{}}, &heard{times: map[string]int{}}, &heard{times: map[string]int{}}
	plan := newPlan(1, 3, 3)
	virtually(t, plan, brokertest.Options{}, func(ctx context.Context, s *brokertest.Server, c *broker.Conn) error {
		key, _ := seedKey("aggregator")
		fold := func(name string, h *heard) error {
			return broker.Fold(ctx, c, plan.Run, key, newSummer(plan, 1), broker.FoldOptions{Holder: name, Events: []broker.FoldEvents{{}, h.fold()}})
		}
		var wg sync.WaitGroup
		var errs [3]error
		wg.Go(func() { errs[0] = fold("one", leader) })
		time.Sleep(time.Second)
		wg.Go(func() { errs[1] = fold("two", standby) })
		link := brokertest.NewLink(s)
		var cut sync.Once
		wg.Go(func() {
			errs[2] = follow(ctx, s, link, plan, newWorker(plan, clientID(0), newDisk()), broker.FollowOptions{
				Aggregator: plan.Aggregator, Events: []broker.FollowEvents{client.follow(), {}},
				Delay: func(schemas.Message) time.Duration { return 10 * time.Second },
				At: func(p broker.Point) {
					if p == broker.PointModel {
						cut.Do(func() {
							link.Cut()
							wg.Go(func() {
								time.Sleep(20 * time.Second)
								link.Restore()
							})
						})
					}
				},
			})
		})
		time.Sleep(25 * time.Second) // it is back
		if err := c.NATS().Publish(schemas.Broadcast(plan.Run, schemas.KindModel), []byte("nonsense")); err != nil {
			return err
		}
		wg.Wait()
		return errors.Join(errs[:]...)
	})
	for _, c := range []struct {
		*heard
		what string
		want int
	}{
		{leader, "lead", 1}, {leader, "standby", 0}, {leader, "restored", 1}, {leader, "read", 3}, {leader, "folded", 3}, {leader, "committed", 4}, {leader, "lost", 0},
		{standby, "standby", 1}, {standby, "folded", 0},
		{client, "model", 4}, {client, "ignored unreadable", 1}, {client, "update", 3}, {client, "stored", 3},
		{client, "attempt", client.count("stored") + client.count("retry")},
	} {
		if got := c.count(c.what); got != c.want {
			t.Errorf("%s: %d times, want %d; all: %v", c.what, got, c.want, c.times)
		}
	}
	if client.count("retry "+string(broker.WhyConnected)) == 0 || client.count("retry") != client.count("retry "+string(broker.WhyConnected)) {
		t.Errorf("attempts without a connection: %v", client.times)
	}
}
