package retrace

import (
	"math"
	"math/rand/v2"
	"testing"

	"gonum.org/v1/gonum/stat/distuv"

	"dpfpl/mathx/dp"
	"dpfpl/roles/client/ledger"
	"dpfpl/schemas"
)

func spending(run string, k uint64, committed bool, digest byte) ledger.Spending {
	return ledger.Spending{
		Entry:     ledger.Entry{Run: run, K: k, Step: dp.Step{Q: 0.25, Z: 2}},
		Committed: committed, Digest: [32]byte{digest},
	}
}

func published(k uint64, digest byte, rate, z float64) Published {
	return Published{Seq: 10 * k, K: k, Digest: [32]byte{digest}, Update: &schemas.Update{K: k, Mechanism: schemas.Mechanism{Rate: rate, Z: z}}}
}

func TestCompare(t *testing.T) {
	forged := published(9, 9, 0.25, 2)
	forged.Update = nil
	steps := Compare("a", []ledger.Spending{
		spending("a", 1, true, 1), spending("b", 7, true, 7), spending("a", 2, true, 2), spending("a", 3, false, 0),
		spending("a", 4, true, 4), spending("a", 5, false, 0), spending("a", 6, true, 6), spending("a", 8, true, 8), spending("a", 9, true, 9),
	}, []Published{
		published(1, 1, 0.25, 2), published(4, 5, 0.25, 2), published(5, 5, 0.25, 2), published(6, 6, 0.5, 2),
		published(7, 7, 0.25, 2), published(8, 8, 0.25, 1.9), forged,
	})
	want := []Finding{Same, Unsent, Unmade, Other, Uncommitted, Underpaid, Undebited, Underpaid, Forged}
	if len(steps) != len(want) {
		t.Fatalf("%d steps, want %d", len(steps), len(want))
	}
	for i, s := range steps {
		if s.K != uint64(i+1) || s.Finding != want[i] || s.Finding.Bad() != (i > 2) {
			t.Errorf("step %d: %q, bad %v; want step %d: %q", s.K, s.Finding, s.Finding.Bad(), i+1, want[i])
		}
	}
	// A step without noise is paid for as one with next to none.
	free := ledger.Spending{Entry: ledger.Entry{Run: "a", K: 1, Step: dp.Step{Q: 0.25, Z: 1e-6}}, Committed: true, Digest: [32]byte{1}}
	if steps := Compare("a", []ledger.Spending{free}, []Published{published(1, 1, 0.25, 0)}); steps[0].Finding != Same {
		t.Errorf("without noise: %q", steps[0].Finding)
	}
}

// TestTrace: the noise of the real mechanism passes, over many steps; half or twice the noise, none, and a
// published vector without the sum do not.
func TestTrace(t *testing.T) {
	const dim, clip, z = 1024, 0.5, 1.5
	m, err := dp.NewMechanism([]dp.Group{{Name: "G", Dim: dim, Clip: clip, Z: z}}, dp.Private)
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(1, 2))
	for round := range 40 {
		// Records that agree, so that the sum stands out from the noise.
		direction := make([]float64, dim)
		for j := range direction {
			direction[j] = r.NormFloat64()
		}
		sum := make([]float64, dim)
		for range 30 {
			if err := m.Add(direction); err != nil {
				t.Fatal(err)
			}
		}
		norm := 0.0
		for _, v := range direction {
			norm += v * v
		}
		for j, v := range direction {
			sum[j] = 30 * clip * v / math.Sqrt(norm)
		}
		n := m.Release(rand.NewPCG(3, uint64(round)))
		step, ints := n.Step(0), n.Ints(0)
		try := func(name string, want bool, change func(j int, x int32) float64) {
			changed := make([]int32, dim)
			for j, x := range ints {
				changed[j] = int32(change(j, x))
			}
			trace := Trace{Then: 30 * clip}
			trace.measure(sum, schemas.NewLattice(1, dim, step, changed))
			if trace.Agrees() != want {
				t.Errorf("round %d: %s agrees: %v: %+v", round, name, !want, trace)
			}
		}
		try("the mechanism", true, func(_ int, x int32) float64 { return float64(x) })
		try("half the noise", false, func(j int, x int32) float64 { return (float64(x) + sum[j]/step) / 2 })
		try("twice the noise", false, func(j int, x int32) float64 { return 2*float64(x) - sum[j]/step })
		try("no noise", false, func(j int, _ int32) float64 { return sum[j] / step })
		try("noise alone", false, func(j int, x int32) float64 { return float64(x) - sum[j]/step })
	}
	for name, c := range map[string]struct {
		trace Trace
		want  bool
	}{
		"another norm":             {Trace{Then: 1, Now: 1.01, Noise: 1}, false},
		"a norm as rounded":        {Trace{Then: 1, Now: 1.0001, Noise: 1}, true},
		"no noise where none is":   {Trace{Then: 1, Now: 1, noiseless: true}, true},
		"noise where none belongs": {Trace{Then: 1, Now: 1, Noise: 1, noiseless: true}, false},
		"an empty batch":           {Trace{Noise: 1}, true},
		"not a number":             {Trace{Then: 1, Now: math.NaN(), Noise: 1}, false},
	} {
		if c.trace.Agrees() != c.want {
			t.Errorf("%s agrees: %v", name, !c.want)
		}
	}
}

// TestChance: what chance does one time in 10⁹ is just below six deviations, whatever the size of a prompt.
func TestChance(t *testing.T) {
	const chance, quantile = 1e-9, 5.998
	for _, n := range []float64{32, 384, 1536, 8192} {
		squares := distuv.ChiSquared{K: n}
		few, many := normal(squares.Quantile(chance), n), normal(squares.Quantile(1-chance), n)
		if math.Abs(few+quantile) > 0.2 || math.Abs(many-quantile) > 0.1 {
			t.Errorf("%v numbers: from %v to %v, want ±%v", n, few, many, quantile)
		}
	}
}
