package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"
	"github.com/rs/zerolog"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"dpfpl/broker"
	"dpfpl/broker/brokertest"
	"dpfpl/mathx/prompt"
	"dpfpl/roles/client"
	"dpfpl/roles/client/ledger"
	"dpfpl/roles/telemetry"
	"dpfpl/schemas"
)

// slow is a text tower whose features never change, and whose gradients take time: a step is as long as its batch
// is large.
type slow struct{ pulled func() }

func (slow) Shape() (classes, context, width, dim int) { return 2, 2, 3, 2 }
func (slow) Forward([]float32) []float32               { return []float32{1, 0, 0, 1} }
func (s slow) Pull(dst, cot []float32) {
	time.Sleep(7 * time.Millisecond)
	s.pulled()
	for i := range dst {
		dst[i] = cot[i%len(cot)]
	}
}

// overheard is what somebody sees who asks a client and its aggregator for their metrics all the time, and the
// updates that were published meanwhile.
type overheard struct {
	metrics []string
	last    string // the client's, in the end
	spans   spans
	updates [][]byte
}

// spans is a collector of both roles' spans.
type spans struct {
	mu  sync.Mutex
	all []tracetest.SpanStub
}

func (s *spans) ExportSpans(_ context.Context, some []sdk.ReadOnlySpan) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = append(s.all, tracetest.SpanStubsFromReadOnlySpans(some)...)
	return nil
}

func (*spans) Shutdown(context.Context) error { return nil }

// say writes out what the spans of a name say, in order.
func (s *spans) say(name string) (lines []string) {
	for _, span := range s.all {
		if span.Name == name {
			lines = append(lines, fmt.Sprintf("%v %v < %v, %v to %v %v %v %v", span.SpanContext.TraceID(), span.SpanContext.SpanID(), span.Parent.SpanID(),
				span.StartTime, span.EndTime, span.Attributes, span.Links, span.Events))
		}
	}
	slices.Sort(lines)
	return lines
}

// planted are metrics that a careless hand may add.
type planted struct {
	register func(*telemetry.Telemetry)
	pulled   func()
	stepped  func(client.Step)
}

var nothingPlanted = planted{register: func(*telemetry.Telemetry) {}, pulled: func() {}, stepped: func(client.Step) {}}

// overhear runs a client on n records to the end of a run of three versions, in virtual time, and asks it for its metrics
// at every moment.
func overhear(t *testing.T, n int, hold time.Duration, plant planted) *overheard {
	t.Helper()
	var o overheard
	s := newScene(t, []string{"anna"}, 2, 3, schemas.RulePlan{Name: "sync"}, func(p *schemas.Plan) {
		p.Versions, p.Updates, p.Presence.Heartbeat, p.Privacy.Rate = 3, 3, time.Second, 0.5
		p.Privacy.Epsilon, p.Privacy.ZG = 100, 4
	})
	err := brokertest.VirtualTime(func(ctx context.Context) error {
		server, err := brokertest.Start(brokertest.Options{})
		if err != nil {
			return err
		}
		defer server.Close()
		party := &clientFlags{memberFlags: memberFlags{id: "anna"}, hold: hold, limits: ledger.Limits{MaxEpsilon: 100, Delta: 1e-5}}
		party.run, party.command = "demo", "client"
		party.telemetry = party.show()
		anna, err := newJoined(ctx, server, &party.roleFlags, s.plan)
		if err != nil {
			return err
		}
		defer anna.Close()
		leader := &aggregatorFlags{}
		leader.run, leader.command, leader.holder, leader.lease = "demo", "aggregator", "one", 2*time.Second
		one, err := newJoined(ctx, server, &leader.roleFlags, s.plan)
		if err != nil {
			return err
		}
		defer one.Close()
		if err := errors.Join(one.Provision(ctx, s.plan, broker.StreamOptions{AllowLax: true, Memory: true}), one.PublishPlan(ctx, s.head.Raw)); err != nil {
			return err
		}
		plant.register(anna.metrics)
		anna.trace = telemetry.NewTracer(&o.spans, "client", "anna", s.plan)
		one.trace = telemetry.NewTracer(&o.spans, "aggregator", "one", s.plan)

		listening, hush := context.WithCancel(ctx)
		defer hush()
		var background sync.WaitGroup
		background.Go(func() { o.listen(listening, anna.metrics, one.metrics) })
		var errs [2]error
		background.Go(func() { errs[0] = runAggregator(ctx, t, leader, one) })
		time.Sleep(time.Second) // so that the first version is there before the client is
		background.Go(func() {
			errs[1] = runClient(ctx, t, party, anna, n, plant)
			hush()
		})
		background.Wait()
		o.last = exposition(anna.metrics)
		for m, err := range one.ReadLog(ctx, "demo", 1) {
			if err != nil {
				return err
			}
			if u, ok := m.Body.(*schemas.Update); ok {
				o.updates = append(o.updates, u.Sum.Data)
			}
		}
		return errors.Join(errs[:]...)
	})
	if err != nil {
		t.Fatal(err)
	}
	return &o
}

// newJoined is join over an embedded server.
func newJoined(ctx context.Context, server *brokertest.Server, f *roleFlags, plan *schemas.Plan) (*joined, error) {
	j := &joined{front: newFront(f.command, f.run, f.telemetry), plan: plan, quiet: func() {}}
	conn, err := server.Connect(ctx, broker.Options{Events: []broker.ConnEvents{j.connection.Events()}})
	j.Conn = conn
	j.connection.Set(conn)
	return j, err
}

func runAggregator(ctx context.Context, t testing.TB, f *aggregatorFlags, run *joined) error {
	key, _ := testKey(t, "aggregator")
	return f.fold(ctx, run, key, zerolog.Nop())
}

func runClient(ctx context.Context, t testing.TB, f *clientFlags, run *joined, n int, plant planted) error {
	store, err := ledger.NewMemory(f.limits)
	if err != nil {
		return err
	}
	key, _ := testKey(t, f.id)
	role, err := client.New(client.Config{
		ID: f.id, Key: key, Plan: run.plan, Backbone: run.plan.Backbone, Encoder: slow{plant.pulled}, LogitScale: 1,
		Data: twoThings(n), Store: store, Hold: f.hold, Noise: func(k uint64) rand.Source { return rand.NewPCG(5, k) },
		Events: client.Events{OnStep: plant.stepped},
	})
	if err != nil {
		return err
	}
	return f.follow(ctx, run, key, role, store, zerolog.Nop())
}

// twoThings are n records.
func twoThings(n int) []prompt.Example {
	records := make([]prompt.Example, n)
	for i := range records {
		records[i] = prompt.Example{Feature: []float32{0.6, 0.8}, Label: i % 3 % 2}
	}
	return records
}

// listen keeps what is shown, four times a second, and not at the very moments at which something happens.
func (o *overheard) listen(ctx context.Context, shown ...*telemetry.Telemetry) {
	time.Sleep(61003 * time.Microsecond)
	for tick := time.NewTicker(250 * time.Millisecond); ; {
		var all strings.Builder
		for _, m := range shown {
			all.WriteString(exposition(m))
		}
		o.metrics = append(o.metrics, all.String())
		select {
		case <-ctx.Done():
			tick.Stop()
			return
		case <-tick.C:
		}
	}
}

// exposition is what a role shows of the run. It leaves out what Go and the process show, which a client does not.
func exposition(m *telemetry.Telemetry) string {
	families, err := m.Gatherer().Gather()
	if err != nil {
		return err.Error()
	}
	var text bytes.Buffer
	for _, f := range families {
		if !strings.HasPrefix(f.GetName(), "go_") && !strings.HasPrefix(f.GetName(), "process_") {
			expfmt.MetricFamilyToText(&text, f) //nolint:errcheck // a buffer
		}
	}
	return text.String()
}

// differing lists the metrics in which two exposures differ at some moment.
func differing(a, b []string) (names []string) {
	if len(a) != len(b) {
		names = append(names, fmt.Sprintf("%d moments and %d", len(a), len(b)))
	}
	for i := range min(len(a), len(b)) {
		x, y := strings.Split(a[i], "\n"), strings.Split(b[i], "\n")
		for line := range slices.Values(x) {
			if !slices.Contains(y, line) {
				name, _, _ := strings.Cut(line, "{")
				if !slices.Contains(names, name) {
					names = append(names, name)
				}
			}
		}
	}
	return names
}

// TestMetricsKeepSecrets: whoever watches the metrics and spans of a client and of the aggregator at every moment cannot tell on
// which records the client computes: two clients with the same public behaviour, of which one has many records and takes
// long steps and the other few, show the same to the last digit, at the same times. So nothing that a metric says follows
// from private data. What a client hands over at the moment it is finished tells how long it took; --hold is there to hide
// that, and hides it here, too.
func TestMetricsKeepSecrets(t *testing.T) {
	const hold = 5 * time.Second
	few, many := overhear(t, 2, hold, nothingPlanted), overhear(t, 60, hold, nothingPlanted)
	if names := differing(few.metrics, many.metrics); len(names) > 0 {
		t.Errorf("these metrics tell private data: %v", names)
	}
	for name, count := range map[string]int{"publish update": 3, "fold update": 3, "commit version": 4, "receive version": 4} {
		x, y := few.spans.say(name), many.spans.say(name)
		if !slices.Equal(x, y) || len(x) != count {
			t.Errorf("spans tell private data: %s\n%s\n%s", name, strings.Join(x, "\n"), strings.Join(y, "\n"))
		}
	}
	if len(few.metrics) < 60 || len(few.updates) != 3 || len(many.updates) != 3 {
		t.Fatalf("%d moments, %d and %d updates", len(few.metrics), len(few.updates), len(many.updates))
	}
	for i := range few.updates {
		if bytes.Equal(few.updates[i], many.updates[i]) {
			t.Errorf("update %d is the same: the records do not differ", i+1)
		}
	}
	for _, name := range []string{"updates_total", "publish_acks_total", "model_version"} {
		if line := "dpfpl_client_" + name + `{client="anna",role="client",run="demo"} 3`; !strings.Contains(few.last, line) {
			t.Errorf("not shown at last: %s", line)
		}
	}

	// Without it, only the times differ at which things happen.
	few, many = overhear(t, 2, 0, nothingPlanted), overhear(t, 60, 0, nothingPlanted)
	if len(differing(few.metrics, many.metrics)) == 0 {
		t.Error("the length of a step cannot be seen even without --hold: the test is blind to time")
	}
}

// TestMetricsThatTell: each of these would be noticed.
func TestMetricsThatTell(t *testing.T) {
	for name, plant := range map[string]func() planted{
		"the length of a step": func() planted {
			var begun time.Time
			took := prometheus.NewGauge(prometheus.GaugeOpts{Name: "planted", Help: "x"})
			p := nothingPlanted
			p.register = func(m *telemetry.Telemetry) { m.Register(took) }
			p.pulled = func() {
				if begun.IsZero() {
					begun = time.Now()
				}
			}
			p.stepped = func(client.Step) { took.Set(time.Since(begun).Seconds()) }
			return p
		},
		"the size of a batch": func() planted {
			size := prometheus.NewCounter(prometheus.CounterOpts{Name: "planted", Help: "x"})
			p := nothingPlanted
			p.register = func(m *telemetry.Telemetry) { m.Register(size) }
			p.pulled = size.Inc
			return p
		},
		"a count of steps, when they end": func() planted {
			steps := prometheus.NewCounter(prometheus.CounterOpts{Name: "planted", Help: "x"})
			p := nothingPlanted
			p.register = func(m *telemetry.Telemetry) { m.Register(steps) }
			p.stepped = func(client.Step) { steps.Inc() }
			return p
		},
	} {
		t.Run(name, func(t *testing.T) {
			few, many := overhear(t, 2, 5*time.Second, plant()), overhear(t, 60, 5*time.Second, plant())
			if names := differing(few.metrics, many.metrics); !slices.Equal(names, []string{"planted"}) {
				t.Errorf("seen in %v", names)
			}
		})
	}
}
