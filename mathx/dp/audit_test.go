package dp

import (
	"cmp"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestOneRunVectors holds rows A1 and A2 (jax_privacy auditing.py).
func TestOneRunVectors(t *testing.T) {
	for _, c := range []struct {
		m, r, v int
		want    float64
	}{
		{1000, 100, 100, 5.63308984e-4}, {1000, 100, 95, 6.63914468e-4},
		{1000, 200, 180, 4.36224539e-4}, {5000, 500, 475, 7.59226630e-4},
	} {
		if got := OneRunPValue(c.m, c.r, c.v, 1, 1e-5); relative(got, c.want) > 1e-8 {
			t.Errorf("A1 (%d, %d, %d): p-value %.9g, want %.9g", c.m, c.r, c.v, got, c.want)
		}
	}
	for _, c := range []struct {
		m, r, v int
		want    float64
	}{
		{1000, 100, 100, 3.465376}, {1000, 100, 95, 2.165176}, {1000, 10, 10, 1.014986}, {1000, 1000, 1000, 5.782283},
	} {
		got := OneRunBound(c.m, c.r, c.v, 1e-5, 0.95)
		if math.Abs(got-c.want) > 1e-5 {
			t.Errorf("A2 (%d, %d, %d): epsilon >= %.6f, want %.6f", c.m, c.r, c.v, got, c.want)
		}
		if p := OneRunPValue(c.m, c.r, c.v, got, 1e-5); p > 0.05 {
			t.Errorf("A2 (%d, %d, %d): the bound itself has p-value %v", c.m, c.r, c.v, p)
		}
	}
	if got := OneRunBound(1000, 100, 50, 1e-5, 0.95); got != 0 {
		t.Errorf("guessing proves epsilon >= %v", got)
	}
	if got := OneRunPValue(1000, 100, 0, 1, 1e-5); got != 1 {
		t.Errorf("p-value of no right guess is %v", got)
	}
}

// TestOneRunThresholds holds row A3 (jax_privacy auditing_test.py): 10,000 scores in and
// out at the quantiles of normal distributions a shift apart, delta 1e-6, 95% after
// Bonferroni over the thresholds on the convex hull of the error rates. r is the best of
// those thresholds, found by trying all; the other rows of the hull prove less.
func TestOneRunThresholds(t *testing.T) {
	const n, delta = 10_000, 1e-6
	for _, c := range []struct {
		shift         float64
		hull          float64 // number of thresholds
		r, rGaussian  int
		want, wantFDP float64
	}{
		{1, 386, 3376, 406, 1.13346, 2.164749},
		{2, 374, 4666, 938, 2.311945, 4.7218075},
		{4, 140, 8233, 5436, 4.395568, 9.133752},
	} {
		var scores []float64
		in := make([]bool, 2*n)
		for i := range n {
			x := quantile((float64(i) + 0.5) / n)
			scores = append(scores, x, x+c.shift)
			in[2*i+1] = true
		}
		confidence := 1 - 0.05/c.hull
		got := OneRunBound(2*n, c.r, rightOfTop(scores, in, c.r), delta, confidence)
		fdp := GDPEpsilon(OneRunMu(2*n, c.rGaussian, rightOfTop(scores, in, c.rGaussian), confidence), delta)
		if relative(got, c.want) > 1e-5 || relative(fdp, c.wantFDP) > 1e-5 {
			t.Errorf("shift %v: epsilon >= %.7f and, if Gaussian, %.7f, want %v and %v", c.shift, got, fdp, c.want, c.wantFDP)
		}
	}
}

// rightOfTop counts the canaries that took part among those with the r highest scores.
func rightOfTop(scores []float64, in []bool, r int) int {
	order := make([]int, len(scores))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(scores[b], scores[a]) })
	right := 0
	for _, i := range order[:r] {
		if in[i] {
			right++
		}
	}
	return right
}

// TestClopperPearson: the three perfect attacks of section 4, and the coverage limits.
func TestClopperPearson(t *testing.T) {
	for n, want := range map[int]float64{500: 4.91, 1000: 5.60, 5000: 7.21} {
		if got := RatesBound(n, n, 0, n, 1e-5, 0.95); math.Abs(got-want) > 5e-3 {
			t.Errorf("%d perfect trials of each kind: epsilon >= %v, want %v", n, got, want)
		}
	}
	if low, high := ClopperPearson(0, 10, 0.95); low != 0 || math.Abs(high-0.30849710781876083) > 1e-12 {
		t.Errorf("0 of 10: [%v, %v]", low, high)
	}
	if low, high := ClopperPearson(7, 20, 0.95); math.Abs(low-0.1539092) > 1e-6 || math.Abs(high-0.5921885) > 1e-6 {
		t.Errorf("7 of 20: [%v, %v]", low, high)
	}
	if got := RatesBound(0, 10, 10, 10, 1e-5, 0.95); got != 0 {
		t.Errorf("an attack that is always wrong proves %v", got)
	}
}

func TestOneRunGuesses(t *testing.T) {
	scores := []float64{0.1, 0.9, 0.4, 0.8, 0.2, 0.5}
	in := []bool{false, true, true, false, false, true}
	if got := OneRunGuesses(scores, in, 4); got != 3 {
		t.Errorf("%d right guesses, want 3: 0.1 and 0.2 out, 0.9 in, 0.8 wrong", got)
	}
}

// TestOneRunAuditOfTheMechanism is the one-run audit in small: 512 canaries, one
// coordinate each, 25 full steps with z = 5, so epsilon is exactly that of mu = 1. The
// bound must be below the accounted epsilon and above a quarter of it (else the audit is
// dead), and the same noise claimed once but applied at a tenth must be refuted.
func TestOneRunAuditOfTheMechanism(t *testing.T) {
	const canaries, steps, guesses = 512, 25, 102
	accounted := GDPEpsilon(1, 1e-5)
	bound := func(z float64) (epsilon, mu float64) {
		m := mustMechanism(t, []Group{{"G", canaries, 1, z}}, Private)
		coins := rand.New(rand.NewPCG(31, 32))
		in, scores := make([]bool, canaries), make([]float64, canaries)
		for j := range in {
			in[j] = coins.Uint64()&1 == 1
		}
		for step := range uint64(steps) {
			for j := range in {
				if in[j] {
					record := make([]float64, canaries)
					record[j] = 1
					if err := m.Add(record); err != nil {
						t.Fatal(err)
					}
				}
			}
			for j, v := range m.Release(rand.NewPCG(33, step)).Float(nil, 0) {
				scores[j] += v
			}
		}
		right := OneRunGuesses(scores, in, guesses)
		return OneRunBound(canaries, guesses, right, 1e-5, 0.95), OneRunMu(canaries, guesses, right, 0.95)
	}
	if got, mu := bound(5); got > accounted || got < 0.25*accounted || mu > 1 || mu < 0.4 {
		t.Errorf("audit proves epsilon >= %v and mu >= %v, accounted %v and 1", got, mu, accounted)
	}
	leaking, _ := bound(0.5)
	if claimed := GDPEpsilon(0.5, 1e-5); leaking < claimed { // of z = 10
		t.Errorf("a twentieth of the noise: audit proves %v, not above the claimed %v", leaking, claimed)
	}
}

// auditGroups is a small step whose joint multiplier is 0.577, mu = 1.732.
func auditGroups() []Group {
	return []Group{{"u", 4, 1, 1}, {"v", 4, 0.5, 1}, {"G", 8, 2, 1}}
}

// seeds returns a new deterministic source for every step.
func seeds(seed uint64) func() rand.Source {
	step := uint64(0)
	return func() rand.Source {
		step++
		return rand.NewPCG(seed, step)
	}
}

// TestMechanismAudit accepts our mechanism and rejects each planted bug, at 99.9%
// confidence and a tolerance of 3% (4.4 standard errors of 20,000 trials of each kind;
// for a random seed a right mechanism would be rejected with probability 5e-4, since it
// then seems to lose more than is accounted at that confidence).
func TestMechanismAudit(t *testing.T) {
	const trials, confidence, tolerance = 20_000, 0.999, 0.03
	groups := auditGroups()
	ours := ReleaseOf(mustMechanism(t, groups, Private), seeds(41))
	claimed := mustMechanism(t, groups, Private).Groups()

	weaker := func(change func([]Group)) func(...[][]float64) [][]float64 {
		g := auditGroups()
		change(g)
		return ReleaseOf(mustMechanism(t, g, Private), seeds(42))
	}
	for _, c := range []struct {
		name    string
		release func(...[][]float64) [][]float64
		accept  bool
	}{
		{"ours", ours, true},
		{"half the noise", weaker(func(g []Group) {
			for i := range g {
				g[i].Z /= 2
			}
		}), false},
		{"half the noise in one group", weaker(func(g []Group) { g[2].Z /= 2 }), false},
		{"twice the noise", weaker(func(g []Group) {
			for i := range g {
				g[i].Z *= 2
			}
		}), false},
		{"clip norm doubled, noise not", weaker(func(g []Group) {
			for i := range g {
				g[i].Clip, g[i].Z = 2*g[i].Clip, g[i].Z/2
			}
		}), true}, // the canary's norm is what it was: only a larger canary shows it, below
		{"no noise on u", func(records ...[][]float64) [][]float64 {
			sums := ours(records...)
			sums[0] = make([]float64, 4)
			for _, r := range records {
				sums[0][0] += r[0][0]
			}
			return sums
		}, false},
		{"retry with new noise, both seen", func(records ...[][]float64) [][]float64 {
			first, second := ours(records...), ours(records...)
			for i := range first {
				for j := range first[i] {
					first[i][j] = (first[i][j] + second[i][j]) / 2
				}
			}
			return first
		}, false},
	} {
		a, err := AuditMechanism(claimed, trials, confidence, c.release)
		if err != nil {
			t.Fatal(err)
		}
		if a.Accepts(tolerance) != c.accept {
			t.Errorf("%s: mu %.4f [%.4f, %.4f], accounted %.4f: accepted %v", c.name, a.Estimate, a.Low, a.High, a.Accounted, !c.accept)
		}
	}
}

// TestAuditSeesTheClip plants a canary of ten times the clip norm: a mechanism that
// clips lets no more through than the accountant says; one that does not is rejected.
func TestAuditSeesTheClip(t *testing.T) {
	groups := auditGroups()
	inflated := func(release func(...[][]float64) [][]float64) func(...[][]float64) [][]float64 {
		return func(records ...[][]float64) [][]float64 {
			for _, r := range records {
				for i := range r {
					r[i] = append([]float64(nil), r[i]...)
					r[i][0] = 10 * groups[i].Clip
				}
			}
			return release(records...)
		}
	}
	clipped := ReleaseOf(mustMechanism(t, groups, Private), seeds(43))
	wide := auditGroups()
	for i := range wide {
		wide[i].Clip, wide[i].Z = 2*wide[i].Clip, wide[i].Z/2
	}
	doubled := ReleaseOf(mustMechanism(t, wide, Private), seeds(44))
	for name, c := range map[string]struct {
		release func(...[][]float64) [][]float64
		accept  bool
	}{"ours": {clipped, true}, "clip norm doubled, noise not": {doubled, false}} {
		a, err := AuditMechanism(mustMechanism(t, groups, Private).Groups(), 5000, 0.999, inflated(c.release))
		if err != nil {
			t.Fatal(err)
		}
		if a.Accepts(0.1) != c.accept {
			t.Errorf("%s: mu %.4f [%.4f, %.4f], accounted %.4f", name, a.Estimate, a.Low, a.High, a.Accounted)
		}
	}
}

// TestFloatNoiseIsSeen: floating-point noise leaves the lattice at once; a release never.
func TestFloatNoiseIsSeen(t *testing.T) {
	m := mustMechanism(t, threeGroups(), Private)
	r := rand.New(rand.NewPCG(51, 52))
	for range 100 {
		n := m.Release(r)
		for i, g := range threeGroups() {
			values := n.Float(nil, i)
			if !OnLattice(values, n.Step(i)) {
				t.Fatalf("group %s left the lattice", g.Name)
			}
			values[0] += g.Clip * g.Z * r.NormFloat64()
			if OnLattice(values, n.Step(i)) {
				t.Fatalf("group %s: floating-point noise went unseen", g.Name)
			}
		}
	}
}

func TestEstimateMu(t *testing.T) {
	a, err := EstimateMu(1, []float64{1, 2, 3}, []float64{0, 1, 2}, 0.95)
	if err != nil || a.Estimate != 1 || math.Abs(a.High-a.Low-2*1.959964*math.Sqrt(2./3+1./8)) > 1e-5 {
		t.Errorf("%+v, %v", a, err)
	}
	if got := a.LowerBound(1e-5); got != 0 {
		t.Errorf("three trials prove epsilon >= %v", got)
	}
	if got := (MuAudit{Low: 1}).LowerBound(1e-5); math.Abs(got-4.377178095681) > 1e-9 {
		t.Errorf("mu >= 1 proves epsilon >= %v", got)
	}
	if _, err := EstimateMu(1, []float64{1}, []float64{0, 1}, 0.95); !errors.Is(err, ErrInvalid) {
		t.Errorf("one score: error %v", err)
	}
}
