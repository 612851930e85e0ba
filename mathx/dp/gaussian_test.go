package dp

import (
	"math"
	"math/rand/v2"
	"testing"

	"gonum.org/v1/gonum/stat/distuv"
)

// The statistical tests of this file draw from fixed seeds, so they give the same
// verdict on every run. "False alarm" is the chance that a correct sampler would
// have failed for a random seed.

// chiSquare returns the survival probability of Pearson's statistic.
func chiSquare(t *testing.T, counts, expected []float64) float64 {
	t.Helper()
	statistic := 0.0
	for i, e := range expected {
		if e < 5 {
			t.Fatalf("bin %d expects %v draws: too few for a chi-square test", i, e)
		}
		statistic += (counts[i] - e) * (counts[i] - e) / e
	}
	return distuv.ChiSquared{K: float64(len(counts) - 1)}.Survival(statistic)
}

// TestDiscreteGaussianExactMass compares small parameters with the exact
// probabilities, value by value. False alarm 1e-6 per parameter.
func TestDiscreteGaussianExactMass(t *testing.T) {
	const draws = 300_000
	for _, s := range []uint64{1, 2, 4, 11} {
		edge := int64(4*s) - 1 // beyond it one bin on each side
		mass := func(x int64) float64 {
			return math.Exp(-float64(x*x) / float64(2*s*s))
		}
		total := 0.0
		for x := -20 * int64(s); x <= 20*int64(s); x++ {
			total += mass(x)
		}
		bin := func(x int64) int { return int(min(max(x, -edge), edge) + edge) }
		counts, expected := make([]float64, 2*edge+1), make([]float64, 2*edge+1)
		for x := -20 * int64(s); x <= 20*int64(s); x++ {
			expected[bin(x)] += draws * mass(x) / total
		}
		g := discreteGaussian{rand.NewPCG(7, s), s}
		for range draws {
			counts[bin(g.draw())]++
		}
		if p := chiSquare(t, counts, expected); p < 1e-6 {
			t.Errorf("s = %d: chi-square survival %.2g", s, p)
		}
	}
}

// TestDiscreteGaussianLarge compares large parameters with the normal distribution
// integrated over 128 bins; at s >= 2^10 the two differ by less than 1e-7 of a bin.
// False alarm 1e-6 per parameter.
func TestDiscreteGaussianLarge(t *testing.T) {
	const draws, bins = 300_000, 128
	for _, s := range []uint64{1 << 10, scale, 1 << 20, 1 << 24} {
		counts, expected := make([]float64, bins), make([]float64, bins)
		width := int64(s) / 16
		bin := func(x int64) int {
			return int(min(max((x+bins/2*width)/width, 0), bins-1))
		}
		normal := distuv.Normal{Mu: 0, Sigma: float64(s)}
		for i := range expected {
			low := normal.CDF(float64((int64(i)-bins/2)*width) - 0.5)
			high := normal.CDF(float64((int64(i)+1-bins/2)*width) - 0.5)
			if i == 0 {
				low = 0
			}
			if i == bins-1 {
				high = 1
			}
			expected[i] = draws * (high - low)
		}
		var merged mergedBins
		merged.fill(expected)
		g := discreteGaussian{rand.NewPCG(11, s), s}
		for range draws {
			counts[bin(g.draw())]++
		}
		if p := chiSquare(t, merged.apply(counts), merged.apply(expected)); p < 1e-6 {
			t.Errorf("s = %d: chi-square survival %.2g", s, p)
		}
	}
}

// mergedBins joins the thin outer bins so that each expects enough draws.
type mergedBins struct{ low, high int }

func (m *mergedBins) fill(expected []float64) {
	m.low, m.high = 0, len(expected)-1
	for expected[m.low] < 20 {
		m.low++
	}
	for expected[m.high] < 20 {
		m.high--
	}
}

func (m *mergedBins) apply(bins []float64) []float64 {
	merged := append([]float64(nil), bins[m.low:m.high+1]...)
	for i, v := range bins {
		switch {
		case i < m.low:
			merged[0] += v
		case i > m.high:
			merged[len(merged)-1] += v
		}
	}
	return merged
}

// TestDiscreteGaussianMoments checks mean, variance and kurtosis at S within five
// standard errors. False alarm 6e-7 each.
func TestDiscreteGaussianMoments(t *testing.T) {
	const draws = 400_000
	g := discreteGaussian{rand.NewPCG(13, 1), scale}
	var m1, m2, m4 float64
	for range draws {
		x := float64(g.draw()) / scale
		m1 += x / draws
		m2 += x * x / draws
		m4 += x * x * x * x / draws
	}
	n := math.Sqrt(draws)
	for _, c := range []struct {
		name                string
		got, want, standard float64
	}{
		{"mean", m1, 0, 1 / n},
		{"variance", m2, 1, math.Sqrt2 / n},
		{"fourth moment", m4, 3, math.Sqrt(96) / n},
	} {
		if math.Abs(c.got-c.want) > 5*c.standard {
			t.Errorf("%s = %v, want %v within %v", c.name, c.got, c.want, 5*c.standard)
		}
	}
}

// TestBelowIsUniform counts every residue of small bounds. False alarm 1e-6 each.
func TestBelowIsUniform(t *testing.T) {
	for _, n := range []uint64{2, 3, 7, 10} {
		g := discreteGaussian{src: rand.NewPCG(17, n)}
		counts, expected := make([]float64, n), make([]float64, n)
		for range 100_000 {
			counts[g.below(n)]++
		}
		for i := range expected {
			expected[i] = 100_000 / float64(n)
		}
		if p := chiSquare(t, counts, expected); p < 1e-6 {
			t.Errorf("below(%d): chi-square survival %.2g", n, p)
		}
	}
}

// TestBelowRejects feeds the one word that Lemire's method must reject for n = 3.
func TestBelowRejects(t *testing.T) {
	g := discreteGaussian{src: &words{0, 1 << 63}}
	if got := g.below(3); got != 1 {
		t.Errorf("below(3) = %d after a word to reject, want 1", got)
	}
}

type words []uint64

func (w *words) Uint64() uint64 {
	v := (*w)[0]
	*w = (*w)[1:]
	return v
}

// TestBernoulliExp compares frequencies with exp(-a/b). False alarm 6e-7 each.
func TestBernoulliExp(t *testing.T) {
	const draws = 200_000
	g := discreteGaussian{src: rand.NewPCG(19, 0)}
	for _, c := range []struct{ a, b uint64 }{{0, 1}, {1, 1}, {1, 2}, {3, 7}, {1 << 30, 1 << 33}} {
		hits := 0.0
		for range draws {
			if g.bernoulliExp(c.a, c.b) {
				hits++
			}
		}
		p := math.Exp(-float64(c.a) / float64(c.b))
		if math.Abs(hits/draws-p) > 5*math.Sqrt(p*(1-p)/draws) {
			t.Errorf("bernoulliExp(%d, %d): frequency %v, want %v", c.a, c.b, hits/draws, p)
		}
	}
}

func TestCryptoSourcesDiffer(t *testing.T) {
	if a, b := CryptoSource().Uint64(), CryptoSource().Uint64(); a == b {
		t.Error("two sources begin alike")
	}
}
