package dp

import "math"

// Rényi differential privacy of the Poisson-sampled Gaussian with rate q and noise
// multiplier z, Mironov, Talwar, Zhang 2019 (arXiv 1908.10530), section 3.3:
// RDP(alpha) = ln A/(alpha-1), where A is the alpha-th moment under N(0, z^2) of
// r(x) = 1-q + q exp((2x-1)/(2z^2)).

// integerOrders are the orders of the official number. At integers the moment is a
// finite sum of positive terms, and it is exact for the discrete Gaussian too.
var integerOrders = makeIntegerOrders()

// denseOrders include fractions and are for information.
var denseOrders = makeDenseOrders()

func makeIntegerOrders() []float64 {
	var orders []float64
	for a := 2; a <= 256; a++ {
		orders = append(orders, float64(a))
	}
	return append(orders, 288, 320, 384, 448, 512, 640, 768, 896, 1024, 1536, 2048, 3072, 4096)
}

func makeDenseOrders() []float64 {
	var orders []float64
	for a := 11; a < 110; a++ {
		orders = append(orders, float64(a)/10)
	}
	for a := 11; a <= 63; a++ {
		orders = append(orders, float64(a))
	}
	return append(orders, 64, 80, 96, 128, 192, 256, 512, 1024)
}

// sampledGaussian is the divergence of one step at rate q with noise multiplier z.
type sampledGaussian struct {
	q, z  float64
	terms []float64 // k-th: what the terms of the sum below have in common
}

// rdp returns the divergence at an order > 1.
func (s *sampledGaussian) rdp(alpha float64) float64 {
	switch {
	case s.q == 0:
		return 0
	case s.z == 0:
		return math.Inf(1)
	case s.q == 1:
		return alpha / (2 * s.z * s.z)
	case alpha == math.Trunc(alpha):
		return log1pExp(s.logExcessSum(int(alpha))) / (alpha - 1)
	}
	return log1pExp(s.logExcessIntegral(alpha)) / (alpha - 1)
}

// negligible is how far below the largest a logarithm is not worth adding.
const negligible = 45

// logExcessSum returns ln(A-1) at an integer order. In the binomial expansion of A
// the terms k = 0 and 1 have exponent 0 and all weights sum to 1, so
//
//	A-1 = sum_{k=2..alpha} C(alpha,k) (1-q)^(alpha-k) q^k expm1(k(k-1)/(2z^2)),
//
// all terms positive: full relative precision however small the divergence.
func (s *sampledGaussian) logExcessSum(alpha int) float64 {
	s.extend(alpha)
	lnP := math.Log1p(-s.q)
	term := func(k int) float64 { return s.terms[k] + float64(alpha-k)*lnP - logFactorial(alpha-k) }
	largest := math.Inf(-1)
	for k := 2; k <= alpha; k++ {
		largest = max(largest, term(k))
	}
	sum := 0.0
	for k := 2; k <= alpha; k++ {
		if x := term(k) - largest; x > -negligible {
			sum += math.Exp(x)
		}
	}
	return logFactorial(alpha) + largest + math.Log(sum)
}

// extend makes terms[k] = ln(q^k/k! expm1(k(k-1)/(2z^2))) known up to k = alpha.
func (s *sampledGaussian) extend(alpha int) {
	lnQ := math.Log(s.q)
	for k := len(s.terms); k <= alpha; k++ {
		x := float64(k) * float64(k-1) / (2 * s.z * s.z)
		s.terms = append(s.terms, float64(k)*lnQ-logFactorial(k)+logExpm1(x))
	}
}

// logExcessIntegral returns ln(A-1) at any order by the trapezoid rule on
//
//	A-1 = integral of N(x; 0, z^2) (r^alpha - 1 - alpha(r-1)) dx,
//
// where the subtracted part integrates to nothing and the bracket is never negative
// (Bernoulli). The integrand is analytic in a strip of half-width pi z^2, so the
// rule converges exponentially.
func (s *sampledGaussian) logExcessIntegral(alpha float64) float64 {
	q, z := s.q, s.z
	lnQ, lnP := math.Log(q), math.Log1p(-q)
	h := min(z, math.Pi*z*z) / 8
	var sum logSum
	for x := -12 * z; x <= alpha+12*z; x += h {
		t := (2*x - 1) / (2 * z * z)
		lnR := logAdd(lnP, lnQ+t)
		if t <= 1 {
			lnR = math.Log1p(q * math.Expm1(t))
		}
		sum.add(logBernoulli(alpha, lnR) - x*x/(2*z*z))
	}
	return sum.log() + math.Log(h/z) - 0.5*math.Log(2*math.Pi)
}

// logBernoulli returns ln(r^alpha - 1 - alpha(r-1)) for r = exp(lnR).
func logBernoulli(alpha, lnR float64) float64 {
	a := alpha * lnR
	switch {
	case math.Abs(a) < 0.01: // power series, or the difference would cancel
		sum, power, factorial, alphaK := 0.0, lnR, 1.0, alpha
		for k := 2.0; k <= 9; k++ {
			power, factorial, alphaK = power*lnR, factorial*k, alphaK*alpha
			sum += (alphaK - alpha) * power / factorial
		}
		return math.Log(sum)
	case a > 40:
		return a + math.Log1p(-(1-alpha)*math.Exp(-a)-alpha*math.Exp(lnR-a))
	}
	return math.Log(math.Expm1(a) - alpha*math.Expm1(lnR))
}
