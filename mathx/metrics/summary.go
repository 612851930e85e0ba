package metrics

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/stat"
	"gonum.org/v1/gonum/stat/distuv"
)

// HarmonicMean returns 2ab/(a+b) for non-negative a and b, 0 if one of them is 0: it is high only where local and
// neighbour accuracy both are.
func HarmonicMean(a, b float64) float64 {
	if a < 0 || b < 0 {
		panic(fmt.Sprintf("metrics: harmonic mean of %v and %v", a, b))
	}
	if a == 0 || b == 0 {
		return 0
	}
	return 2 / (1/a + 1/b)
}

// MeanStd returns the mean and the sample standard deviation (divisor n-1). Of no values both are NaN, of one the
// deviation is.
func MeanStd(x []float64) (mean, std float64) {
	switch len(x) {
	case 0:
		return math.NaN(), math.NaN()
	case 1:
		return x[0], math.NaN()
	}
	return stat.MeanStdDev(x, nil)
}

// LastMean returns the mean of the last n values, of all if there are fewer: the paper's figure for a run is the mean over its
// last 10 versions.
func LastMean(series []float64, n int) float64 {
	mean, _ := MeanStd(series[max(0, len(series)-n):])
	return mean
}

// MeanInterval returns Student's confidence interval of the mean that x was drawn around, e.g. at confidence 0.95. It
// is NaN for fewer than two values.
func MeanInterval(x []float64, confidence float64) (lo, hi float64) {
	checkConfidence(confidence)
	n := float64(len(x))
	mean, std := MeanStd(x)
	if n < 2 {
		return math.NaN(), math.NaN()
	}
	t := distuv.StudentsT{Sigma: 1, Nu: n - 1}.Quantile((1 + confidence) / 2)
	half := t * std / math.Sqrt(n)
	return mean - half, mean + half
}

// Wilson returns the score confidence interval of a proportion of which right in n were observed (Wilson, Journal of the American
// Statistical Association 22, 1927): the p with |right/n - p| <= z sqrt(p(1-p)/n). Of no observations it is all of [0, 1].
func Wilson(right, n int, confidence float64) (lo, hi float64) {
	checkConfidence(confidence)
	if right < 0 || right > n {
		panic(fmt.Sprintf("metrics: %d right in %d", right, n))
	}
	if n == 0 {
		return 0, 1
	}
	z := distuv.UnitNormal.Quantile((1 + confidence) / 2)
	p, m := float64(right)/float64(n), float64(n)
	middle := (p + z*z/(2*m)) / (1 + z*z/m)
	half := z / (1 + z*z/m) * math.Sqrt(p*(1-p)/m+z*z/(4*m*m))
	return max(0, middle-half), min(1, middle+half)
}

func checkConfidence(c float64) {
	if !(c > 0 && c < 1) {
		panic(fmt.Sprintf("metrics: confidence must be between 0 and 1, not %v", c))
	}
}
