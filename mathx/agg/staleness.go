package agg

import "math"

// Staleness returns the weight of an update whose base is tau versions old, round(One/√(1+tau)): FedBuff's
// (Nguyen et al., AISTATS 2022) and FedAsync's with a = 1/2 (Xie et al. 2019).
//
// With n = 1+tau, w = round(2^16/√n) is the largest integer with (2w−1)²·n ≤ 2^34, so an integer square
// root decides it; no tie exists for a tau of 32 bits. A float64 square root of a number below 2^52, cut
// to an integer, is that integer square root.
func Staleness(tau uint32) uint32 {
	root := uint32(math.Sqrt(float64((1 << 34) / (1 + uint64(tau)))))
	return (root + 1) / 2
}
