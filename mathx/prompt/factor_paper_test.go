package prompt

import (
	"math"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"
)

func identity(t *rapid.T, m matrix, what string) {
	for i := range m.rows {
		for j := range m.rows {
			want := 0.0
			if i == j {
				want = 1
			}
			if got := dot(m.row(i), m.row(j)); math.Abs(got-want) > 1e-12 {
				t.Fatalf("%s: <%d,%d> = %v", what, i, j, got)
			}
		}
	}
}

// Paper, algorithm 1 line 5: u and v are orthonormal for every p, also for one of low
// rank, of tiny entries or of none at all.
func TestFactorsAreOrthonormal(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l, d := rapid.IntRange(1, 9).Draw(t, "l"), rapid.IntRange(1, 14).Draw(t, "d")
		k := rapid.IntRange(1, min(l, d)).Draw(t, "k")
		rank := rapid.IntRange(0, min(l, d)).Draw(t, "rank of p")
		size := rapid.SampledFrom([]float64{1e-160, 1e-12, 0.02, 1e8}).Draw(t, "size")
		seed := rapid.Uint64().Draw(t, "seed")
		p := newMatrix(l, d)
		if rank > 0 {
			p.mul(randomMatrix(l, rank, size, seed), randomMatrix(rank, d, 1, seed+1))
		}
		f := newFactors(l, d, k)
		f.factorise(p, rand.New(source(seed)))
		identity(t, f.ut, "uᵀu")
		identity(t, f.v, "v vᵀ")
	})
}

// u spans the column space of a matrix of rank k, and v its rows: then the product is
// a partial isometry of norm sqrt(k) (facts of the paper's section 3.2) and the
// projection of p onto the spans is p.
func TestFactorsSpanALowRankMatrix(t *testing.T) {
	const l, d, k = 7, 11, 3
	p := newMatrix(l, d)
	p.mul(randomMatrix(l, k, 1, 1), randomMatrix(k, d, 1, 2))
	f := newFactors(l, d, k)
	f.factorise(p, rand.New(source(3)))
	uv := newMatrix(l, d)
	f.product(uv)
	if got := norm(uv.data); math.Abs(got-math.Sqrt(k)) > 1e-12 {
		t.Errorf("|uv| = %v, want sqrt(%d)", got, k)
	}
	core, right, back := newMatrix(k, d), newMatrix(k, k), newMatrix(l, d)
	core.mul(f.ut, p)     // uᵀ p
	right.mulT(core, f.v) // uᵀ p vᵀ
	core.mul(right, f.v)
	back.tmul(f.ut, core)
	if diff := maxDiff(back.data, p.data); diff > 1e-12 {
		t.Errorf("u uᵀ p vᵀ v differs from p by %v", diff)
	}
}

// dense is the textbook form P_u G + G P_v - P_u G P_v.
func dense(f factors, g matrix) matrix {
	l, d := g.rows, g.cols
	pu, pv := newMatrix(l, l), newMatrix(d, d)
	pu.tmul(f.ut, f.ut)
	pv.tmul(f.v, f.v)
	left, right, both := newMatrix(l, d), newMatrix(l, d), newMatrix(l, d)
	left.mul(pu, g)
	right.mul(g, pv)
	both.mul(left, pv)
	for i := range left.data {
		left.data[i] += right.data[i] - both.data[i]
	}
	return left
}

// Paper, equation 4, minus sign: the reconstruction is the orthogonal projection of
// the gradient, hence idempotent, and the gradient itself for k = l.
func TestReconstructionIsTheProjection(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l, d := rapid.IntRange(1, 8).Draw(t, "l"), rapid.IntRange(1, 12).Draw(t, "d")
		k := rapid.IntRange(1, min(l, d)).Draw(t, "k")
		seed := rapid.Uint64().Draw(t, "seed")
		f := newFactors(l, d, k)
		f.factorise(randomMatrix(l, d, 0.02, seed), rand.New(source(seed)))
		g := randomMatrix(l, d, 1, seed+1)
		groups := [][]float64{make([]float64, l*k), make([]float64, k*d)}
		rebuild := func(g matrix) matrix {
			out := newMatrix(l, d)
			f.project(groups, g)
			f.reconstruct(out, matrix{l, k, groups[0]}, matrix{k, d, groups[1]})
			return out
		}
		got := rebuild(g)
		if diff := maxDiff(got.data, dense(f, g).data); diff > 1e-12 {
			t.Fatalf("reconstruction differs from the projection by %v", diff)
		}
		if diff := maxDiff(rebuild(got).data, got.data); diff > 1e-12 {
			t.Fatalf("not idempotent: %v", diff)
		}
		if k == l {
			if diff := maxDiff(got.data, g.data); diff > 1e-12 {
				t.Fatalf("k = l does not return the gradient: %v", diff)
			}
		}
	})
}

// The energy of noise alone is s²(k(l+d) - k²), half that of full-rank noise at the
// paper's shape; with the authors' plus sign it would be s²(k(l+d) + 3k²), 6% more.
// 400 draws put the standard error at 0.11%.
func TestReconstructedNoiseEnergy(t *testing.T) {
	const l, d, k, draws, s = 16, 512, 8, 400, 0.5
	f := newFactors(l, d, k)
	f.factorise(randomMatrix(l, d, 0.02, 1), rand.New(source(2)))
	a, b, out := newMatrix(l, k), newMatrix(k, d), newMatrix(l, d)
	r := rand.New(source(4))
	energy, left := 0.0, 0.0
	for range draws {
		fillNormal(a.data, s, r)
		fillNormal(b.data, s, r)
		f.reconstruct(out, a, b)
		energy += dot(out.data, out.data) / draws
		f.carry(out, a)
		left += dot(out.data, out.data) / draws
	}
	if want := s * s * (k*(l+d) - k*k); math.Abs(energy/want-1) > 0.006 {
		t.Errorf("energy %v, want %v", energy, want)
	}
	if want := s * s * k * l; math.Abs(left/want-1) > 0.035 {
		t.Errorf("left-only energy %v, want %v", left, want)
	}
}
