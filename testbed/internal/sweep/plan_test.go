package sweep

import (
	"fmt"
	"math"
	"testing"

	"dpfpl/mathx/dp"
	"dpfpl/mathx/prompt"
	"dpfpl/testbed/internal/data"
)

// fakeSet has n clients of 10, 20, … records.
func fakeSet(n int) (*data.Set, error) {
	s := &data.Set{Name: "fake", Classes: []string{"a", "b"}}
	for i := range n {
		s.Clients = append(s.Clients, data.Client{ID: fmt.Sprintf("client-%02d", i+1), Train: make([]data.Picture, 10*(i+1))})
	}
	return s, nil
}

func planOf(t *testing.T, method, mode string, epsilon float64, change func(*Setting)) (*Grid, *Cell) {
	t.Helper()
	c := &Cell{Source: "fake", Seed: 1, Method: method, Mode: mode, Epsilon: Epsilon(epsilon), Rank: 4, Rule: "sync", Cast: "none"}
	c.Setting = Setting{Versions: 100, Batch: 10, Plan: map[string]any{"privacy": map[string]any{"clip_u": 10, "clip_v": 10, "clip_g": 10}}}
	if change != nil {
		change(&c.Setting)
	}
	return &Grid{Name: "fake", Clients: 5, Delta: 1e-5, Pace: 1e9}, c
}

// TestPaperNoise holds paper mode against the table of the authors' noise levels: sigma_L = 26.51 and sigma_G = 2.651 at ε = 0.4,
// T = 100, B = 32, clip 10 and ten clients, where the server's noise is the sum of the clients' shares.
func TestPaperNoise(t *testing.T) {
	set, err := fakeSet(10)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		method  string
		u, v, g float64
	}{
		{prompt.DPFPL, 26.51, 26.51, 2.651}, {prompt.FedOTP, 26.51, 0, 2.651},
		{prompt.PromptFL, 0, 0, math.Hypot(26.51/math.Sqrt(10), 2.651)},
	} {
		g, cell := planOf(t, c.method, prompt.Paper, 0.4, func(s *Setting) { s.Batch = 32 })
		p, err := g.planFile(cell, set, 512)
		if err != nil {
			t.Fatal(err)
		}
		v := p.Privacy
		got := [3]float64{v.ClipU * v.ZU, v.ClipV * v.ZV, v.ClipG * v.ZG / math.Sqrt(10)}
		for i, want := range [3]float64{c.u, c.v, c.g} {
			if math.Abs(got[i]-want) > 0.01 {
				t.Errorf("%s: noise %.4g of group %d, want %.4g", c.method, got[i], i, want)
			}
		}
		if v.Batch != 1 || v.Rate != 32.0/60 {
			t.Errorf("%s: divisor %v at q = %v", c.method, v.Batch, v.Rate)
		}
		rdp, pld, err := trueEpsilon(&p.File, 512)
		if err != nil || !(pld > 10*0.4) || !(rdp >= pld) {
			t.Errorf("%s: the claimed 0.4 is truly %v (PLD %v): %v", c.method, rdp, pld, err)
		}
	}
}

// TestTrueEpsilon: without sampling the step is a Gaussian of sensitivity twice the clip norm, for which there is a closed
// form.
func TestTrueEpsilon(t *testing.T) {
	set, err := fakeSet(3)
	if err != nil {
		t.Fatal(err)
	}
	g, cell := planOf(t, prompt.FedOTP, prompt.Paper, 1, func(s *Setting) { s.Batch = 1000 })
	p, err := g.planFile(cell, set, 8)
	if err != nil {
		t.Fatal(err)
	}
	_, pld, err := trueEpsilon(&p.File, 8)
	if err != nil {
		t.Fatal(err)
	}
	joint := dp.Joint(p.Privacy.ZU, p.Privacy.ZG)
	if want := dp.GDPEpsilon(2*math.Sqrt(100)/joint, 1e-5); math.Abs(pld/want-1) > 1e-3 {
		t.Errorf("%v, want %v", pld, want)
	}
}

// TestSplit: weights change the noise's division and not its sum.
func TestSplit(t *testing.T) {
	set, err := fakeSet(3)
	if err != nil {
		t.Fatal(err)
	}
	for _, method := range prompt.Methods() {
		g, equal := planOf(t, method, prompt.Corrected, 2, nil)
		_, weighed := planOf(t, method, prompt.Corrected, 2, func(s *Setting) { s.Split = []float64{1, 2, 4} })
		a, err := g.planFile(equal, set, 8)
		if err != nil {
			t.Fatal(err)
		}
		b, err := g.planFile(weighed, set, 8)
		if err != nil {
			t.Fatal(err)
		}
		joint := func(z ...float64) float64 {
			sum := 0.0
			for _, x := range z {
				if x > 0 {
					sum += 1 / (x * x)
				}
			}
			return 1 / math.Sqrt(sum)
		}
		x, y := joint(a.Privacy.ZU, a.Privacy.ZV, a.Privacy.ZG), joint(b.Privacy.ZU, b.Privacy.ZV, b.Privacy.ZG)
		if math.Abs(x/y-1) > 1e-12 {
			t.Errorf("%s: joint %v and %v", method, x, y)
		}
		if u := b.Privacy.ZU; u > 0 && math.Abs(b.Privacy.ZG/u-4) > 1e-12 {
			t.Errorf("%s: %v is not 4 times %v", method, b.Privacy.ZG, u)
		}
	}
}
