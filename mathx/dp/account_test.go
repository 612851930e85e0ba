package dp

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// tenths returns low, low+0.1, ..., high.
func tenths(low, high int) []float64 {
	var orders []float64
	for a := low; a <= high; a++ {
		orders = append(orders, float64(a)/10)
	}
	return orders
}

// units returns low, low+1, ..., high.
func units(low, high int) []float64 {
	var orders []float64
	for a := low; a <= high; a++ {
		orders = append(orders, float64(a))
	}
	return orders
}

// Order grids of other implementations.
func opacusOrders() []float64 { return append(tenths(11, 109), units(12, 63)...) }

func tensorflowOrders() []float64 {
	orders := append([]float64{1.25, 1.5, 1.75, 2, 2.25, 2.5, 3, 3.5, 4, 4.5}, units(5, 63)...)
	return append(orders, 128, 256, 512)
}

// epsilonAt sums steps (q, z, T) at given orders.
func epsilonAt(orders []float64, delta float64, steps ...[3]float64) (epsilon, order float64) {
	rdp := make([]float64, len(orders))
	for _, s := range steps {
		for i, alpha := range orders {
			rdp[i] += s[2] * sampledRDP(s[0], s[1], alpha)
		}
	}
	return epsilonFromRDP(orders, rdp, delta)
}

// TestEpsilonVectors holds the rows E of published RDP epsilons: opacus
// accountants_test.py, tensorflow_privacy compute_dp_sgd_privacy_test.py,
// dp_accounting, each on the orders of its source. order 0 means not stated.
func TestEpsilonVectors(t *testing.T) {
	dense := func() []float64 {
		var orders []float64
		for a := 1001; a <= 100_000; a++ {
			orders = append(orders, float64(a)/1000)
		}
		return orders
	}
	for _, c := range []struct {
		row    string
		orders []float64
		delta  float64
		steps  [][3]float64
		want   float64
		order  float64
		within float64
	}{
		{"E1", opacusOrders(), 1e-5, [][3]float64{{0.04, 1.5, 2250}}, 7.32911117143, 3.9, 1e-9},
		{"E5", tensorflowOrders(), 1e-5, [][3]float64{{150. / 60000, 1.3, 6000}}, 0.7242234026109595, 19, 1e-10},
		{"E6", tensorflowOrders(), 1e-7, [][3]float64{{100. / 100000, 1, 30000}}, 1.4154988495444842, 13, 1e-10},
		{"E7", tensorflowOrders(), 1e-7, [][3]float64{{1024 / 1e8, 0.1, 976563}}, 5907982.3113984, 1.25, 5907982 * 1e-10},
		{"E8", denseOrders, 1e-5, [][3]float64{{1, 0.7, 2}}, 10.8602036, 0, 1e-6},
		{"E9", denseOrders, 1e-5, [][3]float64{{1, 0.35, 2}}, 26.2880374, 0, 1e-6},
		{"E14 ours", denseOrders, 1e-5, [][3]float64{{0.01, 0.7, 120}}, 3.2391922, 0, 1e-6},
		{"E15 ours", denseOrders, 1e-5, [][3]float64{{0.01, 0.35, 120}}, 22.5970358, 0, 1e-6},
		{"E16", denseOrders, 1e-6, [][3]float64{{64. / 10000, 1, 782}}, 1.616, 0, 5e-4},
		{"E17", denseOrders, 1e-6, [][3]float64{{1, 1, 5}}, 13.376, 0, 5e-4},
		{"E18", units(2, 32), 1e-5, [][3]float64{{1e-5, 1, 10}, {1e-4, 3, 4}}, 0.33634406, 23, 1e-7},
		{"E20", dense(), 1e-6, [][3]float64{{1, 4.530877117, 1}}, 1, 0, 1e-7},
		{"C1", opacusOrders(), 1e-5, [][3]float64{{0.04, 1.416, 2250}}, 7.99816, 0, 1e-5},
		{"E25", denseOrders, 1e-5, [][3]float64{{0.064, 1, 100}}, 5.107124207095, 4.1, 1e-9},
		{"E27", denseOrders, 1e-5, [][3]float64{{0.064, 2, 1600}}, 6.946747667568, 4.1, 1e-9},
		{"E28", denseOrders, 1e-5, [][3]float64{{0.01, 1, 1000}}, 2.101365271648, 7.8, 1e-9},
		{"E30", denseOrders, 1e-5, [][3]float64{{0.1, 1, 100}}, 7.899255002438, 3.2, 1e-9},
		{"E31", denseOrders, 1e-5, [][3]float64{{1, 10, 100}}, 4.728507067218, 5.4, 1e-9},
		{"E32", denseOrders, 1e-6, [][3]float64{{1, 5, 1}}, 0.899938504173, 24, 1e-9},
		{"E34", denseOrders, 1e-5, [][3]float64{{0.064, Joint(2, 2, 2), 1600}}, 16.077711720674, 2.5, 1e-9},
		{"1.8 second", denseOrders, 1e-5, [][3]float64{{0.064, Joint(1.5, 3, 2), 100}}, 4.120, 0, 1e-3},
		{"1.8 third", denseOrders, 1e-5, [][3]float64{{0.01, Joint(2, 2, 1), 1000}}, 3.494, 0, 5e-4},
	} {
		got, order := epsilonAt(c.orders, c.delta, c.steps...)
		if math.Abs(got-c.want) > c.within || (c.order != 0 && order != c.order) {
			t.Errorf("%s: epsilon %.13g at order %v, want %.13g at %v", c.row, got, order, c.want, c.order)
		}
	}
}

// TestEpsilonBounds: published values from looser series are upper bounds of ours.
func TestEpsilonBounds(t *testing.T) {
	for _, c := range []struct {
		row              string
		q, z, n          float64
		published, slack float64
	}{
		{"E14", 0.01, 0.7, 120, 3.2392676, 1e-3},
		{"E15", 0.01, 0.35, 120, 22.6248601, 0.1},
		{"E25", 0.064, 1, 100, 5.107359058745, 1e-3},
		{"E27", 0.064, 2, 1600, 6.946760243587, 1e-3},
		{"E28", 0.01, 1, 1000, 2.101366525420, 1e-3},
		{"E30", 0.1, 1, 100, 7.903850223578, 1e-2},
		{"E31", 1, 10, 100, 4.728507067218 + 1e-9, 1e-3},
		{"E34", 0.064, Joint(2, 2, 2), 1600, 16.166624673188, 0.1},
	} {
		got, _ := epsilonAt(denseOrders, 1e-5, [3]float64{c.q, c.z, c.n})
		if got > c.published || got < c.published-c.slack {
			t.Errorf("%s: epsilon %.12g, want in [published - %v, %v]", c.row, got, c.slack, c.published)
		}
	}
}

// TestConversion is row E19: constant divergences.
func TestConversion(t *testing.T) {
	orders := units(2, 32)
	rdp := make([]float64, len(orders))
	for i := range rdp {
		rdp[i] = 1.1
	}
	if e, order := epsilonFromRDP(orders, rdp, 1e-5); math.Abs(e-1.32783806176) > 1e-10 || order != 32 {
		t.Errorf("E19: epsilon %.12g at order %v", e, order)
	}
	if d := deltaFromRDP(orders, rdp, 1.32783806176); relative(d, 1e-5) > 1e-9 {
		t.Errorf("E19 backwards: delta %v, want 1e-5", d)
	}
	for i, alpha := range opacusOrders() { // E23: 0.81-zCDP
		if i == 0 {
			rdp = rdp[:0]
		}
		rdp = append(rdp, 0.81*alpha)
	}
	if e, _ := epsilonFromRDP(opacusOrders(), rdp, 1e-10); math.Abs(e-8.922258) > 1e-5 {
		t.Errorf("E23: epsilon %v, want 8.922258", e)
	}
	if e, _ := epsilonFromRDP([]float64{2, 3}, []float64{1e-12, 1e-12}, 0.5); e != 0 {
		t.Errorf("nearly equal distributions at delta 0.5: epsilon %v, want 0", e)
	}
	if e, _ := epsilonFromRDP([]float64{2}, []float64{math.Inf(1)}, 0.5); !math.IsInf(e, 1) {
		t.Errorf("infinite divergence: epsilon %v", e)
	}
}

// spend returns an account with the steps.
func spend(tb testing.TB, a Adjacency, steps ...Spent) *Account {
	tb.Helper()
	account, err := NewAccount(a)
	if err != nil {
		tb.Fatal(err)
	}
	for _, s := range steps {
		if err := account.Spend(s.Step, s.Count); err != nil {
			tb.Fatal(err)
		}
	}
	return account
}

func poisson(q, z float64, count uint64) Spent { return Spent{Step{Q: q, Z: z}, count} }

// TestOfficialIsNearDense: the official integer orders cost little, and are never
// below the fractional ones.
func TestOfficialIsNearDense(t *testing.T) {
	for _, c := range []struct {
		s    Spent
		want float64
	}{
		{poisson(0.064, 1, 100), 5.1080}, {poisson(0.064, 2, 1600), 6.9512}, {poisson(0.01, 1, 1000), 2.1078},
	} {
		a := spend(t, ZeroOut, c.s)
		official, err := a.EpsilonRDP(1e-5)
		if err != nil {
			t.Fatal(err)
		}
		dense, err := a.EpsilonFractional(1e-5)
		if err != nil {
			t.Fatal(err)
		}
		if math.Abs(official.Epsilon-c.want) > 5e-5 || official.Epsilon < dense.Epsilon {
			t.Errorf("%v: official %v, want %v; fractional %v", c.s, official.Epsilon, c.want, dense.Epsilon)
		}
	}
}

// TestSpendingAddsUp: the order and the grouping of spending do not matter.
func TestSpendingAddsUp(t *testing.T) {
	whole := spend(t, ZeroOut, poisson(0.05, 1, 30), poisson(0.1, 2, 20))
	parts := spend(t, ZeroOut, poisson(0.1, 2, 5), poisson(0.05, 1, 29), poisson(0.1, 2, 15), poisson(0.05, 1, 1), poisson(0.3, 1, 0))
	a, _ := whole.EpsilonRDP(1e-5)
	b, _ := parts.EpsilonRDP(1e-5)
	if relative(a.Epsilon, b.Epsilon) > 1e-12 || whole.Steps() != 50 || parts.Steps() != 50 || len(parts.Spent()) != 2 {
		t.Errorf("whole %v with %d steps, parts %v with %d steps in %d groups", a, whole.Steps(), b, parts.Steps(), len(parts.Spent()))
	}
	clone := parts.Clone()
	if err := clone.Spend(Step{Q: 0.1, Z: 2}, 1000); err != nil {
		t.Fatal(err)
	}
	if again, _ := parts.EpsilonRDP(1e-5); again != b || parts.Steps() != 50 {
		t.Errorf("spending on a clone changed the original from %v to %v", b, again)
	}
}

// TestMonotone: more steps, more records per step, less noise or less delta never cost
// less; and delta at the epsilon of a delta is at most that delta.
func TestMonotone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		q := rapid.Float64Range(1e-4, 1).Draw(t, "q")
		z := math.Exp(rapid.Float64Range(math.Log(0.3), math.Log(50)).Draw(t, "ln z"))
		n := rapid.Uint64Range(1, 5000).Draw(t, "n")
		epsilon := func(q, z float64, n uint64, delta float64) float64 {
			a := &Account{}
			if err := a.Spend(Step{Q: q, Z: z}, n); err != nil {
				t.Fatal(err)
			}
			r, err := a.EpsilonRDP(delta)
			if err != nil {
				t.Fatal(err)
			}
			back, err := a.DeltaRDP(r.Epsilon)
			if err != nil || back > delta*(1+1e-9) {
				t.Errorf("delta at epsilon(%v) is %v, %v", delta, back, err)
			}
			return r.Epsilon
		}
		base := epsilon(q, z, n, 1e-5)
		for name, other := range map[string]float64{
			"one more step":       epsilon(q, z, n+1, 1e-5),
			"higher rate":         epsilon(min(1, q*1.1), z, n, 1e-5),
			"less noise":          epsilon(q, z/1.1, n, 1e-5),
			"smaller delta":       epsilon(q, z, n, 1e-6),
			"all records at once": epsilon(1, z, n, 1e-5),
		} {
			if other < base*(1-1e-9) {
				t.Errorf("q %v z %v n %v: %s costs %v, less than %v", q, z, n, name, other, base)
			}
		}
	})
}

// TestAdjacencies: doubling for replace-one, and what sampling a batch otherwise costs.
func TestAdjacencies(t *testing.T) {
	half, _ := spend(t, ZeroOut, poisson(0.064, 1, 100)).EpsilonRDP(1e-5)
	replace, _ := spend(t, ReplaceOne, poisson(0.064, 2, 100)).EpsilonRDP(1e-5)
	if half != replace {
		t.Errorf("replace-one at z = 2 costs %v, zero-out at z = 1 %v", replace, half)
	}
	fixed, _ := spend(t, ReplaceOne, Spent{Step{FixedSize, 0.064, 2}, 100}).EpsilonRDP(1e-5)
	if math.Abs(fixed.Epsilon-8.526) > 5e-4 {
		t.Errorf("fixed-size sampling under replace-one costs %v, want 8.526", fixed.Epsilon)
	}
	epochs, _ := spend(t, ZeroOut, Spent{Step{Epochs, 1, 2}, 6}).EpsilonRDP(1e-5)
	full, _ := spend(t, ZeroOut, poisson(1, 2, 6)).EpsilonRDP(1e-5)
	if epochs != full {
		t.Errorf("6 shuffled epochs cost %v, 6 full steps %v", epochs, full)
	}
}

func TestAccountNamesTheField(t *testing.T) {
	inf, nan := math.Inf(1), math.NaN()
	for _, c := range []struct {
		step  Step
		field string
	}{
		{Step{Q: 0, Z: 1}, "q"}, {Step{Q: -1, Z: 1}, "q"}, {Step{Q: 1.01, Z: 1}, "q"}, {Step{Q: nan, Z: 1}, "q"},
		{Step{Q: 1, Z: 0}, "z"}, {Step{Q: 1, Z: -1}, "z"}, {Step{Q: 1, Z: nan}, "z"}, {Step{Q: 1, Z: inf}, "z"},
		{Step{Sampler: 3, Q: 1, Z: 1}, "sampler"}, {Step{Sampler: Epochs, Q: 0.5, Z: 1}, "q"},
	} {
		err := (&Account{}).Spend(c.step, 1)
		if !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), c.field+" = ") {
			t.Errorf("%v: error %v, want one naming %s", c.step, err, c.field)
		}
	}
	addRemove := spend(t, AddRemove)
	if err := addRemove.Spend(Step{Sampler: FixedSize, Q: 0.5, Z: 1}, 1); !errors.Is(err, ErrInvalid) {
		t.Errorf("fixed-size batches under add-remove: error %v", err)
	}
	a := spend(t, ZeroOut, poisson(0.1, 1, 1))
	for _, delta := range []float64{0, 1, -1, nan, 2} {
		_, e1 := a.EpsilonRDP(delta)
		_, e2 := a.EpsilonPLD(delta)
		_, e3 := a.EpsilonFractional(delta)
		_, e4 := a.Statement(delta, Claim{})
		_, e5 := a.EstimateCLT(delta)
		for _, err := range []error{e1, e2, e3, e4, e5} {
			if !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), "delta") {
				t.Errorf("delta %v: error %v", delta, err)
			}
		}
	}
	for _, epsilon := range []float64{-1, nan, inf} {
		_, e1 := a.DeltaRDP(epsilon)
		_, e2 := a.DeltaPLD(epsilon)
		if !errors.Is(e1, ErrInvalid) || !errors.Is(e2, ErrInvalid) {
			t.Errorf("epsilon %v: errors %v, %v", epsilon, e1, e2)
		}
	}
	if _, err := NewAccount(3); !errors.Is(err, ErrInvalid) {
		t.Errorf("unknown adjacency: error %v", err)
	}
	if _, err := NewStep(0.1, Group{Name: "u", Z: 1}, Group{Name: "v"}); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), "v") {
		t.Errorf("group without noise: error %v", err)
	}
	if _, err := ParseAdjacency("replace"); !errors.Is(err, ErrInvalid) {
		t.Errorf("unknown adjacency name: error %v", err)
	}
}

func TestAdjacencyNames(t *testing.T) {
	for _, a := range Adjacencies() {
		if b, err := ParseAdjacency(a.String()); b != a || err != nil {
			t.Errorf("%v parses as %v, %v", a, b, err)
		}
	}
}

func TestEmptyAccountCostsNothing(t *testing.T) {
	a := &Account{}
	r, err := a.EpsilonRDP(1e-5)
	tight, err2 := a.EpsilonPLD(1e-5)
	d, err3 := a.DeltaRDP(0)
	if r.Epsilon != 0 || tight != 0 || d != 0 || err != nil || err2 != nil || err3 != nil {
		t.Errorf("epsilon %v, %v, delta %v (%v, %v, %v)", r.Epsilon, tight, d, err, err2, err3)
	}
}

// TestTinySteps: the divergence of a step can be far below the rounding of 1.
func TestTinySteps(t *testing.T) {
	r, _ := spend(t, ZeroOut, poisson(1e-6, 5, 1)).EpsilonRDP(1e-5)
	if r.Epsilon < 0 || math.IsNaN(r.Epsilon) {
		t.Errorf("epsilon %v", r.Epsilon)
	}
	if v := sampledRDP(1e-8, 10, 2); relative(v, 1e-16*math.Expm1(0.01)) > 1e-10 {
		t.Errorf("RDP of order 2 is %v", v)
	}
}

// BenchmarkEpsilonRDP accounts a run from nothing; the target is 10 ms. times-exp is
// its cost relative to as many exponentials as its sums have terms.
func BenchmarkEpsilonRDP(b *testing.B) {
	terms := 0.0
	for _, alpha := range integerOrders {
		terms += alpha
	}
	for b.Loop() {
		a := spend(b, ZeroOut, poisson(0.064, 2, 1600))
		if _, err := a.EpsilonRDP(1e-5); err != nil {
			b.Fatal(err)
		}
	}
	perRun := float64(b.Elapsed().Nanoseconds()) / float64(b.N)
	start, sum := time.Now(), 0.0
	for i := range 1_000_000 {
		sum += math.Exp(-float64(i) * 1e-6)
	}
	perExp := float64(time.Since(start).Nanoseconds()) / 1e6
	if sum > 0 { // so that the loop is not optimised away
		b.ReportMetric(perRun/(perExp*terms), "times-exp")
	}
}

// BenchmarkSpend is one more step of a known kind, and the epsilon after it.
func BenchmarkSpend(b *testing.B) {
	a := spend(b, ZeroOut, poisson(0.064, 2, 1))
	for b.Loop() {
		if err := a.Spend(Step{Q: 0.064, Z: 2}, 1); err != nil {
			b.Fatal(err)
		}
		if _, err := a.EpsilonRDP(1e-5); err != nil {
			b.Fatal(err)
		}
	}
}

func ExampleAccount_EpsilonPLD() {
	account, _ := NewAccount(ZeroOut)
	_ = account.Spend(Step{Q: 0.064, Z: 2}, 1600)
	tight, _ := account.EpsilonPLD(1e-5)
	fmt.Printf("%.4f\n", tight)
	// Output: 6.4225
}
