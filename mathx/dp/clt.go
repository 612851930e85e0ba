package dp

import "math"

// EstimateCLT returns the epsilon of the central-limit approximation
// mu = q sqrt(T (e^(1/z^2) - 1)) for Poisson-sampled steps (Bu, Dong, Long, Su 2020).
// It is asymptotic and no bound: it under-reports by up to half in use. For comparison
// with the literature only, never to be printed as a guarantee.
func (a *Account) EstimateCLT(delta float64) (float64, error) {
	if err := validateDelta(delta); err != nil {
		return 0, err
	}
	square := 0.0
	for _, s := range a.spent {
		z := s.step.relative(a.adjacency)
		square += float64(s.count) * s.step.Q * s.step.Q * math.Expm1(1/(z*z))
	}
	return GDPEpsilon(math.Sqrt(square), delta), nil
}
