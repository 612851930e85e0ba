package broker_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"dpfpl/broker"
	"dpfpl/broker/brokertest"
	"dpfpl/schemas"
)

// fill publishes n updates per client straight into the log, round by round.
func fill(ctx context.Context, c *broker.Conn, plan *schemas.Plan, from, to uint64) error {
	for k := from; k <= to; k++ {
		for i := range plan.Members {
			id := plan.Members[i].ID
			key, _ := seedKey(id)
			u := &schemas.Update{
				Header: schemas.Header{Run: plan.Run, Sender: id}, K: k,
				Sum: schemas.NewLattice(1, 1, 1, []int32{int32(100*i) + int32(k)}), Mechanism: schemas.Mechanism{Noise: "none"},
			}
			raw, err := schemas.Seal(u, key)
			if err != nil {
				return err
			}
			if _, err := c.NATS().RequestWithContext(ctx, schemas.Subject(u), raw); err != nil {
				return err
			}
			time.Sleep(time.Millisecond) // gives every message its own time
		}
	}
	return nil
}

// TestFoldCrash ends the fold at every point of every message of a short log, each time starting another,
// and wants the same versions as from a sequential fold.
func TestFoldCrash(t *testing.T) {
	points := []broker.Point{broker.PointRestored, broker.PointStepped, broker.PointCommit, broker.PointCommitted, broker.PointSent}
	for _, point := range points {
		t.Run(string(point), func(t *testing.T) {
			plan := newPlan(3, 4, 4)
			virtually(t, plan, brokertest.Options{}, func(ctx context.Context, s *brokertest.Server, c *broker.Conn) error {
				if err := fill(ctx, c, plan, 1, 4); err != nil {
					return err
				}
				key, _ := seedKey("aggregator")
				crashes := 0
				for nth := 1; ; nth++ { // the nth passage is the end
					crash, cancel := context.WithCancel(ctx)
					passed := 0
					err := broker.Fold(crash, c, plan.Run, key, newSummer(plan, 3), broker.FoldOptions{At: func(p broker.Point) {
						if p == point {
							if passed++; passed == nth {
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
					if crashes++; crashes > 100 {
						return errors.New("the fold makes no progress")
					}
				}
				if crashes == 0 {
					return errors.New("never crashed")
				}
				t.Logf("%d crashes", crashes)
				if n := len(checkRun(ctx, t, c, plan, 3)); n != 12 {
					t.Errorf("%d messages in the log", n)
				}
				return finished(ctx, c, plan)
			})
		})
	}
}

// finished makes sure that the newest model is the plan's last.
func finished(ctx context.Context, c *broker.Conn, plan *schemas.Plan) error {
	m, ok, err := c.Model(ctx, plan.Run)
	if err != nil || !ok {
		return fmt.Errorf("no model: %v", err)
	}
	if model := m.Body.(*schemas.Model); model.Version != uint64(plan.Versions) || !model.Final {
		return fmt.Errorf("ended at version %d", model.Version)
	}
	return nil
}

// TestTwoFolds lets two folds work on the same run at once, without a lease, while clients publish.
func TestTwoFolds(t *testing.T) {
	plan := newPlan(5, 20, 16)
	virtually(t, plan, brokertest.Options{}, func(ctx context.Context, s *brokertest.Server, c *broker.Conn) error {
		key, _ := seedKey("aggregator")
		var wg sync.WaitGroup
		errs := make([]error, 2)
		lost := make([]int, 2)
		for i := range errs {
			conn, err := s.Connect(ctx, broker.Options{})
			if err != nil {
				return err
			}
			defer conn.Close()
			wg.Go(func() {
				errs[i] = broker.Fold(ctx, conn, plan.Run, key, newSummer(plan, 4), broker.FoldOptions{Events: []broker.FoldEvents{{OnLost: func(error) { lost[i]++ }}}})
			})
		}
		if err := fill(ctx, c, plan, 1, 16); err != nil {
			return err
		}
		wg.Wait()
		t.Logf("folds lost the race %v times", lost)
		checkRun(ctx, t, c, plan, 4)
		return errors.Join(finished(ctx, c, plan), errs[0], errs[1])
	})
}

// TestStandby freezes, closes and stops the leader, and wants a standby to take over within the lease and
// a little more, with the same versions as ever.
func TestStandby(t *testing.T) {
	for _, how := range []string{"connection lost", "stopped"} {
		t.Run(how, func(t *testing.T) {
			plan := newPlan(2, 10, 10)
			virtually(t, plan, brokertest.Options{}, func(ctx context.Context, s *brokertest.Server, c *broker.Conn) error {
				key, _ := seedKey("aggregator")
				link := brokertest.NewLink(s)
				first, err := s.Connect(ctx, broker.Options{InProcess: link, Timeout: time.Second})
				if err != nil {
					return err
				}
				defer first.Close()
				led := make(chan string, 10)
				run := func(ctx context.Context, c *broker.Conn, name string) error {
					return broker.Fold(ctx, c, plan.Run, key, newSummer(plan, 2), broker.FoldOptions{Holder: name, Events: []broker.FoldEvents{{OnLead: func() { led <- name }}}})
				}
				var wg sync.WaitGroup
				firstCtx, stopFirst := context.WithCancel(ctx)
				defer stopFirst()
				wg.Go(func() { run(firstCtx, first, "first") }) //nolint:errcheck // it is meant to fail
				if who := <-led; who != "first" {
					return fmt.Errorf("%s leads", who)
				}
				second := make(chan error, 1)
				wg.Go(func() { second <- run(ctx, c, "second") })
				if err := fill(ctx, c, plan, 1, 5); err != nil {
					return err
				}
				time.Sleep(10 * time.Second)
				select {
				case who := <-led:
					return fmt.Errorf("%s leads beside the leader", who)
				default:
				}
				gone := time.Now()
				limit := 2500 * time.Millisecond
				if how == "stopped" {
					stopFirst()
					limit = 500 * time.Millisecond // the lease is given back
				} else {
					link.Cut()
				}
				who := <-led
				took := time.Since(gone)
				t.Logf("%s took over after %v", who, took)
				if who != "second" || took > limit {
					t.Errorf("%s took over after %v, want second within %v", who, took, limit)
				}
				if err := fill(ctx, c, plan, 6, 10); err != nil {
					return err
				}
				select {
				case err := <-second:
					if err != nil {
						return err
					}
				case <-time.After(time.Hour):
					return errors.New("the standby does not end the run")
				}
				stopFirst()
				wg.Wait()
				checkRun(ctx, t, c, plan, 2)
				return finished(ctx, c, plan)
			})
		})
	}
}

// TestPoison: what cannot be decoded is part of the history, and becomes a dead letter.
func TestPoison(t *testing.T) {
	plan := newPlan(2, 2, 3)
	virtually(t, plan, brokertest.Options{}, func(ctx context.Context, s *brokertest.Server, c *broker.Conn) error {
		if _, err := c.NATS().RequestWithContext(ctx, schemas.UpdateSubject(plan.Run, "stranger", 1), []byte("\xdd\xff\xff\xff\xff")); err != nil {
			return err
		}
		if err := fill(ctx, c, plan, 1, 3); err != nil {
			return err
		}
		key, _ := seedKey("aggregator")
		for range 2 { // the second time everything is there already
			if err := broker.Fold(ctx, c, plan.Run, key, newSummer(plan, 3), broker.FoldOptions{}); err != nil {
				return err
			}
		}
		checkRun(ctx, t, c, plan, 3)
		n := 0
		for m, err := range c.ReadDead(ctx, plan.Run) {
			if err != nil {
				return err
			}
			if d := m.Body.(*schemas.Dead); d.Reason != schemas.ReasonDecode || d.Seq != 1 || string(d.Raw) != "\xdd\xff\xff\xff\xff" {
				t.Errorf("dead letter %+v", d)
			}
			n++
		}
		if n != 1 {
			t.Errorf("%d dead letters", n)
		}
		return nil
	})
}
