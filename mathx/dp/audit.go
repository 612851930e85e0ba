package dp

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"gonum.org/v1/gonum/mathext"
)

// An audit attacks what was released and says how much privacy the attack proves lost:
// a lower bound to hold against the accountant's upper bound.

// ClopperPearson returns the exact two-sided confidence interval for a probability
// after k successes in n trials.
func ClopperPearson(k, n int, confidence float64) (low, high float64) {
	tail := (1 - confidence) / 2
	low, high = 0, 1
	if k > 0 {
		low = mathext.InvRegIncBeta(float64(k), float64(n-k+1), tail)
	}
	if k < n {
		high = mathext.InvRegIncBeta(float64(k+1), float64(n-k), 1-tail)
	}
	return low, high
}

// RatesBound returns the epsilon that an attack proves lost, at a confidence, that
// calls truePositives of positives and falsePositives of negatives positive: by
// definition of the guarantee TPR <= e^epsilon FPR + delta. Jagielski, Ullman, Oprea
// 2020 (arXiv 2006.07709). The attack must be fixed beforehand.
func RatesBound(truePositives, positives, falsePositives, negatives int, delta, confidence float64) float64 {
	tpr, _ := ClopperPearson(truePositives, positives, confidence)
	_, fpr := ClopperPearson(falsePositives, negatives, confidence)
	if tpr <= delta {
		return 0
	}
	return max(0, math.Log((tpr-delta)/fpr))
}

// OneRunPValue returns the probability, at most, that (epsilon, delta)-privacy would
// have let an attacker make v right of r guesses about which of m independent canaries
// took part in a single run: Steinke, Nasr, Jagielski 2023 (arXiv 2305.08846), theorem
// 5.2. With p = 1/(1+e^-epsilon) and X binomial (r, p),
//
//	beta = P[X >= v],  alpha = max_i (P[X >= v-i] - beta)/i,  p-value <= beta + 2 m delta alpha.
func OneRunPValue(m, r, v int, epsilon, delta float64) float64 {
	if v <= 0 {
		return 1
	}
	atLeast := binomialTails(r, 1/(1+math.Exp(-epsilon)))
	beta, alpha := atLeast[v], 0.0
	for i := 1; i <= v; i++ {
		alpha = max(alpha, (atLeast[v-i]-beta)/float64(i))
	}
	return min(1, beta+2*float64(m)*delta*alpha)
}

// binomialTails returns P[X >= k] for k = 0..n+1.
func binomialTails(n int, p float64) []float64 {
	tails := make([]float64, n+2)
	for k := n; k >= 0; k-- {
		ln := logFactorial(n) - logFactorial(k) - logFactorial(n-k)
		if k > 0 {
			ln += float64(k) * math.Log(p)
		}
		if k < n {
			ln += float64(n-k) * math.Log1p(-p)
		}
		tails[k] = min(1, tails[k+1]+math.Exp(ln))
	}
	return tails
}

// OneRunBound returns the largest epsilon that v right of r guesses about m canaries
// refute at the confidence: a lower bound on the privacy lost.
func OneRunBound(m, r, v int, delta, confidence float64) float64 {
	plausible := func(epsilon float64) bool { return OneRunPValue(m, r, v, epsilon, delta) > 1-confidence }
	if plausible(0) {
		return 0
	}
	high := 1.0
	for !plausible(high) {
		if high *= 2; high > 64 {
			return high
		}
	}
	// The plausible side is returned; step back over the precision of the search.
	return bisect(0, high, 1e-9, plausible) * (1 - 2e-9)
}

// OneRunMu is the sharper form of [OneRunBound] for a mechanism whose noise is Gaussian:
// the largest mu that the guesses refute. Mahloujifar, Melis, Chaudhuri 2024
// (arXiv 2410.22235), algorithm 3 with the trade-off function of mu-GDP.
func OneRunMu(m, r, v int, confidence float64) float64 {
	plausible := func(mu float64) bool { return !oneRunRefutes(m, r, v, mu, 1-confidence) }
	if plausible(0) {
		return 0
	}
	high := 1.0
	for !plausible(high) {
		if high *= 2; high > 64 {
			return high
		}
	}
	return bisect(0, high, 1e-9, plausible) * (1 - 2e-9)
}

// oneRunRefutes reports whether v right of r guesses about m canaries are less likely
// than the significance under mu-GDP. right and wrong are the shares, of all canaries,
// of right and wrong guesses in the unlikely event, followed from v right ones down.
func oneRunRefutes(m, r, v int, mu, significance float64) bool {
	right := significance * float64(v) / float64(m)
	wrong := significance * float64(r-v) / float64(m)
	for i := v - 1; i >= 0; i-- {
		next := max(wrong, normalCDF(quantile(right)-mu))
		if next == wrong {
			break // and for ever after
		}
		right = min(1, right+float64(i)/float64(r-i)*(next-wrong))
		wrong = next
	}
	return right+wrong > float64(r)/float64(m)
}

// OneRunGuesses takes part in the one-run audit: it calls the r/2 canaries with the
// highest scores in, the r/2 with the lowest out, abstains on the rest, and returns the
// number of right guesses. r must be fixed before the scores are seen.
func OneRunGuesses(scores []float64, in []bool, r int) int {
	order := make([]int, len(scores))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(scores[a], scores[b]) })
	right := 0
	for i := range r / 2 {
		if !in[order[i]] {
			right++
		}
		if in[order[len(order)-1-i]] {
			right++
		}
	}
	return right
}

// MuAudit is what a number of releases with and without a canary say about a Gaussian
// mechanism.
type MuAudit struct {
	Accounted float64 // mu that the accountant assumes: sensitivity over noise
	Estimate  float64 // from the releases
	Low, High float64 // confidence limits of the estimate
	Trials    int     // of each kind
}

// EstimateMu compares scores of releases with and without the canary. Errors:
// ErrInvalid for fewer than two scores of a kind.
func EstimateMu(accounted float64, with, without []float64, confidence float64) (MuAudit, error) {
	if len(with) < 2 || len(without) < 2 {
		return MuAudit{}, invalid("scores", fmt.Sprint(len(with), " and ", len(without)), "at least 2 of each kind")
	}
	m1, v1 := meanVariance(with)
	m0, v0 := meanVariance(without)
	n1, n0 := float64(len(with)), float64(len(without))
	sd := math.Sqrt(((n1-1)*v1 + (n0-1)*v0) / (n1 + n0 - 2))
	mu := (m1 - m0) / sd
	// Standard error of a difference of means over a pooled standard deviation.
	width := quantile((1+confidence)/2) * math.Sqrt(1/n1+1/n0+mu*mu/(2*(n1+n0-2)))
	return MuAudit{Accounted: accounted, Estimate: mu, Low: mu - width, High: mu + width, Trials: min(len(with), len(without))}, nil
}

func meanVariance(x []float64) (mean, variance float64) {
	for _, v := range x {
		mean += v / float64(len(x))
	}
	for _, v := range x {
		variance += (v - mean) * (v - mean) / float64(len(x)-1)
	}
	return mean, variance
}

// quantile is the inverse of the normal distribution function.
func quantile(p float64) float64 { return -math.Sqrt2 * math.Erfcinv(2*p) }

func normalCDF(x float64) float64 { return math.Erfc(-x/math.Sqrt2) / 2 }

// Accepts reports whether the mechanism is what the accountant assumes: the estimate
// does not exceed it with confidence, and is within the relative tolerance of it.
func (a MuAudit) Accepts(tolerance float64) bool {
	return a.Low <= a.Accounted && math.Abs(a.Estimate/a.Accounted-1) <= tolerance
}

// LowerBound returns the epsilon at delta that the releases prove lost, if the noise is
// Gaussian.
func (a MuAudit) LowerBound(delta float64) float64 {
	return GDPEpsilon(max(a.Low, 0), delta)
}

// AuditMechanism releases steps with and without one canary, whose gradient fills the
// clip norm along the first axis of every group, and estimates mu from the projections.
// release must run one step on the given records and return its groups as numbers; a
// mechanism of the groups' own is that of [ReleaseOf].
func AuditMechanism(groups []Group, trials int, confidence float64, release func(records ...[][]float64) [][]float64) (MuAudit, error) {
	canary := make([][]float64, len(groups))
	multipliers := make([]float64, len(groups))
	for i, g := range groups {
		canary[i] = make([]float64, g.Dim)
		canary[i][0] = g.Clip
		multipliers[i] = g.Z
	}
	score := func(sums [][]float64) (projection float64) { // the likelihood ratio, up to scale
		for i, g := range groups {
			projection += sums[i][0] / (g.Clip * g.Z * g.Z)
		}
		return projection
	}
	with, without := make([]float64, trials), make([]float64, trials)
	for i := range trials {
		with[i], without[i] = score(release(canary)), score(release())
	}
	return EstimateMu(1/Joint(multipliers...), with, without, confidence)
}

// ReleaseOf adapts a mechanism to [AuditMechanism], with a new source for every step.
func ReleaseOf(m *Mechanism, src func() rand.Source) func(records ...[][]float64) [][]float64 {
	return func(records ...[][]float64) [][]float64 {
		for _, r := range records {
			if err := m.Add(r...); err != nil {
				panic(err) // records of the mechanism's own shape
			}
		}
		n := m.Release(src())
		sums := make([][]float64, n.Groups())
		for i := range sums {
			sums[i] = n.Float(nil, i)
		}
		return sums
	}
}

// OnLattice reports whether every value is an integer number of steps, as the values of
// a release are and floating-point noise is not.
func OnLattice(values []float64, step float64) bool {
	for _, v := range values {
		if n := math.Round(v / step); n*step != v || math.Abs(n) > math.MaxInt32+1 {
			return false
		}
	}
	return true
}
