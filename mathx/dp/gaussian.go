package dp

import (
	"math/bits"
	"math/rand/v2"
)

// discreteGaussian draws integers X with P(X = x) proportional to
// exp(-x^2/(2 s^2)), exactly: every decision compares a uniform integer with an
// integer, so no rounding can make an output more or less likely than stated.
// Canonne, Kamath, Steinke 2020 (arXiv 2004.00010), algorithms 1 to 3 with t = s.
// s is at most 2^24 so that every product fits 64 bits.
type discreteGaussian struct {
	src rand.Source
	s   uint64
}

// draw returns one sample.
func (g discreteGaussian) draw() int64 {
	for {
		y := g.laplace()
		// Accept with exp(-(|y|-s)^2/(2 s^2)): exp(-1) for each whole unit, then the rest.
		distance := max(y, g.s) - min(y, g.s)
		unit, square := 2*g.s*g.s, distance*distance
		if !g.decays(square/unit) || !g.bernoulliExp(square%unit, unit) {
			continue
		}
		negative := g.src.Uint64()>>63 == 1
		switch {
		case !negative:
			return int64(y)
		case y != 0: // zero must not count twice
			return -int64(y)
		}
	}
}

// laplace returns the absolute value of a discrete Laplace variable of scale s
// before the sign is drawn: a geometric variable with ratio exp(-1/s).
func (g discreteGaussian) laplace() uint64 {
	u := g.below(g.s)
	for !g.bernoulliExp(u, g.s) {
		u = g.below(g.s)
	}
	for g.bernoulliExp(1, 1) {
		u += g.s
	}
	return u
}

// decays reports whether n independent events of probability exp(-1) all happen.
func (g discreteGaussian) decays(n uint64) bool {
	for ; n > 0; n-- {
		if !g.bernoulliExp(1, 1) {
			return false
		}
	}
	return true
}

// bernoulliExp is true with probability exp(-a/b), for a <= b: with k the number
// of successes in a row of Bernoulli(a/(b*1)), Bernoulli(a/(b*2)), ..., the chance
// that k is even is 1 - a/b + (a/b)^2/2! - ...
func (g discreteGaussian) bernoulliExp(a, b uint64) bool {
	k := uint64(1)
	for g.below(b*k) < a {
		k++
	}
	return k%2 == 1
}

// below returns a uniform integer in [0, n) by Lemire's multiplication with
// rejection, which is exact.
func (g discreteGaussian) below(n uint64) uint64 {
	if n == 1 {
		return 0 // needs no chance
	}
	hi, lo := bits.Mul64(g.src.Uint64(), n)
	if lo < n {
		for threshold := -n % n; lo < threshold; {
			hi, lo = bits.Mul64(g.src.Uint64(), n)
		}
	}
	return hi
}
