package client

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"testing"

	"dpfpl/mathx/prompt"
	"dpfpl/roles/client/ledger"
	"dpfpl/schemas"
)

// wiretap is a text tower that remembers every gradient pulled through it.
type wiretap struct {
	*linear
	gradients [][]float32
}

func (w *wiretap) Pull(dst, cot []float32) {
	w.linear.Pull(dst, cot)
	w.gradients = append(w.gradients, append([]float32(nil), dst...))
}

// canaries are byte patterns that stand for un-noised values: numbers as they might be
// stored or printed, and runs of three integers of an un-noised lattice sum.
type canaries map[string]string // pattern to what it is

func (c canaries) floats(what string, values []float32) {
	for i, v := range values {
		if math.Abs(float64(v)) < 1e-4 {
			continue
		}
		name := fmt.Sprintf("%s %d", what, i)
		var b [8]byte
		binary.LittleEndian.PutUint32(b[:], math.Float32bits(v))
		c[string(b[:4])] = name
		binary.LittleEndian.PutUint64(b[:], math.Float64bits(float64(v)))
		c[string(b[:])] = name
		if text := fmt.Sprint(v); len(text) >= 8 && math.Abs(float64(v)) >= 0.1 {
			c[text[:7]] = name
		}
	}
}

func (c canaries) ints(what string, values []int32) {
	for i := 0; i+3 <= len(values); i++ {
		var b [12]byte
		for j := range 3 {
			binary.LittleEndian.PutUint32(b[4*j:], uint32(values[i+j]))
		}
		c[string(b[:])] = fmt.Sprintf("%s %d", what, i)
	}
}

// in returns what of the canaries is found in b.
func (c canaries) in(b []byte) []string {
	var found []string
	for pattern, what := range c {
		if bytes.Contains(b, []byte(pattern)) {
			found = append(found, what)
		}
	}
	return found
}

// everything is all that leaves a client or stays behind on its disk in a run of some
// steps: messages, presence, events, and the ledger's file. caught are the canaries of
// its records, of every gradient and of the un-noised sums.
func everything(t *testing.T, unprotected bool) (all []byte, caught canaries) {
	w := newWorld(t)
	if p := &w.plan.Privacy; unprotected {
		p.Noise, p.Epsilon, p.ZU, p.ZV, p.ZG = "none", 0, 0, 0, 0
	}
	path := filepath.Join(t.TempDir(), "ledger")
	store, err := ledger.Open(path, ledger.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	tap := &wiretap{linear: newLinear()}
	cfg := w.config(store)
	cfg.Encoder, cfg.AllowUnprotected = tap, unprotected
	c := w.client(cfg)

	caught = canaries{}
	for _, x := range cfg.Data {
		caught.floats("feature", x.Feature)
	}
	for v := range uint64(3) {
		// The un-noised sum of this step, by a second learner in the same state.
		bare := learning(&c.cfg)
		bare.Unprotected, bare.Z = true, prompt.Norms{}
		twin, err := prompt.NewLearner(bare, l, d, 0, c.cfg.Public(0))
		if err != nil {
			t.Fatal(err)
		}
		state, _ := c.learner.MarshalBinary()
		if err := twin.UnmarshalBinary(state); err != nil {
			t.Fatal(err)
		}
		m := w.model(v, false)
		secret := seeded(v + 1)
		raw, err := twin.Step(newLinear(), 5, m.Body.(*schemas.Model).Params.Floats(nil), pick(cfg.Data, poisson(len(cfg.Data), c.cfg.Rate, secret)), secret, c.cfg.Public(v+1))
		if err != nil {
			t.Fatal(err)
		}
		for g := range raw.Groups() {
			caught.ints("un-noised sum of "+raw.Name(g), raw.Ints(g))
		}
		for _, out := range w.step(c, m) {
			all = append(all, out.Raw...)
			all = fmt.Append(all, out.Subject, out.Body.(*schemas.Update).Mechanism)
		}
		all = append(all, w.seal(c.Presence(), w.key).Raw...)
	}
	for _, g := range tap.gradients {
		caught.floats("gradient", g)
	}
	for _, m := range c.Pending() {
		all = append(all, m.Raw...)
	}
	all = append(all, w.said()...)
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	all = append(all, content...)
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	return all, caught
}

// Nothing un-noised is in anything that a client sends, says or writes.
func TestNoCanaryGetsOut(t *testing.T) {
	all, caught := everything(t, false)
	if len(caught) < 1000 || len(all) < 1000 {
		t.Fatalf("%d canaries in %d bytes: nothing was planted", len(caught), len(all))
	}
	if found := caught.in(all); len(found) > 0 {
		t.Errorf("found %d un-noised values, among them %s", len(found), found[0])
	}
}

// The detector works: without noise the sums are in the updates, and a record or a
// gradient that is written or printed would be found.
func TestCanariesAreFoundWhenTheyGetOut(t *testing.T) {
	all, caught := everything(t, true)
	if found := caught.in(all); len(found) < l*d {
		t.Errorf("found %d un-noised values in unprotected updates", len(found))
	}
	x := records(16, 1)[3].Feature
	for name, leak := range map[string][]byte{
		"printed": fmt.Append(nil, "batch of 7, first feature ", x[0]),
		"float32": binary.LittleEndian.AppendUint32(nil, math.Float32bits(x[1])),
		"float64": binary.LittleEndian.AppendUint64(nil, math.Float64bits(float64(x[2]))),
	} {
		if len(caught.in(leak)) == 0 {
			t.Errorf("a %s value is not found", name)
		}
	}
}
