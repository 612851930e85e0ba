package client

import (
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"dpfpl/mathx/dp"
	"dpfpl/mathx/prompt"
	"dpfpl/roles/client/ledger"
	"dpfpl/schemas"
)

// published is a client that has taken some steps and closed its ledger.
type published struct {
	*world
	path     string
	personal []float32
	account  *dp.Account
}

// publishable lets a client of the world take steps steps on a ledger in a file.
func publishable(t *testing.T, w *world, steps uint64) *published {
	t.Helper()
	p := &published{world: w, path: filepath.Join(t.TempDir(), "ledger")}
	store := p.open()
	cfg := w.config(store)
	cfg.AllowUnprotected = true
	c := w.client(cfg)
	for v := range steps {
		w.one(w.step(c, w.model(v, false)))
	}
	if steps == 0 {
		w.step(c, w.model(0, true))
	}
	p.personal, p.account = c.Personal(nil), c.Account()
	p.close(store)
	return p
}

func (p *published) open() *ledger.Ledger {
	p.t.Helper()
	store, err := ledger.Open(p.path, ledger.Limits{})
	if err != nil {
		p.t.Fatal(err)
	}
	return store
}

func (p *published) close(store *ledger.Ledger) {
	p.t.Helper()
	if err := store.Close(); err != nil {
		p.t.Fatal(err)
	}
}

// freeze demands a ledger that can be read.
func (p *published) freeze() *ledger.Snapshot {
	p.t.Helper()
	book, err := ledger.Freeze(p.path)
	if err != nil {
		p.t.Fatal(err)
	}
	return book
}

// request asks for the prompt at version v.
func (p *published) request(v uint64) PublishConfig {
	m := p.model(v, false).Body.(*schemas.Model)
	return PublishConfig{
		ID: "c1", Plan: p.plan, Global: m.Params.Floats(nil), Ledger: p.freeze(),
		Limits: ledger.Limits{MaxEpsilon: 100, Delta: 1e-5},
	}
}

// refused demands that the prompt stays, for the reason.
func (p *published) refused(cfg PublishConfig, reason string) {
	p.t.Helper()
	out, err := Publish(cfg)
	if out != nil || !errors.Is(err, ErrWithheld) || !strings.Contains(err.Error(), reason) {
		p.t.Errorf("%v, want ErrWithheld for %q", err, reason)
	}
}

func TestPublish(t *testing.T) {
	p := publishable(t, newWorld(t), 3)
	out, err := Publish(p.request(2))
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(out.Context, p.personal) {
		t.Error("not the client's own personal prompt")
	}
	want, err := p.account.EpsilonRDP(1e-5)
	if err != nil {
		t.Fatal(err)
	}
	if out.Run.Renyi.Epsilon != want.Epsilon || out.All.Renyi.Epsilon != want.Epsilon || !out.Guaranteed || out.Steps != 3 {
		t.Errorf("%+v, want epsilon %v", out, want.Epsilon)
	}
	if !(out.Run.PLD > 0 && out.Run.PLD < want.Epsilon) {
		t.Errorf("PLD %v", out.Run.PLD)
	}
	if s := out.Run.String(); !strings.Contains(s, "Each record of client c1 is protected against whoever holds this prompt") {
		t.Error(s)
	}
}

// TestPublishCountsEveryRun: a step of another run on the same records, and one that a crash left without an
// update, are part of the price.
func TestPublishCountsEveryRun(t *testing.T) {
	p := publishable(t, newWorld(t), 2)
	store := p.open()
	entry := store.Entries()[0]
	entry.K = 3
	must(t, store.Debit(entry)) // never committed
	entry.Run, entry.K = "other", 1
	must(t, store.Debit(entry))
	p.close(store)
	out, err := Publish(p.request(2))
	if err != nil {
		t.Fatal(err)
	}
	if out.Steps != 2 || steps(out.Run) != 3 || steps(out.All) != 4 || !(out.Run.Renyi.Epsilon < out.All.Renyi.Epsilon) {
		t.Errorf("%d steps moved it, %d spent in the run, %d in all", out.Steps, steps(out.Run), steps(out.All))
	}
}

func steps(s dp.Statement) (n uint64) {
	for _, spent := range s.Spent {
		n += spent.Count
	}
	return n
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestFreezeRefuses(t *testing.T) {
	absent := filepath.Join(t.TempDir(), "absent")
	if _, err := ledger.Freeze(absent); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no ledger: %v", err)
	}
	if left, _ := filepath.Glob(absent + "*"); len(left) > 0 {
		t.Errorf("a look at no ledger leaves %v", left)
	}
	p := publishable(t, newWorld(t), 2)
	store := p.open()
	if _, err := ledger.Freeze(p.path); !errors.Is(err, ledger.ErrLocked) {
		t.Errorf("in use: %v", err)
	}
	p.close(store)

	whole, err := os.ReadFile(p.path)
	must(t, err)
	for cut := 1; cut < 40; cut++ { // a torn tail, however long, and the file stays as it is
		must(t, os.WriteFile(p.path, whole[:len(whole)-cut], 0o600))
		if _, err := ledger.Freeze(p.path); !errors.Is(err, ledger.ErrTorn) {
			t.Errorf("%d bytes cut off: %v", cut, err)
		}
		if after, _ := os.ReadFile(p.path); len(after) != len(whole)-cut {
			t.Error("a look changed the ledger")
		}
	}
	must(t, os.WriteFile(p.path, append(slices.Clone(whole), 7), 0o600))
	if _, err := ledger.Freeze(p.path); !errors.Is(err, ledger.ErrTorn) {
		t.Errorf("a byte more: %v", err)
	}
	damaged := slices.Clone(whole)
	damaged[len(damaged)/2] ^= 1
	must(t, os.WriteFile(p.path, damaged, 0o600))
	if _, err := ledger.Freeze(p.path); !errors.Is(err, ledger.ErrDamaged) {
		t.Errorf("damaged: %v", err)
	}
}

// TestPublishRefuses: what the ledger does not fully pay for stays where it is, and no flag changes that.
func TestPublishRefuses(t *testing.T) {
	for _, unprotected := range []bool{false, true} {
		t.Run("", func(t *testing.T) {
			p := publishable(t, newWorld(t), 3)
			ask := func(change func(*PublishConfig)) PublishConfig {
				cfg := p.request(2)
				cfg.Unprotected = unprotected
				plan := *cfg.Plan
				cfg.Plan = &plan
				change(&cfg)
				return cfg
			}
			p.refused(ask(func(c *PublishConfig) { c.Limits.MaxEpsilon = 0.5 }), "budget")
			p.refused(ask(func(c *PublishConfig) { c.Limits.MaxEpsilon = 0 }), "no budget is given")
			p.refused(ask(func(c *PublishConfig) { c.Limits.MaxSteps = 2 }), "budget")
			p.refused(ask(func(c *PublishConfig) { c.Plan.Privacy.Epsilon = 0.5 }), "the plan's budget")
			p.refused(ask(func(c *PublishConfig) { c.Plan.Updates = 2 }), "3 steps")
			p.refused(ask(func(c *PublishConfig) { c.Plan.Run = "other" }), "no step of run other")
			p.refused(ask(func(c *PublishConfig) { c.ID = "nobody" }), "no member nobody")
			p.refused(ask(func(c *PublishConfig) { c.Global = c.Global[1:] }), "global prompt")

			// The ledger is of a plan with other noise, another rate, another adjacency, another delta.
			p.refused(ask(func(c *PublishConfig) { c.Plan.Privacy.ZU = 5 }), "step 1")
			p.refused(ask(func(c *PublishConfig) { c.Plan.Privacy.ClipV = 2 }), "step 1")
			p.refused(ask(func(c *PublishConfig) { c.Plan.Privacy.Rate = 0.25 }), "step 1")
			p.refused(ask(func(c *PublishConfig) { c.Plan.Privacy.Adjacency = "replace-one" }), "step 1")
			p.refused(ask(func(c *PublishConfig) { c.Plan.Privacy.Delta = 1e-6 }), "step 1")
			p.refused(ask(func(c *PublishConfig) { c.Plan.Method.Name = prompt.FedPGP }), "state")
			p.refused(ask(func(c *PublishConfig) { c.Plan.Method.Rank = 1 }), "step 1")
		})
	}
}

// TestPublishRefusesWhatWasNotPaidFor: ledgers that no client writes, whose state holds more, less or worse
// steps than they list.
func TestPublishRefusesWhatWasNotPaidFor(t *testing.T) {
	w := newWorld(t)
	p := publishable(t, w, 3)
	good := p.freeze()
	entry := good.Spent[0].Entry
	_, state := good.State("run")

	forged := func(final []byte, entries ...ledger.Entry) *published {
		q := &published{world: w, path: filepath.Join(t.TempDir(), "ledger")}
		store := q.open()
		for _, e := range entries {
			must(t, store.Debit(e))
			must(t, store.Commit(e.Run, e.K, []byte("update"), final))
		}
		q.close(store)
		return q
	}
	step := func(k uint64, change ...func(*ledger.Entry)) ledger.Entry {
		e := entry
		e.K = k
		for _, c := range change {
			c(&e)
		}
		return e
	}
	bare := func(e *ledger.Entry) { e.Step.Z, e.Groups = noProtection, nil }

	if _, err := Publish(forged(state, step(1), step(2), step(3)).request(2)); err != nil {
		t.Fatalf("the forger's own control: %v", err)
	}
	for _, unprotected := range []bool{false, true} {
		check := func(q *published, reason string) {
			t.Helper()
			cfg := q.request(2)
			cfg.Unprotected = unprotected
			q.refused(cfg, reason)
		}
		check(forged(state, step(1), step(2)), "3 steps, the ledger has paid for 2")
		check(forged(state, step(1), step(2), step(3), step(4)), "3 steps, the ledger has paid for 4")
		check(forged(state[:len(state)-8], step(1), step(2), step(3)), "state")
		check(forged(state, step(1, bare), step(2), step(3)), "step 1") // moved by un-noised steps first
		check(forged(state, step(1), step(2), step(3, bare)), "step 3")
		check(forged(state, step(1), step(2, func(e *ledger.Entry) { e.Groups = nil }), step(3)), "step 2")
		check(forged(state, step(1), step(2, func(e *ledger.Entry) { e.Step.Q = 0.75 }), step(3)), "step 2")
		check(forged(state, step(1), step(2), step(3), step(1, bare, func(e *ledger.Entry) { e.Run = "loud" })), "without noise")

		noisy := slices.Clone(state)
		for i := range 8 {
			noisy[len(noisy)-8+i] = 0xff // a NaN
		}
		check(forged(noisy, step(1), step(2), step(3)), "state")
	}
	// A debit that came to nothing is paid for and did not move the prompt.
	q := forged(state, step(1), step(2), step(3))
	store := q.open()
	must(t, store.Debit(step(4)))
	q.close(store)
	if out, err := Publish(q.request(2)); err != nil || steps(out.Run) != 4 {
		t.Error(err)
	}
	// Nothing was ever committed.
	q = forged(state)
	store = q.open()
	must(t, store.Debit(step(1)))
	q.close(store)
	q.refused(q.request(2), "no step of run run")
}

// TestPublishWithoutNoise: only with the flag, and then it says that nothing is protected.
func TestPublishWithoutNoise(t *testing.T) {
	for name, change := range map[string]func(*schemas.Plan){
		"none": func(p *schemas.Plan) {
			p.Privacy.Noise, p.Privacy.Epsilon, p.Privacy.Delta, p.Privacy.Adjacency = schemas.NoiseNone, 0, 0, ""
			p.Privacy.ZU, p.Privacy.ZV, p.Privacy.ZG = 0, 0, 0
		},
		"paper": func(p *schemas.Plan) { p.Method.Mode, p.Privacy.Batch = prompt.Paper, 1 },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			change(w.plan)
			p := publishable(t, w, 2)
			p.refused(p.request(1), "no guarantee")
			cfg := p.request(1)
			cfg.Unprotected = true
			out, err := Publish(cfg)
			if err != nil {
				t.Fatal(err)
			}
			if out.Guaranteed || !math.IsInf(out.Run.Renyi.Epsilon, 1) || !math.IsInf(out.All.Renyi.Epsilon, 1) {
				t.Errorf("%+v", out)
			}
			if s := out.Run.String(); !strings.Contains(s, "no guarantee") || !strings.Contains(s, "Warning") {
				t.Error(s)
			}
			if !slices.Equal(out.Context, p.personal) {
				t.Error("another prompt")
			}
			// A step of another kind does not belong to such a run either.
			store := p.open()
			entry := store.Entries()[0]
			entry.K, entry.Step.Z = 3, 5
			must(t, store.Debit(entry))
			p.close(store)
			cfg.Ledger = p.freeze()
			p.refused(cfg, "step 3")
		})
	}
}
