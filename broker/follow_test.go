package broker_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"dpfpl/broker"
	"dpfpl/broker/brokertest"
	"dpfpl/schemas"
)

// follow runs one client over its own connection until Follow returns.
func follow(ctx context.Context, s *brokertest.Server, link *brokertest.Link, plan *schemas.Plan, w *worker, o broker.FollowOptions) error {
	conn, err := s.Connect(ctx, broker.Options{Name: w.id, InProcess: link, Patience: time.Hour})
	if err != nil {
		return err
	}
	defer conn.Close()
	o.Aggregator = plan.Aggregator
	return broker.Follow(ctx, conn, plan.Run, w.id, w.key, w, o)
}

// checkDisks holds the log against what the clients have on disk: every update that a client knows to be
// stored is there, once, with the bytes that were made first. It returns the number of updates.
func checkDisks(t testing.TB, log []schemas.Message, disks map[string]*disk) int {
	t.Helper()
	inLog := map[string][]byte{}
	for _, m := range log {
		if inLog[m.Subject] != nil {
			t.Errorf("%s is twice in the log", m.Subject)
		}
		inLog[m.Subject] = m.Raw
	}
	n := 0
	for id, d := range disks {
		for k, raw := range d.made {
			stored, ok := inLog[schemas.UpdateSubject("test", id, k)]
			if d.acked[k] && !ok {
				t.Errorf("update %d of %s is acked but not in the log", k, id)
			}
			if ok && !bytes.Equal(stored, raw) {
				t.Errorf("update %d of %s is in the log with other bytes", k, id)
			}
			n++
		}
	}
	return n
}

// TestFederation runs 200 clients for hours of virtual time: stragglers, late joiners, cut links, clients
// that crash and come back, a slow link, and a server that restarts, with a standby beside the leader.
func TestFederation(t *testing.T) {
	const clients, versions = 200, 40
	begun := time.Now()
	err := brokertest.VirtualTime(func(ctx context.Context) error {
		start := time.Now()
		plan := newPlan(clients, versions, 60)
		s, c, err := setUp(ctx, plan, brokertest.Options{})
		if err != nil {
			return err
		}
		defer s.Close()
		defer c.Close()
		key, _ := seedKey("aggregator")
		var wg sync.WaitGroup
		errs := make(chan error, clients+2+3) // with the folds and the restarts
		for _, name := range []string{"first", "second"} {
			conn, err := s.Connect(ctx, broker.Options{})
			if err != nil {
				return err
			}
			defer conn.Close()
			wg.Go(func() {
				errs <- broker.Fold(ctx, conn, plan.Run, key, newSummer(plan, clients/2), broker.FoldOptions{Holder: name, Lease: 2 * time.Second})
			})
		}
		disks := map[string]*disk{}
		for i := range clients {
			d := newDisk()
			disks[clientID(i)] = d
			wg.Go(func() { errs <- client(ctx, s, plan, i, d) })
		}
		wg.Go(func() {
			for range 3 {
				time.Sleep(25 * time.Minute)
				s.Stop()
				time.Sleep(time.Minute)
				if err := s.Restart(); err != nil {
					errs <- err
				}
			}
		})
		wg.Wait()
		close(errs)
		for err := range errs {
			if err != nil {
				return err
			}
		}
		for c.NATS().Flush() != nil {
			time.Sleep(time.Second)
		}
		log := checkRun(ctx, t, c, plan, clients/2)
		n := checkDisks(t, log, disks)
		t.Logf("%d updates made, %d in the log, %v of virtual time", n, len(log), time.Since(start).Round(time.Second))
		if len(log) < clients/2*versions {
			t.Errorf("%d messages in the log", len(log))
		}
		return finished(ctx, c, plan)
	})
	t.Logf("took %v", time.Since(begun))
	if err != nil {
		t.Fatal(err)
	}
}

// client is one of the clients of TestFederation, each with its own troubles.
func client(ctx context.Context, s *brokertest.Server, plan *schemas.Plan, i int, d *disk) error {
	src := rand.New(rand.NewPCG(7, uint64(i)))
	link := brokertest.NewLink(s)
	delay := time.Duration(30+src.IntN(270)) * time.Second
	if i%20 == 0 {
		delay *= 10 // a straggler
	}
	time.Sleep(time.Duration(i)*time.Millisecond + time.Duration(i%4)*5*time.Minute) // a quarter each join late
	done := make(chan struct{})
	var wg sync.WaitGroup
	defer func() { close(done); wg.Wait() }()
	if i%3 == 0 {
		wg.Go(func() { flap(src, link, done) })
	}
	if i%10 == 1 {
		link.SetDelay(200 * time.Millisecond)
	}
	for life := int32(1); ; life++ {
		w := newWorker(plan, clientID(i), d)
		w.salt = life
		lifetime, cancel := context.WithCancel(ctx)
		if i%5 == 0 && life <= 3 {
			wg.Go(func() { // crashes, and is started again
				select {
				case <-time.After(time.Duration(5+i%10) * time.Minute):
				case <-done:
				}
				cancel()
			})
		}
		err := follow(lifetime, s, link, plan, w, broker.FollowOptions{
			Delay:     func(schemas.Message) time.Duration { return delay },
			Heartbeat: time.Minute, Tick: time.Minute, CatchUp: 10 * time.Minute,
		})
		crashed := lifetime.Err() != nil
		cancel()
		if !crashed {
			return err
		}
	}
}

// flap cuts a link for a while, again and again.
func flap(src *rand.Rand, link *brokertest.Link, done <-chan struct{}) {
	defer link.Restore()
	for {
		for _, down := range []bool{false, true} {
			if down {
				link.Cut()
			} else {
				link.Restore()
			}
			select {
			case <-time.After(time.Duration(60+src.IntN(600)) * time.Second):
			case <-done:
				return
			}
		}
	}
}

// TestFollowCrash ends a client at every passage of every point, and wants the log to hold the bytes that
// were made first, each once.
func TestFollowCrash(t *testing.T) {
	for _, point := range []broker.Point{broker.PointModel, broker.PointReturned, broker.PointPublished, broker.PointAcked} {
		t.Run(string(point), func(t *testing.T) {
			plan := newPlan(1, 4, 4)
			virtually(t, plan, brokertest.Options{}, func(ctx context.Context, s *brokertest.Server, c *broker.Conn) error {
				key, _ := seedKey("aggregator")
				var wg sync.WaitGroup
				defer wg.Wait()
				ctx, cancel := context.WithCancel(ctx)
				defer cancel()
				wg.Go(func() {
					broker.Fold(ctx, c, plan.Run, key, newSummer(plan, 1), broker.FoldOptions{}) //nolint:errcheck // the models show it
				})
				d := newDisk()
				crashes := 0
				for life := int32(1); ; life++ {
					w := newWorker(plan, clientID(0), d)
					w.salt = life // another life would make other bytes
					crash, cancel := context.WithCancel(ctx)
					var mu sync.Mutex
					passed := 0
					err := follow(crash, s, brokertest.NewLink(s), plan, w, broker.FollowOptions{At: func(p broker.Point) {
						mu.Lock()
						defer mu.Unlock()
						if p == point {
							if passed++; passed > int(life)/2 {
								cancel()
							}
						}
					}})
					cancel()
					if err == nil {
						break
					}
					if !errors.Is(err, context.Canceled) {
						return err
					}
					if crashes++; crashes > 50 {
						return errors.New("no progress")
					}
					time.Sleep(time.Minute)
				}
				if crashes == 0 {
					return errors.New("never crashed")
				}
				log := checkRun(ctx, t, c, plan, 1)
				if n := checkDisks(t, log, map[string]*disk{clientID(0): d}); n != 4 || len(log) != 4 {
					t.Errorf("%d updates made, %d in the log", n, len(log))
				}
				t.Logf("%d crashes", crashes)
				return finished(ctx, c, plan)
			})
		})
	}
}

// TestCoalescing: a client that is slower than the versions works from the newest, not through the old.
func TestCoalescing(t *testing.T) {
	plan := newPlan(2, 60, 60)
	virtually(t, plan, brokertest.Options{}, func(ctx context.Context, s *brokertest.Server, c *broker.Conn) error {
		key, _ := seedKey("aggregator")
		var wg sync.WaitGroup
		defer wg.Wait()
		var slow *worker
		errs := make([]error, 3)
		wg.Go(func() { errs[0] = broker.Fold(ctx, c, plan.Run, key, newSummer(plan, 1), broker.FoldOptions{}) })
		wg.Go(func() {
			fast := newWorker(plan, clientID(0), newDisk())
			errs[1] = follow(ctx, s, brokertest.NewLink(s), plan, fast, broker.FollowOptions{Delay: func(schemas.Message) time.Duration { return time.Minute }})
		})
		wg.Go(func() {
			slow = newWorker(plan, clientID(1), newDisk())
			errs[2] = follow(ctx, s, brokertest.NewLink(s), plan, slow, broker.FollowOptions{Delay: func(schemas.Message) time.Duration { return 10 * time.Minute }})
		})
		wg.Wait()
		if len(slow.models) < 4 || len(slow.models) > 9 {
			t.Errorf("the slow client worked from versions %v", slow.models)
		}
		for i := range slow.models[1:] {
			if gap := slow.models[i+1] - slow.models[i]; gap < 5 && slow.models[i+1] != 60 {
				t.Errorf("the slow client worked from versions %v", slow.models)
			}
		}
		if slow.notes == 0 {
			t.Error("no note came")
		}
		checkRun(ctx, t, c, plan, 1)
		return errors.Join(errs...)
	})
}

// TestBudget: the broker itself refuses update N+1, whatever the client's software does, and a repeat of
// any update for ever.
func TestBudget(t *testing.T) {
	plan := newPlan(1, 9, 3)
	virtually(t, plan, brokertest.Options{}, func(ctx context.Context, s *brokertest.Server, c *broker.Conn) error {
		key, _ := seedKey("aggregator")
		var wg sync.WaitGroup
		defer wg.Wait()
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		wg.Go(func() {
			broker.Fold(ctx, c, plan.Run, key, newSummer(plan, 1), broker.FoldOptions{}) //nolint:errcheck // it is cancelled
		})
		w := newWorker(plan, clientID(0), newDisk())
		w.most = 5 // software that does not keep to the plan
		begun := time.Now()
		err := follow(ctx, s, brokertest.NewLink(s), plan, w, broker.FollowOptions{})
		if !errors.Is(err, broker.ErrRefused) || !strings.Contains(err.Error(), "update.client-00000.4") {
			t.Errorf("update N+1: %v", err)
		}
		t.Logf("gave up after %v", time.Since(begun))
		if log := checkRun(ctx, t, c, plan, 1); len(log) != 3 {
			t.Errorf("%d updates in the log", len(log))
		}
		time.Sleep(24 * time.Hour) // past any duplicate window
		reply, err := c.NATS().RequestWithContext(ctx, schemas.UpdateSubject(plan.Run, clientID(0), 2), w.disk.made[3])
		if err != nil {
			return err
		}
		if !strings.Contains(string(reply.Data), "maximum messages per subject") {
			t.Errorf("another update 2: %s", reply.Data)
		}
		return nil
	})
}

// failing is a follower whose role ends, with an update still to be sent.
type failing struct {
	*worker
	err error
}

func (f *failing) Step(now time.Time, m schemas.Message) ([]schemas.Message, error) {
	out, err := f.worker.Step(now, m)
	if _, ok := m.Body.(*schemas.Model); ok && err == nil {
		err = f.err
	}
	return out, err
}

// TestRoleEnds: the role's own error ends Follow, after what it left was sent.
func TestRoleEnds(t *testing.T) {
	plan := newPlan(1, 9, 3)
	virtually(t, plan, brokertest.Options{}, func(ctx context.Context, s *brokertest.Server, c *broker.Conn) error {
		key, _ := seedKey("aggregator")
		var wg sync.WaitGroup
		defer wg.Wait()
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		wg.Go(func() {
			broker.Fold(ctx, c, plan.Run, key, newSummer(plan, 5), broker.FoldOptions{}) //nolint:errcheck // it is cancelled
		})
		f := &failing{newWorker(plan, clientID(0), newDisk()), errors.New("budget spent")}
		if err := broker.Follow(ctx, c, plan.Run, f.id, f.key, f, broker.FollowOptions{}); err != f.err {
			return fmt.Errorf("ended with %v", err)
		}
		if !f.disk.acked[1] {
			t.Error("the last update was not sent")
		}
		return nil
	})
}
