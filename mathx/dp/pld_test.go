package dp

import (
	"errors"
	"math"
	"testing"
	"time"
)

// TestPLDVectors holds the tight epsilons of section 2 (dp_accounting, tensorflow_privacy
// and, in 2.4, opacus' PRV table less its stated error of 0.010). Tolerances: 1e-6, and
// 1e-4 above epsilon 15.
func TestPLDVectors(t *testing.T) {
	for _, c := range []struct {
		row         string
		s           Spent
		delta, want float64
	}{
		{"E2", poisson(0.04, 1.5, 2250), 1e-5, 6.768787374807349},
		{"E3", poisson(0.04, 1.5, 2249), 1e-5, 6.767051086},
		{"E12", poisson(0.01, 0.7, 120), 1e-5, 2.4612381},
		{"E13", poisson(0.01, 0.35, 120), 1e-5, 18.6977407},
		{"E25", poisson(0.064, 1, 100), 1e-5, 4.481756676606795},
		{"E27", poisson(0.064, 2, 1600), 1e-5, 6.422488485747027},
		{"E28", poisson(0.01, 1, 1000), 1e-5, 1.828243646215537},
		{"E30", poisson(0.1, 1, 100), 1e-5, 7.04660287713374},
		{"E31", poisson(1, 10, 100), 1e-5, 4.3771781000249295},
		{"E32", poisson(1, 5, 1), 1e-6, 0.8341175648589771},
		{"E34", poisson(0.064, Joint(2, 2, 2), 1600), 1e-5, 14.895657354208945},
		{"2.4", poisson(0.001, 0.8, 100), 1e-6, 0.260338718},
		{"2.4", poisson(0.05, 2, 100), 1e-6, 1.273560266},
		{"2.4", poisson(0.05, 3, 100), 1e-6, 0.757883867},
		{"2.4", poisson(0.2, 3, 100), 1e-6, 3.371055415},
		{"2.4", poisson(0.001, 0.8, 1000), 1e-6, 0.467694961},
		{"2.4", poisson(0.05, 1.5, 1000), 1e-6, 6.199695422},
		{"2.4", poisson(0.05, 2, 1000), 1e-6, 4.162611250},
		{"2.4", poisson(0.05, 3, 1000), 1e-6, 2.517457287},
		{"2.4", poisson(0.001, 1.5, 20000), 1e-6, 0.427622184},
		{"C3", poisson(0.01, 0.67379294682, 1), 1e-5, 1},
	} {
		got, err := spend(t, ZeroOut, c.s).EpsilonPLD(c.delta)
		within := 1e-6
		if c.want > 15 {
			within = 1e-4
		}
		if err != nil || math.Abs(got-c.want) > within {
			t.Errorf("%s %v: epsilon %.12f (%v), want %.12f", c.row, c.s.Step, got, err, c.want)
		}
	}
}

// TestPLDRounded holds values known to three or four digits (E16, sections 1.6 and 1.8).
func TestPLDRounded(t *testing.T) {
	for _, c := range []struct {
		row                 string
		adjacency           Adjacency
		s                   Spent
		delta, want, within float64
	}{
		{"E16", ZeroOut, poisson(64./10000, 1, 782), 1e-6, 1.199, 5e-4},
		{"1.6 replace-one", ReplaceOne, poisson(0.064, 2, 1600), 1e-5, 13.551, 5e-4},
		{"1.7 replace-one", ReplaceOne, poisson(0.064, 2, 100), 1e-5, 2.638, 5e-4},
		{"1.7 zero-out", ZeroOut, poisson(0.064, 2, 100), 1e-5, 1.436, 5e-4},
		{"1.1 replace-one", ReplaceOne, poisson(1, 10, 100), 1e-5, 9.9973, 5e-5},
		{"1.8", ZeroOut, poisson(0.064, Joint(1.5, 3, 2), 100), 1e-5, 3.632, 5e-4},
		{"1.8", ZeroOut, poisson(0.01, Joint(2, 2, 1), 1000), 1e-5, 2.971, 5e-4},
	} {
		got, err := spend(t, c.adjacency, c.s).EpsilonPLD(c.delta)
		if err != nil || math.Abs(got-c.want) > c.within {
			t.Errorf("%s: epsilon %v (%v), want %v", c.row, got, err, c.want)
		}
	}
}

// TestHockeyStick holds rows D1 to D6: one step in closed form.
func TestHockeyStick(t *testing.T) {
	for _, c := range []struct {
		row                   string
		p                     pair
		epsilon, want, within float64
	}{
		{"D1", addPair(0.8, 1), 1, 0.0231362104090899, 1e-12},
		{"D2", removePair(0.8, 1), 1, 0.0816951786585355, 1e-12},
		{"D3", removePair(0.3, 1), 2, 0.0003341102928869332, 1e-14},
		{"D4", removePair(1, 1), 1, 0.12693674, 1e-8},
		{"D4", addPair(1, 1), 2, 0.02092364, 1e-8},
		{"D5", replacePair(0.8, 2), 1, 0.05808665654484252, 1e-12},
		{"D6", removePair(0.2, 1), -0.3, 0.25918178, 1e-7},
		{"D6", removePair(0.2, 1), -0.2, 0.1814346, 1e-7},
		{"D6", removePair(0.2, 1), -0.1, 0.11631708, 1e-7},
		{"D6", removePair(0.2, 1), 0, 0.076584985, 1e-7},
		{"D6", removePair(0.2, 1), 0.1, 0.051816131, 1e-7},
		{"D6", removePair(0.2, 1), 0.2, 0.035738492, 1e-7},
		{"D6", removePair(0.2, 1), 0.5, 0.012494629, 1e-7},
		{"D6", removePair(0.2, 1), 1, 0.00229682, 1e-7},
		{"add beyond -ln(1-q)", addPair(0.2, 1), 0.23, 0, 0},
	} {
		if got := c.p.delta(c.epsilon); math.Abs(got-c.want) > c.within {
			t.Errorf("%s: delta(%v) = %.16f, want %.16f", c.row, c.epsilon, got, c.want)
		}
	}
}

// TestDotsAreConnected: the grid holds all mass, agrees with the closed form at grid
// losses and lies above it between, for each pair.
func TestDotsAreConnected(t *testing.T) {
	for name, p := range map[string]pair{
		"remove": removePair(0.1, 0.8), "add": addPair(0.1, 0.8), "replace": replacePair(0.1, 0.8), "full": removePair(1, 2),
	} {
		d := connectDots(p, 0.01)
		total := d.infinity
		for _, m := range d.mass {
			total += m
		}
		if math.Abs(total-1) > 1e-12 {
			t.Errorf("%s: total mass %v", name, total)
		}
		for _, k := range []int{-5, 0, 3, 10, 50, 120} {
			on, between := float64(k)*0.01, (float64(k)+0.5)*0.01
			if got, want := d.delta(on), p.delta(on); math.Abs(got-want) > 1e-13 {
				t.Errorf("%s: delta(%v) = %v on the grid, want %v", name, on, got, want)
			}
			if got, want := d.delta(between), p.delta(between); got < want-1e-13 || got > want+1e-4 {
				t.Errorf("%s: delta(%v) = %v between, want slightly above %v", name, between, got, want)
			}
		}
	}
}

// TestComposedGaussians is row D8 and the oracle of the transform: steps without
// sampling, forced through the grid, must give the exact Gaussian.
func TestComposedGaussians(t *testing.T) {
	d := composePairs([]pair{removePair(1, math.Sqrt(3))}, []float64{3}, reportGrid)
	if got := d.delta(1); math.Abs(got-0.12693674) > 1e-6 {
		t.Errorf("D8: delta(1) = %v", got)
	}
	mixed := composePairs([]pair{removePair(1, 4), addPair(1, 10)}, []float64{5, 40}, reportGrid)
	mu := math.Sqrt(5./16 + 40./100)
	for _, delta := range []float64{1e-3, 1e-5, 1e-8} {
		if got, want := mixed.epsilon(delta), GDPEpsilon(mu, delta); math.Abs(got-want) > 2e-6 {
			t.Errorf("epsilon(%v) = %.9f, want %.9f", delta, got, want)
		}
	}
}

// TestHeterogeneousSteps: splitting a group changes nothing; full steps among sampled
// ones count exactly; epsilon and delta are inverse; all is at most the Rényi bound.
func TestHeterogeneousSteps(t *testing.T) {
	a := spend(t, ZeroOut, poisson(0.05, 1, 60), poisson(0.05, 1.0000001, 40), poisson(1, 20, 4), poisson(1, 10, 3))
	b := spend(t, ZeroOut, poisson(0.05, 1, 100), poisson(1, 5, 1))
	ea, err := a.EpsilonPLD(1e-5)
	eb, err2 := b.EpsilonPLD(1e-5)
	if err != nil || err2 != nil || math.Abs(ea-eb) > 1e-5 {
		t.Errorf("epsilon %v and %v (%v, %v)", ea, eb, err, err2)
	}
	if d, err := b.DeltaPLD(eb); err != nil || relative(d, 1e-5) > 1e-3 {
		t.Errorf("delta at that epsilon is %v, %v", d, err)
	}
	if r, _ := b.EpsilonFractional(1e-5); r.Epsilon < eb {
		t.Errorf("Rényi bound %v below the tight %v", r.Epsilon, eb)
	}
}

// TestUnsampledStepsAmongSampledOnes: steps on all records are composed with the others, as steps on almost all
// are.
func TestUnsampledStepsAmongSampledOnes(t *testing.T) {
	epsilon := func(steps ...Step) float64 {
		a := new(Account)
		for _, s := range steps {
			if err := a.Spend(s, 10); err != nil {
				t.Fatal(err)
			}
		}
		e, err := a.epsilonPLD(1e-5, searchGrid)
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	sampled := Step{Q: 0.1, Z: 1}
	got, want := epsilon(sampled, Step{Q: 1, Z: 5}), epsilon(sampled, Step{Q: 1 - 1e-9, Z: 5})
	if alone := epsilon(sampled); math.Abs(got-want) > 0.01 || got < alone+0.5 {
		t.Errorf("epsilon %v, %v with steps on almost all records, %v without those", got, want, alone)
	}
}

// TestNothingIsLostAtTheEnd: what lies beyond the grid or the window counts as a loss without bound, however
// little it is.
func TestNothingIsLostAtTheEnd(t *testing.T) {
	if d := connectDots(removePair(0.1, 1), searchGrid); !(d.infinity > 0 && d.infinity < 1e-20) {
		t.Errorf("mass %v beyond the grid, want e^-50 or so", d.infinity)
	}
	for infinity, want := range map[float64]float64{0: leak, 0.01: 1 - 0.99*0.99*0.99 + leak} {
		d := lossDistribution{step: 0.1, first: 0, mass: []float64{0.5 - infinity, 0.5}, infinity: infinity}
		if got := compose([]repeated{{d, 3}}, 0, 0.3).infinity; math.Abs(got-want) > leak/4 {
			t.Errorf("infinite mass %v three times is %v, want %v", infinity, got, want)
		}
	}
}

// TestCoarserGridsOverReport: a bound stays a bound.
func TestCoarserGridsOverReport(t *testing.T) {
	a := spend(t, ZeroOut, poisson(0.001, 1.5, 20000))
	fine, err := a.epsilonPLD(1e-6, 1e-4)
	coarse, err2 := a.epsilonPLD(1e-6, 1e-3)
	if err != nil || err2 != nil || coarse < fine || math.Abs(coarse-0.4938) > 1e-3 {
		t.Errorf("epsilon %v at 1e-4, %v at 1e-3 (%v, %v)", fine, coarse, err, err2)
	}
}

// TestWideLosses: with next to no noise the grid is made coarser instead of larger, and
// the result is of the size of the Rényi bound.
func TestWideLosses(t *testing.T) {
	a := spend(t, ZeroOut, poisson(0.01, 1e-6, 10))
	e, err := a.EpsilonPLD(1e-5)
	r, _ := a.EpsilonRDP(1e-5)
	if err != nil || !(e > 1e11 && e <= 1.1*r.Epsilon) {
		t.Errorf("epsilon %v (%v), Rényi %v", e, err, r.Epsilon)
	}
}

func TestPLDRefuses(t *testing.T) {
	if _, err := spend(t, ZeroOut, Spent{Step{FixedSize, 0.1, 1}, 1}).EpsilonPLD(1e-5); !errors.Is(err, ErrNoPLD) {
		t.Errorf("fixed-size sampling: error %v", err)
	}
	if _, err := spend(t, ZeroOut, poisson(0.1, 1, 1)).EpsilonPLD(1e-11); !errors.Is(err, ErrInvalid) {
		t.Errorf("delta 1e-11: error %v", err)
	}
	if e, err := spend(t, ZeroOut, poisson(1, 1, 1)).EpsilonPLD(1e-11); err != nil || e < 5 {
		t.Errorf("delta 1e-11 without sampling: %v, %v", e, err)
	}
}

// BenchmarkEpsilonPLD is a typical run on the default grid; the target is a second.
// times-rdp is its cost relative to the Rényi epsilon of the same run.
func BenchmarkEpsilonPLD(b *testing.B) {
	for b.Loop() {
		if _, err := spend(b, ZeroOut, poisson(0.064, 2, 1600)).EpsilonPLD(1e-5); err != nil {
			b.Fatal(err)
		}
	}
	tight := float64(b.Elapsed().Nanoseconds()) / float64(b.N)
	start := time.Now()
	for range 10 {
		if _, err := spend(b, ZeroOut, poisson(0.064, 2, 1600)).EpsilonRDP(1e-5); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(tight*10/float64(time.Since(start).Nanoseconds()), "times-rdp")
}
