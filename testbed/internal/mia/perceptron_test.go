package mia

import (
	"math"
	"math/rand/v2"
	"testing"
)

// examples are points of a ring (members) around others in the middle, which no linear attack separates.
func examples(n int, src rand.Source) (x [][]float64, member []bool) {
	r := rand.New(src)
	for i := range n {
		radius, angle := 0.5*r.Float64(), 2*math.Pi*r.Float64()
		if i%2 == 0 {
			radius += 1
		}
		x, member = append(x, []float64{radius * math.Cos(angle), radius * math.Sin(angle), r.Float64()}), append(member, i%2 == 0)
	}
	return x, member
}

func TestPerceptronLearns(t *testing.T) {
	x, member := examples(300, rand.NewPCG(1, 1))
	p, err := fitPerceptron(x, member, rand.NewPCG(2, 2))
	if err != nil {
		t.Fatal(err)
	}
	test, want := examples(300, rand.NewPCG(3, 3))
	wrong := 0
	for i := range test {
		if (p.score(test[i]) > 0) != want[i] {
			wrong++
		}
	}
	if wrong > 15 {
		t.Errorf("%d of 300 new points wrong", wrong)
	}
	if _, err := fitPerceptron(nil, nil, rand.NewPCG(2, 2)); err == nil {
		t.Error("learned from nothing")
	}
}

// TestPerceptronGradient against central differences.
func TestPerceptronGradient(t *testing.T) {
	x, member := examples(20, rand.NewPCG(4, 4))
	p := &perceptron{inputs: 3}
	r := rand.New(rand.NewPCG(5, 5))
	w := make([]float64, p.weights())
	for i := range w {
		w[i] = r.NormFloat64()
	}
	grad := make([]float64, len(w))
	p.loss(w, grad, x, member)
	const h = 1e-6
	for i := range w {
		v := w[i]
		w[i] = v + h
		high := p.loss(w, nil, x, member)
		w[i] = v - h
		low := p.loss(w, nil, x, member)
		w[i] = v
		if want := (high - low) / (2 * h); math.Abs(grad[i]-want) > 1e-7+1e-5*math.Abs(want) {
			t.Errorf("weight %d: %v, want %v", i, grad[i], want)
		}
	}
}
