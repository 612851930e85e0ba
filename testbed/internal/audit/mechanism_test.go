package audit

import (
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
)

// seeds returns a new deterministic source for every step.
func seeds(seed uint64) func() rand.Source {
	n := uint64(0)
	return func() rand.Source {
		n++
		return rand.NewPCG(seed, n)
	}
}

func mechanismOptions(plant string) MechanismOptions {
	return MechanismOptions{Trials: 2000, Confidence: 0.999, Tolerance: 0.1, Delta: 1e-5, Plant: plant, Noise: seeds(7)}
}

// TestMechanism accepts the learner's step and rejects every planted bug, each for its own reason.
func TestMechanism(t *testing.T) {
	all := []string{"u", "v", "global", "step"}
	for _, c := range []struct {
		plant    string
		accepted bool
		rejected []string // rows
	}{
		{Honest, true, nil},
		{HalfNoise, false, all},
		{"half-noise-global", false, []string{"global", "step"}},
		{NoNoise, false, all},
		{"no-noise-u", false, []string{"u", "step"}},
		{"batch-clipping", false, all},
		{"retry", false, all},
		{"float-noise", false, nil}, // of the right size: only the lattice tells
	} {
		r, err := Mechanism(t.Context(), mechanismOptions(c.plant))
		if err != nil {
			t.Fatal(err)
		}
		var rejected []string
		for _, g := range r.Groups {
			if !g.Accepted {
				rejected = append(rejected, g.Name)
			}
		}
		if r.Accepted != c.accepted || !slices.Equal(rejected, c.rejected) {
			t.Errorf("%s: accepted %v, rejected rows %v, want %v: %+v", c.plant, r.Accepted, rejected, c.rejected, r.Groups)
		}
		if floats := c.plant == "float-noise"; c.accepted && !r.OnLattice || floats && r.OnLattice {
			t.Errorf("%s: on the lattice: %v", c.plant, r.OnLattice)
		}
		if c.accepted && (r.LowerBound > r.EpsilonPLD || r.CountedBound > r.EpsilonPLD || r.LowerBound < 0.85*r.EpsilonPLD) {
			t.Errorf("%s: proves %v, by counting %v, accounted %v", c.plant, r.LowerBound, r.CountedBound, r.EpsilonPLD)
		}
		if !c.accepted && c.plant != "float-noise" && r.LowerBound <= r.EpsilonPLD {
			t.Errorf("%s: proves %v, accounted %v", c.plant, r.LowerBound, r.EpsilonPLD)
		}
	}
}

func TestMechanismOptions(t *testing.T) {
	for name, spoil := range map[string]func(*MechanismOptions){
		"trials":     func(o *MechanismOptions) { o.Trials = 1 },
		"confidence": func(o *MechanismOptions) { o.Confidence = 1 },
		"tolerance":  func(o *MechanismOptions) { o.Tolerance = 0 },
		"delta":      func(o *MechanismOptions) { o.Delta = 0 },
		"plant":      func(o *MechanismOptions) { o.Plant = "thistle" },
	} {
		o := mechanismOptions(Honest)
		spoil(&o)
		if _, err := Mechanism(t.Context(), o); !errors.Is(err, ErrOptions) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}
