package prompt

import (
	"bytes"
	"errors"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"dpfpl/mathx/dp"

	"pgregory.net/rapid"
)

const logitScale = 8

// Every example's gradient, seen from every group, against central differences of
// the float64 loss: with respect to p_G, and to u and v as they enter the sum.
func TestGradientsAgainstFiniteDifferences(t *testing.T) {
	const classes, l, d, e, k, h = 5, 4, 6, 7, 2, 1e-5
	enc := newToy(classes, l, d, e, 1)
	global := RandomContext(l, d, 0.3, source(5))
	s := mustLearner(t, plain(DPFPL, k), l, d, 0.3, 6)
	m := s.method.(*sketched)
	base := make([]float64, l*d)
	widen(base, s.Context(nil, global))

	for _, x := range enc.examples(6, 7) {
		features := enc.Forward(s.Context(s.ctx, global))
		r := newResidual(classes, logitScale, 0)
		r.of(x, features)
		s.cot = make([]float32, classes*e)
		r.addTo(s.cot, 1, x)
		if err := s.record(enc); err != nil {
			t.Fatal(err)
		}
		slope := func(direction []float64) float64 {
			at := func(step float64) float64 {
				ctx := append([]float64(nil), base...)
				axpy(ctx, step, direction)
				return enc.loss(ctx, x, logitScale)
			}
			return (at(h) - at(-h)) / (2 * h)
		}
		compare := func(what string, got, want float64) {
			t.Helper()
			if math.Abs(got-want) > 1e-5+1e-5*math.Abs(want) {
				t.Errorf("%s: %v, finite difference %v", what, got, want)
			}
		}
		direction := newMatrix(l, d)
		for i := range l * d {
			clear(direction.data)
			direction.data[i] = 1
			compare("global", s.groups[2][i], slope(direction.data))
		}
		for i := range l { // u[i,j] moves row i of the sum along v_j
			for j := range k {
				clear(direction.data)
				copy(direction.row(i), m.v.row(j))
				compare("u", s.groups[0][i*k+j], slope(direction.data))
			}
		}
		for j := range k { // v[j,c] moves column c of the sum along u_j
			for c := range d {
				clear(direction.data)
				for i := range l {
					direction.data[i*d+c] = m.ut.data[j*l+i]
				}
				compare("v", s.groups[1][j*d+c], slope(direction.data))
			}
		}
	}
}

// run takes some steps and returns the personal prompt after each.
func run(t *testing.T, s *Learner, enc *toy, steps int, batch func(step int) []Example) [][]float32 {
	t.Helper()
	global := RandomContext(s.l, s.d, 0.1, source(11))
	var contexts [][]float32
	for i := range steps {
		n, err := s.Step(enc, logitScale, global, batch(i), source(uint64(100+i)), source(uint64(200+i)))
		if err != nil {
			t.Fatal(err)
		}
		sum := n.Float(nil, s.GlobalGroup())
		for j := range global {
			global[j] -= float32(0.01 * sum[j])
		}
		contexts = append(contexts, s.Context(nil, global))
	}
	return contexts
}

// Equivalences of the paper's methods: dpfpl at k = l without noise is fedotp, step
// for step. The tolerance is the lattice's, 2^-16 of the clip norm an example.
func TestFullRankDPFPLIsFedOTP(t *testing.T) {
	const l, d = 4, 9
	enc := newToy(5, l, d, 6, 1)
	batch := func(i int) []Example { return enc.examples(4, uint64(i)) }
	a, b := plain(DPFPL, l), plain(FedOTP, 0)
	a.Clip, b.Clip = Norms{20, 20, 20}, Norms{20, 0, 20}
	want := run(t, mustLearner(t, b, l, d, 0.05, 3), enc, 25, batch)
	got := run(t, mustLearner(t, a, l, d, 0.05, 3), enc, 25, batch)
	for i := range want {
		for j := range want[i] {
			if math.Abs(float64(got[i][j]-want[i][j])) > 0.01 {
				t.Fatalf("step %d, entry %d: %v, want %v", i, j, got[i][j], want[i][j])
			}
		}
	}
	if far := math.Abs(float64(want[24][0] - want[0][0])); far < 0.02 {
		t.Fatalf("the prompt moved by only %v: the comparison is void", far)
	}
}

// The prediction at a given p_L does not depend on the rank, since u v + r = p_L.
func TestContextIsIndependentOfTheRank(t *testing.T) {
	const l, d = 6, 10
	global := RandomContext(l, d, 0.1, source(1))
	want := mustLearner(t, plain(FedOTP, 0), l, d, 0.05, 3).Context(nil, global)
	for k := 1; k <= l; k++ {
		s := mustLearner(t, plain(DPFPL, k), l, d, 0.05, 3)
		m := s.method.(*sketched)
		uv, sum := newMatrix(l, d), newMatrix(l, d)
		m.product(uv)
		for i, v := range m.param {
			sum.data[i] = uv.data[i] + (v - uv.data[i]) // u v + r
		}
		if diff := maxDiff(sum.data, m.param); diff > 1e-15 {
			t.Errorf("rank %d: u v + r differs from p_L by %v", k, diff)
		}
		got := make([]float32, l*d)
		if s.Context(got, global); !equal(got, want) {
			t.Errorf("rank %d: another prompt", k)
		}
	}
}

func equal(a, b []float32) bool {
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return len(a) == len(b)
}

// Every method learns: without noise the loss falls.
func TestEveryMethodLearns(t *testing.T) {
	const l, d = 4, 8
	for _, method := range Methods() {
		for _, mode := range []string{Corrected, Paper} {
			for _, left := range []bool{false, true} {
				c := plain(method, 2)
				c.Mode, c.LeftOnly, c.LocalRate = mode, left, 0.02
				if mode == Paper {
					c.Batch = 1
				}
				if left && !c.factored() {
					continue
				}
				enc := newToy(5, l, d, 6, 1)
				data := enc.examples(12, 2)
				s := mustLearner(t, c, l, d, 0.1, 3)
				contexts := run(t, s, enc, 40, func(int) []Example { return data })
				loss := func(ctx []float32) (sum float64) {
					wide := make([]float64, l*d)
					widen(wide, ctx)
					for _, x := range data {
						sum += enc.loss(wide, x, logitScale) / float64(len(data))
					}
					return sum
				}
				first, last := loss(contexts[0]), loss(contexts[39])
				if !(last < 0.9*first) {
					t.Errorf("%s, %s, left only %v: loss %.3f, then %.3f", method, mode, left, first, last)
				}
			}
		}
	}
}

// Changing or removing one record moves the sum before noise by at most the integer
// clip L in every group (2L when it is exchanged). With equal noise the difference of
// two releases is the difference of the sums.
func TestSensitivityOfAStep(t *testing.T) {
	const l, d, z = 3, 5, 1.5
	enc := newToy(4, l, d, 5, 1)
	limit := math.Floor(65536 / z)
	rapid.Check(t, func(t *rapid.T) {
		method := rapid.SampledFrom(Methods()).Draw(t, "method")
		c := private(method, 2, z)
		c.Clip = Norms{0.01, 0.1, 10} // always, sometimes and never clipped
		batch := enc.examples(rapid.IntRange(1, 5).Draw(t, "batch"), rapid.Uint64().Draw(t, "data"))
		i := rapid.IntRange(0, len(batch)-1).Draw(t, "record")
		without := append(append([]Example(nil), batch[:i]...), batch[i+1:]...)
		swapped := append([]Example(nil), batch...)
		swapped[i] = enc.examples(1, rapid.Uint64().Draw(t, "other"))[0]
		release := func(batch []Example) *dp.Noised {
			s, err := NewLearner(c, l, d, 0.1, source(3))
			if err != nil {
				t.Fatal(err)
			}
			n, err := s.Step(enc, logitScale, RandomContext(l, d, 0.1, source(4)), batch, source(5), source(6))
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
		base := release(batch)
		for g := range base.Groups() {
			if got := distance(base, release(without), g); got > limit {
				t.Fatalf("group %s: removing a record moves the sum by %v, limit %v", base.Name(g), got, limit)
			}
			if got := distance(base, release(swapped), g); got > 2*limit {
				t.Fatalf("group %s: exchanging a record moves the sum by %v", base.Name(g), got)
			}
		}
	})
}

func distance(a, b *dp.Noised, group int) float64 {
	sum := 0.0
	other := b.Ints(group)
	for i, v := range a.Ints(group) {
		diff := float64(v) - float64(other[i])
		sum += diff * diff
	}
	return math.Sqrt(sum)
}

// In paper mode one record can move the whole clipped mean: the corrected bound does
// not hold, which is why no guarantee is stated.
func TestPaperModeBreaksTheBound(t *testing.T) {
	const l, d = 3, 5
	enc := newToy(4, l, d, 5, 1)
	c := private(PromptFL, 0, 1)
	c.Mode, c.Batch, c.Clip.G = Paper, 1, 1e-4
	release := func(batch []Example) *dp.Noised {
		s := mustLearner(t, c, l, d, 0.1, 3)
		n, err := s.Step(enc, logitScale, RandomContext(l, d, 0.1, source(4)), batch, source(5), source(6))
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	a, b := enc.examples(1, 1), enc.examples(1, 1)
	b[0].Label = (b[0].Label + 1) % 4
	if got := distance(release(a), release(b), 0); got <= 65536 {
		t.Errorf("exchanging a record moves the clipped mean by %v lattice steps only", got)
	}
}

// Two clients in one process: what one learns changes nothing of the other.
func TestLearnersShareNothing(t *testing.T) {
	const l, d = 4, 8
	for _, method := range Methods() {
		enc := newToy(5, l, d, 6, 1)
		trace := func(seed uint64) []byte {
			mine, other := mustLearner(t, private(method, 2, 1), l, d, 0.1, 3), mustLearner(t, private(method, 2, 1), l, d, 0.1, 3)
			global := RandomContext(l, d, 0.1, source(4))
			for i := range uint64(3) {
				for _, step := range []struct {
					s    *Learner
					data []Example
				}{{other, enc.examples(5, seed+i)}, {mine, enc.examples(5, 50+i)}} {
					if _, err := step.s.Step(enc, logitScale, global, step.data, source(i), source(i)); err != nil {
						t.Fatal(err)
					}
				}
			}
			state, _ := mine.MarshalBinary()
			return state
		}
		if !bytes.Equal(trace(1000), trace(2000)) {
			t.Errorf("%s: another client's data reached this one's state", method)
		}
	}
}

// The local state follows from the release alone: two batches whose releases agree
// (here: records that the clip turns into nothing) leave identical states, and a
// projection of raw gradients by itself changes nothing.
func TestStateFollowsFromTheRelease(t *testing.T) {
	const l, d = 4, 8
	enc := newToy(5, l, d, 6, 1)
	for _, method := range Methods() {
		state := func(batch []Example, noiseOnly bool) []byte {
			c := private(method, 2, 1)
			c.NoiseOnly = noiseOnly
			s := mustLearner(t, c, l, d, 0.1, 3)
			if _, err := s.Step(enc, logitScale, make([]float32, l*d), batch, source(1), source(2)); err != nil {
				t.Fatal(err)
			}
			b, _ := s.MarshalBinary()
			return b
		}
		broken := enc.examples(3, 1)
		for i := range broken {
			broken[i].Feature[0] = float32(math.NaN()) // a zero record by the mechanism's rule
		}
		empty := state(nil, false)
		if !bytes.Equal(empty, state(broken, false)) {
			t.Errorf("%s: un-noised values reached the state", method)
		}
		if !bytes.Equal(empty, state(enc.examples(3, 1), true)) {
			t.Errorf("%s: noise-only used the data", method)
		}
		if method != PromptFL && bytes.Equal(empty, state(enc.examples(3, 1), false)) {
			t.Errorf("%s: the data has no effect at all", method)
		}

		s := mustLearner(t, private(method, 2, 1), l, d, 0.1, 3)
		before, _ := s.MarshalBinary()
		if err := s.add(enc, logitScale, make([]float32, l*d), enc.examples(3, 1)); err != nil {
			t.Fatal(err)
		}
		if after, _ := s.MarshalBinary(); !bytes.Equal(before, after) {
			t.Errorf("%s: computing gradients changed the state before any noise", method)
		}
	}
}

// The local prompt takes exactly the noise that u and v should carry: leaving it out
// of either changes the energy of a noise-only step, s²(k(l+d) - k²).
func TestNoiseReachesBothFactors(t *testing.T) {
	const l, d, k, steps = 8, 64, 4, 150
	for _, test := range []struct {
		left   bool
		energy float64
	}{{false, k*(l+d) - k*k}, {true, k * l}} {
		c := private(DPFPL, k, 2)
		c.LeftOnly, c.NoiseOnly, c.LocalRate, c.Momentum, c.Batch = test.left, true, 1, 0, 1
		s := mustLearner(t, c, l, d, 0.02, 1)
		enc := newToy(2, l, d, 3, 1)
		m := s.method.(*sketched)
		total := 0.0
		for i := range uint64(steps) {
			before := append([]float64(nil), m.param...)
			if _, err := s.Step(enc, 1, make([]float32, l*d), nil, source(i), source(i+1000)); err != nil {
				t.Fatal(err)
			}
			axpy(before, -1, m.param)
			total += dot(before, before) / steps
		}
		want := 2 * 2 * test.energy // sigma = z·clip = 2
		// The standard error of the mean energy is sqrt(2/(energy·steps)).
		if bound := 5 * math.Sqrt(2/(test.energy*steps)); math.Abs(total/want-1) > bound {
			t.Errorf("left only %v: noise energy %v, want %v within %.1f%%", test.left, total, want, 100*bound)
		}
	}
}

// Paper, table of section 1.6's noise: T = 100 steps of noise alone, rank 8, walk p_L
// from norm 1.81 to 2.5, 7.2 and 68 at the nominal epsilon 0.4, 0.1 and 0.01.
func TestNoiseOnlyRandomWalk(t *testing.T) {
	const l, d = 16, 512
	for _, test := range []struct{ epsilon, rate, momentum, norm float64 }{
		{0.4, 1e-4, 0, 2.5}, {0.1, 1e-4, 0, 7.2}, {0.01, 1e-4, 0, 68}, {0.01, 1e-5, 0.9, 65},
	} {
		c := Config{
			Method: DPFPL, Mode: Paper, Rank: 8, LocalRate: test.rate, Momentum: test.momentum,
			Batch: 1, Clip: Norms{10, 10, 10}, Z: PaperNoise(test.epsilon, 1e-5, 100, 32, 10), NoiseOnly: true,
		}
		s := mustLearner(t, c, l, d, 0.02, 1)
		enc := newToy(1, l, d, 2, 1)
		for i := range uint64(100) {
			if _, err := s.Step(enc, 1, make([]float32, l*d), nil, source(i), source(i)); err != nil {
				t.Fatal(err)
			}
		}
		if got := norm(s.method.(*sketched).param); math.Abs(got/test.norm-1) > 0.05 {
			t.Errorf("epsilon %v, momentum %v: norm %.3g, want %v", test.epsilon, test.momentum, got, test.norm)
		}
	}
}

// A step is a function of its inputs: equal seeds give equal bits.
func TestStepIsReproducible(t *testing.T) {
	const l, d = 4, 8
	for _, method := range Methods() {
		states := [2][]byte{}
		for i := range states {
			enc := newToy(5, l, d, 6, 1)
			s := mustLearner(t, private(method, 2, 1), l, d, 0.1, 3)
			run(t, s, enc, 3, func(step int) []Example { return enc.examples(step, 1) })
			states[i], _ = s.MarshalBinary()
		}
		if !bytes.Equal(states[0], states[1]) {
			t.Errorf("%s: two equal runs differ", method)
		}
	}
}

// Pruning costs less work and keeps within its bound; 0 is exact.
func TestPruning(t *testing.T) {
	const classes = 40
	enc := newToy(classes, 3, 6, 5, 1)
	ctx := RandomContext(3, 6, 0.3, source(1))
	features := enc.Forward(ctx)
	rapid.Check(t, func(t *rapid.T) {
		tolerance := rapid.SampledFrom([]float64{1e-6, 0.01, 0.2, 0.9}).Draw(t, "tolerance")
		sharp := rapid.Float64Range(0.1, 100).Draw(t, "logit scale")
		x := enc.examples(1, rapid.Uint64().Draw(t, "example"))[0]
		exact := append([]float64(nil), newResidual(classes, sharp, 0).of(x, features)...)
		got := newResidual(classes, sharp, tolerance).of(x, features)
		total, lost := 0.0, 0.0
		for c, v := range exact {
			total += math.Abs(v)
			if got[c] == 0 {
				lost += math.Abs(v)
			} else if got[c] != v {
				t.Fatalf("class %d: %v became %v", c, v, got[c])
			}
		}
		if lost > tolerance*total*(1+1e-12) {
			t.Fatalf("lost %v of %v, tolerance %v", lost, total, tolerance)
		}
	})
	work := func(prune float64) int {
		c := plain(PromptFL, 0)
		c.Prune = prune
		s := mustLearner(t, c, 3, 6, 0, 1)
		enc.rows = 0
		if _, err := s.Step(enc, 30, ctx, enc.examples(8, 1), source(1), source(2)); err != nil {
			t.Fatal(err)
		}
		return enc.rows
	}
	if all, few := work(0), work(0.05); few >= all/2 {
		t.Errorf("pruned to %d rows of %d", few, all)
	}
}

// The stated bound: what pruning takes from the gradient is at most the pruned share of
// |p - y| times the largest gradient of one class's logit.
func TestPruningBound(t *testing.T) {
	const classes, l, d, tolerance = 20, 3, 6, 0.3
	enc := newToy(classes, l, d, 5, 1)
	features := append([]float32(nil), enc.Forward(RandomContext(l, d, 0.3, source(1)))...)
	gradient := func(p []float64, x Example) []float64 {
		r := newResidual(classes, logitScale, 0)
		copy(r.p, p)
		cot, pulled, wide := make([]float32, classes*5), make([]float32, l*d), make([]float64, l*d)
		r.addTo(cot, 1, x)
		enc.Pull(pulled, cot)
		widen(wide, pulled)
		return wide
	}
	for _, x := range enc.examples(20, 2) {
		exact := append([]float64(nil), newResidual(classes, logitScale, 0).of(x, features)...)
		lost := gradient(newResidual(classes, logitScale, tolerance).of(x, features), x)
		axpy(lost, -1, gradient(exact, x))
		total, largest := 0.0, 0.0
		for c, v := range exact {
			one := make([]float64, classes)
			one[c] = 1
			total, largest = total+math.Abs(v), max(largest, norm(gradient(one, x)))
		}
		if got, bound := norm(lost), tolerance*total*largest; got == 0 || got > bound {
			t.Errorf("lost %v of the gradient, bound %v", got, bound)
		}
	}
}

// In paper mode the whole batch costs one pull.
func TestPullsOfAStep(t *testing.T) {
	enc := newToy(4, 3, 5, 5, 1)
	for _, test := range []struct {
		mode  string
		pulls int
	}{{Corrected, 7}, {Paper, 1}} {
		c := plain(DPFPL, 2)
		c.Mode, c.Batch = test.mode, 1
		enc.pulls = 0
		if _, err := mustLearner(t, c, 3, 5, 0.1, 1).Step(enc, 5, make([]float32, 15), enc.examples(7, 1), source(1), source(1)); err != nil {
			t.Fatal(err)
		}
		if enc.pulls != test.pulls {
			t.Errorf("%s: %d pulls, want %d", test.mode, enc.pulls, test.pulls)
		}
	}
}

// A refused step names what is wrong and leaves the learner as it was.
func TestStepRefusesBadInput(t *testing.T) {
	const l, d = 3, 5
	enc := newToy(4, l, d, 5, 1)
	good := enc.examples(2, 1)
	short := []Example{{good[0].Feature[:3], 0}}
	label := []Example{{good[0].Feature, 4}}
	for _, test := range []struct {
		name   string
		enc    TextEncoder
		scale  float64
		global []float32
		batch  []Example
		want   string
	}{
		{"encoder", newToy(4, l+1, d, 5, 1), 1, make([]float32, l*d), good, "context"},
		{"global", enc, 1, make([]float32, l*d+1), good, "global"},
		{"scale", enc, math.NaN(), make([]float32, l*d), good, "logitScale"},
		{"feature", enc, 1, make([]float32, l*d), short, "batch[0].Feature"},
		{"no scale", enc, 0, make([]float32, l*d), nil, "logitScale"},
		{"label", enc, 1, make([]float32, l*d), label, "batch[0].Label"},
	} {
		s := mustLearner(t, private(DPFPL, 2, 1), l, d, 0.1, 1)
		before, _ := s.MarshalBinary()
		_, err := s.Step(test.enc, test.scale, test.global, test.batch, source(1), source(2))
		if !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: error %v does not name %q", test.name, err, test.want)
		}
		if after, _ := s.MarshalBinary(); !bytes.Equal(before, after) {
			t.Errorf("%s: the refused step changed the learner", test.name)
		}
	}
}

func TestNewLearnerRefusesBadConfig(t *testing.T) {
	for _, test := range []struct {
		field string
		spoil func(*Config)
	}{
		{"Method", func(c *Config) { c.Method = "full" }},
		{"Mode", func(c *Config) { c.Mode = "" }},
		{"Rank", func(c *Config) { c.Rank = 0 }},
		{"Rank", func(c *Config) { c.Rank = 4 }},
		{"LeftOnly", func(c *Config) { c.Method, c.LeftOnly = FedOTP, true }},
		{"LocalRate", func(c *Config) { c.LocalRate = math.NaN() }},
		{"LocalRate", func(c *Config) { c.LocalRate = math.Inf(1) }},
		{"LocalRate", func(c *Config) { c.LocalRate = -1 }},
		{"Momentum", func(c *Config) { c.Momentum = -0.1 }},
		{"Batch", func(c *Config) { c.Batch = math.Inf(1) }},
		{"Prune", func(c *Config) { c.Prune = -0.1 }},
		{"Momentum", func(c *Config) { c.Momentum = 1 }},
		{"Batch", func(c *Config) { c.Batch = 0 }},
		{"Batch", func(c *Config) { c.Mode = Paper }},
		{"Prune", func(c *Config) { c.Prune = 1 }},
		{"Clip", func(c *Config) { c.Clip.V = 0 }},
		{"Z", func(c *Config) { c.Z.U = 0 }},
	} {
		c := private(DPFPL, 2, 1)
		test.spoil(&c)
		_, err := NewLearner(c, 3, 5, 0.1, source(1))
		if err == nil || !strings.Contains(err.Error(), test.field+" =") {
			t.Errorf("%s: error %v does not name the field", test.field, err)
		}
	}
	edge := private(DPFPL, 3, 1)
	edge.LocalRate, edge.Momentum, edge.Prune = 0, 0, 0
	if _, err := NewLearner(edge, 3, 5, 0, source(1)); err != nil {
		t.Errorf("at the edge of every domain: %v", err)
	}
	for _, shape := range [][2]int{{0, 5}, {3, 0}} {
		_, err := NewLearner(plain(PromptFL, 0), shape[0], shape[1], 0.1, source(1))
		if err == nil || !strings.Contains(err.Error(), "shape =") {
			t.Errorf("%d×%d: error %v does not name the shape", shape[0], shape[1], err)
		}
	}
}

// Heavy-ball momentum against its closed form for a constant gradient.
func TestSGDMomentum(t *testing.T) {
	o := newSGD([]float64{1})
	want, velocity := 1.0, 0.0
	for range 5 {
		o.step([]float64{2}, stride{rate: 0.1, momentum: 0.5})
		velocity = 0.5*velocity + 2
		want -= 0.1 * velocity
	}
	if math.Abs(o.param[0]-want) > 1e-15 {
		t.Errorf("%v, want %v", o.param[0], want)
	}
}

func TestPredict(t *testing.T) {
	enc := newToy(6, 3, 5, 7, 1)
	ctx := RandomContext(3, 5, 0.3, source(1))
	// Every class's own feature is predicted as that class.
	var examples []Example
	for c, f := 0, enc.Forward(ctx); c < 6; c++ {
		examples = append(examples, Example{append([]float32(nil), f[c*7:(c+1)*7]...), c})
	}
	got, want := Predict(enc, ctx, Features(examples)), Labels(examples)
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("feature of class %d predicted as %d", want[i], got[i])
		}
	}
}

func TestWordContext(t *testing.T) {
	got, err := WordContext([]float32{1, 1, 2, 2, 3, 3}, 5, 2)
	if want := []float32{2, 2, 3, 3, 1, 1, 2, 2, 3, 3}; err != nil || !equal(got, want) {
		t.Errorf("%v, %v, want %v", got, err, want)
	}
	got, err = WordContext([]float32{1, 1, 2, 2, 3, 3}, 2, 2)
	if want := []float32{2, 2, 3, 3}; err != nil || !equal(got, want) {
		t.Errorf("%v, %v, want %v", got, err, want)
	}
	if _, err = WordContext([]float32{1}, 2, 2); !errors.Is(err, ErrInvalid) {
		t.Errorf("error %v", err)
	}
}

// Both splits reach the joint multiplier asked for; the second with the least energy.
func TestNoiseSplits(t *testing.T) {
	const l, d = 16, 512
	energy := func(c Config, z Norms) float64 {
		c.Z = z
		sum := 0.0
		for _, g := range c.Groups(l, d) {
			sum += float64(g.Dim) * g.Z * g.Z * g.Clip * g.Clip
		}
		return sum
	}
	joint := func(c Config, z Norms) float64 {
		c.Z = z
		var all []float64
		for _, g := range c.Groups(l, d) {
			all = append(all, g.Z)
		}
		return dp.Joint(all...)
	}
	for _, method := range Methods() {
		c := private(method, 8, 1)
		c.Clip = Norms{1, 1, 1}
		equal, least := c.EqualSplit(1.2, l, d), c.LeastEnergySplit(1.2, l, d)
		for name, z := range map[string]Norms{"equal": equal, "least energy": least} {
			if got := joint(c, z); math.Abs(got-1.2) > 1e-12 {
				t.Errorf("%s, %s: joint %v, want 1.2", method, name, got)
			}
		}
		r := rand.New(source(1))
		for range 50 {
			z := Norms{least.U * math.Exp(0.3*r.NormFloat64()), least.V * math.Exp(0.3*r.NormFloat64()), least.G * math.Exp(0.3*r.NormFloat64())}
			f := 1.2 / joint(c, z)
			if z = (Norms{z.U * f, z.V * f, z.G * f}); energy(c, z) < energy(c, least)*(1-1e-12) {
				t.Fatalf("%s: %v has less energy than %v", method, z, least)
			}
		}
	}
	// dpfpl at the paper's shape with equal clips: 3.83, 1.61 and 1.35 against 1.73.
	c := private(DPFPL, 8, 1)
	least := c.LeastEnergySplit(1, l, d)
	for got, want := range map[float64]float64{least.U: 3.83, least.V: 1.61, least.G: 1.35, c.EqualSplit(1, l, d).U: 1.73} {
		if math.Abs(got-want) > 0.005 {
			t.Errorf("multiplier %v, want %v", got, want)
		}
	}
}

// What is accounted is what the mechanism does, never less noise than asked.
func TestMultipliers(t *testing.T) {
	for _, method := range Methods() {
		c := private(method, 2, 1.3)
		s := mustLearner(t, c, 4, 8, 0.1, 1)
		each, joint := Multipliers(s.Groups()), s.Joint()
		var all []float64
		for _, pair := range [][2]float64{{each.U, c.Z.U}, {each.V, c.Z.V}, {each.G, c.Z.G}} {
			if pair[1] == 0 {
				if pair[0] != 0 {
					t.Errorf("%s: multiplier %v for an absent group", method, pair[0])
				}
				continue
			}
			if pair[0] < 1.3 || pair[0] > 1.3001 {
				t.Errorf("%s: multiplier %v, want 1.3 or a little more", method, pair[0])
			}
			all = append(all, pair[0])
		}
		if want := dp.Joint(all...); joint != want {
			t.Errorf("%s: joint %v, want %v", method, joint, want)
		}
	}
}

// sigma of the authors' code for the paper's five epsilons (T = 100, B = 32, C = 10).
func TestPaperNoise(t *testing.T) {
	for epsilon, want := range map[float64]float64{0.4: 26.51, 0.2: 53.02, 0.1: 106.03, 0.05: 212.07, 0.01: 1060.33} {
		z := PaperNoise(epsilon, 1e-5, 100, 32, 10)
		if got := z.U * 10; math.Abs(got/want-1) > 2e-4 {
			t.Errorf("epsilon %v: sigma_L %v, want %v", epsilon, got, want)
		}
		// Ten clients' noise on their mean is the authors' sigma_G = sigma_L/10.
		if got := z.G * 10 / math.Sqrt(10); math.Abs(got/(want/10)-1) > 2e-4 {
			t.Errorf("epsilon %v: sigma_G %v, want %v", epsilon, got, want/10)
		}
	}
}

// FedPGP's factors move against their own gradients, g vᵀ and uᵀ g.
func TestPersistentFactorsDescend(t *testing.T) {
	const l, d, k = 4, 6, 2
	enc := newToy(5, l, d, 6, 1)
	c := plain(FedPGP, k)
	c.Batch, c.Momentum, c.LocalRate = 1, 0, 0.1
	s := mustLearner(t, c, l, d, 0.3, 3)
	m := s.method.(*persistent)
	u, v := newMatrix(l, k), newMatrix(k, d)
	u.transpose(m.ut)
	copy(v.data, m.v.data)
	if _, err := s.Step(enc, logitScale, make([]float32, l*d), enc.examples(1, 2), source(1), source(2)); err != nil {
		t.Fatal(err)
	}
	g := matrix{l, d, append([]float64(nil), s.global...)} // of the one example
	a, b, ut := newMatrix(l, k), newMatrix(k, d), newMatrix(k, l)
	a.mulT(g, v)
	b.tmul(u, g)
	axpy(u.data, -0.1, a.data)
	axpy(v.data, -0.1, b.data)
	ut.transpose(u)
	if diff := max(maxDiff(ut.data, m.ut.data), maxDiff(v.data, m.v.data)); diff > 0.1*100/65536 {
		t.Errorf("factors are off by %v", diff)
	}
}

// In paper mode the record is the batch's mean: repeating every example changes
// nothing but rounding.
func TestPaperModeReleasesTheMean(t *testing.T) {
	const l, d = 3, 5
	enc := newToy(4, l, d, 5, 1)
	c := plain(DPFPL, 2)
	c.Mode, c.Batch = Paper, 1
	release := func(batch []Example) *dp.Noised {
		n, err := mustLearner(t, c, l, d, 0.1, 3).Step(enc, logitScale, make([]float32, l*d), batch, nil, source(6))
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	batch := enc.examples(3, 1)
	a, b := release(batch), release(append(batch, batch...))
	for g := range a.Groups() {
		if got := distance(a, b, g); got > 10 {
			t.Errorf("group %s: repeating the batch moves the release by %v steps", a.Name(g), got)
		}
	}
}

// After every step the factors are those of the moved p_L, drawn with that step's
// public randomness.
func TestFactorsFollowTheLocalPrompt(t *testing.T) {
	const l, d = 3, 5
	enc := newToy(4, l, d, 5, 1)
	s := mustLearner(t, private(DPFPL, 2, 1), l, d, 0.1, 3)
	for i := range uint64(2) {
		if _, err := s.Step(enc, logitScale, make([]float32, l*d), nil, source(6), source(7+i)); err != nil {
			t.Fatal(err)
		}
		m, want := s.method.(*sketched), newFactors(l, d, 2)
		want.factorise(m.p, rand.New(source(7+i)))
		if maxDiff(want.ut.data, m.ut.data) != 0 || maxDiff(want.v.data, m.v.data) != 0 {
			t.Errorf("step %d: stale factors", i)
		}
	}
}
