package mia

import (
	"fmt"
	"math"
	"math/rand/v2"

	"gonum.org/v1/gonum/optimize"
)

// perceptron is the paper's attack model: a network with one hidden layer of 32 rectified units on the softmax
// vector. Its one output is the logit of "member", which with the logistic loss is the same as the paper's two
// outputs with the softmax loss.
type perceptron struct {
	inputs      int
	mean, scale []float64 // of the inputs, over the training examples
	w           []float64 // hidden weights, hidden biases, output weights, output bias
}

const hidden = 32

// fitPerceptron trains on vectors x and whether they come from members, to the minimum of the mean logistic loss
// with a little weight decay.
func fitPerceptron(x [][]float64, member []bool, src rand.Source) (*perceptron, error) {
	if len(x) == 0 {
		return nil, fmt.Errorf("mia: no examples to train an attack on")
	}
	p := &perceptron{inputs: len(x[0])}
	p.standardise(x)
	z := make([][]float64, len(x))
	for i := range x {
		z[i] = p.input(x[i])
	}
	start := make([]float64, p.weights())
	r := rand.New(src)
	for i := range start {
		start[i] = r.NormFloat64() / math.Sqrt(float64(max(p.inputs, hidden)))
	}
	problem := optimize.Problem{
		Func: func(w []float64) float64 { return p.loss(w, nil, z, member) },
		Grad: func(grad, w []float64) { p.loss(w, grad, z, member) },
	}
	result, err := optimize.Minimize(problem, start, &optimize.Settings{MajorIterations: 60}, &optimize.LBFGS{})
	if result == nil {
		return nil, fmt.Errorf("mia: attack model: %w", err)
	}
	p.w = result.X // the best point so far is a model, also where the line search ends in rounding errors
	return p, nil
}

func (p *perceptron) weights() int { return hidden*(p.inputs+2) + 1 }

// standardise measures the inputs.
func (p *perceptron) standardise(x [][]float64) {
	p.mean, p.scale = make([]float64, p.inputs), make([]float64, p.inputs)
	for _, row := range x {
		for j, v := range row {
			p.mean[j] += v / float64(len(x))
		}
	}
	for _, row := range x {
		for j, v := range row {
			p.scale[j] += (v - p.mean[j]) * (v - p.mean[j]) / float64(len(x))
		}
	}
	for j, v := range p.scale {
		p.scale[j] = 1 / max(math.Sqrt(v), 1e-9)
	}
}

func (p *perceptron) input(x []float64) []float64 {
	z := make([]float64, p.inputs)
	for j, v := range x {
		z[j] = (v - p.mean[j]) * p.scale[j]
	}
	return z
}

// score is the logit of "member" for a softmax vector.
func (p *perceptron) score(x []float64) float64 {
	return p.forward(p.w, p.input(x), make([]float64, hidden))
}

// forward returns the output for a standardised input and leaves the hidden units in units.
func (p *perceptron) forward(w, z, units []float64) float64 {
	n := p.inputs
	biases, out := w[hidden*n:hidden*(n+1)], w[hidden*(n+1):]
	logit := out[hidden]
	for h := range hidden {
		sum := biases[h]
		for j, v := range z {
			sum += w[h*n+j] * v
		}
		units[h] = max(sum, 0)
		logit += out[h] * units[h]
	}
	return logit
}

// decay is the weight of half the squared norm of all weights.
const decay = 1e-4

// loss returns the mean logistic loss with its decay, and writes its gradient to grad unless that is nil.
func (p *perceptron) loss(w, grad []float64, z [][]float64, member []bool) float64 {
	total := 0.0
	for i, v := range w {
		total += decay / 2 * v * v
		if grad != nil {
			grad[i] = decay * v
		}
	}
	units, each := make([]float64, hidden), 1/float64(len(z))
	for i, x := range z {
		logit := p.forward(w, x, units)
		sign := -1.0
		if member[i] {
			sign = 1
		}
		margin := sign * logit
		total += each * (math.Log1p(math.Exp(-math.Abs(margin))) + max(-margin, 0))
		if grad != nil {
			p.backward(w, grad, x, units, -sign*each/(1+math.Exp(margin)))
		}
	}
	return total
}

// backward adds the gradient of slope times the output.
func (p *perceptron) backward(w, grad, z, units []float64, slope float64) {
	n := p.inputs
	biases, out, outGrad := grad[hidden*n:hidden*(n+1)], w[hidden*(n+1):], grad[hidden*(n+1):]
	outGrad[hidden] += slope
	for h, u := range units {
		if u == 0 {
			continue
		}
		outGrad[h] += slope * u
		back := slope * out[h]
		biases[h] += back
		for j, v := range z {
			grad[h*n+j] += back * v
		}
	}
}
