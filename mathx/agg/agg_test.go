package agg

import (
	"errors"
	"math"
	"math/big"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

type update struct {
	x      []int32
	weight uint32
}

func drawUpdates(t *rapid.T, dim, least, most int) []update {
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) update {
		return update{
			x:      rapid.SliceOfN(rapid.Int32(), dim, dim).Draw(t, "x"),
			weight: rapid.Uint32Range(0, One).Draw(t, "weight"),
		}
	}), least, most).Draw(t, "updates")
}

func combine(t interface{ Fatal(...any) }, b Buffer, updates []update) ([]int64, int64) {
	for _, u := range updates {
		if err := b.Add(u.x, u.weight); err != nil {
			t.Fatal(err)
		}
	}
	dst := make([]int64, len(updates[0].x))
	divisor, err := b.Combine(dst)
	if err != nil {
		t.Fatal(err)
	}
	if b.Len() != 0 {
		t.Fatal("buffer not empty after Combine")
	}
	return dst, divisor
}

func rules(dim, n int) map[string]func() Buffer {
	return map[string]func() Buffer{
		"sum":     func() Buffer { return NewSum(dim, n) },
		"trimmed": func() Buffer { return NewTrimmed(dim, (n-1)/3) },
		"median":  func() Buffer { return NewMedian(dim) },
	}
}

func TestOrderOfArrivalDoesNotMatter(t *testing.T) {
	for _, name := range []string{"sum", "trimmed", "median"} {
		t.Run(name, rapid.MakeCheck(func(t *rapid.T) {
			updates := drawUpdates(t, 5, 1, 9)
			rule := rules(5, len(updates))[name]
			want, wantDivisor := combine(t, rule(), updates)
			got, divisor := combine(t, rule(), rapid.Permutation(updates).Draw(t, "order"))
			if !slices.Equal(got, want) || divisor != wantDivisor {
				t.Fatalf("%v/%d in one order, %v/%d in another", want, wantDivisor, got, divisor)
			}
		}))
	}
}

func TestABufferStartsAfresh(t *testing.T) {
	for name, rule := range rules(2, 3) {
		updates := []update{{[]int32{1, 2}, One}, {[]int32{5, -7}, One / 2}, {[]int32{3, 3}, One}}
		b := rule()
		first, _ := combine(t, b, updates)
		if err := b.Add([]int32{100, 100}, One); err != nil {
			t.Fatal(err)
		}
		b.Reset()
		second, _ := combine(t, b, updates)
		if !slices.Equal(first, second) {
			t.Errorf("%s: %v first, %v on reuse", name, first, second)
		}
	}
}

func TestSumAgreesWithBigIntegers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		updates := drawUpdates(t, 3, 1, 12)
		got, _ := combine(t, NewSum(3, 4), updates)
		for j := range got {
			want := new(big.Int)
			for _, u := range updates {
				want.Add(want, new(big.Int).Mul(big.NewInt(int64(u.x[j])), big.NewInt(int64(u.weight))))
			}
			if !want.IsInt64() || want.Int64() != got[j] {
				t.Fatalf("coordinate %d: %d, want %s", j, got[j], want)
			}
		}
	})
}

// slowTrimmed drops the extremes one at a time, over big rationals.
func slowTrimmed(updates []update, j, trim int) *big.Rat {
	var values []int32
	for _, u := range updates {
		values = append(values, u.x[j])
	}
	for range trim {
		low := slices.Index(values, slices.Min(values))
		values = slices.Delete(values, low, low+1)
		high := slices.Index(values, slices.Max(values))
		values = slices.Delete(values, high, high+1)
	}
	total := new(big.Rat)
	for _, v := range values {
		total.Add(total, big.NewRat(int64(v), 1))
	}
	return total.Quo(total, big.NewRat(int64(len(values)), 1))
}

func TestRobustRulesAgreeWithBigRationals(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		updates := drawUpdates(t, 3, 1, 9)
		n := len(updates)
		trim := rapid.IntRange(0, (n-1)/2).Draw(t, "trim")
		for name, c := range map[string]struct {
			rule Buffer
			trim int
		}{"trimmed": {NewTrimmed(3, trim), trim}, "median": {NewMedian(3), (n - 1) / 2}} {
			got, divisor := combine(t, c.rule, updates)
			for j, v := range got {
				if want := slowTrimmed(updates, j, c.trim); big.NewRat(v, One*divisor).Cmp(want) != 0 {
					t.Fatalf("%s: coordinate %d: %d/(One·%d), want %s", name, j, v, divisor, want)
				}
			}
		}
	})
}

func TestTrimmedMeanStaysInsideTheHullOfTheHonest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		honest := drawUpdates(t, 2, 3, 7)
		attackers := drawUpdates(t, 2, 0, (len(honest)-1)/2)
		got, divisor := combine(t, NewTrimmed(2, len(attackers)), append(slices.Clone(honest), attackers...))
		for j, v := range got {
			low, high := int64(math.MaxInt64), int64(math.MinInt64)
			for _, u := range honest {
				low, high = min(low, int64(u.x[j])), max(high, int64(u.x[j]))
			}
			if v < low*One*divisor || v > high*One*divisor {
				t.Fatalf("coordinate %d: %d/(One·%d) outside [%d, %d]", j, v, divisor, low, high)
			}
		}
	})
}

func TestFedAvgIsFedBuffWithAFullBufferAndNoStaleness(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		updates := drawUpdates(t, 4, 1, 10)
		n := len(updates)
		fedavg, fedbuff := NewSum(4, n), NewSum(4, n)
		for i := range updates {
			updates[i].weight = One
		}
		a, da := combine(t, fedavg, updates)
		for i := range updates {
			updates[i].weight = Staleness(0)
		}
		b, db := combine(t, fedbuff, updates)
		p, q := []float32{1, -2, 3, 0}, []float32{1, -2, 3, 0}
		(&Optimizer{Rate: 0.3}).Step(p, a, Scale(0.01, da, 8))
		(&Optimizer{Rate: 0.3}).Step(q, b, Scale(0.01, db, 8))
		if !slices.Equal(p, q) {
			t.Fatalf("FedAvg %v, FedBuff %v", p, q)
		}
	})
}

func TestStalenessIsTheRoundedRoot(t *testing.T) {
	check := func(tau uint32) {
		exact := new(big.Float).SetPrec(200).Sqrt(new(big.Float).SetPrec(200).SetUint64(1 + uint64(tau)))
		exact.Quo(big.NewFloat(One).SetPrec(200), exact)
		exact.Add(exact, big.NewFloat(0.5))
		want, _ := exact.Uint64()
		if got := Staleness(tau); uint64(got) != want {
			t.Fatalf("Staleness(%d) = %d, want %d", tau, got, want)
		}
	}
	for tau := range uint32(2000) {
		check(tau)
	}
	check(math.MaxUint32)
	rapid.Check(t, func(t *rapid.T) { check(rapid.Uint32().Draw(t, "tau")) })
	if Staleness(0) != One || Staleness(3) != One/2 {
		t.Error("τ = 0 must weigh 1 and τ = 3 a half")
	}
}

// One unit of a combination of three updates, on a lattice of step 0.5 and with batches of 4.
func TestScale(t *testing.T) {
	if got, want := Scale(0.5, 3, 4), 0.5/(65536*3*4.0); got != want {
		t.Errorf("%v, want %v", got, want)
	}
}

// TestOptimizerAgreesWithBigFloats rounds every operation of the documented formula by itself.
func TestOptimizerAgreesWithBigFloats(t *testing.T) {
	round := func(x *big.Float) float64 { v, _ := x.Float64(); return v }
	mul := func(a, b float64) float64 { return round(new(big.Float).Mul(big.NewFloat(a), big.NewFloat(b))) }
	add := func(a, b float64) float64 {
		return round(new(big.Float).SetPrec(2200).Add(big.NewFloat(a), big.NewFloat(b)))
	}
	rapid.Check(t, func(t *rapid.T) {
		number := rapid.Float64Range(-4, 4)
		o := Optimizer{Rate: number.Draw(t, "rate"), Momentum: rapid.SampledFrom([]float64{0, 0.5, 0.9, 0.937}).Draw(t, "momentum")}
		params := []float32{float32(number.Draw(t, "p"))}
		want, velocity := params[0], 0.0
		for range 4 {
			v := rapid.Int64Range(-1<<50, 1<<50).Draw(t, "sum")
			scale := Scale(rapid.Float64Range(1e-9, 1e-3).Draw(t, "step"), 3, 7.5)
			o.Step(params, []int64{v}, scale)
			velocity = add(mul(o.Momentum, velocity), mul(float64(v), scale))
			want = float32(add(float64(want), -mul(o.Rate, velocity)))
			if params[0] != want {
				t.Fatalf("%v, want %v", params[0], want)
			}
		}
		if o.Momentum == 0 && o.Velocity != nil {
			t.Fatal("a velocity without momentum")
		}
	})
}

func TestOptimizerStaysFinite(t *testing.T) {
	o := Optimizer{Rate: math.MaxFloat64, Momentum: 0.9}
	params := []float32{1, 1}
	for range 3 {
		o.Step(params, []int64{math.MaxInt64, math.MinInt64}, math.MaxFloat64)
	}
	if params[0] != -math.MaxFloat32 || params[1] != math.MaxFloat32 {
		t.Errorf("params %v, want the ends of float32", params)
	}
}

func TestRefusals(t *testing.T) {
	s := NewSum(2, 1)
	if err := s.Add([]int32{1}, One); !errors.Is(err, ErrShape) || !errors.Is(err, ErrInvalid) {
		t.Errorf("short update: %v", err)
	}
	if err := s.Add([]int32{math.MinInt32, math.MaxInt32}, math.MaxUint32); err != nil {
		t.Errorf("the largest load: %v", err)
	}
	if err := s.Add([]int32{1, 1}, 1); !errors.Is(err, ErrOverflow) {
		t.Errorf("overflow: %v", err)
	}
	dst := make([]int64, 2)
	if _, err := s.Combine(dst); err != nil || dst[0] != math.MinInt32*math.MaxUint32 {
		t.Errorf("after refusals: %v, %v", dst, err)
	}
	m := NewMedian(2)
	if _, err := m.Combine(dst); !errors.Is(err, ErrFew) {
		t.Errorf("median of nothing: %v", err)
	}
	r := NewTrimmed(1, 1)
	for range 2 {
		if err := r.Add([]int32{1}, One); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := r.Combine(dst[:1]); !errors.Is(err, ErrFew) || r.Len() != 2 {
		t.Errorf("trimmed mean of nothing: %v, %d left", err, r.Len())
	}
}

func TestSumDoesNotAllocate(t *testing.T) {
	s, x, dst := NewSum(64, 1), make([]int32, 64), make([]int64, 64)
	if n := testing.AllocsPerRun(100, func() { _ = s.Add(x, One); _, _ = s.Combine(dst) }); n != 0 {
		t.Errorf("%v allocations per version", n)
	}
}

func BenchmarkAdd(b *testing.B) {
	x := make([]int32, 16*512)
	for name, rule := range rules(len(x), 10) {
		b.Run(name+"/dim=8192/clients=10", func(b *testing.B) {
			dst := make([]int64, len(x))
			r := rule()
			b.SetBytes(int64(10 * 4 * len(x)))
			b.ReportAllocs()
			for b.Loop() {
				for range 10 {
					_ = r.Add(x, One)
				}
				_, _ = r.Combine(dst)
			}
		})
	}
}
