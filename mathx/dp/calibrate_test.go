package dp

import (
	"errors"
	"math"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// TestCalibrationVectors holds rows C1, C2, C3, C5 and C6 (opacus, dp_accounting).
func TestCalibrationVectors(t *testing.T) {
	for _, c := range []struct {
		row          string
		calibrate    func(Budget) (float64, error)
		b            Budget
		want, within float64
	}{
		{"C1", CalibrateRDP, Budget{Epsilon: 8, Delta: 1e-5, Q: 0.04, Steps: 2250}, 1.416, 1e-2},
		{"C2", CalibrateRDP, Budget{Epsilon: 8, Delta: 1e-5, Q: 0.04, Steps: 2000}, 1.3562, 1e-2},
		{"C2", CalibratePLD, Budget{Epsilon: 8, Delta: 1e-5, Q: 0.04, Steps: 2000}, 1.2915, 1e-2},
		{"C3", CalibratePLD, Budget{Epsilon: 1, Delta: 1e-5, Q: 0.01, Steps: 1}, 0.67379294682, 1e-5},
		{"C5", CalibratePLD, Budget{Epsilon: 0.4, Delta: 1e-5, Q: 1, Steps: 1}, 8.629573588247, 1e-5},
		{"C5 replace-one", CalibratePLD, Budget{Epsilon: 0.4, Delta: 1e-5, Q: 1, Steps: 1, Adjacency: ReplaceOne}, 2 * 8.629573588247, 2e-5},
		{"C6", CalibrateRDP, Budget{Epsilon: 1, Delta: 1e-5, Q: 0.064, Steps: 100}, 2.86040667, 1e-4},
		{"C6", CalibrateRDP, Budget{Epsilon: 2, Delta: 1e-5, Q: 0.064, Steps: 1600}, 5.59160998, 1e-4},
		{"C6", CalibrateRDP, Budget{Epsilon: 8, Delta: 1e-5, Q: 0.064, Steps: 1600}, 1.80932116, 1e-4},
		{"C6", CalibratePLD, Budget{Epsilon: 1, Delta: 1e-5, Q: 0.064, Steps: 100}, 2.63804420, 1e-4},
		{"C6", CalibratePLD, Budget{Epsilon: 2, Delta: 1e-5, Q: 0.064, Steps: 1600}, 5.19274448, 1e-4},
		{"C6", CalibratePLD, Budget{Epsilon: 8, Delta: 1e-5, Q: 0.064, Steps: 1600}, 1.70853804, 1e-4},
	} {
		got, err := c.calibrate(c.b)
		if err != nil || math.Abs(got-c.want) > c.within {
			t.Errorf("%s %+v: z = %.8f (%v), want %v", c.row, c.b, got, err, c.want)
		}
	}
}

// TestCalibrationSatisfies: the multiplier meets the budget, and one a little smaller
// does not.
func TestCalibrationSatisfies(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := Budget{
			Epsilon:   math.Exp(rapid.Float64Range(math.Log(0.1), math.Log(20)).Draw(t, "ln epsilon")),
			Delta:     math.Pow(10, rapid.Float64Range(-8, -2).Draw(t, "lg delta")),
			Q:         rapid.SampledFrom([]float64{0.001, 0.05, 0.4, 1}).Draw(t, "q"),
			Steps:     rapid.Uint64Range(1, 2000).Draw(t, "steps"),
			Adjacency: rapid.SampledFrom(Adjacencies()).Draw(t, "adjacency"),
		}
		z, err := CalibrateRDP(b)
		if err != nil {
			t.Fatal(err)
		}
		epsilon := func(z float64) float64 {
			a, err := b.account(z)
			if err != nil {
				t.Fatal(err)
			}
			r, err := a.EpsilonRDP(b.Delta)
			if err != nil {
				t.Fatal(err)
			}
			return r.Epsilon
		}
		if e := epsilon(z); e > b.Epsilon {
			t.Errorf("z = %v costs %v of %v", z, e, b.Epsilon)
		}
		if e := epsilon(z * (1 - 1e-5)); e <= b.Epsilon && z > 0x1p-9 {
			t.Errorf("z = %v is not the smallest: a little less costs %v of %v", z, e, b.Epsilon)
		}
	})
}

func TestCalibratedPLDSatisfies(t *testing.T) {
	for _, b := range []Budget{
		{Epsilon: 3, Delta: 1e-5, Q: 0.1, Steps: 50},
		{Epsilon: 3, Delta: 1e-5, Q: 0.1, Steps: 50, Adjacency: ReplaceOne},
		{Epsilon: 0.5, Delta: 1e-6, Q: 0.01, Steps: 500, Adjacency: AddRemove},
	} {
		z, err := CalibratePLD(b)
		if err != nil {
			t.Fatal(err)
		}
		a, err := b.account(z)
		if err != nil {
			t.Fatal(err)
		}
		e, err := a.EpsilonPLD(b.Delta)
		if err != nil || e > b.Epsilon || e < 0.99*b.Epsilon {
			t.Errorf("%+v: z = %v costs %v (%v)", b, z, e, err)
		}
	}
}

func TestCalibrationNamesTheField(t *testing.T) {
	good := Budget{Epsilon: 1, Delta: 1e-5, Q: 0.1, Steps: 10}
	for field, change := range map[string]func(*Budget){
		"epsilon":   func(b *Budget) { b.Epsilon = 0 },
		"delta":     func(b *Budget) { b.Delta = 1 },
		"q":         func(b *Budget) { b.Q = 1.5 },
		"steps":     func(b *Budget) { b.Steps = 0 },
		"adjacency": func(b *Budget) { b.Adjacency = 8 },
		"sampler":   func(b *Budget) { b.Sampler = 8 },
	} {
		b := good
		change(&b)
		for _, calibrate := range []func(Budget) (float64, error){CalibrateRDP, CalibratePLD} {
			if _, err := calibrate(b); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), field) {
				t.Errorf("bad %s: error %v", field, err)
			}
		}
	}
	impossible := Budget{Epsilon: 1e-6, Delta: 1e-9, Q: 1, Steps: 1e9}
	if _, err := CalibrateRDP(impossible); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), "epsilon") {
		t.Errorf("impossible budget: error %v", err)
	}
	if _, err := CalibratePLD(Budget{Epsilon: 1, Delta: 1e-5, Q: 0.1, Steps: 10, Sampler: FixedSize}); !errors.Is(err, ErrNoPLD) {
		t.Errorf("fixed size by PLD: error %v", err)
	}
}

// TestSplits: both splits have the joint multiplier, and the second the least energy,
// with the ratios of section 1.8.
func TestSplits(t *testing.T) {
	groups := dpfplGroups()
	even, least := SplitEvenly(1.5, 3), SplitLeastNoise(1.5, groups)
	energy := func(z []float64) (sum float64) {
		for i, g := range groups {
			sum += float64(g.Dim) * g.Clip * g.Clip * z[i] * z[i]
		}
		return sum
	}
	if a, b := Joint(even...), Joint(least...); relative(a, 1.5) > 1e-12 || relative(b, 1.5) > 1e-12 {
		t.Errorf("joint multipliers %v and %v, want 1.5", a, b)
	}
	for i, want := range []float64{3.83, 1.61, 1.35} {
		if math.Abs(least[i]/1.5-want) > 5e-3 {
			t.Errorf("group %d: %v z, want %v z", i, least[i]/1.5, want)
		}
	}
	if saved := 1 - energy(least)/energy(even); math.Abs(saved-0.26) > 5e-3 {
		t.Errorf("least noise saves %v of the energy, want 26%%", saved)
	}
	for i := range least { // moving a little of the budget between two groups costs energy
		moved := append([]float64(nil), least...)
		j := (i + 1) % 3
		moved[i] = 1 / math.Sqrt(1/(least[i]*least[i])*1.01)
		moved[j] = 1 / math.Sqrt(1/(least[j]*least[j])-0.01/(least[i]*least[i]))
		if energy(moved) < energy(least) {
			t.Errorf("moving noise from group %d to %d saves energy", i, j)
		}
	}
}
