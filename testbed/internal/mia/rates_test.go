package mia

import (
	"math"
	"math/rand/v2"
	"testing"

	"dpfpl/mathx/dp"
)

func TestAUC(t *testing.T) {
	in := []bool{true, true, false, false}
	for _, c := range []struct {
		scores []float64
		want   float64
	}{
		{[]float64{4, 3, 2, 1}, 1}, {[]float64{1, 2, 3, 4}, 0}, {[]float64{1, 1, 1, 1}, 0.5}, {[]float64{3, 1, 1, 0}, 0.875},
	} {
		if got := auc(in, c.scores); got != c.want {
			t.Errorf("scores %v: %v, want %v", c.scores, got, c.want)
		}
	}
}

// TestRates of 2 targets with 1000 others and 1000 members each, whose scores are 0 … 999 and 5.5 … 1004.5.
func TestRates(t *testing.T) {
	var shadows []shadow
	var scores [][]float64
	for range 2 {
		var s shadow
		var x []float64
		for i := range 1000 {
			s.in, x = append(s.in, false, true), append(x, float64(i), float64(i)+5.5)
		}
		shadows, scores = append(shadows, s), append(scores, x)
	}
	a := assess("test", shadows, make([]int, 2000), scores, 0.95)
	// One in a hundred of 2000 others: 20 may pass, so those of 990 and more do; of members those above 989, from 983.5 + 5.5.
	if a.TPR1.Mean != 0.016 || a.TPR01.Mean != 0.007 || a.Errors != 2 {
		t.Errorf("%+v", a)
	}
	if a.TPR1.Low != a.TPR1.Mean || a.TPR1.High != a.TPR1.Mean {
		t.Errorf("equal targets have the interval %+v", a.TPR1)
	}
	if want := 0.5 + 1.0/2000; math.Abs(float64(a.Success.Mean)-want) > 1e-3 {
		t.Errorf("success %v", a.Success.Mean)
	}
}

// TestSuccessAveragesOverClasses: a class with few records counts as much as one with many.
func TestSuccessAveragesOverClasses(t *testing.T) {
	in := []bool{true, false, true, false, true, false}
	labels := []int{7, 7, 3, 3, 3, 3}
	if got := success(in, labels, []float64{1, -1, -1, 1, -1, 1}); got != 0.5 {
		t.Errorf("one class all right, the other all wrong: %v", got)
	}
	if got := success(in, labels, []float64{1, 1, 1, 1, 1, 1}); got != 0.5 {
		t.Errorf("all are called members: %v", got)
	}
}

// TestLiRAOfNormals: confidences of 1 standard deviation's difference are told apart as well as two normals are.
func TestLiRAOfNormals(t *testing.T) {
	const targets, n = 64, 200
	r := rand.New(rand.NewPCG(3, 4))
	labels := make([]int, n)
	means := make([]float64, n)
	for j := range means {
		means[j] = 3 * r.NormFloat64() // records differ more than membership does: a global threshold is no use
	}
	shadows := make([]shadow, targets)
	for m := range shadows {
		s := shadow{in: halves(1, m, n), softmax: make([][]float64, n)}
		for j := range s.softmax {
			x := means[j] + r.NormFloat64()
			if s.in[j] {
				x++
			}
			p := 1 / (1 + math.Exp(-x))
			s.softmax[j] = []float64{p, 1 - p}
		}
		shadows[m] = s
	}
	a := assess("LiRA", shadows, labels, lira(shadows, labels), 0.95)
	ideal := 0.5 * math.Erfc(-0.5) // Phi(1/sqrt 2) = 0.760
	if got := float64(a.AUC.Mean); got > ideal+0.01 || got < ideal-0.03 {
		t.Errorf("AUC %v, want close to, and hardly above, %v", got, ideal)
	}
	if got := float64(a.Success.Mean); math.Abs(got-0.5*math.Erfc(-0.5/math.Sqrt2)) > 0.02 { // Phi(1/2) = 0.691
		t.Errorf("success %v", got)
	}
}

// TestCeiling is the trade-off curve of a Gaussian mechanism, which is known exactly: TPR = Phi(quantile(FPR) + mu).
func TestCeiling(t *testing.T) {
	for _, mu := range []float64{0.3, 1, 3} {
		a, err := dp.NewAccount(dp.ZeroOut)
		if err != nil {
			t.Fatal(err)
		}
		if err := a.Spend(dp.Step{Q: 1, Z: 1 / mu}, 1); err != nil {
			t.Fatal(err)
		}
		points, err := profile(a)
		if err != nil {
			t.Fatal(err)
		}
		for _, fpr := range []float64{0, 0.001, 0.01, 0.1, 0.5, 0.9, 1} {
			quantile := math.Sqrt2 * math.Erfinv(2*fpr-1)
			exact := 0.5 * math.Erfc(-(quantile+mu)/math.Sqrt2)
			if got := most(points, fpr); got < exact-1e-9 || got > exact+0.06 {
				t.Errorf("mu %v, FPR %v: TPR at most %v, exactly %v", mu, fpr, got, exact)
			}
		}
		c := newCeiling(points)
		exactAUC := 0.5 * math.Erfc(-mu/2) // Phi(mu/sqrt 2)
		exactSuccess := 0.5 * math.Erfc(-mu/2/math.Sqrt2)
		if v := float64(c.AUC); v < exactAUC || v > exactAUC+0.02 {
			t.Errorf("mu %v: AUC at most %v, exactly %v", mu, v, exactAUC)
		}
		if v := float64(c.Success); math.Abs(v-exactSuccess) > 1e-3 {
			t.Errorf("mu %v: success at most %v, exactly %v", mu, v, exactSuccess)
		}
	}
}
