package predictor

import (
	"bytes"
	"math"
	"testing"

	"dpfpl/mathx/prompt"
)

// TestAgreesWithTheLearner: the likeliest class is the one by which clients are rated, also where only the rounding of a
// product decides between two.
func TestAgreesWithTheLearner(t *testing.T) {
	p, model := newPredictor(t)
	ids := make([][]int, len(names))
	for i, name := range names {
		var err error
		if ids[i], err = model.Tokens(name + "."); err != nil {
			t.Fatal(err)
		}
	}
	encoder, err := model.Text.NewEncoder(ids, rows)
	if err != nil {
		t.Fatal(err)
	}
	features := make([][]float32, 80)
	for i := range features {
		features[i] = prompt.RandomContext(1, p.Dim, 1, seed(i))
		if i >= 40 {
			between(features[i], p.text[:p.Dim], p.text[p.Dim:2*p.Dim])
		}
	}
	for i, want := range prompt.Predict(encoder, learned(model), features) {
		got := p.Best(features[i], 9)
		if got[0].Class != want {
			t.Errorf("feature %d: class %d, want %d", i, got[0].Class, want)
		}
		sum := 0.0
		for n, g := range got {
			sum += g.Probability
			if n > 0 && g.Probability > got[n-1].Probability {
				t.Errorf("%v is not in order", got)
			}
		}
		if len(got) != len(names) || math.Abs(sum-1) > 1e-12 {
			t.Errorf("%d classes, probabilities add up to %v", len(got), sum)
		}
	}
}

// between moves a feature to where two classes are equally near to it, but for rounding, and nearer than all others.
func between(x, a, b []float32) {
	var along, square float32
	for i := range x {
		along += x[i] * (a[i] - b[i])
		square += (a[i] - b[i]) * (a[i] - b[i])
	}
	for i := range x {
		x[i] += 100*(a[i]+b[i]) - along/square*(a[i]-b[i])
	}
}

func TestEqualClassesKeepTheirOrder(t *testing.T) {
	k := &Classifier{Names: []string{"a", "b", "c"}, Dim: 2, scale: 100, text: []float32{0, 1, 1, 0, 1, 0}}
	if got := k.Best([]float32{1, 0}, 3); got[0].Class != 1 || got[1].Class != 2 || got[0].Probability != 0.5 {
		t.Errorf("%v", got)
	}
}

// TestUnsure: the answer is withheld below the probability, the classes are not.
func TestUnsure(t *testing.T) {
	p, _ := newPredictor(t)
	sure, err := p.Picture(bytes.NewReader(drawing(t, 1)), 2)
	if err != nil || sure.Answer != sure.Classes[0].Class {
		t.Fatalf("%+v, %v", sure, err)
	}
	for least, want := range map[float64]string{sure.Classes[0].Probability: sure.Answer, math.Nextafter(sure.Classes[0].Probability, 2): Unsure, 1: Unsure} {
		p.MinProbability = least
		got, err := p.Picture(bytes.NewReader(drawing(t, 1)), 2)
		if err != nil || got.Answer != want || len(got.Classes) != 2 || got.Classes[0] != sure.Classes[0] {
			t.Errorf("at least %v: %+v, %v", least, got, err)
		}
	}
}
