package dp

import (
	"math"
	"math/bits"

	"gonum.org/v1/gonum/dsp/fourier"
)

// The privacy-loss distribution of a run: the steps' loss distributions are put on a
// grid from above (connect the dots: Doroshenko, Ghazi, Kamath, Kumar, Manurangsi
// 2022, arXiv 2207.04380), convolved by the Fourier transform, and read off. The
// result is an upper bound for the continuous Gaussian, tight up to the grid.

const (
	// reportGrid and searchGrid are the steps of the loss grid for a number that is
	// shown and for one that is only compared. A coarser grid is a larger bound.
	reportGrid = 1e-4
	searchGrid = 1e-3
	// maxBins bounds the length of a transform; a wider distribution gets a coarser grid.
	maxBins = 1 << 20
	// leak is the mass that may lie beyond either end of the composed window. What is
	// beyond the upper end is added to the infinite loss.
	leak = 1e-15
	// minDelta is where the rounding errors of the transform begin to matter.
	minDelta = 1e-10
)

// lossDistribution is a distribution of the privacy loss on a grid: mass[i] at the loss
// (first+i)*step, and infinity at +Inf.
type lossDistribution struct {
	step     float64
	first    int
	mass     []float64
	infinity float64
}

// connectDots puts the loss of a pair on the grid. The masses of upper (a) and lower
// (b) in the cell between two grid losses are split into masses at its ends so that
// both are preserved: u + v = a and u e^-low + v e^-high = b. The hockey-stick
// divergence of the result agrees with that of the pair at the grid losses, and lies
// on the chords, above it, between.
func connectDots(p pair, step float64) lossDistribution {
	low, high := p.losses()
	first, last := int(math.Floor(low/step)), int(math.Ceil(high/step))
	d := lossDistribution{step: step, first: first, mass: make([]float64, last-first+1)}
	at := p.cut(float64(first) * step)
	d.mass[0], _ = p.masses(p.cut(math.Inf(-1)), at)
	share := -1 / math.Expm1(-step)
	for i := range last - first {
		loss := float64(first+i) * step
		next := p.cut(loss + step)
		a, b := p.masses(at, next)
		v := a // all at the upper end is a bound too
		if loss < 700 {
			v = min(max(share*(a-b*math.Exp(loss)), 0), a)
		}
		d.mass[i] += a - v
		d.mass[i+1] += v
		at = next
	}
	d.infinity, _ = p.masses(at, p.cut(math.Inf(1)))
	return d
}

// repeated is the loss of a number of equal steps.
type repeated struct {
	lossDistribution
	count float64
}

// window returns losses that the sum of all steps falls short of, and exceeds, with
// probability at most leak each.
func window(parts []repeated) (low, high float64) {
	for _, p := range parts {
		low += p.count * float64(p.first) * p.step
		high += p.count * float64(p.first+len(p.mass)-1) * p.step
	}
	return max(low, -chernoff(parts, -1)), min(high, chernoff(parts, 1))
}

// chernoff returns a bound that sign times the sum of the losses exceeds with
// probability at most leak: (ln E exp(t sum) - ln leak)/t, minimised over the tilt t.
// Every tilt gives a valid bound.
func chernoff(parts []repeated, sign float64) float64 {
	bound := func(lnTilt float64) float64 {
		tilt := math.Exp(lnTilt)
		total := -math.Log(leak)
		for _, p := range parts {
			total += p.count * p.logMoment(sign*tilt)
		}
		return total / tilt
	}
	return goldenMinimum(bound, math.Log(1e-3), math.Log(1e3), 14)
}

// logMoment returns ln E exp(tilt loss) over the finite losses.
func (d lossDistribution) logMoment(tilt float64) float64 {
	low, ratio := float64(d.first)*d.step*tilt, d.step*tilt
	if math.Abs(ratio) > 1 { // the largest exponential may stand where there is no mass
		var sum logSum
		for i, m := range d.mass {
			sum.add(math.Log(m) + low + float64(i)*ratio)
		}
		return sum.log()
	}
	const block = 64 // exponentials by recurrence, but not for long
	largest := max(low, low+float64(len(d.mass)-1)*ratio)
	sum, factor := 0.0, math.Exp(ratio)
	for start := 0; start < len(d.mass); start += block {
		power := math.Exp(low + float64(start)*ratio - largest)
		for _, m := range d.mass[start:min(start+block, len(d.mass))] {
			sum += m * power
			power *= factor
		}
	}
	if sum == 0 {
		return math.Inf(1) // underflow: no bound from this tilt
	}
	return largest + math.Log(sum)
}

// goldenMinimum returns the smallest value seen in a golden-section search of a
// function with one valley.
func goldenMinimum(f func(float64) float64, low, high float64, rounds int) float64 {
	const ratio = 0.6180339887498949
	a, b := high-ratio*(high-low), low+ratio*(high-low)
	fa, fb := f(a), f(b)
	best := min(fa, fb)
	for range rounds {
		if fa < fb {
			high, b, fb = b, a, fa
			a = high - ratio*(high-low)
			fa = f(a)
		} else {
			low, a, fa = a, b, fb
			b = low + ratio*(high-low)
			fb = f(b)
		}
		best = min(best, fa, fb)
	}
	return best
}

// compose convolves the losses of all steps, whose sum lies in the window.
func compose(parts []repeated, low, high float64) lossDistribution {
	step := parts[0].step
	start, end := int(math.Floor(low/step))-1, int(math.Ceil(high/step))+1
	lowest, finite := 0, 1.0
	for _, p := range parts {
		lowest += int(p.count) * p.first
		finite *= math.Pow(1-p.infinity, p.count)
	}
	start = max(start, lowest)
	n := 1 << bits.Len(uint(max(end-start, 1)))
	transform := fourier.NewFFT(n)
	var total []complex128
	for _, p := range parts {
		spectrum := transform.Coefficients(nil, p.folded(n))
		powers(spectrum, uint64(p.count))
		if total == nil {
			total = spectrum
			continue
		}
		for i := range total {
			total[i] *= spectrum[i]
		}
	}
	cyclic := transform.Sequence(nil, total)
	sum := lossDistribution{step: step, first: start, mass: make([]float64, n), infinity: 1 - finite + leak}
	for i := range sum.mass {
		// The convolution's index 0 is the loss lowest*step, modulo n.
		sum.mass[i] = max(0, cyclic[(start-lowest+i)%n]/float64(n))
	}
	return sum
}

// folded returns the masses modulo n.
func (d lossDistribution) folded(n int) []float64 {
	f := make([]float64, n)
	for i, m := range d.mass {
		f[i%n] += m
	}
	return f
}

// powers raises each number to the power n >= 1 by repeated squaring.
func powers(c []complex128, n uint64) {
	for i, base := range c {
		result := complex(1, 0)
		for k := n; ; base *= base {
			if k&1 == 1 {
				result *= base
			}
			if k >>= 1; k == 0 {
				break
			}
		}
		c[i] = result
	}
}

// epsilon returns the smallest epsilon >= 0 with hockey-stick divergence at most delta.
// With U the mass above a loss and W the same tilted by e^-loss, the divergence is
// U - e^epsilon W between that loss and the next one above.
func (d lossDistribution) epsilon(delta float64) float64 {
	if d.infinity > delta {
		return math.Inf(1)
	}
	upper, tilted := d.infinity, 0.0 // tilted is W e^loss, or it would underflow
	solve := func(loss float64) float64 { return loss + math.Log((upper-delta)/tilted) }
	decay := math.Exp(-d.step)
	loss := 0.0
	for i := len(d.mass) - 1; i >= 0; i-- {
		next := float64(d.first+i) * d.step
		if next <= 0 || (upper > delta && next <= solve(loss)) {
			break
		}
		loss = next
		upper += d.mass[i]
		tilted = tilted*decay + d.mass[i]
	}
	if upper <= delta {
		return 0
	}
	return max(0, solve(loss))
}

// delta returns the hockey-stick divergence at epsilon.
func (d lossDistribution) delta(epsilon float64) float64 {
	delta := d.infinity
	for i, m := range d.mass {
		if loss := float64(d.first+i) * d.step; loss > epsilon {
			delta -= m * math.Expm1(epsilon-loss)
		}
	}
	return delta
}
