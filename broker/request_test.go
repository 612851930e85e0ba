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

// soon is less than a request may take in all, and more than a second try needs.
const soon = 10 * time.Second

// losses are the ways in which what is being asked over a link comes to nothing, if it is asked at once.
var losses = map[string]func(*brokertest.Link){
	"lost": func(link *brokertest.Link) {
		link.SetLossy(true)
		time.AfterFunc(time.Second, func() { link.SetLossy(false) })
	},
	"lost with the connection":        func(link *brokertest.Link) { breakAfter(link, 500*time.Millisecond) },
	"answer lost with the connection": func(link *brokertest.Link) { breakAfter(link, 1500*time.Millisecond) },
}

// breakAfter makes every way over a link take a second, and then cuts it for a moment.
func breakAfter(link *brokertest.Link, d time.Duration) {
	link.SetDelay(time.Second)
	time.AfterFunc(d, func() {
		link.Cut()
		link.SetDelay(0)
		link.Restore()
	})
}

// lossyWorld runs a test of one client in virtual time for every loss.
func lossyWorld(t *testing.T, test func(ctx context.Context, t *testing.T, w lossy) error) {
	for name, lose := range losses {
		t.Run(name, func(t *testing.T) {
			plan := newPlan(1, 2, 2)
			virtually(t, plan, brokertest.Options{}, func(ctx context.Context, s *brokertest.Server, c *broker.Conn) error {
				link := brokertest.NewLink(s)
				conn, err := s.Connect(ctx, broker.Options{InProcess: link})
				if err != nil {
					return err
				}
				defer conn.Close()
				if _, err := conn.Plan(ctx, plan.Run); err != nil { // from then on it hears answers
					return err
				}
				return test(ctx, t, lossy{plan: plan, server: s, sound: c, link: link, conn: conn, lose: func() { lose(link) }})
			})
		})
	}
}

// lossy is a run on a server, and two connections to it, of which one goes over a link that may lose things.
type lossy struct {
	plan   *schemas.Plan
	server *brokertest.Server
	sound  *broker.Conn
	link   *brokertest.Link
	conn   *broker.Conn
	lose   func()
}

// TestReadUnanswered: a read is asked for again.
func TestReadUnanswered(t *testing.T) {
	lossyWorld(t, func(ctx context.Context, t *testing.T, w lossy) error {
		begun := time.Now()
		w.lose()
		_, err := w.conn.Plan(ctx, w.plan.Run)
		if took := time.Since(begun); took < time.Second || took > soon {
			t.Errorf("answered after %v", took)
		}
		return err
	})
}

// TestServerGone: a machine that is gone breaks no connection. It is left for another one.
func TestServerGone(t *testing.T) {
	plan := newPlan(1, 2, 2)
	virtually(t, plan, brokertest.Options{}, func(ctx context.Context, s *brokertest.Server, c *broker.Conn) error {
		link := brokertest.NewLink(s)
		place := &elsewhere{to: link}
		conn, err := s.Connect(ctx, broker.Options{InProcess: place})
		if err != nil {
			return err
		}
		defer conn.Close()
		if _, err := conn.Plan(ctx, plan.Run); err != nil {
			return err
		}
		link.SetLossy(true)
		place.move(s)
		begun := time.Now()
		_, err = conn.Plan(ctx, plan.Run)
		if took := time.Since(begun); took < 10*time.Second || took > 20*time.Second {
			t.Errorf("answered after %v", took)
		}
		return err
	})
}

// TestUpdateUnanswered: an update is published again with the same bytes, and stored once, whether or not it had been.
func TestUpdateUnanswered(t *testing.T) {
	lossyWorld(t, func(ctx context.Context, t *testing.T, w lossy) error {
		key, _ := seedKey("aggregator")
		var folding sync.WaitGroup
		defer folding.Wait()
		var folded error
		folding.Go(func() {
			folded = broker.Fold(ctx, w.sound, w.plan.Run, key, newSummer(w.plan, 1), broker.FoldOptions{})
		})
		time.Sleep(time.Second) // so that version 0 is there
		var begun time.Time
		attempts := 0
		worker := newWorker(w.plan, clientID(0), newDisk())
		err := broker.Follow(ctx, w.conn, w.plan.Run, worker.id, worker.key, worker, broker.FollowOptions{
			Aggregator: w.plan.Aggregator, CatchUp: time.Second,
			Events: []broker.FollowEvents{{
				OnAttempt: func(m schemas.Message) {
					if attempts++; attempts == 1 {
						begun = time.Now()
						w.lose()
					}
				},
				OnStored: func(m schemas.Message) {
					if took := time.Since(begun); m.Body.(*schemas.Update).K == 1 && (took < time.Second || took > soon) {
						t.Errorf("known to be stored after %v", took)
					}
				},
			}},
		})
		folding.Wait()
		if attempts != 3 {
			t.Errorf("%d attempts for two updates, one of which was lost", attempts)
		}
		checkDisks(t, checkRun(ctx, t, w.sound, w.plan, 1), map[string]*disk{worker.id: worker.disk})
		return errors.Join(err, folded, finished(ctx, w.sound, w.plan))
	})
}

// TestFoldUnanswered: whatever an aggregator asks for, it does not wait long for an answer that has been lost: neither
// where it begins to read the log, nor with a dead letter, nor with a version, whose outcome it then looks up.
func TestFoldUnanswered(t *testing.T) {
	for _, point := range []broker.Point{broker.PointRestored, broker.PointStepped, broker.PointCommit} {
		t.Run(string(point), func(t *testing.T) {
			lossyWorld(t, func(ctx context.Context, t *testing.T, w lossy) error {
				if _, err := w.sound.NATS().RequestWithContext(ctx, schemas.UpdateSubject(w.plan.Run, "stranger", 1), []byte("poison")); err != nil {
					return err
				}
				if err := fill(ctx, w.sound, w.plan, 1, 2); err != nil {
					return err
				}
				key, _ := seedKey("aggregator")
				var lose sync.Once
				begun := time.Now()
				err := broker.Fold(ctx, w.conn, w.plan.Run, key, newSummer(w.plan, 1), broker.FoldOptions{Holder: "me", At: func(p broker.Point) {
					if p == point {
						lose.Do(w.lose)
					}
				}})
				if took := time.Since(begun); took < time.Second || took > soon {
					t.Errorf("ended after %v", took)
				}
				checkRun(ctx, t, w.sound, w.plan, 1)
				letters := 0
				for _, err := range w.sound.ReadDead(ctx, w.plan.Run) {
					if letters++; err != nil {
						return err
					}
				}
				if letters != 1 {
					t.Errorf("%d dead letters for one poisoned message", letters)
				}
				return errors.Join(err, finished(ctx, w.sound, w.plan))
			})
		})
	}
}

// TestStandbyHearsNothing: what a standby asked when the leader went is lost as well. It takes over all the same.
func TestStandbyHearsNothing(t *testing.T) {
	lossyWorld(t, func(ctx context.Context, t *testing.T, w lossy) error {
		key, _ := seedKey("aggregator")
		led := make(chan string, 10)
		run := func(c *broker.Conn, name string) error {
			return broker.Fold(ctx, c, w.plan.Run, key, newSummer(w.plan, 1), broker.FoldOptions{
				Holder: name, Events: []broker.FoldEvents{{OnLead: func() { led <- name }}},
			})
		}
		leader := brokertest.NewLink(w.server)
		first, err := w.server.Connect(ctx, broker.Options{InProcess: leader})
		if err != nil {
			return err
		}
		var wg sync.WaitGroup
		defer wg.Wait()
		defer first.Close()
		wg.Go(func() { run(first, "first") }) //nolint:errcheck // it is meant to fail
		if who := <-led; who != "first" {
			return fmt.Errorf("%s leads", who)
		}
		second := make(chan error, 1)
		wg.Go(func() { second <- run(w.conn, "second") })
		time.Sleep(time.Minute)
		gone := time.Now()
		leader.Cut()
		w.lose()
		who := <-led
		if took := time.Since(gone); who != "second" || took > soon {
			t.Errorf("%s took over after %v", who, took)
		}
		return errors.Join(fill(ctx, w.sound, w.plan, 1, 2), <-second, finished(ctx, w.sound, w.plan))
	})
}
