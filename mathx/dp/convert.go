package dp

import "math"

// epsilonFromRDP converts Rényi divergences at orders to the smallest epsilon at
// delta and the order that gave it: Canonne, Kamath, Steinke 2020 (arXiv 2004.00010),
// proposition 12, and Balle et al. 2020 (arXiv 1905.09982), theorem 21,
//
//	epsilon = RDP + ln(1 - 1/alpha) - (ln delta + ln alpha)/(alpha - 1).
func epsilonFromRDP(orders, rdp []float64, delta float64) (epsilon, order float64) {
	epsilon = math.Inf(1)
	for i, alpha := range orders {
		if alpha <= 1.01 {
			continue // unstable
		}
		e := rdp[i] + math.Log1p(-1/alpha) - (math.Log(delta)+math.Log(alpha))/(alpha-1)
		if delta*delta+math.Expm1(-rdp[i]) > 0 {
			e = 0 // total variation bounded through the Kullback-Leibler divergence
		}
		if e = max(e, 0); e < epsilon || (order == 0 && math.IsInf(e, 1)) {
			epsilon, order = e, alpha
		}
	}
	return epsilon, order
}

// deltaFromRDP is the other direction of [epsilonFromRDP].
func deltaFromRDP(orders, rdp []float64, epsilon float64) float64 {
	lnDelta := 0.0
	for i, alpha := range orders {
		if alpha <= 1.01 {
			continue
		}
		d := (alpha-1)*(rdp[i]-epsilon+math.Log1p(-1/alpha)) - math.Log(alpha)
		lnDelta = min(lnDelta, d, 0.5*math.Log(-math.Expm1(-rdp[i])))
	}
	return math.Exp(lnDelta)
}
