package client

import (
	"bytes"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"dpfpl/mathx/dp"
	"dpfpl/mathx/prompt"
	"dpfpl/roles/client/ledger"
	"dpfpl/schemas"
)

// The transcript of a run, with all that can come in between.
func TestTranscript(t *testing.T) {
	w := newWorld(t)
	w.plan.Updates = 3
	c := w.client(w.config(memory(t, ledger.Limits{})))
	other := *w.plan
	other.Updates = 4
	note := func(client string, verdict schemas.Verdict, reason schemas.Reason) *schemas.Note {
		return &schemas.Note{Header: schemas.Header{Run: "run", Sender: "aggregator"}, Client: client, K: 1, Version: 4, Verdict: verdict, Reason: reason}
	}
	wide := &schemas.Model{Header: schemas.Header{Run: "run", Sender: "aggregator"}, Params: schemas.NewParams(1, 2, []float32{1, 2})}
	foreign := &schemas.Model{Header: schemas.Header{Run: "elsewhere", Sender: "aggregator"}, Params: schemas.NewParams(l, d, make([]float32, l*d))}
	twin := &schemas.Model{Header: schemas.Header{Run: "run", Sender: "aggregator"}, Params: schemas.NewParams(l, d, make([]float32, l*d))}
	for _, s := range []struct {
		name    string
		in      schemas.Message
		updates int
		said    string
	}{
		{"a tick before anything", schemas.Message{Body: &schemas.Tick{}}, 0, ""},
		{"the plan again", w.seal(w.plan, w.operator), 0, ""},
		{"a forged model", w.seal(&schemas.Model{Header: schemas.Header{Run: "run", Sender: "aggregator"}, Params: twin.Params}, w.key), 0, "refused model: client: message refused: schemas: signature"},
		{"a model of another shape", w.seal(wide, w.aggregator), 0, "refused model: client: message refused: model 0 is 1×2"},
		{"a model of another run", w.seal(foreign, w.aggregator), 0, "refused model: client: message refused: of run"},
		{"version 0", w.model(0, false), 1, "model 0 final=false\nstep k=1 base=0 epsilon="},
		{"version 0 once more", w.model(0, false), 0, ""},
		{"another version 0", w.seal(twin, w.aggregator), 0, "refused model: client: message refused: the aggregator signed two models of version 0"},
		{"accepted", w.seal(note("c1", schemas.VerdictAccepted, ""), w.aggregator), 0, "note k=1 accepted "},
		{"a forged note", w.seal(note("c1", schemas.VerdictAccepted, ""), w.key), 0, "refused note: client: message refused: schemas: signature"},
		{"another's note", w.seal(note("c2", schemas.VerdictAccepted, ""), w.aggregator), 0, "refused note: client: message refused: note for \"c2\""},
		{"stale", w.seal(note("c1", schemas.VerdictStale, schemas.ReasonStale), w.aggregator), 0, "note k=1 stale stale"},
		{"damaged bytes", schemas.Message{Err: schemas.ErrEncoding}, 0, "refused kind 0: client: message refused: schemas"},
		{"not for a client", w.seal(&schemas.Control{Header: schemas.Header{Run: "run", Sender: "aggregator"}, N: 1, Event: schemas.EventStop}, w.aggregator), 0, "refused control: client: message refused: not for a client"},
		{"version 3, but its update waits in the buffer of version 4", w.model(3, false), 0, "model 3 final=false"},
		{"version 4, two were missed", w.model(4, false), 1, "model 4 final=false\nstep k=2 base=4 epsilon="},
		{"version 2, late", w.model(2, false), 0, ""},
		{"beyond the plan", w.model(11, false), 0, "refused model: client: message refused: model 11, the plan has 10 versions"},
		{"a plan signed by another", w.seal(&other, w.aggregator), 0, "refused plan: client: message refused: schemas: signature"},
		{"version 5", w.model(5, false), 1, "model 5 final=false\nstep k=3 base=5 epsilon=|spent: client: receive-only: all N = 3 updates are spent"},
		{"version 6", w.model(6, false), 0, "model 6 final=false"},
		{"the last", w.model(10, true), 0, "model 10 final=true"},
	} {
		out := w.step(c, s.in)
		said := w.said()
		for _, part := range strings.Split(s.said, "|") {
			if !strings.Contains(said, part) {
				t.Errorf("%s: said %q, want %q", s.name, said, part)
			}
		}
		if s.said == "" && said != "" {
			t.Errorf("%s: said %q", s.name, said)
		}
		if len(out) != s.updates {
			t.Fatalf("%s: %d updates, want %d", s.name, len(out), s.updates)
		}
	}
	if !errors.Is(c.Spent(), ErrSpent) {
		t.Errorf("Spent() = %v", c.Spent())
	}
}

// An update is what mathx/prompt releases for the Poisson batch of the same source, and
// says exactly what mechanism made it.
func TestUpdateIsTheRelease(t *testing.T) {
	w := newWorld(t)
	cfg := w.config(memory(t, ledger.Limits{}))
	cfg.Rate = 0.25
	c := w.client(cfg)
	u := w.one(w.step(c, w.model(0, false)))

	s, err := prompt.NewLearner(learning(&c.cfg), l, d, w.plan.Prompt.Std, c.cfg.Public(0))
	if err != nil {
		t.Fatal(err)
	}
	secret, global := seeded(1), prompt.RandomContext(l, d, 0.2, rand.NewPCG(0, 5))
	n, err := s.Step(newLinear(), 5, global, pick(cfg.Data, poisson(len(cfg.Data), 0.25, secret)), secret, c.cfg.Public(1))
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(u.Sum.Ints(nil), n.Ints(2)) || u.Sum.Step != 4.0/65536 {
		t.Error("the update is not the release of the global group")
	}
	if !slices.Equal(c.Personal(nil), s.Context(nil, global)) {
		t.Error("the personal prompt did not move by the release")
	}
	if u.Mechanism.Noise != "client" || u.Mechanism.Adjacency != "zero-out" || u.Mechanism.Rate != 0.25 {
		t.Errorf("mechanism %+v", u.Mechanism)
	}
	if m := u.Mechanism; m.ZU < 4 || m.ZV < 4 || m.ZG < 4 || m.Z != dp.Joint(m.ZU, m.ZV, m.ZG) {
		t.Errorf("mechanism %+v, want multipliers of 4 or a little more", m)
	}
	if u.K != 1 || u.Base != 0 || u.Sender != "c1" {
		t.Errorf("update %d at %d from %s", u.K, u.Base, u.Sender)
	}
}

// unequal gives every group a clip norm and a noise of its own.
func (w *world) unequal() {
	v := &w.plan.Privacy
	v.ClipU, v.ClipV, v.ClipG, v.ZU, v.ZV, v.ZG = 0.25, 0.5, 2, 4, 8, 16
	v.Batch = 2
}

// Every group is released with the clip norm and noise that the plan names for it, and the update says so.
func TestThePlansMechanismRuns(t *testing.T) {
	w := newWorld(t)
	w.unequal()
	c := w.client(w.config(memory(t, ledger.Limits{})))
	u := w.one(w.step(c, w.model(0, false)))
	want := []dp.Group{
		{Name: "u", Dim: l * 2, Clip: 0.25, Z: 4},
		{Name: "v", Dim: 2 * d, Clip: 0.5, Z: 8},
		{Name: "global", Dim: l * d, Clip: 2, Z: 16},
	}
	if got := c.learner.Groups(); !slices.Equal(got, want) {
		t.Errorf("the learner releases %v, want %v", got, want)
	}
	if got := c.cfg.Store.Entries()[0].Groups; !slices.Equal(got, want) {
		t.Errorf("the ledger has %v, want %v", got, want)
	}
	if m := u.Mechanism; m.ZU != 4 || m.ZV != 8 || m.ZG != 16 || m.Z != dp.Joint(4, 8, 16) || u.Sum.Step != 2.0*16/65536 {
		t.Errorf("the update says %+v at a step of %v", m, u.Sum.Step)
	}
}

// What is committed after each step is the learner's state after the release: the secret source goes to the
// batch and the noise alone, and the sketch comes from the public one of that step.
func TestCommittedStateFollowsFromTheRelease(t *testing.T) {
	w := newWorld(t)
	w.unequal()
	cfg := w.config(memory(t, ledger.Limits{}))
	c := w.client(cfg)
	s, err := prompt.NewLearner(learning(&c.cfg), l, d, w.plan.Prompt.Std, publicSource(w.plan, "c1")(0))
	if err != nil {
		t.Fatal(err)
	}
	for v := range uint64(3) {
		w.step(c, w.model(v, false))
		k, secret, global := v+1, seeded(v+1), prompt.RandomContext(l, d, 0.2, rand.NewPCG(v, 5))
		batch := pick(cfg.Data, poisson(len(cfg.Data), w.plan.Privacy.Rate, secret))
		if _, err := s.Step(newLinear(), 5, global, batch, secret, publicSource(w.plan, "c1")(k)); err != nil {
			t.Fatal(err)
		}
		want, _ := s.MarshalBinary()
		if last, state := cfg.Store.State("run"); last != k || !bytes.Equal(state, appendState(v, want)) {
			t.Errorf("step %d: another state than that of the release", k)
		}
	}
}

// A step that failed ends the role, although the ledger would grant another.
func TestAFailedStepIsTheLast(t *testing.T) {
	w := newWorld(t)
	v := &w.plan.Privacy
	v.ZU, v.ZV, v.ZG, v.Rate, v.Epsilon = 1e-4, 1e-4, 1e-4, 1, math.MaxFloat64 // 3 clipped records fill an int32
	c := w.client(w.config(memory(t, ledger.Limits{})))
	_, first := c.Step(start, w.model(0, false))
	if !errors.Is(first, dp.ErrOverflow) {
		t.Fatalf("error %v, want an overflow", first)
	}
	out, again := c.Step(start, w.model(1, false))
	if again != first || len(out) != 0 || len(c.cfg.Store.Entries()) != 1 {
		t.Errorf("%d updates, error %v after %d debits, want the first error again", len(out), again, len(c.cfg.Store.Entries()))
	}
}

// An update that cannot be signed is not committed: it would be sent as it is, without a signature, for ever.
func TestAnUnsignedUpdateIsNotCommitted(t *testing.T) {
	w := newWorld(t)
	cfg := w.config(memory(t, ledger.Limits{}))
	c := w.client(cfg)
	cfg.Key.Wipe()
	out, err := c.Step(start, w.model(0, false))
	if err == nil || len(out) != 0 || len(c.Pending()) != 0 || len(cfg.Store.Entries()) != 1 {
		t.Errorf("%d updates, %d pending, %d debits, error %v", len(out), len(c.Pending()), len(cfg.Store.Entries()), err)
	}
}

// A note that comes late says nothing new about the newest buffer: a second update for it would be refused, and
// its privacy lost.
func TestALateNoteDoesNotFreeTheBuffer(t *testing.T) {
	w := newWorld(t)
	c := w.client(w.config(memory(t, ledger.Limits{})))
	w.one(w.step(c, w.model(0, false)))
	for _, version := range []uint64{3, 1} {
		n := &schemas.Note{
			Header: schemas.Header{Run: "run", Sender: "aggregator"}, Client: "c1", K: 1, Seq: 1,
			Version: version, Verdict: schemas.VerdictAccepted,
		}
		w.step(c, w.seal(n, w.aggregator))
	}
	if out := w.step(c, w.model(2, false)); len(out) != 0 {
		t.Error("an update for a buffer that has one")
	}
	w.one(w.step(c, w.model(3, false)))
}

// The epsilon of an event is the accountant's for the steps taken, at the client's rate.
func TestEpsilonOfAnEvent(t *testing.T) {
	w := newWorld(t)
	cfg := w.config(memory(t, ledger.Limits{}))
	cfg.Rate = 0.3
	var steps []Step
	cfg.Events.OnStep = func(s Step) { steps = append(steps, s) }
	c := w.client(cfg)
	for v := range uint64(3) {
		w.step(c, w.model(v, false))
	}
	account, _ := dp.NewAccount(dp.ZeroOut)
	z := dp.Joint(65536.0/16384, 65536.0/16384, 65536.0/16384) // L = floor(65536/4)
	w.step(w.client(cfg), w.model(3, false))                   // a restart forgets nothing that was spent
	for i, s := range steps {
		if err := account.Spend(dp.Step{Q: 0.3, Z: z}, 1); err != nil {
			t.Fatal(err)
		}
		want, _ := account.EpsilonRDP(1e-5)
		if s.K != uint64(i+1) || math.Abs(s.Epsilon-want.Epsilon) > 1e-12 {
			t.Errorf("step %+v, want epsilon %v", s, want.Epsilon)
		}
	}
	if got := c.Account().Steps(); got != 3 || len(steps) != 4 {
		t.Errorf("%d steps accounted, %d told", got, len(steps))
	}
}

func TestNewRefusesPlans(t *testing.T) {
	for _, test := range []struct {
		field string
		spoil func(*Config, *schemas.Plan)
	}{
		{"members", func(c *Config, _ *schemas.Plan) { c.ID = "c2" }},
		{"backbone", func(_ *Config, p *schemas.Plan) { p.Backbone = strings.Repeat("a", 64) }},
		{"classes", func(_ *Config, p *schemas.Plan) { p.Classes = p.Classes[:4] }},
		{"prompt.context", func(_ *Config, p *schemas.Plan) { p.Prompt.Context++ }},
		{"prompt.width", func(_ *Config, p *schemas.Plan) { p.Prompt.Width++ }},
		{"privacy.rate", func(c *Config, _ *schemas.Plan) { c.Rate = 0.6 }},
		{"privacy.noise", func(_ *Config, p *schemas.Plan) {
			p.Privacy.Noise, p.Privacy.Epsilon, p.Privacy.ZU, p.Privacy.ZV, p.Privacy.ZG = "none", 0, 0, 0, 0
		}},
		{"method.mode", func(_ *Config, p *schemas.Plan) { p.Method.Mode, p.Privacy.Batch = "paper", 1 }},
		{"privacy.epsilon", func(_ *Config, p *schemas.Plan) { p.Privacy.Epsilon = 2 }}, // promises too much
		{"privacy.epsilon", func(_ *Config, p *schemas.Plan) { p.Updates = 100 }},       // the same
		{"privacy.z_v", func(_ *Config, p *schemas.Plan) { p.Method.LeftOnly = true }},  // no such gradient
		{"method.name", func(_ *Config, p *schemas.Plan) { p.Method.Name = "full" }},    // Validate's
		{"privacy.z_g", func(_ *Config, p *schemas.Plan) { p.Privacy.ZG = math.NaN() }}, // Validate's
		{"noise multiplier z", limited(ledger.Limits{MinZ: 3})},                         // the ledger's
		{"sampling rate q", limited(ledger.Limits{MaxQ: 0.4})},                          // the ledger's
		{"privacy.epsilon", limited(ledger.Limits{MaxEpsilon: 2.5, Delta: 1e-5})},       // five updates cost 2.59
		{"privacy.epsilon", limited(ledger.Limits{MaxSteps: 4})},                        // of five
		{"privacy.epsilon", limited(ledger.Limits{MaxEpsilon: 6.5, Delta: 1e-5, Adjacency: dp.ReplaceOne})},
	} {
		w := newWorld(t)
		cfg := w.config(memory(t, ledger.Limits{}))
		test.spoil(&cfg, w.plan)
		_, err := New(cfg)
		if !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), test.field) {
			t.Errorf("%s: error %v", test.field, err)
		}
	}
}

func limited(l ledger.Limits) func(*Config, *schemas.Plan) {
	return func(c *Config, _ *schemas.Plan) {
		s, err := ledger.NewMemory(l)
		if err != nil {
			panic(err)
		}
		c.Store = s
	}
}

func TestNewRefusesConfigs(t *testing.T) {
	for _, test := range []struct {
		field string
		spoil func(*Config)
	}{
		{"ID", func(c *Config) { c.ID = "no spaces" }},
		{"Key", func(c *Config) { c.Key = nil }},
		{"Plan", func(c *Config) { c.Plan = nil }},
		{"Encoder", func(c *Config) { c.Encoder = nil }},
		{"Store", func(c *Config) { c.Store = nil }},
		{"Hold", func(c *Config) { c.Hold = -1 }},
		{"Data: record 3", func(c *Config) { c.Data[3].Label = classes }},
		{"Data: record 2", func(c *Config) { c.Data[2].Feature = nil }},
	} {
		w := newWorld(t)
		cfg := w.config(memory(t, ledger.Limits{}))
		test.spoil(&cfg)
		if _, err := New(cfg); !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), test.field) {
			t.Errorf("%s: error %v", test.field, err)
		}
	}
}

// Methods and modes that the plan may choose all make updates that carry what the plan
// asks for.
func TestEveryMethodTakesPart(t *testing.T) {
	for _, method := range prompt.Methods() {
		for _, mode := range []string{"corrected", "paper"} {
			w := newWorld(t)
			w.plan.Method.Name, w.plan.Method.Mode = method, mode
			if mode == "paper" {
				w.plan.Privacy.Batch = 1
			}
			if method == prompt.FedOTP || method == prompt.PromptFL {
				w.plan.Privacy.ClipV, w.plan.Privacy.ZV = 0, 0
			}
			if method == prompt.PromptFL {
				w.plan.Privacy.ClipU, w.plan.Privacy.ZU = 0, 0
			}
			cfg := w.config(memory(t, ledger.Limits{}))
			cfg.AllowUnprotected = mode == "paper"
			c := w.client(cfg)
			u := w.one(w.step(c, w.model(0, false)))
			if p := w.plan.Privacy; u.Mechanism.ZU < p.ZU || u.Mechanism.ZV < p.ZV || u.Mechanism.ZG < p.ZG {
				t.Errorf("%s, %s: mechanism %+v is weaker than the plan's", method, mode, u.Mechanism)
			}
			said := w.said()
			if e := cfg.Store.Entries()[0]; e.Delta != w.plan.Privacy.Delta || e.Step.Q != w.plan.Privacy.Rate {
				t.Errorf("%s, %s: the ledger has %+v", method, mode, e)
			}
			if infinite := strings.Contains(said, "epsilon=+Inf"); infinite != (mode == "paper") {
				t.Errorf("%s, %s: %s", method, mode, said)
			}
		}
	}
}

// Without noise a client says so, and has no epsilon.
func TestUnprotected(t *testing.T) {
	w := newWorld(t)
	p := &w.plan.Privacy
	p.Noise, p.Epsilon, p.Delta, p.ZU, p.ZV, p.ZG = "none", 0, 0, 0, 0, 0
	cfg := w.config(memory(t, ledger.Limits{}))
	cfg.AllowUnprotected = true
	c := w.client(cfg)
	u := w.one(w.step(c, w.model(0, false)))
	if u.Mechanism.Noise != "none" || u.Mechanism.Z != 0 || u.Sum.Step != 1.0/65536 {
		t.Errorf("mechanism %+v, step %v", u.Mechanism, u.Sum.Step)
	}
	if said := w.said(); !strings.Contains(said, "epsilon=+Inf") || c.Account() != nil {
		t.Errorf("said %q", said)
	}
	// The same records are no longer good for a private run under any limit.
	if r, _ := cfg.Store.Account().EpsilonRDP(1e-5); r.Epsilon < 1e9 {
		t.Errorf("the ledger counts an unprotected step as epsilon %v", r.Epsilon)
	}
}

// The budget belongs to the records, not to the run: a second run gets what is left.
func TestBudgetAcrossRuns(t *testing.T) {
	w := newWorld(t)
	store := memory(t, ledger.Limits{MaxEpsilon: 2.9, Delta: 1e-5})
	c := w.client(w.config(store))
	for v := range uint64(5) {
		w.one(w.step(c, w.model(v, false)))
	}
	w.plan.Run = "second"
	w.said()
	if _, err := New(w.config(store)); !errors.Is(err, ErrRefused) {
		t.Fatalf("five more updates are admitted: %v", err)
	}
	w.plan.Updates = 1
	c = w.client(w.config(store))
	out, err := c.Step(start, w.model(0, false))
	if err != nil || len(out) != 1 {
		t.Fatalf("%d updates, %v", len(out), err)
	}
	if got := store.Account().Steps(); got != 6 {
		t.Errorf("%d steps in the ledger, want 6", got)
	}
	if got := c.Account().Steps(); got != 1 {
		t.Errorf("%d steps in the second run, want 1", got)
	}
}

// A budget that runs out during a run turns the client receive-only, with the reason,
// and does so again after a restart.
func TestBudgetRunsOut(t *testing.T) {
	w := newWorld(t)
	store := memory(t, ledger.Limits{MaxSteps: 5})
	c := w.client(w.config(store))
	w.one(w.step(c, w.model(0, false)))
	// Another run on the same records takes three of the five.
	for k := uint64(1); k <= 3; k++ {
		if err := store.Debit(ledger.Entry{Run: "other", K: k, Step: c.budget.entry.Step, Delta: 1e-5}); err != nil {
			t.Fatal(err)
		}
	}
	w.one(w.step(c, w.model(1, false)))
	if said := w.said(); !strings.Contains(said, "spent: client: receive-only: ledger: privacy budget exhausted") {
		t.Errorf("said %q", said)
	}
	for _, c := range []*Client{c, w.client(w.config(store))} {
		if out := w.step(c, w.model(2, false)); len(out) != 0 {
			t.Error("an update beyond the budget")
		}
		if !errors.Is(c.Spent(), ErrSpent) || c.Presence().Version != 2 {
			t.Errorf("spent %v, presence %+v", c.Spent(), c.Presence())
		}
		if len(c.Pending()) != 2 {
			t.Errorf("%d pending, want 2", len(c.Pending()))
		}
	}
}

// Message size and shape do not tell an empty batch from a full one.
func TestSizeHidesTheBatch(t *testing.T) {
	size := func(data []prompt.Example, rate float64) int {
		w := newWorld(t)
		w.plan.Privacy.Rate, w.plan.Privacy.Epsilon = 1, 1000
		cfg := w.config(memory(t, ledger.Limits{}))
		cfg.Data, cfg.Rate = data, rate
		c := w.client(cfg)
		out := w.step(c, w.model(0, false))
		w.one(out)
		return len(out[0].Raw)
	}
	full, empty, none := size(records(40, 1), 1), size(records(40, 1), 1e-300), size(nil, 1)
	// The rate itself is public, and one byte string of a float64 like any other.
	if full != empty || full != none {
		t.Errorf("%d bytes for 40 records, %d for an empty batch, %d without data", full, empty, none)
	}
}

// With a hold, an update leaves at the first tick after its time, however long the batch
// took, and is durable all the while.
func TestHold(t *testing.T) {
	w := newWorld(t)
	cfg := w.config(memory(t, ledger.Limits{}))
	cfg.Hold = time.Minute
	c := w.client(cfg)
	tick := schemas.Message{Body: &schemas.Tick{}}
	if out := w.step(c, w.model(0, false)); len(out) != 0 {
		t.Fatal("the update was not held")
	}
	if len(c.Pending()) != 1 {
		t.Fatal("a held update is not durable")
	}
	for _, s := range []struct {
		after time.Duration
		want  int
	}{{time.Minute - 1, 0}, {time.Minute, 1}, {2 * time.Minute, 0}} {
		out, err := c.Step(start.Add(s.after), tick)
		if err != nil || len(out) != s.want {
			t.Errorf("after %v: %d updates, %v", s.after, len(out), err)
		}
	}
}

// While an update is held, no step is taken: a model that comes meanwhile waits for a tick after the update has left.
func TestHoldWaitsWithTheNextStep(t *testing.T) {
	w := newWorld(t)
	store := memory(t, ledger.Limits{})
	cfg := w.config(store)
	cfg.Hold = time.Minute
	c := w.client(cfg)
	tick := schemas.Message{Body: &schemas.Tick{}}
	for _, s := range []struct {
		after        time.Duration
		m            schemas.Message
		leave, steps int
	}{
		{0, w.model(0, false), 0, 1},
		{time.Second, w.model(1, false), 0, 1},
		{2 * time.Second, tick, 0, 1},
		{time.Minute, tick, 1, 1},
		{time.Minute + time.Second, tick, 0, 2},
		{2 * time.Minute, tick, 0, 2},
		{2*time.Minute + time.Second, tick, 1, 2},
		{2*time.Minute + 2*time.Second, tick, 0, 2},
	} {
		out, err := c.Step(start.Add(s.after), s.m)
		if steps := len(store.Entries()); err != nil || len(out) != s.leave || steps != s.steps {
			t.Errorf("after %v: %d updates left, %d steps, %v", s.after, len(out), steps, err)
		}
	}
}

// Presence shows public things, and the same whatever the data.
func TestPresence(t *testing.T) {
	w := newWorld(t)
	c := w.client(w.config(memory(t, ledger.Limits{})))
	want := schemas.Presence{Header: schemas.Header{Version: 1, Run: "run", Sender: "c1"}, State: "heartbeat", Modality: "image", Software: "test"}
	if got := *c.Presence(); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	w.step(c, w.model(3, false))
	want.Version, want.Published = 3, 1
	if got := *c.Presence(); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if err := c.Presence().Validate(); err != nil {
		t.Error(err)
	}
}

// A plan changed by its operator ends this client's part; a restart with the new plan is
// the operator's decision.
func TestChangedPlanStops(t *testing.T) {
	w := newWorld(t)
	c := w.client(w.config(memory(t, ledger.Limits{})))
	other := *w.plan
	other.Privacy.ClipG = 2
	w.step(c, w.seal(&other, w.operator))
	if said := w.said(); !strings.Contains(said, "the operator changed the plan") {
		t.Errorf("said %q", said)
	}
	if out := w.step(c, w.model(0, false)); len(out) != 0 {
		t.Error("an update under a plan that changed")
	}
}

// A client ends once: what comes after the reason is no other one. A plan of another run is no change of this one.
func TestAClientEndsOnce(t *testing.T) {
	w := newWorld(t)
	w.plan.Updates = 1
	c := w.client(w.config(memory(t, ledger.Limits{})))
	elsewhere := *w.plan
	elsewhere.Run = "elsewhere"
	w.step(c, w.seal(&elsewhere, w.operator))
	if said := w.said(); !strings.Contains(said, "refused plan") || !strings.Contains(said, `of run "elsewhere"`) || c.Spent() != nil {
		t.Errorf("said %q of another run's plan", said)
	}
	w.step(c, w.model(0, false))
	other := *w.plan
	other.Privacy.ClipG = 2
	w.step(c, w.seal(&other, w.operator))
	said := w.said()
	if strings.Count(said, "spent:") != 1 || !strings.Contains(c.Spent().Error(), "all N = 1 updates are spent") {
		t.Errorf("said %q, at the end because of %v", said, c.Spent())
	}
}

// Nobody needs to listen.
func TestEventsAreOptional(t *testing.T) {
	w := newWorld(t)
	w.plan.Updates = 1
	cfg := w.config(memory(t, ledger.Limits{}))
	cfg.Events = Events{}
	c := w.client(cfg)
	if c.Personal(nil) != nil {
		t.Error("a personal prompt before the first model")
	}
	w.one(w.step(c, w.model(0, false)))
	w.step(c, w.seal(&schemas.Note{
		Header: schemas.Header{Run: "run", Sender: "aggregator"}, Client: "c1", K: 1, Seq: 1, Version: 1, Verdict: schemas.VerdictAccepted,
	}, w.aggregator))
	w.step(c, schemas.Message{})
	if c.Spent() == nil {
		t.Error("the only update does not end it")
	}
}

// Equal inputs, equal bytes: what simulated time relies on.
func TestReproducible(t *testing.T) {
	var raws [2][]byte
	for i := range raws {
		w := newWorld(t)
		c := w.client(w.config(memory(t, ledger.Limits{})))
		for v := range uint64(3) {
			raws[i] = append(raws[i], w.step(c, w.model(v, false))[0].Raw...)
		}
	}
	if !bytes.Equal(raws[0], raws[1]) {
		t.Error("two equal clients sent different bytes")
	}
}

// By default noise is fresh for every client, start and step.
func TestDefaultNoiseIsFresh(t *testing.T) {
	var sums [][]int32
	for range 2 {
		w := newWorld(t)
		cfg := w.config(memory(t, ledger.Limits{}))
		cfg.Noise, cfg.NoiseOnly = nil, true
		c := w.client(cfg)
		for v := range uint64(2) {
			sums = append(sums, w.one(w.step(c, w.model(v, false))).Sum.Ints(nil))
		}
	}
	for i := range sums {
		for j := range i {
			if slices.Equal(sums[i], sums[j]) {
				t.Errorf("releases %d and %d carry the same noise", i, j)
			}
		}
	}
}

// Clients start from independent local prompts and sketch independently.
func TestPublicRandomness(t *testing.T) {
	w := newWorld(t)
	a, b := publicSource(w.plan, "c1"), publicSource(w.plan, "c2")
	first, again := a(0).Uint64(), a(0).Uint64()
	if first != again || first == a(1).Uint64() || first == b(0).Uint64() {
		t.Error("public randomness must depend on client and k, and on nothing else")
	}
}

// Poisson: every record by itself with probability q. 40,000 coins put the standard
// error of the share at 0.0023 and a covariance of neighbours near 0.001.
func TestPoisson(t *testing.T) {
	const n, rounds, q = 40, 1000, 0.3
	data := make([]prompt.Example, n)
	for i := range data {
		data[i].Label = i
	}
	var count [n]float64
	both := 0.0
	for k := range uint64(rounds) {
		taken := [n]bool{}
		for _, x := range pick(data, poisson(len(data), q, seeded(k))) {
			taken[x.Label] = true
		}
		for i := range n {
			if taken[i] {
				count[i]++
				if i > 0 && taken[i-1] {
					both++
				}
			}
		}
	}
	total := 0.0
	for i, c := range count {
		if total += c; math.Abs(c/rounds-q) > 5*math.Sqrt(q*(1-q)/rounds) {
			t.Errorf("record %d was taken %v times of %d", i, c, rounds)
		}
	}
	if got := total / n / rounds; math.Abs(got-q) > 0.012 {
		t.Errorf("share %v, want %v", got, q)
	}
	if got := both / (n - 1) / rounds; math.Abs(got-q*q) > 0.012 {
		t.Errorf("neighbours taken together with share %v, want %v", got, q*q)
	}
	if len(pick(data, poisson(n, 1, seeded(1)))) != n {
		t.Error("q = 1 must take all")
	}
}

// Nothing is learned from the last version: no version follows that it could enter.
func TestFinalModelGetsNoUpdate(t *testing.T) {
	w := newWorld(t)
	c := w.client(w.config(memory(t, ledger.Limits{})))
	if out := w.step(c, w.model(7, true)); len(out) != 0 || c.Spent() != nil {
		t.Errorf("%d updates, spent: %v", len(out), c.Spent())
	}
	if c.Personal(nil) == nil {
		t.Error("no personal prompt at the final model")
	}
}

// The outbox of another run on the same records is that run's affair.
func TestPendingIsOfThisRun(t *testing.T) {
	w := newWorld(t)
	store := memory(t, ledger.Limits{})
	w.step(w.client(w.config(store)), w.model(0, false))
	w.plan.Run = "second"
	if p := w.client(w.config(store)).Pending(); len(p) != 0 {
		t.Errorf("%d updates of another run", len(p))
	}
}
