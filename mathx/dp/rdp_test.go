package dp

import (
	"fmt"
	"math"
	"testing"
)

// relative returns |got/want - 1|, and |got| if want is 0.
func relative(got, want float64) float64 {
	if want == 0 {
		return math.Abs(got)
	}
	return math.Abs(got/want - 1)
}

// sampledRDP is the divergence of one step at one order.
func sampledRDP(q, z, alpha float64) float64 { return (&sampledGaussian{q: q, z: z}).rdp(alpha) }

// TestSampledRDPVectors holds published values: rows R of dp_accounting
// (rdp_privacy_accountant_test.py) and autodp
// (unit_test_dp_sgd_poisson_sampling_add_remove.py), and values computed with
// 50-digit arithmetic. Tolerances are relative.
func TestSampledRDPVectors(t *testing.T) {
	for _, c := range []struct {
		row            string
		q, z, t, alpha float64
		want, within   float64
	}{
		{"R1", 0.01, 2.5, 50, 5, 2.18075656e-3, 1e-6},
		{"R2", 0.01, 2.5, 50, 50, 2.38460375e-2, 1e-6},
		{"R3", 0.01, 2.5, 50, 100, 167.416308, 1e-6},
		{"R4 exact", 0.01, 2.5, 50, 1.5, 6.50070897e-4, 1e-8},
		{"R5 exact", 0.01, 2.5, 50, 2.5, 1.08541806e-3, 1e-8},
		{"R6", 0.01, 0.5, 1, 1.25, 0.0018977736416478479, 1e-8},
		{"R7", 0.01, 0.5, 1, 2.25, 0.0083541177519165, 1e-8},
		{"R8", 0.01, 0.5, 1, 4.5, 3.0791796010526946, 1e-10},
		{"R9", 0.01, 0.5, 1, 10, 14.883144237791036, 1e-11},
		{"R10", 0.01, 0.5, 1, 128, 251.35856863144505, 1e-11},
		{"R12", 0.01, 0.1, 1, 2, 90.7896596280238, 1e-11},
		{"R14", 0.2, 10, 100, 1.25, 0.02509008471776042, 1e-8},
		{"R15", 0.2, 10, 100, 4.5, 0.09079912638877577, 1e-8},
		{"R16", 0.2, 10, 100, 25, 0.5219181973251608, 1e-11},
		{"R17", 0.2, 10, 100, 128, 3.2811248761774943, 1e-11},
		{"R18", 1, 1, 1000, 8.5, 4250, 0},
		{"R19", 0, 3, 10, 4, 0, 0},
		{"1.2a", 0.01, 0.5, 1, 1.25, 0.00189777364190566, 1e-12},
		{"1.2b", 0.2, 10, 1, 1.25, 0.000250900847246737, 2e-12},
		{"1.2c", 0.1, 1, 1, 1.5, 0.0117345921966853, 1e-12},
		{"1.2d", 0.064, 1, 1, 1.7, 0.0057389765369145, 1e-12},
		{"1.2e", 0.04, 1.5, 1, 3.3, 0.0015264744041024, 1e-12},
		{"2.2 fractional", 0.064, 1, 1, 1.1, 0.0034658203852850849, 1e-11},
		{"2.2 fractional", 0.064, 1, 1, 7.3, 0.5097937618352941, 1e-11},
		{"2.2 fractional", 0.1, 1, 1, 1.1, 0.0080985684680741443, 1e-11},
		{"2.2 fractional", 0.5, 2, 1, 3.5, 0.13289554040636092, 1e-11},
		{"2.2 fractional", 0.4, 12, 1, 58.5, 0.036031114312815313, 1e-11},
	} {
		if got := c.t * sampledRDP(c.q, c.z, c.alpha); relative(got, c.want) > c.within {
			t.Errorf("%s: q %v z %v T %v alpha %v: %.17g, want %.17g within %v",
				c.row, c.q, c.z, c.t, c.alpha, got, c.want, c.within)
		}
	}
}

// TestSampledRDPUpperBounds: rows R4 and R5 as published are looser upper bounds.
func TestSampledRDPUpperBounds(t *testing.T) {
	for alpha, bound := range map[float64]float64{1.5: 6.70579741e-4, 2.5: 1.08548710e-3} {
		if got := 50 * sampledRDP(0.01, 2.5, alpha); got > bound {
			t.Errorf("alpha %v: %v exceeds the published bound %v", alpha, got, bound)
		}
	}
}

// TestSampledRDPTable is section 2.2: 50-digit arithmetic, relative 1e-11.
func TestSampledRDPTable(t *testing.T) {
	orders := []float64{2, 3, 4, 8, 16, 32, 64, 256}
	for _, c := range []struct {
		q, z float64
		want []float64
	}{
		{0.064, 1, []float64{0.0070134306672034195, 0.012232192925231309, 0.020201831344473178, 0.87551959353663842, 5.0678744303434054, 13.162454507745072, 29.207494912383527, 125.24034791341431}},
		{0.064, 2, []float64{0.0011626919184635329, 0.0017766161413889987, 0.002414581779660195, 0.0052524063368693649, 0.013224416007022992, 1.169126297635128, 5.207497059249645, 29.240347913414309}},
		{0.01, 1, []float64{0.00017181342207454793, 0.00026463757458466135, 0.00036315404891075672, 0.00089364390760603185, 3.0878507836962446, 11.246275937048069, 27.32173187455178, 123.37677032308647}},
		{0.04, 1.5, []float64{0.00089499696687373872, 0.0013768723921703675, 0.0018853400644457796, 0.0042715845267374342, 0.16700927936971327, 3.7884263143115316, 10.952253130309479, 53.657390021570225}},
		{0.001, 0.8, []float64{3.7707260727711092e-6, 5.7042018285066116e-6, 7.6735306937068887e-6, 1.7707299049079522e-5, 5.1317277730212305, 17.869413905566826, 42.98259781182767, 193.0651554846297}},
	} {
		for i, alpha := range orders {
			if got := sampledRDP(c.q, c.z, alpha); relative(got, c.want[i]) > 1e-11 {
				t.Errorf("q %v z %v alpha %v: %.17g, want %.17g", c.q, c.z, alpha, got, c.want[i])
			}
		}
	}
}

// TestLogMoment holds ln A for extreme rates and noise, from high-precision
// quadrature (the cases of dp_accounting's own property test). Relative 1e-8.
func TestLogMoment(t *testing.T) {
	for _, c := range []struct{ q, z, alpha, want float64 }{
		{1e-7, .1, 1.01, 4.00341232e-8},
		{1e-6, .1, 256, 3260463.2293},
		{1e-5, .1, 256.1, 3263607.0398},
		{1e-6, 1, 27, 8.769511305e-10},
		{1e-4, 1, 1.5, 6.442686954e-9},
		{1e-3, 1, 2, 1.718280352e-6},
		{.01, 10, 20, 1.91296999128e-4},
		{.1, 100, 20.5, 1.99918184581e-4},
		{.99, .1, 256, 3263997.42711},
		{.999, 100, 256.1, 3.26010803797},
	} {
		got := (c.alpha - 1) * sampledRDP(c.q, c.z, c.alpha)
		if relative(got, c.want) > 1e-8 {
			t.Errorf("q %v z %v alpha %v: ln A = %.12g, want %.12g", c.q, c.z, c.alpha, got, c.want)
		}
	}
}

// TestIntegralEqualsSum recreates the 1,344-row grid from the two formulas: 14 rates
// by 12 multipliers by 8 integer orders, quadrature against the finite sum. -short
// takes every seventh row.
func TestIntegralEqualsSum(t *testing.T) {
	row := 0
	for _, q := range []float64{1e-6, 1e-5, 1e-4, 1e-3, 0.0025, 0.01, 0.04, 0.064, 0.1, 0.2, 0.4, 0.6, 0.8, 0.99} {
		for _, z := range []float64{0.3, 0.5, 0.7, 0.8, 1, 1.5, 2, 3, 5, 10, 30, 100} {
			for _, alpha := range []float64{2, 3, 4, 8, 16, 32, 64, 128} {
				if row++; testing.Short() && row%7 != 0 {
					continue
				}
				s := sampledGaussian{q: q, z: z}
				sum, integral := s.logExcessSum(int(alpha)), s.logExcessIntegral(alpha)
				if math.Abs(sum-integral) > 1e-10*max(1, math.Abs(sum)) {
					t.Errorf("q %v z %v alpha %v: ln(A-1) = %.15g by sum, %.15g by quadrature", q, z, alpha, sum, integral)
				}
			}
		}
	}
	if row != 1344 {
		t.Errorf("%d rows, want 1344", row)
	}
}

// TestFixedSizeVectors: dp_accounting, equal to a 60-digit evaluation.
func TestFixedSizeVectors(t *testing.T) {
	orders := []float64{2, 3, 4, 8, 16, 32}
	for _, c := range []struct {
		q, z float64
		want []float64
	}{
		{0.064, 2, []float64{0.00464267849741321, 0.00716535536547335, 0.00980855880900541, 0.0213079725142628, 0.0460706650915938, 1.19195519320049}},
		{0.064, 1, []float64{0.0220238494749897, 0.0372452460126089, 0.0577793968554366, 0.975740957801307, 5.11408456871395, 13.1848140942148}},
	} {
		s := newFixedSize(c.q, c.z)
		for i, alpha := range orders {
			if got := s.rdp(alpha); relative(got, c.want[i]) > 1e-12 {
				t.Errorf("q %v z %v alpha %v: %.15g, want %.15g", c.q, c.z, alpha, got, c.want[i])
			}
		}
		if middle := s.rdp(2.5); !(middle > s.rdp(2) && middle < s.rdp(3)) {
			t.Errorf("q %v z %v: order 2.5 gives %v, not between its neighbours", c.q, c.z, middle)
		}
	}
}

// TestReplaceOneDoubling checks the claim of Step.rdp: with q Poisson, the Rényi
// divergence of the replace-one pair, by quadrature, is at most that of the
// add/remove pair at doubled sensitivity.
func TestReplaceOneDoubling(t *testing.T) {
	for _, q := range []float64{1e-4, 0.01, 0.064, 0.2, 0.5, 0.9, 0.999} {
		for _, z := range []float64{0.4, 0.7, 1, 1.5, 2, 4, 10, 50} {
			for _, alpha := range []float64{2, 3, 4, 6, 8, 16, 32, 64, 256} {
				exact, bound := replaceOneRDP(q, z, alpha), sampledRDP(q, z/2, alpha)
				if exact > bound*(1+1e-9)+1e-15 {
					t.Errorf("q %v z %v alpha %v: replace-one %v exceeds the doubled bound %v", q, z, alpha, exact, bound)
				}
			}
		}
	}
}

// replaceOneRDP integrates the alpha-th moment of ((1-q) N(0) + q N(-1)) over
// ((1-q) N(0) + q N(1)), less its value at alpha = 1, under N(0, z^2).
func replaceOneRDP(q, z, alpha float64) float64 {
	lnQ, lnP := math.Log(q), math.Log1p(-q)
	h := min(z, math.Pi*z*z) / 64
	var sum logSum
	for x := -alpha - 14*z; x <= alpha+14*z; x += h {
		left, right := logAdd(lnP, lnQ+(-2*x-1)/(2*z*z)), logAdd(lnP, lnQ+(2*x-1)/(2*z*z))
		sum.add(logBernoulli(alpha, left-right) + right - x*x/(2*z*z))
	}
	return log1pExp(sum.log()+math.Log(h/z)-0.5*math.Log(2*math.Pi)) / (alpha - 1)
}

// TestDiscreteMoments is why the integer orders are official: for the discrete Gaussian
// of parameter S and a shift of L integers, sampled at rate q, the moments summed over
// the integers equal the formula of the continuous one at z = S/L, and those of the
// opposite direction do not exceed it (MTZ19, theorem 5).
func TestDiscreteMoments(t *testing.T) {
	for _, c := range []struct {
		s, shift int
		q        float64
	}{{4, 2, 0.1}, {4, 4, 0.5}, {8, 3, 0.01}, {3, 5, 0.2}, {16, 8, 0.064}} {
		mass := func(x int) float64 { return math.Exp(-float64(x*x) / float64(2*c.s*c.s)) }
		for _, alpha := range []float64{2, 3, 5, 8} {
			var total, remove, add float64
			for x := -60 * c.s; x <= 60*c.s; x++ {
				p0 := mass(x)
				ratio := 1 - c.q + c.q*math.Exp(float64(2*x*c.shift-c.shift*c.shift)/float64(2*c.s*c.s))
				total += p0
				remove += p0 * math.Pow(ratio, alpha)
				add += p0 * math.Pow(ratio, 1-alpha)
			}
			want := sampledRDP(c.q, float64(c.s)/float64(c.shift), alpha)
			if got := math.Log(remove/total) / (alpha - 1); relative(got, want) > 1e-10 {
				t.Errorf("S %d L %d q %v alpha %v: %.15g over the integers, %.15g by the formula", c.s, c.shift, c.q, alpha, got, want)
			}
			if got := math.Log(add/total) / (alpha - 1); got > want {
				t.Errorf("S %d L %d q %v alpha %v: the other direction %v exceeds %v", c.s, c.shift, c.q, alpha, got, want)
			}
		}
	}
}

func ExampleAccount() {
	account, _ := NewAccount(ZeroOut)
	step, _ := NewStep(0.064, Group{Name: "u", Z: 2}, Group{Name: "v", Z: 2}, Group{Name: "G", Z: 2})
	_ = account.Spend(step, 1600)
	r, _ := account.EpsilonRDP(1e-5)
	fmt.Printf("z %.4f: epsilon %.3f at order %v\n", step.Z, r.Epsilon, r.Order)
	// Output: z 1.1547: epsilon 16.770 at order 3
}
