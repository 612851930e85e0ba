//go:build unix

package broker_test

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"dpfpl/broker"
	"dpfpl/broker/brokertest"
	"dpfpl/schemas"
)

// loadPlan is a plan of CLIP ViT-B's prompt, 16×512, so that an update has 32 KiB.
func loadPlan(clients int) *schemas.Plan {
	p := newPlan(clients, 1, 1)
	p.Prompt.Context, p.Prompt.Width = 16, 512
	return p
}

// loadUpdates seals one update per client.
func loadUpdates(b *testing.B, plan *schemas.Plan) []schemas.Message {
	b.Helper()
	updates := make([]schemas.Message, len(plan.Members))
	for i, m := range plan.Members {
		key, _ := seedKey(m.ID)
		v := make([]int32, 16*512)
		for j := range v {
			v[j] = int32(i*j) * 2654435
		}
		u := &schemas.Update{
			Header: schemas.Header{Run: plan.Run, Sender: m.ID}, K: 1,
			Sum: schemas.NewLattice(16, 512, 1, v), Mechanism: schemas.Mechanism{Noise: "none"},
		}
		raw, err := schemas.Seal(u, key)
		if err != nil {
			b.Fatal(err)
		}
		updates[i] = schemas.Message{Body: u, Raw: raw}
	}
	return updates
}

// adder does what an aggregator must do with an update: one SHA-256 and one signature, ahead of its turn,
// the sum, and a signed note. Its only version comes at the end.
type adder struct {
	*summer
	sum  []int64
	ints []int32
	keys map[string]string
}

func newAdder(plan *schemas.Plan, every int) *adder {
	a := &adder{summer: newSummer(plan, every), sum: make([]int64, 16*512), ints: make([]int32, 16*512), keys: map[string]string{}}
	for _, m := range plan.Members {
		a.keys[m.ID] = m.Key
	}
	return a
}

// verified is an update with its digest.
type verified struct {
	*schemas.Update
	digest [32]byte
}

func (a *adder) Prepare(m schemas.Message) schemas.Message {
	u, ok := m.Body.(*schemas.Update)
	if !ok {
		return m
	}
	sealed := schemas.Hash(m.Raw)
	if err := sealed.Verify(a.keys[u.Sender]); err != nil {
		m.Body, m.Err = nil, err
		return m
	}
	m.Body = verified{u, sealed.Digest()}
	return m
}

func (a *adder) Step(now time.Time, m schemas.Message) ([]schemas.Message, error) {
	if m.Err != nil {
		return nil, m.Err
	}
	u, ok := m.Body.(verified)
	if !ok {
		return a.summer.Step(now, m)
	}
	for i, x := range u.Sum.Ints(a.ints) {
		a.sum[i] += int64(x)
	}
	m.Body = u.Update
	return a.take(m, u.digest)
}

// skipper takes notice of nothing.
type skipper struct{ *summer }

func (skipper) Step(time.Time, schemas.Message) ([]schemas.Message, error) { return nil, nil }

// publishAll publishes over 16 shared connections, 8 publishers each, every message until it is stored.
func publishAll(ctx context.Context, s *brokertest.Server, n int, message func(int) (string, []byte)) error {
	const connections, publishers = 16, 8
	var wg sync.WaitGroup
	errs := make(chan error, connections*publishers)
	for c := range connections {
		conn, err := s.Connect(ctx, broker.Options{})
		if err != nil {
			return err
		}
		defer conn.Close()
		for p := range publishers {
			wg.Go(func() {
				for i := c*publishers + p; i < n; i += connections * publishers {
					subject, raw := message(i)
					if _, err := conn.NATS().RequestMsgWithContext(ctx, &nats.Msg{Subject: subject, Data: raw}); err != nil {
						errs <- err
						return
					}
				}
			})
		}
	}
	wg.Wait()
	close(errs)
	return <-errs
}

// BenchmarkLoad lets every client publish one update of 32 KiB at once, and measures until all are folded
// into a committed version, against publishing the same bytes to a bare stream in the same run. Server,
// publishers and fold share one process and its processors. ratio is that of the two rates; cpu-ratio, that
// of the processor time, is what ratio comes to when the processors are the limit and nothing else runs.
func BenchmarkLoad(b *testing.B) {
	for _, always := range []bool{false, true} {
		for _, clients := range []int{1000, 10000} {
			b.Run(fmt.Sprintf("sync_always=%v/clients=%d", always, clients), func(b *testing.B) {
				plan := loadPlan(clients)
				updates := loadUpdates(b, plan)
				for b.Loop() {
					load(b, plan, updates, always)
				}
			})
		}
	}
}

func load(b *testing.B, plan *schemas.Plan, updates []schemas.Message, always bool) {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), 5*time.Minute)
	defer cancel()
	s, c, err := setUp(ctx, plan, brokertest.Options{SyncAlways: always})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close() //nolint:errcheck // a temporary folder
	defer c.Close()
	bare := *plan
	bare.Run = "bare"
	if err := c.Provision(ctx, &bare, broker.StreamOptions{AllowLax: true}); err != nil {
		b.Fatal(err)
	}
	subject := func(run string, i int) string { return schemas.UpdateSubject(run, plan.Members[i].ID, 1) }

	before, begun := processorTime(b), time.Now()
	if err := publishAll(ctx, s, len(updates), func(i int) (string, []byte) { return subject("bare", i), updates[i].Raw }); err != nil {
		b.Fatal(err)
	}
	raw, rawCPU := time.Since(begun), processorTime(b)-before

	key, _ := seedKey("aggregator")
	folded := make(chan error, 1)
	before, begun = processorTime(b), time.Now()
	go func() {
		folded <- broker.Fold(ctx, c, plan.Run, key, newAdder(plan, len(plan.Members)), broker.FoldOptions{Holder: "first"})
	}()
	if err := publishAll(ctx, s, len(updates), func(i int) (string, []byte) { return subject(plan.Run, i), updates[i].Raw }); err != nil {
		b.Fatal(err)
	}
	if err := <-folded; err != nil {
		b.Fatal(err)
	}
	both, bothCPU := time.Since(begun), processorTime(b)-before

	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	n := float64(len(updates))
	b.ReportMetric(n/raw.Seconds(), "published/s")
	b.ReportMetric(n/both.Seconds(), "folded/s")
	b.ReportMetric(raw.Seconds()/both.Seconds(), "ratio")
	b.ReportMetric(1e6*rawCPU.Seconds()/n, "cpu-µs/published")
	b.ReportMetric(1e6*bothCPU.Seconds()/n, "cpu-µs/folded")
	b.ReportMetric(rawCPU.Seconds()/bothCPU.Seconds(), "cpu-ratio")
	b.ReportMetric(float64(mem.Sys)/(1<<20), "MiB")
}

// processorTime is what this process has used so far, in user and system mode.
func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkCatchUp folds a log that is already there, as after a restart, and as a baseline only reads and
// decodes it. cpu-µs is the processor time of one update, the server's part included; processors × 10⁶ /
// cpu-µs is the rate on a machine that does nothing else.
func BenchmarkCatchUp(b *testing.B) {
	const clients = 4000
	plan := loadPlan(clients)
	updates := loadUpdates(b, plan)
	ctx := b.Context()
	s, c, err := setUp(ctx, plan, brokertest.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close() //nolint:errcheck // a temporary folder
	defer c.Close()
	if err := publishAll(ctx, s, clients, func(i int) (string, []byte) { return schemas.Subject(updates[i].Body), updates[i].Raw }); err != nil {
		b.Fatal(err)
	}
	for name, folder := range map[string]func() broker.Folder{ // none commits, so every round reads all
		"fold": func() broker.Folder { return newAdder(plan, clients+1) },
		"read": func() broker.Folder { return skipper{newSummer(plan, clients+1)} },
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(clients * len(updates[0].Raw)))
			before := processorTime(b)
			for b.Loop() {
				catchUp(b, c, plan, folder(), clients)
			}
			n := float64(clients) * float64(b.N)
			b.ReportMetric(n/b.Elapsed().Seconds(), "folded/s")
			b.ReportMetric(1e6*(processorTime(b)-before).Seconds()/n, "cpu-µs/update")
		})
	}
}

// catchUp folds until so many messages were stepped.
func catchUp(b *testing.B, c *broker.Conn, plan *schemas.Plan, f broker.Folder, messages int) {
	b.Helper()
	ctx, cancel := context.WithCancel(b.Context())
	defer cancel()
	key, _ := seedKey("aggregator")
	stepped := 0
	err := broker.Fold(ctx, c, plan.Run, key, f, broker.FoldOptions{At: func(p broker.Point) {
		if p == broker.PointStepped {
			if stepped++; stepped == messages {
				cancel()
			}
		}
	}})
	if stepped != messages {
		b.Fatalf("%d of %d messages folded: %v", stepped, messages, err)
	}
}
