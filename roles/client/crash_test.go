package client

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"dpfpl/roles/client/ledger"
	"dpfpl/schemas"
)

// The boundaries of a step at which a process can die.
var boundaries = []struct {
	name string
	// What a client started from what is on disk then finds and does with the same model.
	spent   uint64 // steps in the ledger
	pending int    // updates to send again
	next    uint64 // number of the update it makes; 0 for none, as it has one
}{
	{"before the debit", 0, 0, 1},
	{"between debit and commit", 1, 0, 2},
	{"after the commit", 1, 1, 0},
	{"after sending", 1, 1, 0},
	{"after the acknowledgement", 1, 0, 0},
}

// disk is a file ledger whose bytes can be looked at as a crash would leave them.
type disk struct {
	t    *testing.T
	path string
}

func (f disk) open() *ledger.Ledger {
	f.t.Helper()
	s, err := ledger.Open(f.path, ledger.Limits{})
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() {
		if err := s.Close(); err != nil {
			f.t.Error(err)
		}
	})
	return s
}

// crash copies the file as it is now: what a power cut would leave.
func (f disk) crash() disk {
	f.t.Helper()
	content, err := os.ReadFile(f.path)
	if err != nil {
		f.t.Fatal(err)
	}
	left := disk{f.t, filepath.Join(f.t.TempDir(), "ledger")}
	if err := os.WriteFile(left.path, content, 0o600); err != nil {
		f.t.Fatal(err)
	}
	return left
}

// A client that dies at any boundary of its first step is started again from its file.
func TestCrashWithFile(t *testing.T) {
	w := newWorld(t)
	file := disk{t, filepath.Join(t.TempDir(), "ledger")}
	var left []disk
	cfg := w.config(file.open())
	cfg.Noise = func(k uint64) rand.Source {
		left = append(left, file.crash())
		return seeded(k)
	}
	c := w.client(cfg)
	left = append(left, file.crash())
	sent := w.step(c, w.model(0, false))
	w.one(sent)
	left = append(left, file.crash(), file.crash()) // sending touches nothing on disk
	if err := c.Acked(1); err != nil {
		t.Fatal(err)
	}
	left = append(left, file.crash())
	personal := c.Personal(nil)

	for i, b := range boundaries {
		store := left[i].open()
		again := w.client(w.config(store))
		if got := store.Account().Steps(); got != b.spent {
			t.Errorf("%s: %d steps spent, want %d", b.name, got, b.spent)
		}
		pending := again.Pending()
		if len(pending) != b.pending {
			t.Fatalf("%s: %d pending, want %d", b.name, len(pending), b.pending)
		}
		for _, m := range pending {
			if !bytes.Equal(m.Raw, sent[0].Raw) || m.Subject != sent[0].Subject || m.Err != nil {
				t.Errorf("%s: other bytes than those that may have been sent", b.name)
			}
		}
		out := w.step(again, w.model(0, false))
		if b.next == 0 {
			if len(out) != 0 {
				t.Errorf("%s: a second update at the same model", b.name)
			}
			if !equalFloats(again.Personal(nil), personal) {
				t.Errorf("%s: another local prompt", b.name)
			}
			continue
		}
		u := w.one(out)
		if u.K != b.next {
			t.Errorf("%s: update %d, want %d", b.name, u.K, b.next)
		}
		if b.next > 1 && bytes.Equal(out[0].Raw, sent[0].Raw) {
			t.Errorf("%s: update %d repeats the noise of the lost one", b.name, u.K)
		}
	}
}

// The same in memory, the process dying by a panic in the middle of the step: the next
// client on that ledger goes on with the next number.
func TestCrashWithMemory(t *testing.T) {
	w := newWorld(t)
	store := memory(t, ledger.Limits{})
	cfg := w.config(store)
	cfg.Noise = func(uint64) rand.Source { panic("power cut") }
	func() {
		defer func() { _ = recover() }()
		_, _ = w.client(cfg).Step(start, w.model(0, false))
	}()
	u := w.one(w.step(w.client(w.config(store)), w.model(0, false)))
	if u.K != 2 || store.Account().Steps() != 2 {
		t.Errorf("update %d, %d steps spent, want 2 and 2", u.K, store.Account().Steps())
	}
}

// Every crash costs one of the N updates; after N the client is receive-only, and still
// sends what it had committed.
func TestCrashesSpendTheBudget(t *testing.T) {
	w := newWorld(t)
	store := memory(t, ledger.Limits{})
	w.one(w.step(w.client(w.config(store)), w.model(0, false)))
	for range 4 {
		cfg := w.config(store)
		cfg.Noise = func(uint64) rand.Source { panic("power cut") }
		c := w.client(cfg)
		func() {
			defer func() { _ = recover() }()
			_, _ = c.Step(start, w.model(1, false))
		}()
	}
	c := w.client(w.config(store))
	if out := w.step(c, w.model(2, false)); len(out) != 0 || !errors.Is(c.Spent(), ErrSpent) {
		t.Errorf("%d updates, spent: %v", len(out), c.Spent())
	}
	if p := c.Pending(); len(p) != 1 || p[0].Body.(*schemas.Update).K != 1 {
		t.Errorf("%d pending", len(p))
	}
}

// A client that restarts after every step makes the same bytes as one that never does.
func TestRestartsChangeNothing(t *testing.T) {
	w := newWorld(t)
	steady, file := w.client(w.config(memory(t, ledger.Limits{}))), disk{t, filepath.Join(t.TempDir(), "ledger")}
	for v := range uint64(4) {
		if v > 0 { // the version of the last update is remembered
			old := w.model(v-1, false)
			w.step(steady, old)
			store := file.open()
			if out := w.step(w.client(w.config(store)), old); len(out) != 0 {
				t.Fatalf("a second update at version %d after a restart", v-1)
			}
			if err := store.Close(); err != nil {
				t.Fatal(err)
			}
		}
		want := w.step(steady, w.model(v, false))
		store, err := ledger.Open(file.path, ledger.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		c := w.client(w.config(store))
		got := w.step(c, w.model(v, false))
		if len(got) != 1 || !bytes.Equal(got[0].Raw, want[0].Raw) {
			t.Fatalf("version %d: another update after a restart", v)
		}
		if err := errors.Join(c.Acked(v+1), store.Close()); err != nil {
			t.Fatal(err)
		}
	}
}

// When the ledger fails, the role stops: nothing was returned, and every further step
// says so until the role starts anew.
func TestFailingLedgerStopsTheRole(t *testing.T) {
	w := newWorld(t)
	store := memory(t, ledger.Limits{})
	c := w.client(w.config(store))
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	for v := range uint64(2) {
		out, err := c.Step(start, w.model(v, false))
		if !errors.Is(err, ledger.ErrClosed) || len(out) != 0 {
			t.Errorf("version %d: %d updates, error %v", v, len(out), err)
		}
	}
}

// The ledger fails between debit and commit: the noised update must not get out.
func TestFailedCommitReleasesNothing(t *testing.T) {
	w := newWorld(t)
	store := memory(t, ledger.Limits{})
	cfg := w.config(store)
	cfg.Noise = func(k uint64) rand.Source {
		if err := store.Close(); err != nil {
			t.Error(err)
		}
		return seeded(k)
	}
	c := w.client(cfg)
	out, err := c.Step(start, w.model(0, false))
	if err == nil || len(out) != 0 {
		t.Fatalf("%d updates, error %v", len(out), err)
	}
	if out, again := c.Step(start, schemas.Message{Body: &schemas.Tick{}}); again != err || len(out) != 0 {
		t.Errorf("%d updates, error %v, want the first error again", len(out), again)
	}
}

// A ledger whose state belongs to another method is refused, not misread.
func TestStateOfAnotherPlan(t *testing.T) {
	w := newWorld(t)
	store := memory(t, ledger.Limits{})
	w.step(w.client(w.config(store)), w.model(0, false))
	w.plan.Method.Rank = 3
	if _, err := New(w.config(store)); !errors.Is(err, ErrState) {
		t.Errorf("error %v", err)
	}
}

func FuzzRestore(f *testing.F) {
	w := newWorld(f)
	cfg := w.config(memory(f, ledger.Limits{}))
	c := w.client(cfg)
	if _, err := c.Step(start, w.model(0, false)); err != nil {
		f.Fatal(err)
	}
	_, state := cfg.Store.State("run")
	f.Add(state)
	f.Add(state[:len(state)-1])
	f.Add(state[:baseSize])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		base, err := restore(c.learner, b)
		if err != nil {
			if !errors.Is(err, ErrState) {
				t.Fatalf("error %v", err)
			}
			return
		}
		learner, err := c.learner.MarshalBinary()
		if err != nil || !bytes.Equal(appendState(base, learner), b) {
			t.Fatalf("accepted bytes encode differently (%v)", err)
		}
	})
}

func equalFloats(a, b []float32) bool {
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return len(a) == len(b)
}
