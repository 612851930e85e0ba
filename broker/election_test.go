package broker_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"dpfpl/broker"
	"dpfpl/broker/brokertest"
	"dpfpl/schemas"
)

// elsewhere is a place to connect to that moves.
type elsewhere struct {
	mu sync.Mutex
	to nats.InProcessConnProvider
}

func (e *elsewhere) move(to nats.InProcessConnProvider) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.to = to
}

func (e *elsewhere) InProcessConn() (net.Conn, error) {
	e.mu.Lock()
	to := e.to
	e.mu.Unlock()
	return to.InProcessConn()
}

// TestStandbyUnanswered: a standby that has waited for long meets servers that do not answer, as in an election. It
// waits on, and takes over when the leader is gone.
func TestStandbyUnanswered(t *testing.T) {
	plan := newPlan(1, 2, 2)
	virtually(t, plan, brokertest.Options{}, func(ctx context.Context, s *brokertest.Server, c *broker.Conn) error {
		mute, err := brokertest.Start(brokertest.Options{Config: coreOnly})
		if err != nil {
			return err
		}
		defer mute.Close() //nolint:errcheck // a temporary folder
		place := &elsewhere{to: s}
		link := brokertest.NewLink(place)
		conn, err := s.Connect(ctx, broker.Options{InProcess: link})
		if err != nil {
			return err
		}
		defer conn.Close()
		move := func(to nats.InProcessConnProvider) {
			place.move(to)
			link.Cut()
			link.Restore()
			time.Sleep(time.Minute)
		}
		key, _ := seedKey("aggregator")
		leading, stop := context.WithCancel(ctx)
		defer stop()
		var wg sync.WaitGroup
		defer wg.Wait()
		wg.Go(func() {
			broker.Fold(leading, c, plan.Run, key, newSummer(plan, 1), broker.FoldOptions{Holder: "first"}) //nolint:errcheck // it is stopped
		})
		time.Sleep(time.Minute)
		unanswered := 0
		ended := make(chan error, 1)
		wg.Go(func() {
			ended <- broker.Fold(ctx, conn, plan.Run, key, newSummer(plan, 1), broker.FoldOptions{Holder: "second", Events: []broker.FoldEvents{{
				OnLost: func(err error) {
					if errors.Is(err, broker.ErrNoJetStream) {
						unanswered++
					}
				},
			}}})
		})
		time.Sleep(time.Minute)
		move(mute)
		move(s)
		stop()
		if err := fill(ctx, c, plan, 1, 2); err != nil {
			return err
		}
		if err := <-ended; err != nil {
			return err
		}
		if unanswered == 0 {
			t.Error("somebody always answered, so this test shows nothing")
		}
		checkRun(ctx, t, c, plan, 1)
		return finished(ctx, c, plan)
	})
}

// oneOfMany lets a connection with the API prefix "many" see streams that several servers replicate.
func oneOfMany(c *broker.Conn) error {
	_, err := c.NATS().Subscribe("many.>", func(m *nats.Msg) {
		api := "$JS.API" + strings.TrimPrefix(m.Subject, "many")
		if !strings.HasPrefix(api, "$JS.API.STREAM.INFO.") {
			c.NATS().PublishRequest(api, m.Reply, m.Data) //nolint:errcheck // whoever asks hears nothing, and asks again
			return
		}
		info, err := c.NATS().Request(api, m.Data, time.Minute)
		if err != nil {
			return
		}
		m.Respond(bytes.Replace(info.Data, []byte("{"), []byte(`{"cluster":{"leader":"one","replicas":[{"name":"other"}]},`), 1)) //nolint:errcheck // as above
	})
	return err
}

// TestBehindCheckpoint: of several servers, one that was cut off may say that the log ends before the checkpoint. The
// fold asks again, and goes on when it does not; only what stays so for half a minute is a log that was rolled back.
func TestBehindCheckpoint(t *testing.T) {
	for _, stays := range []bool{false, true} {
		t.Run(fmt.Sprint("stays ", stays), func(t *testing.T) {
			plan := newPlan(1, 2, 2)
			virtually(t, plan, brokertest.Options{}, func(ctx context.Context, s *brokertest.Server, c *broker.Conn) error {
				if err := oneOfMany(c); err != nil {
					return err
				}
				conn, err := s.Connect(ctx, broker.Options{APIPrefix: "many"})
				if err != nil {
					return err
				}
				defer conn.Close()
				if err := fill(ctx, c, plan, 1, 2); err != nil {
					return err
				}
				ahead, right, err := firstVersion(ctx, c, plan)
				if err != nil {
					return err
				}
				if err := storeState(ctx, c, ahead); err != nil {
					return err
				}
				key, _ := seedKey("aggregator")
				begun, lost := time.Now(), 0
				err = broker.Fold(ctx, conn, plan.Run, key, newSummer(plan, 1), broker.FoldOptions{Events: []broker.FoldEvents{{
					OnLost: func(err error) {
						if wantError(t, err, broker.ErrRolledBack, "the log ends at 2"); stays {
							return
						}
						if lost++; lost == 3 {
							if err := storeState(ctx, c, right); err != nil {
								t.Error(err)
							}
						}
					},
				}}})
				took := time.Since(begun)
				if stays {
					if wantError(t, err, broker.ErrRolledBack, "the log ends at 2"); took < 30*time.Second || took > time.Minute {
						t.Errorf("said so after %v", took)
					}
					return nil
				}
				return errors.Join(err, finished(ctx, c, plan))
			})
		})
	}
}

// firstVersion returns version 1 of a log of single updates twice: with a checkpoint that has seen more than there is,
// and as it should be.
func firstVersion(ctx context.Context, c *broker.Conn, plan *schemas.Plan) (ahead, right []schemas.Message, err error) {
	f := newSummer(plan, 1)
	if _, err := f.Restore(time.Time{}, schemas.Message{}, schemas.Message{}); err != nil {
		return nil, nil, err
	}
	for m, err := range c.ReadLog(ctx, plan.Run, 1) {
		if err != nil {
			return nil, nil, err
		}
		out, err := f.Step(time.Time{}, m)
		if err != nil {
			return nil, nil, err
		}
		right = out[1:] // without the note
		break
	}
	early := *right[1].Body.(*schemas.Checkpoint)
	early.Applied = 5
	return []schemas.Message{right[0], {Body: &early}}, right, nil
}

// storeState stores a model and its checkpoint.
func storeState(ctx context.Context, c *broker.Conn, version []schemas.Message) error {
	js, err := jetstream.New(c.NATS())
	if err != nil {
		return err
	}
	key, _ := seedKey("aggregator")
	for _, m := range version {
		raw, err := schemas.Seal(m.Body, key)
		if err != nil {
			return err
		}
		if _, err := js.Publish(ctx, schemas.Subject(m.Body), raw); err != nil {
			return err
		}
	}
	return nil
}
