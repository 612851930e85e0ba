package dp

import (
	"math"
	"math/big"
)

// fixedSize is the Rényi divergence of a step on a batch of the fixed share q drawn
// without replacement, z relative to the sensitivity of the adjacency: Wang, Balle,
// Kasiviswanathan 2019 (arXiv 1808.00087), theorem 27. With e(j) = j/(2z^2),
// f(i) = exp((i-1) e(i)) (1 for i <= 1) and B(l) the l-th forward difference of f
// at 0,
//
//	A = 1 + q^2 C(alpha,2) min{4(e^e(2) - 1), 2 e^e(2)}
//	      + sum_{j>=3} q^j C(alpha,j) min{4 sqrt(B(2 floor(j/2)) B(2 ceil(j/2))), 2 f(j)}
//
// and RDP = ln A/(alpha-1).
type fixedSize struct {
	q, z    float64
	f       []*big.Float // f(0..)
	lnDelta []float64    // ln B(2i)
}

// differences is the largest l for which B(l) is computed; the other side of the
// minimum is a bound too, and beyond this order the two hardly differ.
const differences = 64

func newFixedSize(q, z float64) *fixedSize {
	s := &fixedSize{q: q, z: z}
	if z < 0.01 || z > 1e6 { // too far apart for the differences to matter or to compute
		return s
	}
	precision := uint(256 + differences*(2+2*math.Log2(1+z)))
	unit := bigExp(1/(2*z*z), precision) // f(i) = unit^(i(i-1))
	square := newBig(precision).Mul(unit, unit)
	power := newBig(precision).SetInt64(1) // unit^(2i)
	s.f = []*big.Float{newBig(precision).SetInt64(1), newBig(precision).SetInt64(1)}
	for i := 1; i < differences; i++ {
		power = newBig(precision).Mul(power, square)
		s.f = append(s.f, newBig(precision).Mul(s.f[i], power))
	}
	for l := 0; l <= differences; l += 2 {
		s.lnDelta = append(s.lnDelta, s.logDifference(l))
	}
	return s
}

func newBig(precision uint) *big.Float { return new(big.Float).SetPrec(precision) }

// bigExp returns e^x for x >= 0: the power series at x/2^k, squared k times.
func bigExp(x float64, precision uint) *big.Float {
	_, exponent := math.Frexp(x)
	k := max(exponent, 0) + 8
	precision += uint(k) // squaring loses a bit each time
	y := newBig(precision).SetMantExp(newBig(precision).SetFloat64(x), -k)
	sum, term := newBig(precision).SetInt64(1), newBig(precision).SetInt64(1)
	for n := int64(1); term.Sign() != 0 && term.MantExp(nil) > -int(precision); n++ {
		term.Mul(term, y)
		term.Quo(term, newBig(precision).SetInt64(n))
		sum.Add(sum, term)
	}
	for range k {
		sum.Mul(sum, sum)
	}
	return sum
}

// logDifference returns ln B(l), B(l) = sum_i (-1)^(l-i) C(l,i) f(i), for even l.
func (s *fixedSize) logDifference(l int) float64 {
	precision := s.f[0].Prec()
	sum := newBig(precision)
	for i := range l + 1 {
		term := newBig(precision).SetInt(new(big.Int).Binomial(int64(l), int64(i)))
		term.Mul(term, s.f[i])
		if i%2 == 1 {
			term.Neg(term)
		}
		sum.Add(sum, term)
	}
	mantissa := new(big.Float)
	exponent := sum.MantExp(mantissa)
	m, _ := mantissa.Float64()
	return math.Log(m) + float64(exponent)*math.Ln2
}

// rdp returns the divergence at an order > 1. Between integers (alpha-1) RDP is
// convex, so the chord bounds it from above.
func (s *fixedSize) rdp(alpha float64) float64 {
	low := math.Floor(alpha)
	share := alpha - low
	value := (1 - share) * s.logMoment(int(low))
	if share > 0 {
		value += share * s.logMoment(int(low)+1)
	}
	return value / (alpha - 1)
}

// logMoment returns ln A at an integer order.
func (s *fixedSize) logMoment(alpha int) float64 {
	if alpha < 2 {
		return 0
	}
	weight := func(j int) float64 { // ln q^j C(alpha,j)
		return float64(j)*math.Log(s.q) + logFactorial(alpha) - logFactorial(j) - logFactorial(alpha-j)
	}
	e2 := 1 / (s.z * s.z)
	var excess logSum // ln(A-1)
	excess.add(weight(2) + min(math.Log(4)+logExpm1(e2), math.Ln2+e2))
	for j := 3; j <= alpha; j++ {
		excess.add(weight(j) + s.logTerm(j))
	}
	return log1pExp(excess.log())
}

func (s *fixedSize) logTerm(j int) float64 {
	term := math.Ln2 + float64(j)*float64(j-1)/(2*s.z*s.z)
	if up := (j + 1) / 2; up < len(s.lnDelta) {
		term = min(term, math.Log(4)+(s.lnDelta[j/2]+s.lnDelta[up])/2)
	}
	return term
}
