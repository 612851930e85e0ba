package prompt

import (
	"math/rand/v2"

	"dpfpl/mathx/dp"
)

// persistent is FedPGP without its contrastive term: the local prompt is u v, whose
// factors stay and are trained directly. With left only v keeps its first value.
type persistent struct {
	factors
	left, right sgd
	leftOnly    bool
	// Scratch: u v (l×d), the means of u's released gradient (l×k), the same
	// transposed, and v's (k×d).
	uv, a, at, b matrix
}

func newPersistent(c *Config, l, d int) *persistent {
	f := newFactors(l, d, c.Rank)
	return &persistent{
		factors:  f,
		left:     newSGD(f.ut.data),
		right:    newSGD(f.v.data),
		leftOnly: c.LeftOnly,
		uv:       newMatrix(l, d),
		a:        newMatrix(l, c.Rank),
		at:       newMatrix(c.Rank, l),
		b:        newMatrix(c.Rank, d),
	}
}

func (m *persistent) project(groups [][]float64, g []float64) {
	m.factors.project(groups, matrix{m.uv.rows, m.uv.cols, g})
}

func (m *persistent) descend(n *dp.Noised, s stride, _ *rand.Rand) {
	mean(m.a.data, n, 0, s.batch)
	m.at.transpose(m.a)
	m.left.step(m.at.data, s)
	if !m.leftOnly {
		mean(m.b.data, n, 1, s.batch)
		m.right.step(m.b.data, s)
	}
}

func (m *persistent) local() []float64 {
	m.product(m.uv)
	return m.uv.data
}

func (m *persistent) state() [][]float64 {
	return [][]float64{m.ut.data, m.v.data, m.left.velocity, m.right.velocity}
}
