package prompt

import (
	"math/rand/v2"

	"dpfpl/mathx/dp"
)

// sketched is DP-FPL, and DP-LoRA when the residual is left out: a full-rank p_L that
// moves by a gradient rebuilt from those of its factors, which are drawn anew after
// every step.
type sketched struct {
	sgd
	factors
	p        matrix // the parameter as a matrix
	residual bool
	leftOnly bool
	// Scratch: u v, the rebuilt gradient (both l×d), the means of u's (l×k) and v's
	// (k×d) released gradients.
	uv, grad, a, b matrix
}

func newSketched(c *Config, l, d int) *sketched {
	p := newMatrix(l, d)
	return &sketched{
		sgd:      newSGD(p.data),
		factors:  newFactors(l, d, c.Rank),
		p:        p,
		residual: c.Method == DPFPL,
		leftOnly: c.LeftOnly,
		uv:       newMatrix(l, d),
		grad:     newMatrix(l, d),
		a:        newMatrix(l, c.Rank),
		b:        newMatrix(c.Rank, d),
	}
}

func (m *sketched) project(groups [][]float64, g []float64) {
	m.factors.project(groups, matrix{m.p.rows, m.p.cols, g})
}

func (m *sketched) descend(n *dp.Noised, s stride, public *rand.Rand) {
	mean(m.a.data, n, 0, s.batch)
	if m.leftOnly {
		m.carry(m.grad, m.a)
	} else {
		mean(m.b.data, n, 1, s.batch)
		m.reconstruct(m.grad, m.a, m.b)
	}
	m.step(m.grad.data, s)
	m.factorise(m.p, public)
}

// local returns u v + r, which is p_L, or u v alone without the residual.
func (m *sketched) local() []float64 {
	if m.residual {
		return m.param
	}
	m.product(m.uv)
	return m.uv.data
}

func (m *sketched) state() [][]float64 {
	return [][]float64{m.param, m.velocity, m.ut.data, m.v.data}
}
