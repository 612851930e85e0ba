package prompt

import (
	"math/rand/v2"

	"dpfpl/mathx/dp"
)

// method is what the algorithms differ in: the local part of the prompt, the
// gradients released beside the global prompt's, and what their release does. Only
// descend may change parameters.
type method interface {
	// project writes an example's gradient g (l×d) to the local groups, one slice each.
	project(groups [][]float64, g []float64)
	// descend moves the local parameters by a release and prepares the next step.
	descend(n *dp.Noised, s stride, public *rand.Rand)
	// local returns p_L as it enters the prompt, l×d; nil when there is none.
	local() []float64
	// state lists the blocks of numbers that survive between steps.
	state() [][]float64
}

// stride is how far a release moves a parameter: velocity = momentum·velocity +
// sum/batch, parameter -= rate·velocity.
type stride struct{ batch, rate, momentum float64 }

func newMethod(c *Config, l, d int, std float64, src *rand.Rand) method {
	switch c.Method {
	case FedOTP:
		m := newFull(l, d)
		fillNormal(m.param, std, src)
		return m
	case FedPGP:
		m := newPersistent(c, l, d)
		fillNormal(m.ut.data, std, src)
		fillNormal(m.v.data, std, src)
		return m
	case DPLoRA, DPFPL:
		m := newSketched(c, l, d)
		fillNormal(m.param, std, src)
		m.factorise(m.p, src)
		return m
	}
	return shared{}
}

// mean sets dst to a group's released sum divided by the public batch size.
func mean(dst []float64, n *dp.Noised, group int, batch float64) {
	scale(n.Float(dst, group), 1/batch)
}

// shared is PromptFL: the prompt is the global one.
type shared struct{}

func (shared) project([][]float64, []float64)         {}
func (shared) descend(*dp.Noised, stride, *rand.Rand) {}
func (shared) local() []float64                       { return nil }
func (shared) state() [][]float64                     { return nil }

// full is FedOTP without its transport plan: a full-rank local prompt, whose whole
// gradient is released.
type full struct {
	sgd
	grad []float64 // scratch
}

func newFull(l, d int) *full {
	return &full{newSGD(make([]float64, l*d)), make([]float64, l*d)}
}

func (m *full) project(groups [][]float64, g []float64) { copy(groups[0], g) }

func (m *full) descend(n *dp.Noised, s stride, _ *rand.Rand) {
	mean(m.grad, n, 0, s.batch)
	m.step(m.grad, s)
}

func (m *full) local() []float64   { return m.param }
func (m *full) state() [][]float64 { return [][]float64{m.param, m.velocity} }
