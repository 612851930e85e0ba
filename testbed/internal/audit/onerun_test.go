package audit

import (
	"context"
	"errors"
	"math"
	"testing"

	"dpfpl/broker/brokertest"
)

// oneRunOptions is the setting with q = 1, in small. Noise and coins are seeded: the tests cannot fail by chance.
func oneRunOptions(plant string) OneRunOptions {
	return OneRunOptions{
		Clients: 2, Canaries: 2048, Steps: 4, Rate: 1, Epsilon: 3, Delta: 1e-5, Share: 0.1, Confidence: 0.95,
		Seed: 3, Plant: plant, Seeded: true,
	}
}

func oneRun(t *testing.T, o OneRunOptions) *OneRunResult {
	t.Helper()
	var r *OneRunResult
	err := brokertest.VirtualTime(func(ctx context.Context) (err error) {
		r, err = OneRun(ctx, o)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v", *r)
	return r
}

// TestOneRun: the lower bound of every artefact is below what is accounted, and the attack on everything is
// no dead one.
func TestOneRun(t *testing.T) {
	r := oneRun(t, oneRunOptions(Honest))
	if !r.Accepted || !r.Alive {
		t.Errorf("accepted %v, alive %v", r.Accepted, r.Alive)
	}
	if r.Steps != 4 || r.Updates != 8 || r.Versions != 8 {
		t.Errorf("%d steps, %d updates, %d versions of 2 clients with 4 steps each", r.Steps, r.Updates, r.Versions)
	}
	if r.Included < 900 || r.Included > 1150 { // 5.5 standard deviations
		t.Errorf("%d of 2048 fair coins", r.Included)
	}
	if e := float64(r.EpsilonRDP); math.Abs(e-3) > 1e-3 || r.EpsilonPLD >= r.EpsilonRDP {
		t.Errorf("accounted %v by RDP and %v by PLD, for a budget of 3", e, r.EpsilonPLD)
	}
	bound := map[string]float64{}
	for _, a := range r.Artefacts {
		bound[a.Name] = float64(a.LowerBound)
	}
	if bound["updates on the wire"] == 0 || bound["personal prompts"] == 0 || bound["everything"] <= bound["updates on the wire"] {
		t.Errorf("an attack sees nothing: %v", bound)
	}
}

// TestOneRunSeesMissingNoise: a federation without noise is no match for its claim.
func TestOneRunSeesMissingNoise(t *testing.T) {
	r := oneRun(t, oneRunOptions(NoNoise))
	if r.Accepted {
		t.Error("accepted")
	}
	for _, a := range r.Artefacts {
		if a.Right != a.Guesses || a.LowerBound <= r.EpsilonPLD {
			t.Errorf("%s: %d of %d right, lower bound %v", a.Name, a.Right, a.Guesses, a.LowerBound)
		}
	}
}

// TestOneRunCountsSpentSteps: what is accounted agrees with the clients' own ledgers.
func TestOneRunCountsSpentSteps(t *testing.T) {
	o := oneRunOptions(Honest)
	o.Canaries, o.Rate = 256, 0.5
	e, err := newExperiment(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := brokertest.VirtualTime(e.run); err != nil {
		t.Fatal(err)
	}
	r, err := e.result()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range e.outcome.Parties {
		if math.Abs(p.EpsilonRDP-float64(r.EpsilonRDP)) > 1e-3 || math.Abs(p.EpsilonPLD-float64(r.EpsilonPLD)) > 1e-3 {
			t.Errorf("ledger: %v and %v, audit: %v and %v", p.EpsilonRDP, p.EpsilonPLD, r.EpsilonRDP, r.EpsilonPLD)
		}
	}
}

func TestOneRunOptions(t *testing.T) {
	for name, spoil := range map[string]func(*OneRunOptions){
		"clients":    func(o *OneRunOptions) { o.Clients = 0 },
		"canaries":   func(o *OneRunOptions) { o.Canaries = 100 },
		"few":        func(o *OneRunOptions) { o.Clients, o.Canaries = 100, 64 },
		"steps":      func(o *OneRunOptions) { o.Steps = 0 },
		"rate":       func(o *OneRunOptions) { o.Rate = 1.5 },
		"epsilon":    func(o *OneRunOptions) { o.Epsilon = math.NaN() },
		"no lattice": func(o *OneRunOptions) { o.Epsilon = 1e-9 },
		"delta":      func(o *OneRunOptions) { o.Delta = 0 },
		"share":      func(o *OneRunOptions) { o.Share = 0 },
		"confidence": func(o *OneRunOptions) { o.Confidence = 1 },
		"plant":      func(o *OneRunOptions) { o.Plant = "retry" },
	} {
		o := oneRunOptions(Honest)
		spoil(&o)
		if _, err := OneRun(t.Context(), o); !errors.Is(err, ErrOptions) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}
