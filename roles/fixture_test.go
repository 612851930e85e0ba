package main

import (
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nkeys"

	"dpfpl/roles/aggregator"
	"dpfpl/schemas"
	"dpfpl/schemas/logfile"
)

// TestMain takes out of the environment what commands would take for flags, so that a test is the same wherever it runs.
func TestMain(m *testing.M) {
	for _, v := range os.Environ() {
		name, _, _ := strings.Cut(v, "=")
		if (strings.HasPrefix(name, "DPFPL_") || strings.HasPrefix(name, "OTEL_")) && name != chromiumVariable && name != screenshotsVariable {
			os.Unsetenv(name)
		}
	}
	m.Run()
}

func testKey(t testing.TB, name string) (nkeys.KeyPair, string) {
	t.Helper()
	seed := make([]byte, 32)
	copy(seed, name)
	key, err := nkeys.FromRawSeed(nkeys.PrefixByteUser, seed)
	if err != nil {
		t.Fatal(err)
	}
	public, err := key.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	return key, public
}

// scene is a run that an aggregator makes without a broker.
type scene struct {
	testing.TB
	plan   *schemas.Plan
	agg    *aggregator.Aggregator
	now    time.Time
	head   schemas.Message // the plan as sent
	log    []schemas.Message
	states []schemas.Message // models and checkpoints
}

// newScene begins a run; change may alter its plan.
func newScene(t testing.TB, members []string, context, width int, rule schemas.RulePlan, change ...func(*schemas.Plan)) *scene {
	t.Helper()
	_, operator := testKey(t, "operator")
	key, public := testKey(t, "aggregator")
	p := &schemas.Plan{
		Header:     schemas.Header{Run: "demo", Sender: "operator"},
		Method:     schemas.MethodPlan{Name: "promptfl", Mode: "corrected", Rate: 0.1},
		Prompt:     schemas.PromptPlan{Context: uint16(context), Width: uint16(width), Init: "random", Std: 0.02},
		Rule:       rule,
		Server:     schemas.ServerPlan{Rate: 1, Momentum: 0.5},
		Privacy:    schemas.PrivacyPlan{Noise: "client", Adjacency: "zero-out", Epsilon: 4, Delta: 1e-5, Rate: 0.1, Batch: 8, ClipG: 1, ZG: 1},
		Classes:    []string{"cat", "dog"},
		Backbone:   strings.Repeat("0", 64),
		Versions:   1 << 20,
		Updates:    1000,
		Aggregator: public,
		Operator:   operator,
	}
	for _, id := range members {
		_, member := testKey(t, id)
		p.Members = append(p.Members, schemas.Member{ID: id, Key: member})
	}
	for _, c := range change {
		c(p)
	}
	s := &scene{TB: t, plan: p, now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)}
	s.head = s.seal(p, "operator")
	s.head.Seq, s.head.Time = 1, s.now
	var err error
	if s.agg, err = aggregator.New(aggregator.Config{Plan: p, Initial: make([]float32, context*width), Key: key}); err != nil {
		t.Fatal(err)
	}
	out, err := s.agg.Restore(s.now, schemas.Message{}, schemas.Message{})
	if err != nil {
		t.Fatal(err)
	}
	s.keep(out)
	return s
}

func (s *scene) seal(b schemas.Body, signer string) schemas.Message {
	s.Helper()
	key, _ := testKey(s, signer)
	raw, err := schemas.Seal(b, key)
	if err != nil {
		s.Fatal(err)
	}
	return schemas.Message{Body: b, Raw: raw, Subject: schemas.Subject(b)}
}

// keep stores what a broker would: models and checkpoints, and control messages in the log.
func (s *scene) keep(out []schemas.Message) {
	s.Helper()
	for _, m := range out {
		if m.Raw == nil {
			m = s.seal(m.Body, "aggregator")
		}
		switch m.Body.(type) {
		case *schemas.Model, *schemas.Checkpoint:
			m.Subject, m.Seq, m.Time = schemas.Subject(m.Body), uint64(len(s.states)+2), s.now
			s.states = append(s.states, m)
		case *schemas.Control:
			s.store(m)
		}
	}
}

func (s *scene) store(m schemas.Message) {
	s.Helper()
	s.now = s.now.Add(time.Second)
	m.Seq, m.Time = uint64(len(s.log)+1), s.now
	s.log = append(s.log, m)
	out, err := s.agg.Step(s.now, m)
	if err != nil {
		s.Fatal(err)
	}
	s.keep(out)
}

// update stores update k of a member, all numbers x.
func (s *scene) update(id string, k, base uint64, x int32, signer string) {
	s.Helper()
	ints := slices.Repeat([]int32{x}, int(s.plan.Prompt.Context)*int(s.plan.Prompt.Width))
	for j := range ints {
		ints[j] += int32(j % 5)
	}
	s.sum(id, k, base, ints, signer)
}

// sum stores update k of a member.
func (s *scene) sum(id string, k, base uint64, ints []int32, signer string) {
	s.Helper()
	p := s.plan
	s.store(s.seal(&schemas.Update{
		Header: schemas.Header{Run: p.Run, Sender: id}, K: k, Base: base,
		Sum:       schemas.NewLattice(int(p.Prompt.Context), int(p.Prompt.Width), float64(p.Privacy.ZG*p.Privacy.ClipG)/65536, ints),
		Mechanism: schemas.Mechanism{Noise: "client", Adjacency: "zero-out", Rate: 0.1, ZG: p.Privacy.ZG, Z: p.Privacy.ZG},
	}, signer))
}

// messages returns the run in file order.
func (s *scene) messages() []schemas.Message {
	all := []schemas.Message{s.head}
	var models, checkpoints []schemas.Message
	for i, m := range s.states {
		if i%2 == 0 {
			models = append(models, m)
		} else {
			checkpoints = append(checkpoints, m)
		}
	}
	for m, err := range logfile.Interleave(each(s.log), each(models), each(checkpoints)) {
		if err != nil {
			s.Fatal(err)
		}
		all = append(all, m)
	}
	return all
}

func each(messages []schemas.Message) func(func(schemas.Message, error) bool) {
	return func(yield func(schemas.Message, error) bool) {
		for _, m := range messages {
			if !yield(m, nil) {
				return
			}
		}
	}
}

// demo is a short run with what a run may have: a late update, a forged one, an eviction, a deadline.
func demo(t testing.TB) *scene {
	s := newScene(t, []string{"anna", "bert", "cleo", "dora"}, 2, 3,
		schemas.RulePlan{Name: "fedbuff", Buffer: 2, Quorum: 1, Deadline: time.Minute, MaxStaleness: 2})
	s.update("anna", 1, 0, 20000, "anna")
	s.update("bert", 1, 0, 30000, "bert")  // version 1
	s.update("cleo", 1, 0, -10000, "cleo") // one version late
	s.update("dora", 1, 1, 90000, "anna")  // forged
	s.update("dora", 2, 1, 90000, "dora")  // version 2
	s.update("anna", 2, 2, 10000, "anna")
	s.now = s.now.Add(time.Minute)
	out, err := s.agg.Step(s.now, schemas.Message{Body: &schemas.Tick{}})
	if err != nil {
		t.Fatal(err)
	}
	s.keep(out)                           // deadline: version 3
	s.update("bert", 2, 0, 10000, "bert") // stale
	s.update("bert", 3, 3, 10000, "bert")
	s.update("dora", 3, 3, 80000, "dora") // version 4
	s.update("cleo", 2, 4, 5000, "cleo")  // not folded in yet
	return s
}

func writeTo(t testing.TB, path string, messages []schemas.Message) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := writeRun(f, each(messages)); err != nil {
		t.Fatal(err)
	}
}
