package prompt

import (
	"bytes"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"dpfpl/mathx/dp"
)

// Every group has the clip norm and the noise that the configuration names for it: with any other the account
// would be of another mechanism than the one that runs.
func TestGroupsTakeTheirOwnNorms(t *testing.T) {
	const l, d, k = 4, 8, 2
	u := dp.Group{Name: "u", Dim: l * k, Clip: 1, Z: 4}
	v := dp.Group{Name: "v", Dim: k * d, Clip: 2, Z: 5}
	local := dp.Group{Name: "local", Dim: l * d, Clip: 1, Z: 4}
	g := dp.Group{Name: "global", Dim: l * d, Clip: 3, Z: 6}
	for _, test := range []struct {
		method string
		left   bool
		want   []dp.Group
	}{
		{PromptFL, false, []dp.Group{g}},
		{FedOTP, false, []dp.Group{local, g}},
		{FedPGP, false, []dp.Group{u, v, g}}, {FedPGP, true, []dp.Group{u, g}},
		{DPLoRA, false, []dp.Group{u, v, g}}, {DPLoRA, true, []dp.Group{u, g}},
		{DPFPL, false, []dp.Group{u, v, g}}, {DPFPL, true, []dp.Group{u, g}},
	} {
		c := Config{Method: test.method, Rank: k, LeftOnly: test.left, Clip: Norms{1, 2, 3}, Z: Norms{4, 5, 6}}
		if got := c.Groups(l, d); !slices.Equal(got, test.want) {
			t.Errorf("%s, left only %v: %v, want %v", test.method, test.left, got, test.want)
		}
	}
}

// Where nothing is clipped, a release without noise is the sum of the examples' gradients, the slopes of the
// loss; in paper mode their mean.
func TestReleaseIsTheSumOfTheGradients(t *testing.T) {
	const l, d, h = 3, 5, 1e-5
	enc := newToy(4, l, d, 5, 1)
	global := RandomContext(l, d, 0.3, source(4))
	batch := enc.examples(3, 2)
	for _, method := range Methods() {
		for mode, divisor := range map[string]float64{Corrected: 1, Paper: 3} {
			c := plain(method, 2)
			c.Mode, c.Batch = mode, 1
			s := mustLearner(t, c, l, d, 0.1, 3)
			base := make([]float64, l*d)
			widen(base, s.Context(nil, global))
			n, err := s.Step(enc, logitScale, global, batch, nil, source(6))
			if err != nil {
				t.Fatal(err)
			}
			rounding := float64(len(batch)) * n.Step(s.GlobalGroup())
			for i, got := range n.Float(nil, s.GlobalGroup()) {
				want := 0.0
				for _, x := range batch {
					up, down := slices.Clone(base), slices.Clone(base)
					up[i] += h
					down[i] -= h
					want += (enc.loss(up, x, logitScale) - enc.loss(down, x, logitScale)) / (2 * h) / divisor
				}
				if math.Abs(got-want) > rounding+1e-4 {
					t.Errorf("%s, %s: coordinate %d is %v, finite difference %v", method, mode, i, got, want)
				}
			}
		}
	}
}

// The local prompt moves by the released sum over the public B̄: a fourth of the divisor is worth four times the
// rate.
func TestLocalPromptMovesByTheMean(t *testing.T) {
	const l, d = 4, 8
	enc := newToy(5, l, d, 6, 1)
	for _, method := range []string{DPFPL, DPLoRA, FedOTP, FedPGP} {
		after := func(batch, rate float64) []float64 {
			c := private(method, 2, 1)
			c.Batch, c.LocalRate, c.Momentum = batch, rate, 0
			s := mustLearner(t, c, l, d, 0.1, 3)
			if _, err := s.Step(enc, logitScale, make([]float32, l*d), enc.examples(3, 1), source(1), source(2)); err != nil {
				t.Fatal(err)
			}
			return slices.Concat(s.method.state()[0], s.method.state()[1])
		}
		// The first block is the parameter; fedpgp's second, v, is one too, and the others' is the velocity.
		n := l * d
		if method == FedPGP {
			n = 2*l + 2*d
		}
		a, b := after(1, 0.1)[:n], after(4, 0.4)[:n]
		if diff := maxDiff(a, b); diff > 1e-12 {
			t.Errorf("%s: a divisor of 4 at four times the rate is off by %v", method, diff)
		}
		if diff := maxDiff(a, after(4, 0.1)[:n]); diff < 1e-3 {
			t.Errorf("%s: the divisor changes nothing", method)
		}
	}
}

// A step depends on its inputs and on what is marshalled, in both modes: nothing of an earlier batch is left in
// the workspace.
func TestNothingOfABatchIsLeft(t *testing.T) {
	const l, d = 4, 8
	enc := newToy(5, l, d, 6, 1)
	global := RandomContext(l, d, 0.1, source(4))
	for _, method := range Methods() {
		for _, mode := range []string{Corrected, Paper} {
			c := private(method, 2, 1)
			c.Mode, c.Batch = mode, 1
			old, fresh := mustLearner(t, c, l, d, 0.1, 3), mustLearner(t, c, l, d, 0.1, 9)
			if _, err := old.Step(enc, logitScale, global, enc.examples(3, 1), source(1), source(2)); err != nil {
				t.Fatal(err)
			}
			state, _ := old.MarshalBinary()
			if err := fresh.UnmarshalBinary(state); err != nil {
				t.Fatal(err)
			}
			compareStep(t, method+", "+mode, old, fresh, enc, enc.examples(2, 7))
		}
	}
}

// A step that failed halfway has left nothing behind: neither its records nor its noise are in the next release.
func TestFailedStepLeavesNothing(t *testing.T) {
	const l, d = 4, 8
	enc := newToy(5, l, d, 6, 1)
	for _, method := range Methods() {
		c := private(method, 2, 1e-4) // 3 clipped records fill an int32
		failed, fresh := mustLearner(t, c, l, d, 0.1, 3), mustLearner(t, c, l, d, 0.1, 3)
		_, err := failed.Step(enc, logitScale, make([]float32, l*d), enc.examples(4, 1), source(1), source(2))
		if !errors.Is(err, dp.ErrOverflow) || failed.Steps() != 0 {
			t.Fatalf("%s: error %v after %d steps, want an overflow", method, err, failed.Steps())
		}
		compareStep(t, method, failed, fresh, enc, nil)
	}
}

// compareStep takes one step with two learners, which must release and become the same.
func compareStep(t *testing.T, what string, a, b *Learner, enc *toy, batch []Example) {
	t.Helper()
	step := func(s *Learner) (*dp.Noised, []byte) {
		n, err := s.Step(enc, logitScale, make([]float32, s.l*s.d), batch, source(5), source(6))
		if err != nil {
			t.Fatal(err)
		}
		state, _ := s.MarshalBinary()
		return n, state
	}
	x, p := step(a)
	y, q := step(b)
	for g := range x.Groups() {
		if !slices.Equal(x.Ints(g), y.Ints(g)) {
			t.Errorf("%s: group %s of the releases differs", what, x.Name(g))
		}
	}
	if !bytes.Equal(p, q) {
		t.Errorf("%s: the states differ", what)
	}
}

// One pass of Gram-Schmidt over rows that are almost parallel leaves them far from orthogonal.
func TestOrthonormaliseNearlyParallelRows(t *testing.T) {
	m := newMatrix(3, 50)
	base := randomMatrix(1, 50, 1, 1)
	for i := range m.rows {
		copy(m.row(i), base.data)
		axpy(m.row(i), 1e-7, randomMatrix(1, 50, 1, uint64(2+i)).data)
	}
	orthonormalise(m, rand.New(source(9)))
	for i := range m.rows {
		for j := range i {
			if cosine := dot(m.row(i), m.row(j)); math.Abs(cosine) > 1e-14 {
				t.Errorf("rows %d and %d have the product %v", i, j, cosine)
			}
		}
	}
}

// The size of a row says nothing about its direction: a local prompt that is almost zero is factorised like any
// other, and not replaced by chance.
func TestOrthonormaliseTinyRows(t *testing.T) {
	want := randomMatrix(3, 8, 1, 1)
	for _, size := range []float64{1e-7, 1e-100, 1e100} {
		got := newMatrix(3, 8)
		axpy(got.data, size, randomMatrix(3, 8, 1, 1).data)
		orthonormalise(got, rand.New(source(8)))
		if size == 1e-7 {
			orthonormalise(want, rand.New(source(9)))
		}
		if diff := maxDiff(got.data, want.data); diff > 1e-13 {
			t.Errorf("rows of size %v are off by %v", size, diff)
		}
	}
}

// A large logit scale overflows no exponential: p - y stays a difference of distributions.
func TestResidualOfLargeLogits(t *testing.T) {
	enc := newToy(5, 3, 5, 6, 1)
	features := enc.Forward(make([]float32, 15))
	for _, x := range enc.examples(5, 1) {
		sum := 0.0
		for _, v := range newResidual(5, 1e5, 0).of(x, features) {
			sum += v
			if !(math.Abs(v) <= 1) {
				t.Errorf("residual %v", v)
			}
		}
		if math.Abs(sum) > 1e-12 {
			t.Errorf("residuals add up to %v", sum)
		}
	}
}

// Pruning leaves out as many of the smallest entries as stay within the share, and not one more.
func TestPruningKeepsToItsShare(t *testing.T) {
	const classes = 40
	enc := newToy(classes, 3, 6, 5, 1)
	features := enc.Forward(RandomContext(3, 6, 0.3, source(1)))
	for _, share := range []float64{0.01, 0.1, 0.5} {
		for _, x := range enc.examples(5, 2) {
			exact := slices.Clone(newResidual(classes, logitScale, 0).of(x, features))
			got := newResidual(classes, logitScale, share).of(x, features)
			total, left, next := 0.0, 0.0, math.Inf(1)
			for c, v := range exact {
				total += math.Abs(v)
				switch got[c] {
				case 0:
					left += math.Abs(v)
				case v:
					next = min(next, math.Abs(v))
				default:
					t.Errorf("entry %d is %v, exactly %v", c, got[c], v)
				}
			}
			if left > share*total*(1+1e-12) || left+next < share*total*(1-1e-12) {
				t.Errorf("share %v: %v of %v left out, the next one is %v", share, left, total, next)
			}
		}
	}
}

// Without the residual the prompt is p_G + u v, whatever p_L is.
func TestDPLoRALeavesTheResidualOut(t *testing.T) {
	s := mustLearner(t, private(DPLoRA, 2, 1), 4, 8, 0.1, 3)
	m := s.method.(*sketched)
	uv, global := newMatrix(4, 8), RandomContext(4, 8, 0.1, source(1))
	m.product(uv)
	if diff := maxDiff(uv.data, m.param); diff < 0.1 {
		t.Fatalf("u v is p_L up to %v: the comparison is void", diff)
	}
	for i, got := range s.Context(nil, global) {
		if want := float32(float64(global[i]) + uv.data[i]); got != want {
			t.Errorf("entry %d is %v, want %v", i, got, want)
		}
	}
}
