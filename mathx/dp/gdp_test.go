package dp

import (
	"math"
	"testing"

	"pgregory.net/rapid"
)

// TestGDPVectors holds rows E10, E11, E17, E24 and C5 of section 2 and the accountant
// table for the paper's setting.
func TestGDPVectors(t *testing.T) {
	for _, c := range []struct {
		row                     string
		mu, delta, want, within float64
	}{
		{"E10", math.Sqrt2 / 0.7, 1e-5, 10.1224946, 1e-6},
		{"E11", math.Sqrt2 / 0.35, 1e-5, 24.7160779, 1e-6},
		{"E17", math.Sqrt(5), 1e-6, 12.595, 5e-4},
		{"E24", 0.1, 1e-5, 0.340669364684, 1e-9},
		{"E24", 0.5, 1e-5, 1.993091404415, 1e-9},
		{"E24", 1, 1e-5, 4.377178095681, 1e-9},
		{"E24", 2, 1e-5, 9.997256146435, 1e-9},
		{"E24", 4, 1e-5, 24.381610883114, 1e-9},
		{"E32", 0.2, 1e-6, 0.8341175648589771, 1e-7},
	} {
		if got := GDPEpsilon(c.mu, c.delta); math.Abs(got-c.want) > c.within {
			t.Errorf("%s: epsilon(mu %v) = %.12f, want %.12f", c.row, c.mu, got, c.want)
		}
	}
	for epsilon, sigma := range map[float64]float64{ // C5
		0.1: 30.749566131978, 0.2: 16.304133420877, 0.4: 8.629573588247,
		1: 3.730631634816, 2: 1.993812445644, 8: 0.600229072199,
	} {
		if got := 1 / GDPMu(epsilon, 1e-5); math.Abs(got-sigma) > 1e-9*max(1, sigma) {
			t.Errorf("C5: sigma(epsilon %v) = %.12f, want %.12f", epsilon, got, sigma)
		}
	}
	for _, c := range []struct{ epsilon, mu, z100, z200 float64 }{ // paper.md 8.2
		{0.01, 0.004102, 2437.85, 3447.65}, {0.05, 0.017310, 577.71, 817.00}, {0.1, 0.032521, 307.50, 434.86},
		{0.2, 0.061334, 163.04, 230.58}, {0.4, 0.115881, 86.30, 122.04}, {1, 0.268051, 37.31, 52.76},
		{2, 0.501552, 19.94, 28.20}, {4, 0.924931, 10.81, 15.29}, {8, 1.666031, 6.00, 8.49},
	} {
		mu := GDPMu(c.epsilon, 1e-5)
		if math.Abs(mu-c.mu) > 6e-7 || math.Abs(10/mu-c.z100) > 6e-3 || math.Abs(math.Sqrt(200)/mu-c.z200) > 6e-3 {
			t.Errorf("epsilon %v: mu %.6f, z %.2f and %.2f, want %v", c.epsilon, mu, 10/mu, math.Sqrt(200)/mu, c)
		}
	}
}

// TestGaussianDelta is row D4.
func TestGaussianDelta(t *testing.T) {
	if a, b := GDPDelta(1, 1), GDPDelta(1, 2); math.Abs(a-0.12693674) > 1e-8 || math.Abs(b-0.02092364) > 1e-8 {
		t.Errorf("delta(1) = %.8f, delta(2) = %.8f", a, b)
	}
	if d := GDPDelta(0, 0); d != 0 {
		t.Errorf("delta of mu = 0 is %v", d)
	}
	if d := GDPDelta(0.01, 1); d < 0 || d > 1e-300 { // ten thousand standard deviations
		t.Errorf("delta far in the tail is %v", d)
	}
}

// TestZCDP holds rows E21 and E22 (opendp).
func TestZCDP(t *testing.T) {
	if got := ZCDPEpsilon(1./32, 1e-3); math.Abs(got-0.6880024554878086) > 1e-12 {
		t.Errorf("E21: %.16f", got)
	}
	for _, c := range []struct{ rho, epsilon, want float64 }{
		{1. / 32, 0, 0.1508457845622862}, {0.05, 0.25, 0.0817727531036956}, {0.5, 0, 0.5588356393474351},
	} {
		if got := ZCDPDelta(c.rho, c.epsilon); relative(got, c.want) > 1e-12 {
			t.Errorf("E22: delta(rho %v, epsilon %v) = %.16f, want %.16f", c.rho, c.epsilon, got, c.want)
		}
	}
	if ZCDPDelta(0, 1) != 0 {
		t.Error("0-zCDP has a delta")
	}
}

// TestGDPInverses: epsilon, delta and mu undo each other, on the safe side.
func TestGDPInverses(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		mu := math.Exp(rapid.Float64Range(math.Log(0.01), math.Log(8)).Draw(t, "ln mu"))
		delta := math.Pow(10, rapid.Float64Range(-12, -1).Draw(t, "lg delta"))
		epsilon := GDPEpsilon(mu, delta)
		if d := GDPDelta(mu, epsilon); d > delta*(1+1e-9) || (epsilon > 0 && relative(d, delta) > 1e-6) {
			t.Errorf("mu %v: delta(epsilon(%v)) = %v", mu, delta, d)
		}
		if epsilon > 0 && relative(GDPMu(epsilon, delta), mu) > 1e-6 {
			t.Errorf("mu(epsilon(%v)) = %v", mu, GDPMu(epsilon, delta))
		}
		if rho := mu * mu / 2; ZCDPEpsilon(rho, delta) < epsilon {
			t.Errorf("mu %v delta %v: zCDP proves %v, less than the exact %v", mu, delta, ZCDPEpsilon(rho, delta), epsilon)
		}
	})
}

// TestLogCDF compares both branches with 30-digit values.
func TestLogCDF(t *testing.T) {
	for x, want := range map[float64]float64{
		0: -0.693147180559945309, -1: -1.84102164500926351, -10: -53.2312851505124706,
		-29: -424.787419909730163, -31: -484.853963627179289, -100: -5005.52420869420509,
	} {
		if got := logCDF(x); relative(got, want) > 1e-13 {
			t.Errorf("ln Phi(%v) = %.16g, want %.16g", x, got, want)
		}
	}
}

// TestEstimateCLT holds the comparison of section 1.5 and row E4: the approximation is
// below the tight value where it must not be trusted.
func TestEstimateCLT(t *testing.T) {
	for _, c := range []struct {
		s           Spent
		delta, want float64
	}{
		{poisson(0.064, 1, 100), 1e-5, 3.5760}, {poisson(0.1, 1, 100), 1e-5, 6.0071},
		{poisson(0.001, 0.8, 1000), 1e-6, 0.2357}, {poisson(0.04, 1.5, 2250), 1e-5, 6.6016},
		{poisson(0.2, 0.8, 100), 1e-6, 25.351}, {poisson(0.04, 1.5, 2249), 1e-5, 6.599820769},
	} {
		got, err := spend(t, ZeroOut, c.s).EstimateCLT(c.delta)
		if err != nil || math.Abs(got-c.want) > 6e-5*max(1, c.want/3) {
			t.Errorf("%v: %v, %v, want %v", c.s, got, err, c.want)
		}
	}
}
