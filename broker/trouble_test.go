package broker_test

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"dpfpl/broker"
	"dpfpl/broker/brokertest"
	"dpfpl/schemas"
)

// trouble is what happens to a federation. It may delay and repeat messages, and nothing else.
type trouble struct {
	seed     uint64 // of how long clients take
	server   brokertest.Options
	memory   bool
	folds    int                                                               // side by side, without a lease; 0 is 1
	link     func(src *rand.Rand, link *brokertest.Link, done <-chan struct{}) // what happens to a client's link
	restarts int                                                               // of the server, a minute each
	echo     bool                                                              // repeats updates, models and notes, much later
}

// history is what is left of a federation.
type history struct {
	prompts []string // of all versions
	log     []string // all of every message, time included
}

// dependent makes updates that depend on the client and on the model that they are made from, so that a
// federation which goes another way anywhere ends elsewhere.
func dependent(id string) func(*schemas.Model, uint64) int32 {
	return func(m *schemas.Model, k uint64) int32 {
		h := fnv.New32a()
		fmt.Fprint(h, id, k, m.Version, m.Params.Data)
		return int32(h.Sum32() % 1000)
	}
}

// federate runs rounds in which every client takes part, in virtual time.
func federate(t testing.TB, tr trouble) (history, error) {
	const clients, versions = 8, 6
	var h history
	err := brokertest.VirtualTime(func(ctx context.Context) error {
		plan := newPlan(clients, versions, versions)
		s, c, err := setUpStreams(ctx, plan, tr.server, broker.StreamOptions{AllowLax: true, Memory: tr.memory})
		if err != nil {
			return err
		}
		defer s.Close()
		defer c.Close()
		if tr.echo {
			stop, err := echo(ctx, c, plan.Run)
			if err != nil {
				return err
			}
			defer stop()
		}
		key, _ := seedKey("aggregator")
		var wg, around sync.WaitGroup
		done := make(chan struct{})
		folds := max(tr.folds, 1)
		errs := make(chan error, clients+folds+tr.restarts)
		for range folds {
			conn, err := s.Connect(ctx, broker.Options{})
			if err != nil {
				return err
			}
			defer conn.Close()
			wg.Go(func() {
				errs <- broker.Fold(ctx, conn, plan.Run, key, newSummer(plan, clients), broker.FoldOptions{})
			})
		}
		time.Sleep(time.Second) // so that everybody finds version 0
		for i := range clients {
			src := rand.New(rand.NewPCG(tr.seed, uint64(i)))
			delay := time.Minute + time.Duration(src.Int64N(int64(10*time.Minute)))
			link := brokertest.NewLink(s)
			if tr.link != nil {
				around.Go(func() { tr.link(src, link, done) })
			}
			w := newWorker(plan, clientID(i), newDisk())
			w.value = dependent(w.id)
			wg.Go(func() {
				errs <- follow(ctx, s, link, plan, w, broker.FollowOptions{
					Delay:     func(schemas.Message) time.Duration { return delay },
					Heartbeat: time.Minute, Tick: time.Minute, CatchUp: 10 * time.Minute,
				})
			})
		}
		for range tr.restarts {
			time.Sleep(8 * time.Minute)
			s.Stop()
			time.Sleep(time.Minute)
			errs <- s.Restart()
		}
		wg.Wait()
		close(done)
		around.Wait()
		close(errs)
		for err := range errs {
			if err != nil {
				return err
			}
		}
		for _, m := range checkRun(ctx, t, c, plan, clients) {
			h.log = append(h.log, fmt.Sprintf("%d %v %s %x", m.Seq, m.Time, m.Subject, schemas.Digest(m.Raw)))
		}
		for m, err := range c.ReadModels(ctx, plan.Run) {
			if err != nil {
				return err
			}
			h.prompts = append(h.prompts, fmt.Sprintf("%x", m.Body.(*schemas.Model).Params.Data))
		}
		return finished(ctx, c, plan)
	})
	return h, err
}

// echo publishes every update, model and note again, a second and up to a quarter of an hour after it came.
func echo(ctx context.Context, c *broker.Conn, run string) (stop func(), err error) {
	const mark = "Echo"
	var repeats sync.WaitGroup
	var subs []*nats.Subscription
	ctx, cancel := context.WithCancel(ctx)
	stop = func() {
		for _, s := range subs {
			s.Unsubscribe() //nolint:errcheck // it ends with the connection at the latest
		}
		cancel()
		repeats.Wait()
	}
	for _, subject := range []string{"update.*.*", "pub.model", "note.*"} {
		s, err := c.NATS().Subscribe(schemas.Prefix+run+"."+subject, func(m *nats.Msg) {
			if m.Header.Get(mark) != "" {
				return
			}
			again := &nats.Msg{Subject: m.Subject, Data: m.Data, Header: nats.Header{mark: {"1"}}}
			repeats.Go(func() {
				for _, wait := range []time.Duration{time.Second, time.Minute, 15 * time.Minute} {
					select {
					case <-time.After(wait):
						c.NATS().PublishMsg(again) //nolint:errcheck // the next one may get through
					case <-ctx.Done():
						return
					}
				}
			})
		})
		if err != nil {
			stop()
			return nil, err
		}
		subs = append(subs, s)
	}
	return stop, nil
}

// TestTroubleChangesNothing: whatever only delays or repeats messages, and wherever they are stored, leaves
// every bit of every version as it is.
func TestTroubleChangesNothing(t *testing.T) {
	want, err := federate(t, trouble{})
	if err != nil {
		t.Fatal(err)
	}
	if first, last := want.prompts[0], want.prompts[len(want.prompts)-1]; len(want.prompts) != 7 || first == last {
		t.Fatalf("prompts %v", want.prompts)
	}
	for name, tr := range map[string]trouble{
		"another order": {seed: 1},
		"memory":        {seed: 2, memory: true},
		"sync always":   {seed: 3, server: brokertest.Options{SyncAlways: true}},
		"two folds":     {seed: 4, folds: 2},
		"restarts":      {seed: 5, restarts: 3},
		"echo":          {seed: 6, echo: true},
		"slow links": {seed: 7, link: func(src *rand.Rand, link *brokertest.Link, _ <-chan struct{}) {
			link.SetDelay(time.Duration(src.IntN(2000)) * time.Millisecond)
		}},
		"cut links":           {seed: 8, link: flap},
		"everything, in file": {seed: 9, folds: 2, restarts: 3, echo: true, link: flap},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := federate(t, tr)
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(got.prompts, want.prompts) {
				t.Errorf("prompts %v, want %v", got.prompts, want.prompts)
			}
			if slices.Equal(got.log, want.log) {
				t.Error("the log is the same to the nanosecond: nothing happened")
			}
		})
	}
}

// TestSameTranscript: the same seed gives the same log, to the byte and the nanosecond. No link is slow or cut
// here: a slow one delays every read, of which there may be one or two for two messages, and nats.go draws the
// pause before it connects again from a source that has no seed.
func TestSameTranscript(t *testing.T) {
	tr := trouble{seed: 11, echo: true}
	first, err := federate(t, tr)
	second, again := federate(t, tr)
	if err := errors.Join(err, again); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(first.log, second.log) {
		for i := range first.log {
			if i < len(second.log) && first.log[i] != second.log[i] {
				t.Errorf("first  %s\nsecond %s", first.log[i], second.log[i])
			}
		}
		t.Errorf("%d and %d messages", len(first.log), len(second.log))
	}
}
