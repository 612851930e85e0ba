package metrics_test

import (
	"fmt"
	"math"
	"testing"

	"dpfpl/mathx/metrics"

	"gonum.org/v1/gonum/floats/scalar"
	"pgregory.net/rapid"
)

const tol = 1e-12

func close(got, want float64) bool {
	return math.IsNaN(got) && math.IsNaN(want) || scalar.EqualWithinAbsOrRel(got, want, tol, tol)
}

func Example() {
	scores := []float32{ // three pictures, four classes
		0.1, 0.7, 0.1, 0.1,
		0.4, 0.3, 0.2, 0.1,
		0.2, 0.2, 0.5, 0.1,
	}
	labels := []int{1, 1, 0}
	fmt.Printf("top-1 %.3f, top-2 %.3f\n", metrics.TopK(scores, 4, labels, 1), metrics.TopK(scores, 4, labels, 2))
	lo, hi := metrics.Wilson(1, 3, 0.95)
	fmt.Printf("top-1 between %.3f and %.3f\n", lo, hi)
	fmt.Printf("balance of 0.9 and 0.6: %.2f\n", metrics.HarmonicMean(0.9, 0.6))
	// Output:
	// top-1 0.333, top-2 1.000
	// top-1 between 0.061 and 0.792
	// balance of 0.9 and 0.6: 0.72
}

func TestArgMax(t *testing.T) {
	nan := math.NaN()
	for _, c := range []struct {
		scores []float64
		want   int
	}{
		{nil, -1}, {[]float64{nan, nan}, -1}, {[]float64{nan, 1}, 1}, {[]float64{2, 3, 3, 1}, 1}, {[]float64{math.Inf(-1)}, 0},
	} {
		if got := metrics.ArgMax(c.scores); got != c.want {
			t.Errorf("ArgMax(%v) = %d, want %d", c.scores, got, c.want)
		}
	}
}

func TestAccuracy(t *testing.T) {
	if got := metrics.Accuracy([]int{1, 2, 3, 4}, []int{1, 0, 3, -1}); got != 0.5 {
		t.Errorf("accuracy %v", got)
	}
	if got := metrics.Accuracy(nil, nil); !math.IsNaN(got) {
		t.Errorf("accuracy of nothing %v", got)
	}
}

// TestTopKProperties checks agreement with ArgMax at k = 1, growth in k, and that all classes together hold the label.
func TestTopKProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		classes, n := rapid.IntRange(1, 6).Draw(t, "classes"), rapid.IntRange(1, 5).Draw(t, "n")
		// Few levels, so that ties happen.
		scores := rapid.SliceOfN(rapid.SampledFrom([]float64{0, 1, 2}), n*classes, n*classes).Draw(t, "scores")
		labels := rapid.SliceOfN(rapid.IntRange(0, classes-1), n, n).Draw(t, "labels")
		predicted := make([]int, n)
		for i := range predicted {
			predicted[i] = metrics.ArgMax(scores[i*classes : (i+1)*classes])
		}
		last := metrics.TopK(scores, classes, labels, 1)
		if want := metrics.Accuracy(predicted, labels); last != want {
			t.Fatalf("top-1 %v, accuracy %v", last, want)
		}
		for k := 2; k <= classes; k++ {
			next := metrics.TopK(scores, classes, labels, k)
			if next < last {
				t.Fatalf("top-%d %v is below top-%d %v", k, next, k-1, last)
			}
			last = next
		}
		if last != 1 {
			t.Fatalf("top-%d is %v", classes, last)
		}
	})
}

func TestTopKNaN(t *testing.T) {
	if got := metrics.TopK([]float64{math.NaN(), 0}, 2, []int{0}, 2); got != 0 {
		t.Errorf("a NaN score counts: %v", got)
	}
}

func TestHarmonicMean(t *testing.T) {
	for _, c := range [][3]float64{{0.5, 0.5, 0.5}, {1, 0, 0}, {0, 0, 0}, {1, 0.5, 2.0 / 3}, {0.971, 0.749, 0.8456733} /* Caltech101, FedOTP without noise */} {
		if got := metrics.HarmonicMean(c[0], c[1]); math.Abs(got-c[2]) > 1e-6 {
			t.Errorf("of %v and %v: %v, want %v", c[0], c[1], got, c[2])
		}
	}
}

func TestMeanStd(t *testing.T) {
	nan := math.NaN()
	for _, c := range []struct {
		x         []float64
		mean, std float64
	}{
		{nil, nan, nan}, {[]float64{3}, 3, nan}, {[]float64{1, 2, 3}, 2, 1}, {[]float64{2, 4, 4, 4, 5, 5, 7, 9}, 5, math.Sqrt(32.0 / 7)},
	} {
		if mean, std := metrics.MeanStd(c.x); !close(mean, c.mean) || !close(std, c.std) {
			t.Errorf("of %v: %v ± %v, want %v ± %v", c.x, mean, std, c.mean, c.std)
		}
	}
}

func TestLastMean(t *testing.T) {
	for _, c := range []struct {
		n    int
		want float64
	}{{2, 5.5}, {10, 3.5}, {0, math.NaN()}} {
		if got := metrics.LastMean([]float64{1, 2, 3, 4, 5, 6}, c.n); !close(got, c.want) {
			t.Errorf("last %d: %v, want %v", c.n, got, c.want)
		}
	}
}

// TestMeanInterval uses the 97.5 % quantiles 4.302652729911275 and 12.706204736432095 of Student's t with 2 and 1 degrees of freedom.
func TestMeanInterval(t *testing.T) {
	for _, c := range []struct {
		x      []float64
		lo, hi float64
	}{
		{[]float64{1, 2, 3}, 2 - 4.302652729911275/math.Sqrt(3), 2 + 4.302652729911275/math.Sqrt(3)},
		{[]float64{1, 3}, 2 - 12.706204736432095, 2 + 12.706204736432095},
		{[]float64{1}, math.NaN(), math.NaN()},
	} {
		lo, hi := metrics.MeanInterval(c.x, 0.95)
		if math.Abs(lo-c.lo) > 1e-9 || math.Abs(hi-c.hi) > 1e-9 || math.IsNaN(lo) != math.IsNaN(c.lo) {
			t.Errorf("of %v: [%v, %v], want [%v, %v]", c.x, lo, hi, c.lo, c.hi)
		}
	}
}

// TestWilson compares with the formula evaluated in Python with statistics.NormalDist.
func TestWilson(t *testing.T) {
	for _, c := range []struct {
		right, n           int
		confidence, lo, hi float64
	}{
		{8, 10, 0.95, 0.49016247153664183, 0.9433178485456247},
		{0, 20, 0.95, 0, 0.1611251580528193},
		{341, 400, 0.99, 0.8010888928766231, 0.8924079082026275},
		{20, 20, 0.9, 0.8808421626390355, 1},
		{0, 0, 0.9, 0, 1},
	} {
		if lo, hi := metrics.Wilson(c.right, c.n, c.confidence); !close(lo, c.lo) || !close(hi, c.hi) {
			t.Errorf("%d in %d at %v: [%v, %v], want [%v, %v]", c.right, c.n, c.confidence, lo, hi, c.lo, c.hi)
		}
	}
}

// TestWilsonDefinition checks the defining equation at both ends.
func TestWilsonDefinition(t *testing.T) {
	const z = 1.959963984540054
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 2000).Draw(t, "n")
		right := rapid.IntRange(0, n).Draw(t, "right")
		lo, hi := metrics.Wilson(right, n, 0.95)
		p := float64(right) / float64(n)
		if !(0 <= lo && lo <= p+tol && p-tol <= hi && hi <= 1) {
			t.Fatalf("%v is not in [%v, %v]", p, lo, hi)
		}
		for _, end := range []float64{lo, hi} {
			if d, s := math.Abs(p-end), z*math.Sqrt(max(0, end*(1-end))/float64(n)); math.Abs(d-s) > 1e-7 {
				t.Fatalf("end %v of %d in %d: distance %v, z standard errors %v", end, right, n, d, s)
			}
		}
	})
}

func TestPanics(t *testing.T) {
	for name, f := range map[string]func(){
		"accuracy lengths": func() { metrics.Accuracy([]int{1}, nil) },
		"top-k shape":      func() { metrics.TopK([]float64{1, 2, 3}, 2, []int{0}, 1) },
		"top-0":            func() { metrics.TopK([]float64{1}, 1, []int{0}, 0) },
		"negative mean":    func() { metrics.HarmonicMean(-1, 1) },
		"confidence":       func() { metrics.Wilson(1, 2, 1) },
		"more than all":    func() { metrics.Wilson(3, 2, 0.9) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			f()
		})
	}
}
