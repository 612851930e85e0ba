package kernel

import (
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas32"
	"gonum.org/v1/gonum/blas/blas64"
	"pgregory.net/rapid"
)

// engines are the implementations that this build and CPU have.
func engines() []Engine {
	if Best() == Portable {
		return []Engine{Portable}
	}
	return []Engine{Portable, Best()}
}

func gaussians(seed uint64, n int) []float32 {
	rng := rand.New(rand.NewPCG(seed, 1))
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(rng.NormFloat64())
	}
	return x
}

func matrix(seed uint64, rows, cols, gap int) blas32.General {
	return blas32.General{Rows: rows, Cols: cols, Stride: cols + gap, Data: gaussians(seed, rows*(cols+gap))}
}

func wide(a blas32.General) blas64.General {
	b := blas64.General{Rows: a.Rows, Cols: a.Cols, Stride: a.Stride, Data: make([]float64, len(a.Data))}
	for i, v := range a.Data {
		b.Data[i] = float64(v)
	}
	return b
}

func clone(a blas32.General) blas32.General {
	a.Data = slices.Clone(a.Data)
	return a
}

// check compares got with want, an inner product of k terms of size 1 an element, and
// requires what lies between the rows to be untouched.
func check(t rapid.TB, name string, got, before blas32.General, want blas64.General, k int) {
	t.Helper()
	bound := 1e-6 * float64(4+k) // the sums grow like √k, and so do their rounding errors' sums; to spare
	for i := range got.Data {
		if i%got.Stride >= got.Cols {
			if got.Data[i] != before.Data[i] {
				t.Fatalf("%s: wrote behind row %d", name, i/got.Stride)
			}
			continue
		}
		if d := math.Abs(float64(got.Data[i]) - want.Data[i]); !(d < bound) {
			t.Fatalf("%s: element (%d, %d) is %v, want %v", name, i/got.Stride, i%got.Stride, got.Data[i], want.Data[i])
		}
	}
}

// TestProducts checks Mul, MulT and Gemm of every engine against gonum's float64, for all
// remainders of rows, columns and inner length.
func TestProducts(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		e := rapid.SampledFrom(engines()).Draw(rt, "engine")
		m := rapid.IntRange(1, 110).Draw(rt, "m")
		k := rapid.OneOf(rapid.IntRange(1, 40), rapid.IntRange(500, 540)).Draw(rt, "k")
		n := rapid.OneOf(rapid.IntRange(1, 40), rapid.Map(rapid.IntRange(1, 6), func(n int) int { return 8 * n })).Draw(rt, "n")
		beta := float32(rapid.IntRange(0, 1).Draw(rt, "beta"))
		seed := rapid.Uint64().Draw(rt, "seed")
		gap := rapid.IntRange(0, 3).Draw(rt, "gap")

		w := matrix(seed, k, n, 0)
		packed := Pack(e, k, n, w.Data, true)
		a, c := matrix(seed+1, m, k, gap), matrix(seed+2, m, n, gap)
		want, got := wide(c), clone(c)
		blas64.Gemm(blas.NoTrans, blas.NoTrans, 1, wide(a), wide(w), float64(beta), want)
		packed.Mul(got, a, beta)
		check(rt, "Mul", got, c, want, k)
		got = clone(c)
		e.Gemm(blas.NoTrans, a, w, beta, got)
		check(rt, "Gemm", got, c, want, k)

		at := matrix(seed+3, k, m, gap)
		want, got = wide(c), clone(c)
		blas64.Gemm(blas.Trans, blas.NoTrans, 1, wide(at), wide(w), float64(beta), want)
		e.Gemm(blas.Trans, at, w, beta, got)
		check(rt, "Gemm transposed", got, c, want, k)

		b, d := matrix(seed+4, m, n, gap), matrix(seed+5, m, k, gap)
		want, got = wide(d), clone(d)
		blas64.Gemm(blas.NoTrans, blas.Trans, 1, wide(b), wide(w), float64(beta), want)
		packed.MulT(got, b, beta)
		check(rt, "MulT", got, d, want, n)
	})
}

// TestProductBits: an element has the same bits whatever the number of rows, the row's
// place, and the split of rows over workers.
func TestProductBits(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		e := rapid.SampledFrom(engines()).Draw(rt, "engine")
		m, k, n := rapid.IntRange(1, 120).Draw(rt, "m"), rapid.IntRange(1, 600).Draw(rt, "k"), 8*rapid.IntRange(1, 5).Draw(rt, "n")
		workers := rapid.IntRange(1, 4).Draw(rt, "workers")
		seed := rapid.Uint64().Draw(rt, "seed")
		w, a := Pack(e, k, n, gaussians(seed, k*n), false), matrix(seed+1, m, k, 0)
		whole, split := matrix(1, m, n, 0), matrix(2, m, n, 0)
		w.Mul(whole, a, 0)
		var wg sync.WaitGroup
		for i := range workers {
			from, to := m*i/workers, m*(i+1)/workers
			if from < to {
				wg.Go(func() { w.Mul(part(split, from, to), part(a, from, to), 0) })
			}
		}
		wg.Wait()
		if !slices.Equal(whole.Data, split.Data) {
			rt.Fatalf("%v: %d×%d×%d differs over %d workers", e, m, k, n, workers)
		}
	})
}

func part(a blas32.General, from, to int) blas32.General {
	a.Rows, a.Data = to-from, a.Data[from*a.Stride:to*a.Stride]
	return a
}

func near(t *testing.T, name string, got []float32, want []float64, bound float64) {
	t.Helper()
	for i, w := range want {
		if d := math.Abs(float64(got[i]) - w); !(d <= bound*(1+math.Abs(w))) {
			t.Fatalf("%s: element %d is %v, want %v", name, i, got[i], w)
		}
	}
}

func TestActivations(t *testing.T) {
	var x []float32
	for v := -100.0; v < 100; v += 0.0371 {
		x = append(x, float32(v))
	}
	for _, e := range engines() {
		for name, f := range map[string]struct {
			run   func(x, slope []float32)
			value func(float64) float64
		}{
			"QuickGELU": {e.QuickGELU, func(v float64) float64 { return v / (1 + math.Exp(-1.702*v)) }},
			"GELU":      {e.GELU, func(v float64) float64 { return v * (1 + math.Erf(v/math.Sqrt2)) / 2 }},
		} {
			for n := range 17 { // remainders
				y, bare, slope := slices.Clone(x[n:]), slices.Clone(x[n:]), make([]float32, len(x)-n)
				f.run(y, slope)
				f.run(bare, nil)
				if !slices.Equal(y, bare) {
					t.Fatalf("%v %s depends on whether the slope is wanted", e, name)
				}
				want, wantSlope := make([]float64, len(y)), make([]float64, len(y))
				for i, v := range x[n:] {
					const h = 1e-5
					want[i] = f.value(float64(v))
					wantSlope[i] = (f.value(float64(v)+h) - f.value(float64(v)-h)) / (2 * h)
				}
				near(t, name, y, want, 3e-7)
				near(t, name+" slope", slope, wantSlope, 5e-7)
			}
		}
	}
}

func TestStandardise(t *testing.T) {
	for _, e := range engines() {
		for _, n := range []int{1, 7, 8, 24, 96, 100, 512, 768} {
			const eps = 1e-3
			x, dy, g := gaussians(1, n), gaussians(2, n), gaussians(3, n)
			for i := range x {
				x[i] = 3 + 2*x[i]
			}
			value := func(x []float64) []float64 {
				var mean, sq float64
				for _, v := range x {
					mean += v / float64(n)
				}
				for _, v := range x {
					sq += (v - mean) * (v - mean) / float64(n)
				}
				y := make([]float64, n)
				for i, v := range x {
					y[i] = (v - mean) / math.Sqrt(sq+eps)
				}
				return y
			}
			in := make([]float64, n)
			for i, v := range x {
				in[i] = float64(v)
			}
			y := make([]float32, n)
			rstd := e.Standardise(y, x, eps)
			near(t, "Standardise", y, value(in), 2e-6)
			want := make([]float64, n)
			for i := range in {
				const h = 1e-5
				at := in[i]
				in[i] = at + h
				up := value(in)
				in[i] = at - h
				down := value(in)
				in[i] = at
				want[i] = float64(g[i])
				for j := range up {
					want[i] += float64(dy[j]) * (up[j] - down[j]) / (2 * h)
				}
			}
			e.StandardiseBack(g, dy, y, rstd)
			near(t, "StandardiseBack", g, want, 1e-5)
		}
	}
}

func TestSoftmax(t *testing.T) {
	for _, e := range engines() {
		for _, n := range []int{1, 5, 8, 24, 200} {
			const rows = 3
			ld := n + 8
			x := gaussians(1, rows*ld)
			for i := range x {
				x[i] *= 30
			}
			for j := n / 2; j < n-1; j++ {
				x[ld+j] = float32(math.Inf(-1))
			}
			p, d := slices.Clone(x), gaussians(2, rows*ld)
			grad := slices.Clone(d)
			e.Softmax(p, n, ld)
			e.SoftmaxBack(grad, p, n, ld)
			for r := range rows {
				want, wantGrad := make([]float64, n), make([]float64, n)
				var sum, dot float64
				for j := range n {
					want[j] = math.Exp(float64(x[r*ld+j]))
					sum += want[j]
				}
				for j := range n {
					want[j] /= sum
					dot += want[j] * float64(d[r*ld+j])
				}
				for j := range n {
					wantGrad[j] = want[j] * (float64(d[r*ld+j]) - dot)
					if math.IsInf(float64(x[r*ld+j]), -1) && p[r*ld+j] != 0 {
						t.Fatalf("%v: probability of −Inf is %v", e, p[r*ld+j])
					}
				}
				near(t, "Softmax", p[r*ld:], want, 5e-7)
				near(t, "SoftmaxBack", grad[r*ld:], wantGrad, 2e-6)
			}
			for i := range x {
				if i%ld >= n && (p[i] != x[i] || grad[i] != d[i]) {
					t.Fatalf("%v: wrote behind row %d", e, i/ld)
				}
			}
		}
	}
}

func TestHeads(t *testing.T) {
	for _, e := range engines() {
		for _, dh := range []int{3, 8, 32, 64} {
			const heads, stride = 3, 5
			x, y, dst, alpha := gaussians(1, heads*dh), gaussians(2, heads*dh), gaussians(3, heads*stride), gaussians(4, heads*stride)
			before, sum := slices.Clone(dst), slices.Clone(y)
			e.DotHeads(dst, stride, x, y, dh)
			e.AxpyHeads(sum, x, alpha, stride, dh)
			for h := range heads {
				var dot float64
				for i := h * dh; i < (h+1)*dh; i++ {
					dot += float64(x[i]) * float64(y[i])
					near(t, "AxpyHeads", sum[i:], []float64{float64(y[i]) + float64(alpha[h*stride])*float64(x[i])}, 1e-6)
				}
				near(t, "DotHeads", dst[h*stride:], []float64{dot}, 3e-6)
				if !slices.Equal(dst[h*stride+1:(h+1)*stride], before[h*stride+1:(h+1)*stride]) {
					t.Fatalf("%v: wrote between the heads", e)
				}
			}
		}
	}
}

func TestRows(t *testing.T) {
	for _, e := range engines() {
		for _, n := range []int{1, 8, 13, 32} {
			x, b := gaussians(1, 3*n), gaussians(2, n)
			sum, product, set := slices.Clone(x), slices.Clone(x[:n]), slices.Clone(x)
			e.AddRows(sum, b)
			e.Hadamard(product, b)
			SetRows(set, b)
			for i := range x {
				if sum[i] != x[i]+b[i%n] || set[i] != b[i%n] || i < n && product[i] != x[i]*b[i] {
					t.Fatalf("%v: element %d of rows of %d is wrong", e, i, n)
				}
			}
		}
	}
}
