package prompt

import (
	"math"
	"math/rand/v2"
	"testing"
)

// toy is a small differentiable text tower in float64: feature c is the unit vector
// along w_c tanh(m ctx) + b_c.
type toy struct {
	classes, l, d, e, hidden int

	m []float64 // hidden × l·d
	w []float64 // classes × e × hidden
	b []float64 // classes × e

	act   []float64 // of the last Forward
	unit  []float64 // classes × e
	norms []float64 // classes
	out   []float32
	pulls int
	rows  int // cotangent rows pulled
}

func newToy(classes, l, d, e int, seed uint64) *toy {
	r := rand.New(rand.NewPCG(seed, 1))
	t := &toy{classes: classes, l: l, d: d, e: e, hidden: 12}
	t.m = make([]float64, t.hidden*l*d)
	t.w = make([]float64, classes*e*t.hidden)
	t.b = make([]float64, classes*e)
	fillNormal(t.m, 2/math.Sqrt(float64(l*d)), r)
	fillNormal(t.w, 1/math.Sqrt(float64(t.hidden)), r)
	fillNormal(t.b, 0.5, r)
	t.act = make([]float64, t.hidden)
	t.unit = make([]float64, classes*e)
	t.norms = make([]float64, classes)
	t.out = make([]float32, classes*e)
	return t
}

func (t *toy) Shape() (classes, context, width, dim int) { return t.classes, t.l, t.d, t.e }

func (t *toy) forward(ctx []float64) []float64 {
	for h := range t.act {
		t.act[h] = math.Tanh(dot(t.m[h*len(ctx):(h+1)*len(ctx)], ctx))
	}
	for c := range t.classes {
		f := t.unit[c*t.e : (c+1)*t.e]
		for j := range f {
			i := c*t.e + j
			f[j] = t.b[i] + dot(t.w[i*t.hidden:(i+1)*t.hidden], t.act)
		}
		t.norms[c] = norm(f)
		scale(f, 1/t.norms[c])
	}
	return t.unit
}

func (t *toy) Forward(ctx []float32) []float32 {
	wide := make([]float64, len(ctx))
	widen(wide, ctx)
	for i, v := range t.forward(wide) {
		t.out[i] = float32(v)
	}
	return t.out
}

func (t *toy) Pull(dst, cot []float32) {
	t.pulls++
	back := make([]float64, t.hidden)
	g := make([]float64, t.e)
	for c := range t.classes {
		f := t.unit[c*t.e : (c+1)*t.e]
		widen(g, cot[c*t.e:(c+1)*t.e])
		if norm(g) == 0 {
			continue
		}
		t.rows++
		axpy(g, -dot(g, f), f)
		for j, v := range g {
			i := c*t.e + j
			axpy(back, v/t.norms[c], t.w[i*t.hidden:(i+1)*t.hidden])
		}
	}
	sum := make([]float64, len(dst))
	for h, v := range back {
		axpy(sum, v*(1-t.act[h]*t.act[h]), t.m[h*len(dst):(h+1)*len(dst)])
	}
	for i, v := range sum {
		dst[i] = float32(v)
	}
}

// loss is one example's cross-entropy in float64 throughout.
func (t *toy) loss(ctx []float64, x Example, logitScale float64) float64 {
	features := t.forward(ctx)
	f := make([]float64, t.e)
	widen(f, x.Feature)
	own, total := 0.0, 0.0
	for c := range t.classes {
		logit := logitScale * dot(features[c*t.e:(c+1)*t.e], f)
		total += math.Exp(logit)
		if c == x.Label {
			own = logit
		}
	}
	return math.Log(total) - own
}

// examples makes n records with random unit features and labels.
func (t *toy) examples(n int, seed uint64) []Example {
	r := rand.New(rand.NewPCG(seed, 2))
	out := make([]Example, n)
	for i := range out {
		f := make([]float64, t.e)
		fillNormal(f, 1, r)
		scale(f, 1/norm(f))
		out[i].Feature = make([]float32, t.e)
		for j, v := range f {
			out[i].Feature[j] = float32(v)
		}
		out[i].Label = r.IntN(t.classes)
	}
	return out
}

// source returns a seeded source; what the number means is the test's business.
func source(seed uint64) rand.Source { return rand.NewPCG(seed, 3) }

func randomMatrix(rows, cols int, std float64, seed uint64) matrix {
	m := newMatrix(rows, cols)
	fillNormal(m.data, std, rand.New(source(seed)))
	return m
}

func mustLearner(t testing.TB, c Config, l, d int, std float64, seed uint64) *Learner {
	t.Helper()
	s, err := NewLearner(c, l, d, std, source(seed))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// plain is a configuration without noise whose clip norms never bite.
func plain(method string, rank int) Config {
	return Config{
		Method: method, Mode: Corrected, Rank: rank, LocalRate: 0.05, Momentum: 0.9,
		Batch: 4, Clip: Norms{100, 100, 100}, Unprotected: true,
	}
}

// private is the same with noise.
func private(method string, rank int, z float64) Config {
	c := plain(method, rank)
	c.Unprotected, c.Clip, c.Z = false, Norms{1, 1, 1}, Norms{z, z, z}
	if !c.factored() {
		c.Z.V = 0
	}
	if method == PromptFL {
		c.Z.U = 0
	}
	return c
}

func maxDiff(a, b []float64) float64 {
	d := 0.0
	for i := range a {
		d = max(d, math.Abs(a[i]-b[i]))
	}
	return d
}
