package prompt

// sgd is stochastic gradient descent with heavy-ball momentum on one parameter
// block: velocity = momentum·velocity + gradient, parameter -= rate·velocity.
type sgd struct {
	param    []float64
	velocity []float64
}

func newSGD(param []float64) sgd { return sgd{param, make([]float64, len(param))} }

// step moves the parameter. Both velocity and gradient are released values, so the
// optimiser's memory is as public as the parameter.
func (o sgd) step(gradient []float64, s stride) {
	for i, g := range gradient {
		o.velocity[i] = float64(s.momentum*o.velocity[i]) + g
		o.param[i] -= float64(s.rate * o.velocity[i])
	}
}
