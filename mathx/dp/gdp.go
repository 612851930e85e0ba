package dp

import "math"

// Gaussian differential privacy (Dong, Roth, Su 2022): steps without sampling are
// together exactly mu-GDP with mu^2 the sum of the 1/z^2, z relative to the
// sensitivity of the adjacency. The conversions are exact in both directions:
//
//	delta = Phi(mu/2 - epsilon/mu) - e^epsilon Phi(-mu/2 - epsilon/mu).

// GDPDelta returns the exact delta of mu-GDP at epsilon >= 0.
func GDPDelta(mu, epsilon float64) float64 {
	if mu == 0 {
		return 0
	}
	a := logCDF(mu/2 - epsilon/mu)
	b := epsilon + logCDF(-mu/2-epsilon/mu)
	return max(0, -math.Exp(a)*math.Expm1(b-a))
}

// GDPEpsilon returns the exact epsilon of mu-GDP at delta in (0, 1), from above.
func GDPEpsilon(mu, delta float64) float64 {
	private := func(epsilon float64) bool { return GDPDelta(mu, epsilon) <= delta }
	if private(0) {
		return 0
	}
	high := 1.0
	for !private(high) {
		high *= 2
	}
	return bisect(0, high, 1e-14, private)
}

// GDPMu returns the largest mu whose delta at epsilon is at most delta, from below.
func GDPMu(epsilon, delta float64) float64 {
	// In terms of sigma = 1/mu private turns from false to true.
	private := func(sigma float64) bool { return GDPDelta(1/sigma, epsilon) <= delta }
	high := 1.0
	for !private(high) {
		high *= 2
	}
	return 1 / bisect(0, high, 1e-14, private)
}

// Zero-concentrated differential privacy: RDP(alpha) <= rho alpha at every order, as
// for steps without sampling with rho = mu^2/2. The order is optimised over the reals.

// ZCDPDelta returns the delta proven from rho-zCDP at epsilon >= 0.
func ZCDPDelta(rho, epsilon float64) float64 {
	if rho == 0 {
		return 0
	}
	exponent := func(alpha float64) float64 {
		return (alpha-1)*(alpha*rho-epsilon+math.Log1p(-1/alpha)) - math.Log(alpha)
	}
	// The derivative of the exponent, increasing in alpha.
	rising := func(alpha float64) bool {
		return (2*alpha-1)*rho-epsilon+math.Log1p(-1/alpha) >= 0
	}
	high := 2.0
	for !rising(high) {
		high *= 2
	}
	return math.Exp(min(0, exponent(bisect(1, high, 1e-15, rising))))
}

// ZCDPEpsilon returns the epsilon proven from rho-zCDP at delta in (0, 1), from above.
func ZCDPEpsilon(rho, delta float64) float64 {
	private := func(epsilon float64) bool { return ZCDPDelta(rho, epsilon) <= delta }
	if private(0) {
		return 0
	}
	high := 1.0
	for !private(high) {
		high *= 2
	}
	return bisect(0, high, 1e-15, private)
}
