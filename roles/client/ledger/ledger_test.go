package ledger

import (
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"strings"
	"testing"

	"dpfpl/mathx/dp"

	"pgregory.net/rapid"
)

// entry is the debit of a step; every second one lists its groups.
func entry(run string, k uint64) Entry {
	e := Entry{Run: run, K: k, Step: dp.Step{Q: 0.064, Z: 2}, Delta: 1e-5}
	if k%2 == 0 {
		e.Groups = []dp.Group{{Name: "u", Dim: 128, Clip: 0.5, Z: 4}, {Name: "G", Dim: 8192, Clip: 1, Z: 4 / math.Sqrt(3)}}
	}
	return e
}

func mustMemory(tb testing.TB, limits Limits) *Ledger {
	tb.Helper()
	l, err := NewMemory(limits)
	if err != nil {
		tb.Fatal(err)
	}
	return l
}

// mustOpen opens a ledger that does not wait for the disk.
func mustOpen(tb testing.TB, path string, limits Limits) *Ledger {
	tb.Helper()
	return mustOpenWith(tb, path, limits, noSync)
}

func mustOpenWith(tb testing.TB, path string, limits Limits, fsync func(syncer) error) *Ledger {
	tb.Helper()
	l, err := open(path, limits, fsync)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = l.Close() })
	return l
}

// noSync stands in for fsync where a test does not need it.
func noSync(syncer) error { return nil }

func must(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}

// both runs a test on a durable and on a memory ledger.
func both(t *testing.T, limits Limits, test func(*testing.T, *Ledger)) {
	t.Run("file", func(t *testing.T) { test(t, mustOpen(t, filepath.Join(t.TempDir(), "ledger"), limits)) })
	t.Run("memory", func(t *testing.T) { test(t, mustMemory(t, limits)) })
}

func TestLifeOfAStep(t *testing.T) {
	both(t, Limits{}, func(t *testing.T, l *Ledger) {
		if k, state := l.State("r"); k != 0 || state != nil || l.Next("r") != 1 {
			t.Errorf("a new ledger is at step %d with state %q, next %d", k, state, l.Next("r"))
		}
		must(t, l.Debit(entry("r", 1)))
		must(t, l.Commit("r", 1, []byte("update 1"), []byte("state 1")))
		must(t, l.Debit(entry("r", 2)))
		must(t, l.Commit("r", 2, []byte("update 2"), []byte("state 2")))
		if p := l.Pending(); len(p) != 2 || p[0].K != 1 || string(p[0].Payload) != "update 1" || string(p[1].Payload) != "update 2" {
			t.Errorf("pending %v", p)
		}
		must(t, l.Acked("r", 1))
		must(t, l.Acked("r", 1))
		if p := l.Pending(); len(p) != 1 || p[0].K != 2 {
			t.Errorf("pending %v after the first acknowledgement", p)
		}
		if k, state := l.State("r"); k != 2 || string(state) != "state 2" || l.Next("r") != 3 {
			t.Errorf("step %d, state %q, next %d", k, state, l.Next("r"))
		}
		if r, pld, err := l.Spent(1e-5); err != nil || !(pld > 0 && r.Epsilon > pld) {
			t.Errorf("spent %v, %v, %v", r, pld, err)
		}
		if _, _, err := l.Spent(0); !errors.Is(err, ErrInvalid) {
			t.Errorf("spent at delta 0: error %v", err)
		}
		if n := l.Account().Steps(); n != 2 || len(l.Entries()) != 2 {
			t.Errorf("%d steps accounted, %d entries", n, len(l.Entries()))
		}
	})
}

func TestAStepIsComputedOnce(t *testing.T) {
	both(t, Limits{}, func(t *testing.T, l *Ledger) {
		must(t, l.Debit(entry("r", 3)))
		for _, k := range []uint64{3, 2, 1} {
			if err := l.Debit(entry("r", k)); !errors.Is(err, ErrSpent) {
				t.Errorf("step %d after step 3: error %v, want ErrSpent", k, err)
			}
		}
		must(t, l.Debit(entry("another", 1)))
		if n := l.Account().Steps(); n != 2 {
			t.Errorf("%d steps accounted, want 2: refused debits cost nothing", n)
		}
	})
}

func TestOrder(t *testing.T) {
	both(t, Limits{}, func(t *testing.T, l *Ledger) {
		must(t, l.Debit(entry("r", 1)))
		must(t, l.Debit(entry("r", 2)))
		for _, c := range []struct {
			name string
			err  error
		}{
			{"commit of an abandoned step", l.Commit("r", 1, nil, nil)},
			{"commit without debit", l.Commit("r", 3, nil, nil)},
			{"commit of an unknown run", l.Commit("s", 1, nil, nil)},
			{"commit of step 0", l.Commit("s", 0, nil, nil)},
			{"acknowledgement without commit", l.Acked("r", 1)},
		} {
			if !errors.Is(c.err, ErrOrder) {
				t.Errorf("%s: error %v, want ErrOrder", c.name, c.err)
			}
		}
		must(t, l.Commit("r", 2, []byte("x"), nil))
		if err := l.Commit("r", 2, []byte("y"), nil); !errors.Is(err, ErrOrder) {
			t.Errorf("second commit: error %v, want ErrOrder", err)
		}
		if p := l.Pending(); len(p) != 1 || string(p[0].Payload) != "x" {
			t.Errorf("pending %v", p)
		}
	})
}

func TestEntriesAreChecked(t *testing.T) {
	both(t, Limits{}, func(t *testing.T, l *Ledger) {
		for field, change := range map[string]func(*Entry){
			"Run":       func(e *Entry) { e.Run = "" },
			"K":         func(e *Entry) { e.K = 0 },
			"Adjacency": func(e *Entry) { e.Adjacency = 7 },
			"Delta":     func(e *Entry) { e.Delta = 1 },
			"q":         func(e *Entry) { e.Step.Q = 1.5 },
			"z":         func(e *Entry) { e.Step.Z = 0 },
			"sampler":   func(e *Entry) { e.Step.Sampler = 9 },
			"Step.Z":    func(e *Entry) { e.Groups = []dp.Group{{Name: "u", Z: 2}, {Name: "v", Z: 2}} },
			"Groups":    func(e *Entry) { e.Groups = make([]dp.Group, 65) },
		} {
			e := entry("r", 1)
			change(&e)
			if err := l.Debit(e); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), field) {
				t.Errorf("bad %s: error %v", field, err)
			}
		}
		e := entry("r", 1)
		e.Groups = []dp.Group{{Name: "u", Dim: 128, Clip: 1, Z: 4}, {Name: "v", Dim: 4096, Clip: 2, Z: 4}}
		e.Step.Z = dp.Joint(4, 4)
		must(t, l.Debit(e))
		if got := l.Entries()[0].Groups; len(got) != 2 || got[1] != e.Groups[1] {
			t.Errorf("groups recorded as %v", got)
		}
	})
}

func TestLimitsBeatThePlan(t *testing.T) {
	strict := Limits{MinZ: 1, MaxQ: 0.1, MaxSteps: 3, MaxEpsilon: 5, Delta: 1e-5}
	both(t, strict, func(t *testing.T, l *Ledger) {
		weak, often := entry("r", 1), entry("r", 1)
		weak.Step.Z, often.Step.Q = 0.9, 0.2
		if err := l.Debit(weak); !errors.Is(err, ErrLimit) || !strings.Contains(err.Error(), "z = 0.9") {
			t.Errorf("too little noise: error %v", err)
		}
		if err := l.Debit(often); !errors.Is(err, ErrLimit) || !strings.Contains(err.Error(), "q = 0.2") {
			t.Errorf("too high a rate: error %v", err)
		}
		if err := l.Allows(dp.Step{Q: 0.064, Z: 2}, 4); !errors.Is(err, ErrExhausted) {
			t.Errorf("four of three steps: error %v", err)
		}
		for k := uint64(1); k <= 3; k++ {
			must(t, l.Debit(entry("r", k)))
		}
		err := l.Debit(entry("s", 1))
		if !errors.Is(err, ErrExhausted) || !strings.Contains(err.Error(), "maximum of 3") {
			t.Errorf("fourth step, in another run: error %v", err)
		}
		if n := l.Account().Steps(); n != 3 {
			t.Errorf("%d steps spent, want 3", n)
		}
	})
}

// TestEpsilonIsNeverExceeded spends until the ledger stops it, under every adjacency.
func TestEpsilonIsNeverExceeded(t *testing.T) {
	for _, adjacency := range dp.Adjacencies() {
		limits := Limits{MaxEpsilon: 2, Delta: 1e-5, Adjacency: adjacency}
		l := mustMemory(t, limits)
		step := entry("r", 1)
		step.Step.Z = 1
		var err error
		for err == nil && step.K < 10_000 {
			err = l.Debit(step)
			step.K++
		}
		if !errors.Is(err, ErrExhausted) || !strings.Contains(err.Error(), "epsilon") {
			t.Fatalf("%v: stopped by %v", adjacency, err)
		}
		spent, e := l.Account().EpsilonRDP(1e-5)
		must(t, e)
		if spent.Epsilon > 2 || (adjacency != dp.ReplaceOne && spent.Epsilon < 1.8) {
			t.Errorf("%v: spent %v of epsilon 2", adjacency, spent.Epsilon)
		}
	}
}

// TestTheLimitIsExact: a budget of what n steps cost, by the official account, grants n of them, and the next
// smaller number n-1.
func TestTheLimitIsExact(t *testing.T) {
	const n = 5
	step := dp.Step{Q: 0.5, Z: 1}
	account, err := dp.NewAccount(dp.ZeroOut)
	must(t, err)
	must(t, account.Spend(step, n))
	cost, err := account.EpsilonRDP(1e-5)
	must(t, err)
	if f, err := account.EpsilonFractional(1e-5); err != nil || f.Epsilon >= cost.Epsilon {
		t.Fatalf("fractional orders give %v, %v, not less than %v: the test cannot tell them apart", f, err, cost)
	}
	for limit, want := range map[float64]uint64{cost.Epsilon: n, math.Nextafter(cost.Epsilon, 0): n - 1} {
		l := mustMemory(t, Limits{MaxEpsilon: limit, Delta: 1e-5})
		granted := uint64(0)
		for l.Debit(Entry{Run: "a", K: granted + 1, Step: step, Delta: 1e-5}) == nil {
			granted++
		}
		if granted != want {
			t.Errorf("epsilon %v grants %d steps, want %d", limit, granted, want)
		}
	}
}

func TestLimitsAreChecked(t *testing.T) {
	for field, limits := range map[string]Limits{
		"MinZ":       {MinZ: -1},
		"MaxQ":       {MaxQ: 2},
		"MaxEpsilon": {MaxEpsilon: -1},
		"Delta":      {MaxEpsilon: 1},
		"adjacency":  {Adjacency: 9},
	} {
		if _, err := NewMemory(limits); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), field) {
			t.Errorf("bad %s: error %v", field, err)
		}
	}
}

func TestClosed(t *testing.T) {
	both(t, Limits{}, func(t *testing.T, l *Ledger) {
		must(t, l.Close())
		must(t, l.Close())
		if err := l.Debit(entry("r", 1)); !errors.Is(err, ErrClosed) {
			t.Errorf("debit on a closed ledger: error %v", err)
		}
	})
}

// TestFileAndMemoryAgree is metamorphic: any list of operations has the same outcome
// on both ledgers, and the durable one has it after reopening too.
func TestFileAndMemoryAgree(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		path := filepath.Join(tempDir(t), "ledger")
		durable, err := open(path, Limits{}, noSync)
		if err != nil {
			t.Fatal(err)
		}
		memory, err := NewMemory(Limits{})
		if err != nil {
			t.Fatal(err)
		}
		for range rapid.IntRange(0, 30).Draw(t, "operations") {
			op := rapid.SampledFrom([]string{"debit", "commit", "acked", "reopen", "rewrite"}).Draw(t, "op")
			run, k := rapid.SampledFrom([]string{"a", "b"}).Draw(t, "run"), rapid.Uint64Range(0, 6).Draw(t, "k")
			payload, state := rapid.SliceOfN(rapid.Byte(), 0, 5).Draw(t, "payload"), rapid.SliceOfN(rapid.Byte(), 0, 5).Draw(t, "state")
			do := func(l *Ledger) error {
				switch op {
				case "debit":
					return l.Debit(entry(run, k))
				case "commit":
					return l.Commit(run, k, payload, state)
				}
				return l.Acked(run, k)
			}
			switch op {
			case "reopen":
				if err := durable.Close(); err != nil {
					t.Fatal(err)
				}
				if durable, err = open(path, Limits{}, noSync); err != nil {
					t.Fatal(err)
				}
			case "rewrite":
				if err := durable.store.(*file).rewrite(durable.book.history()); err != nil {
					t.Fatal(err)
				}
			default:
				if a, b := do(durable), do(memory); fmt.Sprint(a) != fmt.Sprint(b) {
					t.Fatalf("%s %s %d: file %v, memory %v", op, run, k, a, b)
				}
			}
			if a, b := describe(durable), describe(memory); a != b {
				t.Fatalf("after %s:\nfile   %s\nmemory %s", op, a, b)
			}
		}
		if err := durable.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

// describe lists everything that a ledger answers.
func describe(l *Ledger) string {
	r, err := l.Account().EpsilonRDP(1e-5)
	text := fmt.Sprint(l.Pending(), l.Entries(), l.Account().Steps(), r, err)
	for _, run := range []string{"a", "b"} {
		k, state := l.State(run)
		text += fmt.Sprint(run, k, state, l.Next(run))
	}
	return text
}
