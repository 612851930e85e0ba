package clip

import (
	"math"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"

	"dpfpl/mathx/clip/internal/kernel"
)

// example is the cotangent of an example's cross-entropy: (softmax − one-hot)·scale·x, for
// an image feature x that lies near the class's own.
func example(e *Encoder, features []float32, scale float64, label int, seed uint64) []float32 {
	classes, _, _, dim := e.Shape()
	x := make([]float32, dim)
	for i, g := range gaussians(seed, dim, 0.3/math.Sqrt(float64(dim))) {
		x[i] = g + features[label*dim+i]
	}
	normalise(x)
	p, sum := make([]float64, classes), 0.0
	for c := range p {
		for i, v := range x {
			p[c] += scale * float64(v) * float64(features[c*dim+i])
		}
	}
	for c := range p {
		p[c] = math.Exp(p[c] - scale)
		sum += p[c]
	}
	cot := make([]float32, classes*dim)
	for c := range p {
		r := p[c] / sum
		if c == label {
			r--
		}
		for i, v := range x {
			cot[c*dim+i] = float32(r * scale * float64(v))
		}
	}
	return cot
}

// TestGainsBound: no direction of the features has a larger gain, and the bound is not
// absurdly large.
func TestGainsBound(t *testing.T) {
	cfg := smallText()
	e := mustEncoder(t, cfg, randomText(cfg, 3), kernel.Best(), smallClasses, 4)
	e.Forward(gaussians(1, 4*cfg.Width, 0.5))
	gains := e.Gains(nil, 12, 1e-6, rand.NewPCG(1, 2))
	grad, cot := make([]float32, 4*cfg.Width), make([]float32, len(smallClasses)*cfg.Dim)
	for c, gain := range gains {
		frobenius := 0.0
		for i := range cfg.Dim {
			cot[c*cfg.Dim+i] = 1
			e.Pull(grad, cot)
			cot[c*cfg.Dim+i] = 0
			frobenius += norm2(grad) * norm2(grad)
		}
		frobenius = math.Sqrt(frobenius)
		if lower := frobenius / math.Sqrt(float64(cfg.Dim)); gain < lower || gain > 20*frobenius {
			t.Errorf("class %d: gain %g, Frobenius norm %g", c, gain, frobenius)
		}
		for k := range 100 {
			x := cot[c*cfg.Dim : (c+1)*cfg.Dim]
			copy(x, gaussians(uint64(k), cfg.Dim, 1))
			normalise(x)
			if e.Pull(grad, cot); norm2(grad) > gain {
				t.Errorf("class %d: gain %g, but a direction has %g", c, gain, norm2(grad))
			}
			clear(x)
		}
	}
}

// TestPullPruned: the error is within the bound returned, the bound within the tolerance,
// and classes are really left out when the softmax is sharp.
func TestPullPruned(t *testing.T) {
	cfg := smallText()
	const l = 4
	classes := make([][]int, 40)
	for i := range classes {
		classes[i] = []int{1 + i%17, 1 + i/17, cfg.EOT}
	}
	e := mustEncoder(t, cfg, randomText(cfg, 3), kernel.Best(), classes, l)
	features := e.Forward(gaussians(1, l*cfg.Width, 0.5))
	gains := e.Gains(nil, 12, 1e-6, rand.NewPCG(1, 2))
	left := 0
	rapid.Check(t, func(rt *rapid.T) {
		label := rapid.IntRange(0, len(classes)-1).Draw(rt, "label")
		tol := rapid.SampledFrom([]float64{0, 1e-4, 1e-3, 0.1}).Draw(rt, "tol")
		scale := rapid.SampledFrom([]float64{1, 20, 100}).Draw(rt, "scale")
		cot := example(e, features, scale, label, rapid.Uint64().Draw(rt, "seed"))
		exact, got := make([]float32, l*cfg.Width), make([]float32, l*cfg.Width)
		e.Pull(exact, cot)
		kept, bound := e.PullPruned(got, cot, gains, tol)
		if bound > tol || bound < 0 {
			rt.Fatalf("bound %g, tolerance %g", bound, tol)
		}
		const rounding = 2e-5 // of float32, in both
		if d := relative(got, exact); !(d <= bound+rounding) {
			rt.Fatalf("error %g, bound %g", d, bound)
		}
		rows := 0
		for c := range classes {
			if !zero(cot[c*cfg.Dim : (c+1)*cfg.Dim]) {
				rows++
			}
		}
		if rows != kept {
			rt.Fatalf("%d rows of cot are left, %d were kept", rows, kept)
		}
		left += len(classes) - kept
	})
	if left == 0 {
		t.Error("no class was ever left out")
	}
}
