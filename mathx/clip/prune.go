package clip

import (
	"math"
	"math/rand/v2"
	"slices"
)

// Gains sets dst[c] to an upper bound of class c's gain at the last Forward, the spectral
// norm of its Jacobian d feature/d ctx; nil dst is allocated. The bounds hold for all
// classes together with a probability of at least 1 − failure over src.
//
// For a matrix J and independent normal vectors g₁ … g_r, ‖J‖ ≤ α·√(2/π)·max‖J g_i‖ but
// for a probability of α^−r (Halko, Martinsson and Tropp, SIAM Review 53 (2011), lemma
// 4.1); here J is the transposed Jacobian and α = (C/failure)^(1/r). More probes give a
// tighter bound, at a Pull of one class each.
//
// The bounds depend on the context and on src, not on any example. They are proven where
// they were measured; after the context has moved, measure again.
func (e *Encoder) Gains(dst []float64, probes int, failure float64, src rand.Source) []float64 {
	classes, dim := len(e.tree.leaf), e.text.cfg.Dim
	if dst == nil {
		dst = make([]float64, classes)
	}
	if len(dst) != classes || probes < 1 || !(failure > 0 && failure < 1) {
		panic("clip: Gains wants C values of dst, a probe and a probability")
	}
	rng := rand.New(src)
	grad, cot := make([]float32, e.context*e.text.width), make([]float32, classes*dim)
	slack := math.Pow(float64(classes)/failure, 1/float64(probes)) * math.Sqrt(2/math.Pi)
	for c := range dst {
		at := cot[c*dim : (c+1)*dim]
		dst[c] = 0
		for range probes {
			for i := range at {
				at[i] = float32(rng.NormFloat64())
			}
			e.Pull(grad, cot)
			dst[c] = max(dst[c], slack*norm2(grad))
		}
		clear(at)
	}
	return dst
}

// PullPruned is Pull without the classes that do not matter: it overwrites dst with a
// gradient whose error, in the Euclidean norm, is at most tol times the norm of the exact
// one, and zeroes the rows of cot that it left out. It returns how many classes it kept and
// the bound it proved, which is 0 if it left out none and otherwise at most tol.
//
// A class adds J_cᵀ·cot_c to the gradient, at most gains[c]·‖cot_c − f_c⟨f_c, cot_c⟩‖ since
// features have unit norm. What is left out adds up to at most the sum s of these bounds,
// and the exact gradient's norm is at least that of dst less s, so that s/(‖dst‖ − s)
// bounds the relative error. Classes are pulled, largest bound first, until that is at most
// tol. The choice depends on this cotangent, the parameters and the gains alone, so a
// clipped sum of such gradients has the same sensitivity as one of exact gradients.
func (e *Encoder) PullPruned(dst, cot []float32, gains []float64, tol float64) (kept int, bound float64) {
	classes, dim := len(e.tree.leaf), e.text.cfg.Dim
	if len(gains) != classes || !(tol >= 0 && tol < 1) || len(cot) != classes*dim {
		panic("clip: PullPruned wants C gains, a tolerance below 1 and C·e values of cot")
	}
	if e.workspace == nil {
		panic("clip: PullPruned without Forward")
	}
	p := e.prune
	p.rank(e, cot, gains)
	clear(dst)
	for target := tol / firstCut * p.tail[0]; ; target = tol / (1 + tol) * norm2(dst) {
		to := p.cut(kept, target)
		if to == kept {
			break
		}
		clear(p.cot)
		for _, c := range p.order[kept:to] {
			copy(p.cot[c*dim:(c+1)*dim], cot[c*dim:])
		}
		e.Pull(p.part, p.cot)
		e.text.engine.Add(dst, p.part)
		kept = to
	}
	left := p.tail[kept]
	for _, c := range p.order[kept:] {
		clear(cot[c*dim : (c+1)*dim])
	}
	if left == 0 {
		return kept, 0
	}
	return kept, left / (norm2(dst) - left)
}

// firstCut is how many times larger than the gradient the sum of all bounds is taken to be
// in the first round, before there is a gradient. It only decides how often one round is
// enough; a second one costs more than a few classes too many in the first.
const firstCut = 64

// pruning is the workspace of PullPruned.
type pruning struct {
	bound []float64 // class → bound of what it adds to the gradient
	order []int     // classes, largest bound first
	tail  []float64 // k → sum of the bounds of order[k:]
	cot   []float32
	part  []float32
}

func newPruning(p *plan) *pruning {
	classes := len(p.tree.leaf)
	return &pruning{bound: make([]float64, classes), order: make([]int, classes), tail: make([]float64, classes+1),
		cot: make([]float32, classes*p.text.cfg.Dim), part: make([]float32, p.context*p.text.width)}
}

// rank fills in bound, order and tail.
func (p *pruning) rank(e *Encoder, cot []float32, gains []float64) {
	dim := e.text.cfg.Dim
	for c := range p.bound {
		p.order[c] = c
		p.bound[c] = gains[c] * tangent(cot[c*dim:(c+1)*dim], row(e.features, c))
	}
	slices.SortFunc(p.order, func(a, b int) int {
		switch {
		case p.bound[a] > p.bound[b]:
			return -1
		case p.bound[a] < p.bound[b]:
			return 1
		}
		return a - b
	})
	sum := 0.0
	for k := len(p.order) - 1; k >= 0; k-- {
		sum += p.bound[p.order[k]]
		p.tail[k] = sum
	}
}

// cut returns the least k ≥ from with tail[k] ≤ target, at most all classes that count.
func (p *pruning) cut(from int, target float64) int {
	for from < len(p.order) && p.tail[from] > target {
		from++
	}
	return from
}

// tangent is the norm of the part of x orthogonal to the unit vector f.
func tangent(x, f []float32) float64 {
	var dot float64
	for i, v := range x {
		dot += float64(v) * float64(f[i])
	}
	var sq float64
	for i, v := range x {
		d := float64(v) - dot*float64(f[i])
		sq += d * d
	}
	return math.Sqrt(sq)
}

func norm2(x []float32) float64 {
	var sq float64
	for _, v := range x {
		sq += float64(v) * float64(v)
	}
	return math.Sqrt(sq)
}
