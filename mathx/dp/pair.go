package dp

import "math"

// pair is the dominating pair of distributions of one sampled Gaussian step on the
// real line, with noise z relative to the clip norm of a record: whatever the data,
// no two neighbouring releases are easier to tell apart than upper from lower. The
// privacy loss is ln(upper/lower) at a point drawn from upper. Both are mixtures of the
// normal distributions N(shift, z^2).
type pair struct {
	z            float64
	shifts       []float64
	upper, lower []float64 // weights of the shifts
	// point returns the x at which the loss is epsilon; infinite outside its range.
	point func(epsilon float64) float64
	// falling: the loss decreases in x.
	falling bool
}

// removePair compares data with the record (upper) to data without.
func removePair(q, z float64) pair {
	return pair{
		z: z, shifts: []float64{0, 1}, upper: []float64{1 - q, q}, lower: []float64{1, 0},
		point: func(epsilon float64) float64 { return pointOfRatio(q, z, epsilon) },
	}
}

// addPair compares data without the record (upper) to data with.
func addPair(q, z float64) pair {
	return pair{
		z: z, shifts: []float64{0, 1}, upper: []float64{1, 0}, lower: []float64{1 - q, q},
		point:   func(epsilon float64) float64 { return pointOfRatio(q, z, -epsilon) },
		falling: true,
	}
}

// replacePair compares a record with its opposite. It is symmetric: exchanging upper
// and lower only mirrors it.
func replacePair(q, z float64) pair {
	return pair{
		z: z, shifts: []float64{0, -1, 1}, upper: []float64{1 - q, q, 0}, lower: []float64{1 - q, 0, q},
		point:   func(epsilon float64) float64 { return pointOfReplacement(q, z, epsilon) },
		falling: true,
	}
}

// pointOfRatio solves ln(1-q + q exp((2x-1)/(2z^2))) = epsilon.
func pointOfRatio(q, z, epsilon float64) float64 {
	switch ratio := math.Expm1(epsilon)/q + 1; {
	case q == 1:
		return z*z*epsilon + 0.5
	case ratio <= 0:
		return math.Inf(-1)
	case epsilon > 500: // e^epsilon may overflow
		return z*z*(epsilon-math.Log(q)) + 0.5
	default:
		return z*z*math.Log(ratio) + 0.5
	}
}

// pointOfReplacement solves ln(1-q + q c e^-y) - ln(1-q + q c e^y) = epsilon, with
// c = exp(-1/(2z^2)), for x = y z^2: y = -epsilon/2 - asinh((1-q) sinh(epsilon/2)/(q c)).
func pointOfReplacement(q, z, epsilon float64) float64 {
	half := epsilon / 2
	size := math.Log1p(-q) - math.Log(q) + 1/(2*z*z) + logSinh(math.Abs(half)) // ln |s|
	asinh := size + math.Ln2
	if size < 30 {
		asinh = math.Asinh(math.Exp(size))
	}
	return z * z * (-half - math.Copysign(asinh, half))
}

// logSinh returns ln sinh x for x >= 0.
func logSinh(x float64) float64 {
	return x + math.Log(-math.Expm1(-2*x)) - math.Ln2
}

// losses returns a range of the loss outside of which lies a share of upper below
// e^-50.
func (p pair) losses() (low, high float64) {
	a, b := math.Inf(1), math.Inf(-1)
	for i, shift := range p.shifts {
		if p.upper[i] > 0 {
			a, b = min(a, shift), max(b, shift)
		}
	}
	low, high = p.loss(a-10.1*p.z), p.loss(b+10.1*p.z)
	return min(low, high), max(low, high)
}

// loss returns ln(upper/lower) at x.
func (p pair) loss(x float64) float64 {
	return p.logDensity(p.upper, x) - p.logDensity(p.lower, x)
}

// logDensity returns the log density of a mixture relative to that of N(0, z^2).
func (p pair) logDensity(weights []float64, x float64) float64 {
	excess := 0.0 // of the density ratio over 1
	total := math.Inf(-1)
	for i, shift := range p.shifts {
		ratio := shift * (2*x - shift) / (2 * p.z * p.z)
		excess += weights[i] * math.Expm1(ratio)
		total = logAdd(total, math.Log(weights[i])+ratio)
	}
	if math.Abs(excess) < 1 { // precise where the logarithm is small
		return math.Log1p(excess)
	}
	return total
}

// delta returns the hockey-stick divergence at epsilon: the mass of upper less
// e^epsilon times that of lower, where the loss exceeds epsilon.
func (p pair) delta(epsilon float64) float64 {
	a, b := p.masses(p.cut(epsilon), p.cut(math.Inf(1)))
	return max(0, a-math.Exp(epsilon)*b)
}

// cut is the point of a loss with the normal tails there, one for each shift. Of both
// tails the smaller is kept, so that differences keep their relative precision.
type cut struct {
	x     float64
	tails [3]float64
}

func (p pair) cut(epsilon float64) cut {
	c := cut{x: p.point(epsilon)}
	for i, shift := range p.shifts {
		c.tails[i] = math.Erfc(math.Abs(c.x-shift)/(p.z*math.Sqrt2)) / 2
	}
	return c
}

// masses returns the masses of upper and lower between two losses, low < high.
func (p pair) masses(low, high cut) (upper, lower float64) {
	if p.falling {
		low, high = high, low
	}
	for i, shift := range p.shifts {
		mass := 1 - low.tails[i] - high.tails[i]
		switch {
		case low.x >= shift:
			mass = low.tails[i] - high.tails[i]
		case high.x <= shift:
			mass = high.tails[i] - low.tails[i]
		}
		upper += p.upper[i] * mass
		lower += p.lower[i] * mass
	}
	return upper, lower
}
