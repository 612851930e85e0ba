package client

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"dpfpl/mathx/prompt"
	"dpfpl/roles/client/ledger"
	"dpfpl/schemas"

	"github.com/nats-io/nkeys"
)

const (
	classes, l, d, e = 5, 3, 8, 6
	backbone         = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
)

var start = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// linear is a text tower of one linear map a class, normalised.
type linear struct {
	w       []float64 // classes × e × l·d
	unit    []float64
	norms   []float64
	pulls   int
	forward int
}

func newLinear() *linear {
	r := rand.New(rand.NewPCG(1, 1))
	t := &linear{make([]float64, classes*e*l*d), make([]float64, classes*e), make([]float64, classes), 0, 0}
	for i := range t.w {
		t.w[i] = r.NormFloat64()
	}
	return t
}

func (*linear) Shape() (int, int, int, int) { return classes, l, d, e }

func (t *linear) Forward(ctx []float32) []float32 {
	t.forward++
	out := make([]float32, classes*e)
	for c := range classes {
		square := 0.0
		for j := range e {
			sum := 0.1 * float64(c+j)
			for i, v := range ctx {
				sum += t.w[(c*e+j)*l*d+i] * float64(v)
			}
			t.unit[c*e+j] = sum
			square += sum * sum
		}
		t.norms[c] = math.Sqrt(square)
		for j := range e {
			t.unit[c*e+j] /= t.norms[c]
			out[c*e+j] = float32(t.unit[c*e+j])
		}
	}
	return out
}

func (t *linear) Pull(dst, cot []float32) {
	t.pulls++
	clear(dst)
	for c := range classes {
		inner := 0.0
		for j := range e {
			inner += float64(cot[c*e+j]) * t.unit[c*e+j]
		}
		for j := range e {
			g := (float64(cot[c*e+j]) - inner*t.unit[c*e+j]) / t.norms[c]
			for i := range dst {
				dst[i] += float32(g * t.w[(c*e+j)*l*d+i])
			}
		}
	}
}

// world is an aggregator's and an operator's view of one client.
type world struct {
	t          testing.TB
	aggregator nkeys.KeyPair
	operator   nkeys.KeyPair
	key        nkeys.KeyPair
	plan       *schemas.Plan
	log        []string // events
}

func keyPair(t testing.TB, prefix nkeys.PrefixByte, seed byte) nkeys.KeyPair {
	t.Helper()
	raw := make([]byte, 32)
	raw[0] = seed
	k, err := nkeys.FromRawSeed(prefix, raw)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func public(t testing.TB, k nkeys.KeyPair) string {
	t.Helper()
	p, err := k.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func newWorld(t testing.TB) *world {
	w := &world{
		t:          t,
		aggregator: keyPair(t, nkeys.PrefixByteUser, 1),
		operator:   keyPair(t, nkeys.PrefixByteUser, 2),
		key:        keyPair(t, nkeys.PrefixByteUser, 3),
	}
	other := keyPair(t, nkeys.PrefixByteUser, 4)
	w.plan = &schemas.Plan{
		Header: schemas.Header{Version: schemas.Version, Run: "run", Sender: "operator"},
		Method: schemas.MethodPlan{Name: "dpfpl", Mode: "corrected", Rank: 2, Rate: 0.1, Momentum: 0.5},
		Prompt: schemas.PromptPlan{Context: l, Width: d, Init: "random", Std: 0.1},
		Rule:   schemas.RulePlan{Name: "sync"},
		Server: schemas.ServerPlan{Rate: 0.1},
		Privacy: schemas.PrivacyPlan{
			Noise: schemas.NoiseClient, Adjacency: "zero-out", Epsilon: 8, Delta: 1e-5, Rate: 0.5, Batch: 8,
			ClipU: 1, ClipV: 1, ClipG: 1, ZU: 4, ZV: 4, ZG: 4,
		},
		Classes:    []string{"ant", "bee", "cat", "dog", "eel"},
		Backbone:   backbone,
		Versions:   10,
		Updates:    5,
		Members:    []schemas.Member{{ID: "c1", Key: public(t, w.key)}, {ID: "c2", Key: public(t, other)}},
		Aggregator: public(t, w.aggregator),
		Operator:   public(t, w.operator),
	}
	return w
}

// records makes n records; values is what every feature is made of.
func records(n int, seed uint64) []prompt.Example {
	r := rand.New(rand.NewPCG(seed, 9))
	out := make([]prompt.Example, n)
	for i := range out {
		out[i] = prompt.Example{Feature: make([]float32, e), Label: r.IntN(classes)}
		square := 0.0
		for j := range e {
			out[i].Feature[j] = float32(r.NormFloat64())
			square += float64(out[i].Feature[j]) * float64(out[i].Feature[j])
		}
		for j := range e {
			out[i].Feature[j] /= float32(math.Sqrt(square))
		}
	}
	return out
}

func seeded(k uint64) rand.Source { return rand.NewPCG(k, 77) }

func memory(t testing.TB, limits ledger.Limits) *ledger.Ledger {
	t.Helper()
	s, err := ledger.NewMemory(limits)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// config is client c1 with seeded noise; its events go to the world's log.
func (w *world) config(store *ledger.Ledger) Config {
	return Config{
		ID: "c1", Key: w.key, Plan: w.plan, Backbone: backbone, Encoder: newLinear(), LogitScale: 5,
		Data: records(16, 1), Store: store, Noise: seeded, Software: "test",
		Events: Events{
			OnModel: func(v uint64, final bool) { w.say("model %d final=%v", v, final) },
			OnStep:  func(s Step) { w.say("step k=%d base=%d epsilon=%.4f", s.K, s.Base, s.Epsilon) },
			OnSpent: func(err error) { w.say("spent: %v", err) },
			OnNote:  func(n *schemas.Note) { w.say("note k=%d %s %s", n.K, n.Verdict, n.Reason) },
			OnRefused: func(k schemas.Kind, err error) {
				w.say("refused %v: %v", k, err)
			},
		},
	}
}

func (w *world) say(format string, args ...any) { w.log = append(w.log, fmt.Sprintf(format, args...)) }

// said returns the events since the last call, one a line.
func (w *world) said() string {
	s := strings.Join(w.log, "\n")
	w.log = nil
	return s
}

func (w *world) client(c Config) *Client {
	w.t.Helper()
	k, err := New(c)
	if err != nil {
		w.t.Fatal(err)
	}
	return k
}

// model seals version v with parameters drawn from it.
func (w *world) model(v uint64, final bool) schemas.Message {
	m := &schemas.Model{
		Header:  schemas.Header{Run: w.plan.Run, Sender: "aggregator"},
		Version: v, Final: final,
		Params: schemas.NewParams(l, d, prompt.RandomContext(l, d, 0.2, rand.NewPCG(v, 5))),
	}
	if v > 0 {
		m.Parent = [32]byte{1}
	}
	return w.seal(m, w.aggregator)
}

func (w *world) seal(b schemas.Body, key nkeys.KeyPair) schemas.Message {
	w.t.Helper()
	raw, err := schemas.Seal(b, key)
	if err != nil {
		w.t.Fatal(err)
	}
	return schemas.Message{Body: b, Raw: raw, Subject: schemas.Subject(b)}
}

// step demands that the client takes m without error.
func (w *world) step(c *Client, m schemas.Message) []schemas.Message {
	w.t.Helper()
	out, err := c.Step(start, m)
	if err != nil {
		w.t.Fatal(err)
	}
	return out
}

// one demands exactly one update and returns it as it arrives at the other end.
func (w *world) one(out []schemas.Message) *schemas.Update {
	w.t.Helper()
	if len(out) != 1 {
		w.t.Fatalf("%d messages, want 1; events:\n%s", len(out), w.said())
	}
	b, err := schemas.Open(out[0].Raw)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := schemas.Verify(out[0].Raw, public(w.t, w.key)); err != nil {
		w.t.Fatal(err)
	}
	u := b.(*schemas.Update)
	if want := schemas.UpdateSubject("run", "c1", u.K); out[0].Subject != want {
		w.t.Fatalf("subject %s, want %s", out[0].Subject, want)
	}
	return u
}
