package prompt

import (
	"cmp"
	"math"
	"slices"
)

// residual computes the gradient of one example's softmax cross-entropy over all
// classes with respect to the class features, a rank-one matrix: row c of it is
// logitScale·(p_c - y_c)·feature.
type residual struct {
	logitScale float64
	prune      float64
	p          []float64 // C: logits, then p - y
	order      []int     // scratch of pruned
}

func newResidual(classes int, logitScale, prune float64) *residual {
	return &residual{logitScale, prune, make([]float64, classes), make([]int, classes)}
}

// of returns p - y for an example, pruned entries being 0. features is C×e row-major.
func (r *residual) of(x Example, features []float32) []float64 {
	e := len(x.Feature)
	highest := math.Inf(-1)
	for c := range r.p {
		r.p[c] = r.logitScale * dot32(features[c*e:(c+1)*e], x.Feature)
		highest = max(highest, r.p[c])
	}
	total := 0.0
	for c, logit := range r.p {
		r.p[c] = math.Exp(logit - highest)
		total += r.p[c]
	}
	scale(r.p, 1/total)
	r.p[x.Label]--
	r.pruned()
	return r.p
}

// pruned zeroes the smallest entries as long as together they stay within the
// permitted share of the absolute sum.
func (r *residual) pruned() {
	if r.prune == 0 {
		return
	}
	total := 0.0
	for c, v := range r.p {
		r.order[c] = c
		total += math.Abs(v)
	}
	slices.SortFunc(r.order, func(a, b int) int {
		return cmp.Compare(math.Abs(r.p[a]), math.Abs(r.p[b]))
	})
	left := r.prune * total
	for _, c := range r.order {
		if left -= math.Abs(r.p[c]); left < 0 {
			return
		}
		r.p[c] = 0
	}
}

// addTo adds weight times an example's gradient to cot, C×e. Rows whose residual is 0
// stay as they are.
func (r *residual) addTo(cot []float32, weight float64, x Example) {
	e := len(x.Feature)
	for c, v := range r.p {
		s := float32(weight * r.logitScale * v)
		if s == 0 {
			continue
		}
		row := cot[c*e : (c+1)*e]
		for j, f := range x.Feature {
			row[j] += float32(s * f)
		}
	}
}

func dot32(x, y []float32) float64 {
	sum := 0.0
	for i, v := range x {
		sum += float64(v) * float64(y[i])
	}
	return sum
}
