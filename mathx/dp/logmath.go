package dp

import "math"

// logSum accumulates a sum of positive numbers given by their logarithms. The zero
// value is the empty sum.
type logSum struct{ largest, scaled float64 }

func (s *logSum) add(x float64) {
	switch {
	case math.IsInf(x, -1):
	case s.scaled == 0:
		s.largest, s.scaled = x, 1
	case x <= s.largest:
		s.scaled += math.Exp(x - s.largest)
	default:
		s.scaled = s.scaled*math.Exp(s.largest-x) + 1
		s.largest = x
	}
}

// log returns the logarithm of the sum.
func (s *logSum) log() float64 {
	if s.scaled == 0 {
		return math.Inf(-1)
	}
	return s.largest + math.Log(s.scaled)
}

// logAdd returns ln(e^a + e^b).
func logAdd(a, b float64) float64 {
	if a < b {
		a, b = b, a
	}
	if math.IsInf(b, -1) {
		return a
	}
	return a + math.Log1p(math.Exp(b-a))
}

// log1pExp returns ln(1 + e^x).
func log1pExp(x float64) float64 {
	if x > 30 {
		return x + math.Exp(-x)
	}
	return math.Log1p(math.Exp(x))
}

// logExpm1 returns ln(e^x - 1) for x > 0.
func logExpm1(x float64) float64 {
	if x > 1 {
		return x + math.Log1p(-math.Exp(-x))
	}
	return math.Log(math.Expm1(x))
}

// logFactorial returns ln(n!) for a non-negative integer n.
func logFactorial(n int) float64 {
	if n < len(logFactorials) {
		return logFactorials[n]
	}
	v, _ := math.Lgamma(float64(n) + 1)
	return v
}

var logFactorials = makeLogFactorials(4097)

func makeLogFactorials(n int) []float64 {
	table := make([]float64, n)
	for i := range table {
		table[i], _ = math.Lgamma(float64(i) + 1)
	}
	return table
}

// logCDF returns ln Phi(x), the logarithm of the normal distribution function,
// without underflow far into the left tail.
func logCDF(x float64) float64 {
	if x > -30 {
		return math.Log(math.Erfc(-x/math.Sqrt2) / 2)
	}
	// Asymptotic series of Mills' ratio; the terms shrink down to x = -30.
	square := x * x
	series := 1 - 1/square*(1-3/square*(1-5/square*(1-7/square)))
	return -square/2 - 0.5*math.Log(2*math.Pi) - math.Log(-x) + math.Log(series)
}

// bisect returns an x in [low, high] at which holds turns from false (at low) to
// true (at high), on the side where it holds, to the relative precision.
func bisect(low, high, precision float64, holds func(float64) bool) float64 {
	for range 200 {
		middle := low + (high-low)/2
		if high-low <= precision*math.Abs(high) || middle == low || middle == high {
			break
		}
		if holds(middle) {
			high = middle
		} else {
			low = middle
		}
	}
	return high
}
