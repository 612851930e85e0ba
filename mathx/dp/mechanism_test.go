package dp

import (
	"errors"
	"fmt"
	"math"
	"math/big"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// threeGroups is a small step with u, v and G.
func threeGroups() []Group {
	return []Group{
		{Name: "u", Dim: 5, Clip: 1, Z: 2},
		{Name: "v", Dim: 7, Clip: 0.5, Z: 1.5},
		{Name: "G", Dim: 11, Clip: 10, Z: 1},
	}
}

func mustMechanism(tb testing.TB, groups []Group, mode Mode) *Mechanism {
	tb.Helper()
	m, err := NewMechanism(groups, mode)
	if err != nil {
		tb.Fatal(err)
	}
	return m
}

// bare returns the groups for an unprotected mechanism.
func bare(groups []Group) []Group {
	groups = slices.Clone(groups)
	for i := range groups {
		groups[i].Z = 0
	}
	return groups
}

func TestNewMechanismNamesTheField(t *testing.T) {
	for _, c := range []struct {
		name   string
		group  Group
		mode   Mode
		target error
		field  string
	}{
		{"no name", Group{"", 1, 1, 1}, Private, ErrInvalid, "Name"},
		{"no coordinates", Group{"u", 0, 1, 1}, Private, ErrInvalid, "Dim"},
		{"zero clip", Group{"u", 1, 0, 1}, Private, ErrInvalid, "Clip"},
		{"NaN clip", Group{"u", 1, math.NaN(), 1}, Private, ErrInvalid, "Clip"},
		{"infinite clip", Group{"u", 1, math.Inf(1), 1}, Private, ErrInvalid, "Clip"},
		{"denormal clip", Group{"u", 1, 5e-324, 1}, Private, ErrOverflow, "Clip"},
		{"huge clip", Group{"u", 1, 1e308, 1}, Private, ErrOverflow, "Clip"},
		{"no noise", Group{"u", 1, 1, 0}, Private, ErrInvalid, "Z"},
		{"negative noise", Group{"u", 1, 1, -1}, Private, ErrInvalid, "Z"},
		{"NaN noise", Group{"u", 1, 1, math.NaN()}, Private, ErrInvalid, "Z"},
		{"infinite noise", Group{"u", 1, 1, math.Inf(1)}, Private, ErrInvalid, "Z"},
		{"too much noise for the lattice", Group{"u", 1, 1, scale + 1}, Private, ErrOverflow, "Z"},
		{"too little noise for an int32", Group{"u", 1, 1, 1e-5}, Private, ErrOverflow, "Z"},
		{"noise without protection", Group{"u", 1, 1, 1}, Unprotected, ErrInvalid, "Z"},
	} {
		_, err := NewMechanism([]Group{c.group}, c.mode)
		if !errors.Is(err, c.target) || !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), c.field+" =") {
			t.Errorf("%s: error %v, want %v naming %s", c.name, err, c.target, c.field)
		}
	}
	if _, err := NewMechanism(nil, Private); !errors.Is(err, ErrInvalid) {
		t.Errorf("no groups: error %v", err)
	}
	if _, err := NewMechanism(threeGroups(), 9); !errors.Is(err, ErrInvalid) {
		t.Errorf("unknown mode: error %v", err)
	}
}

func TestMultiplierIsAtLeastZ(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		z := math.Exp(rapid.Float64Range(math.Log(1e-4), math.Log(scale)).Draw(t, "ln z"))
		m, err := NewMechanism([]Group{{"u", 1, 1, z}}, Private)
		if err != nil {
			t.Fatal(err)
		}
		limit := float64(m.lattices[0].limit)
		if got := m.Multiplier(0); got < z || (limit > 1000 && got > z*1.001) {
			t.Errorf("z = %v is accounted as %v", z, got)
		}
		if limit*m.lattices[0].step > 1 {
			t.Errorf("z = %v: integer clip %v times step exceeds the clip norm", z, limit)
		}
	})
}

func TestJoint(t *testing.T) {
	for _, c := range []struct {
		z    []float64
		want float64
	}{
		{[]float64{2, 2, 2}, 1.15470},
		{[]float64{1.5, 3, 2}, 1.11417},
		{[]float64{2, 2, 1}, 0.81650},
		{[]float64{3}, 3},
		{[]float64{1, 0}, 0},
	} {
		if got := Joint(c.z...); math.Abs(got-c.want) > 5e-6 {
			t.Errorf("Joint(%v) = %v, want %v", c.z, got, c.want)
		}
	}
	m := mustMechanism(t, threeGroups(), Private)
	if got, want := m.Joint(), Joint(2, 1.5, 1); math.Abs(got/want-1) > 1e-4 || got < want {
		t.Errorf("joint multiplier %v, want slightly above %v", got, want)
	}
	if got := mustMechanism(t, bare(threeGroups()), Unprotected).Joint(); got != 0 {
		t.Errorf("unprotected joint multiplier %v, want 0", got)
	}
}

// TestMultiplierIsOfTheIntegers: what is accounted follows from S and L, the integers that the noise and the clip
// are, and not from the z that was asked for.
func TestMultiplierIsOfTheIntegers(t *testing.T) {
	m := mustMechanism(t, []Group{{"u", 1, 1, 1.3}, {"v", 1, 1, 7000}}, Private)
	want := []float64{65536.0 / 50412, 65536.0 / 9} // floor(65536/1.3), floor(65536/7000)
	for i, g := range m.Groups() {
		if got := m.Multiplier(i); got != want[i] || g.Z != want[i] {
			t.Errorf("group %d: %v and %v, want %v", i, got, g.Z, want[i])
		}
	}
	if got := m.Joint(); got != Joint(want...) {
		t.Errorf("jointly %v, want %v", got, Joint(want...))
	}
}

// TestLargestBatch: as many records as surely fit, beside the noise, and not one more.
func TestLargestBatch(t *testing.T) {
	m := mustMechanism(t, []Group{{"u", 1, 1, 1e-4}, {"v", 1, 1, 2}}, Private)
	const most = (math.MaxInt32 - 64*65536) / 655_360_000
	for range 2 {
		for i := range most {
			if err := m.Add([]float64{1}, []float64{1}); err != nil {
				t.Fatalf("record %d of %d: %v", i+1, most, err)
			}
		}
		if err := m.Add([]float64{1}, []float64{1}); !errors.Is(err, ErrOverflow) {
			t.Errorf("record %d: error %v, want ErrOverflow", most+1, err)
		}
		if n := m.Release(rand.NewPCG(1, 2)); n.Ints(0)[0] < most*655_360_000-20*65536 {
			t.Errorf("%d records add up to %d", most, n.Ints(0)[0])
		}
	}
}

// hostile draws floats of every kind: ordinary, denormal, huge, infinite, NaN.
func hostile() *rapid.Generator[float64] {
	return rapid.OneOf(
		rapid.Float64Range(-10, 10),
		rapid.Float64(),
		rapid.SampledFrom([]float64{0, math.Copysign(0, -1), 5e-324, -5e-324, 0x1p-1022,
			math.MaxFloat64, -math.MaxFloat64, 1e200, math.NaN(), math.Inf(1), math.Inf(-1)}),
	)
}

// TestIntegerNorm is the sensitivity: whatever the gradient, the integer norm of
// what is added is at most L, here recomputed with big integers.
func TestIntegerNorm(t *testing.T) { rapid.Check(t, integerNorm) }

func integerNorm(t *rapid.T) {
	dim := rapid.IntRange(1, 40).Draw(t, "dim")
	g := Group{"G", dim, rapid.SampledFrom([]float64{1e-30, 0.3, 1, 10, 1e30}).Draw(t, "clip"),
		rapid.SampledFrom([]float64{1e-4, 0.7, 1, 2, 333, scale}).Draw(t, "z")}
	l, err := newLattice(g, Private)
	if err != nil {
		t.Fatal(err)
	}
	record := rapid.SliceOfN(hostile(), dim, dim).Draw(t, "record")
	dst := make([]int32, dim)
	finite := !slices.ContainsFunc(record, func(v float64) bool { return math.IsNaN(v) || math.IsInf(v, 0) })
	if ok := l.quantise(dst, record); ok != finite {
		t.Fatalf("quantise reports %v for finite = %v", ok, finite)
	}
	if !finite {
		return
	}
	norm := new(big.Int)
	for j, v := range dst {
		b := big.NewInt(int64(v))
		norm.Add(norm, b.Mul(b, b))
		if float64(v)*record[j] < 0 {
			t.Errorf("coordinate %d changed sign: %v became %d", j, record[j], v)
		}
		if math.Abs(float64(v)*l.step) > math.Abs(record[j])*(1+1e-12) {
			t.Errorf("coordinate %d grew: %v became %v", j, record[j], float64(v)*l.step)
		}
	}
	if norm.Cmp(big.NewInt(l.limit*l.limit)) > 0 {
		t.Errorf("integer norm^2 %v exceeds %d^2", norm, l.limit)
	}
}

// FuzzIntegerNorm is the same property under the fuzzer.
func FuzzIntegerNorm(f *testing.F) { f.Fuzz(rapid.MakeFuzz(integerNorm)) }

// TestRoundingBias: rounding toward zero shrinks a clipped gradient of 8,192 equal
// entries by 0.14% at z = 2 (half a step of 362).
func TestRoundingBias(t *testing.T) {
	l, err := newLattice(Group{"G", 8192, 1, 2}, Private)
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(61, 62))
	g, dst, square, sum := make([]float64, l.dim), make([]int32, l.dim), 0.0, 0.0
	for j := range g {
		g[j] = 0.5 + r.Float64() // about equal, so that the lost fractions are spread
		square += g[j] * g[j]
	}
	l.quantise(dst, g)
	for j, v := range dst {
		sum += float64(v) * l.step * g[j] / square // projection on the gradient
	}
	if shrink := 1 - sum*math.Sqrt(square); math.Abs(shrink-0.0014) > 2e-4 {
		t.Errorf("a clipped gradient shrinks by %.4f%%, want 0.14%%", 100*shrink)
	}
}

// TestQuantiseKeepsSmallGradients: within the clip norm only rounding changes a
// coordinate, by less than one step.
func TestQuantiseKeepsSmallGradients(t *testing.T) {
	l, err := newLattice(Group{"G", 3, 1, 2}, Private)
	if err != nil {
		t.Fatal(err)
	}
	dst := make([]int32, 3)
	for _, record := range [][]float64{{0.1, -0.2, 0.3}, {1e-3, 0, -1e-9}, {0.6, 0.6, 0.5}} {
		l.quantise(dst, record)
		for j, v := range record {
			if d := math.Abs(v - float64(dst[j])*l.step); d >= l.step*(1+1e-9) {
				t.Errorf("%v: coordinate %d off by %v steps", record, j, d/l.step)
			}
		}
	}
}

// TestQuantiseVerifiesTheNorm: when float rounding would leave the ball, the vector
// is shrunk until it is inside.
func TestQuantiseVerifiesTheNorm(t *testing.T) {
	l := lattice{"G", 2, 1, 5}
	dst := make([]int32, 2)
	if l.quantise(dst, []float64{3e9, 4e9}); !l.within(dst) || dst[0] < 2 || dst[1] < 3 {
		t.Errorf("(3e9, 4e9) clipped to %v", dst)
	}
	if l.within([]int32{3, 5}) || !l.within([]int32{-3, 4}) {
		t.Error("within does not compare with L = 5")
	}
	// The squares differ by 1 in 10^17, which the float norm does not see.
	fine := lattice{"G", 2, 1, 655_360_000}
	if fine.quantise(dst, []float64{655_360_000, 1}); !fine.within(dst) || dst[0] < 655_359_990 {
		t.Errorf("(L, 1) clipped to %v", dst)
	}
	wide := lattice{"G", 4, 1, room}
	for _, v := range [][]int32{
		{math.MaxInt32, math.MinInt32, math.MaxInt32},
		{math.MinInt32, math.MinInt32, math.MinInt32, math.MinInt32}, // 2^64
	} {
		if wide.within(v) {
			t.Errorf("within overflows at %v", v)
		}
	}
}

// TestSumIsExact: without noise the release is the integer sum of the records.
func TestSumIsExact(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m, err := NewMechanism(bare(threeGroups()), Unprotected)
		if err != nil {
			t.Fatal(err)
		}
		want := [][]int64{make([]int64, 5), make([]int64, 7), make([]int64, 11)}
		for range rapid.IntRange(0, 6).Draw(t, "records") {
			record := make([][]float64, 3)
			ok := true
			quantised := make([][]int32, 3)
			for i, l := range m.lattices {
				record[i] = rapid.SliceOfN(hostile(), l.dim, l.dim).Draw(t, l.name)
				quantised[i] = make([]int32, l.dim)
				ok = l.quantise(quantised[i], record[i]) && ok
			}
			if err := m.Add(record...); err != nil {
				t.Fatal(err)
			}
			for i := range want {
				for j := range want[i] {
					if ok {
						want[i][j] += int64(quantised[i][j])
					}
				}
			}
		}
		n := m.Release(nil)
		for i := range want {
			for j, v := range n.Ints(i) {
				if int64(v) != want[i][j] {
					t.Errorf("group %d coordinate %d: %d, want %d", i, j, v, want[i][j])
				}
			}
		}
	})
}

// TestNoiseAddsToTheSum: with the same source, with and without records, the
// releases differ by exactly the records' integers, whether or not the noise was
// prepared beforehand.
func TestNoiseAddsToTheSum(t *testing.T) {
	record := [][]float64{{1, 2, 3, 4, 5}, {-1, 0, 1, 0, 0, 0, 0}, {9, 9, 9, 9, 9, 9, 9, 9, 9, 9, 9}}
	for _, prepare := range []bool{false, true} {
		empty := mustMechanism(t, threeGroups(), Private).Release(rand.NewPCG(1, 2))
		m := mustMechanism(t, threeGroups(), Private)
		src := rand.Source(rand.NewPCG(1, 2))
		if prepare {
			m.Prepare(src)
			src = nil
		}
		if err := m.Add(record...); err != nil {
			t.Fatal(err)
		}
		n := m.Release(src)
		for i, l := range m.lattices {
			want := make([]int32, l.dim)
			l.quantise(want, record[i])
			a, b := n.Ints(i), empty.Ints(i)
			for j := range want {
				if a[j]-b[j] != want[j] {
					t.Errorf("prepare %v, group %s coordinate %d: difference %d, want %d", prepare, l.name, j, a[j]-b[j], want[j])
				}
			}
		}
	}
}

func TestNonFiniteRecordIsZeroEverywhere(t *testing.T) {
	m := mustMechanism(t, bare(threeGroups()), Unprotected)
	record := [][]float64{make([]float64, 5), make([]float64, 7), make([]float64, 11)}
	record[0][0], record[2][10] = 1, math.NaN()
	if err := m.Add(record...); err != nil {
		t.Fatal(err)
	}
	n := m.Release(nil)
	if v := n.Ints(0)[0]; v != 0 {
		t.Errorf("u of a record with a NaN in G is %d, want 0", v)
	}
	if m.Dropped() != 1 {
		t.Errorf("Dropped = %d, want 1", m.Dropped())
	}
}

func TestReleaseAndDiscardBeginAnew(t *testing.T) {
	m := mustMechanism(t, bare(threeGroups()), Unprotected)
	record := [][]float64{{1, 0, 0, 0, 0}, make([]float64, 7), make([]float64, 11)}
	for range 2 {
		if err := m.Add(record...); err != nil {
			t.Fatal(err)
		}
		if got := m.Release(nil).Ints(0)[0]; got != scale {
			t.Errorf("released %d, want %d", got, scale)
		}
	}
	if err := m.Add(record...); err != nil {
		t.Fatal(err)
	}
	m.Discard()
	if got := m.Release(nil).Ints(0)[0]; got != 0 {
		t.Errorf("released %d after Discard, want 0", got)
	}
	if m.Steps() != 3 {
		t.Errorf("Steps = %d, want 3", m.Steps())
	}
}

func TestAddRefusesShapesAndOverflow(t *testing.T) {
	m := mustMechanism(t, threeGroups(), Private)
	for _, record := range [][][]float64{nil, {{1}}, {make([]float64, 5), make([]float64, 7), make([]float64, 12)}} {
		if err := m.Add(record...); !errors.Is(err, ErrShape) {
			t.Errorf("record of shape %d: error %v, want ErrShape", len(record), err)
		}
	}
	small := mustMechanism(t, []Group{{"G", 1, 1, 1e-4}}, Private)
	var err error
	for range 10 {
		if err = small.Add([]float64{1}); err != nil {
			break
		}
	}
	if !errors.Is(err, ErrOverflow) {
		t.Errorf("ten records of 2^16/1e-4 steps: error %v, want ErrOverflow", err)
	}
}

func TestNoisedAccess(t *testing.T) {
	m := mustMechanism(t, threeGroups(), Private)
	n := m.Release(rand.NewPCG(3, 4))
	if n.Groups() != 3 || n.Name(1) != "v" || n.Step(2) != 10*1.0/scale {
		t.Errorf("groups %d, name %q, step %v", n.Groups(), n.Name(1), n.Step(2))
	}
	ints, floats := n.Ints(2), n.Float(nil, 2)
	for j := range ints {
		if floats[j] != float64(ints[j])*n.Step(2) {
			t.Errorf("coordinate %d: %v is not %d steps", j, floats[j], ints[j])
		}
	}
	ints[0]++
	if n.Ints(2)[0] == ints[0] {
		t.Error("Ints shares memory with the release")
	}
}

// TestNoiseStatistics releases 400 empty steps of 23 coordinates and checks, within
// five standard errors, the variance of each group and that nothing is correlated:
// neighbouring coordinates, groups, consecutive steps, fresh mechanisms ("clients").
// False alarm 6e-7 each.
func TestNoiseStatistics(t *testing.T) {
	const steps, width = 400, 23
	groups := threeGroups()
	run := func(seed uint64) []float64 {
		m := mustMechanism(t, groups, Private)
		var all []float64
		for step := range uint64(steps) {
			n := m.Release(rand.NewPCG(seed, step))
			for i := range groups {
				for _, v := range n.Float(nil, i) {
					all = append(all, v/(groups[i].Z*groups[i].Clip))
				}
			}
		}
		return all
	}
	a, b := run(21), run(22)
	variance := 0.0
	for _, v := range a {
		variance += v * v / float64(len(a))
	}
	if d := math.Abs(variance - 1); d > 5*math.Sqrt(2/float64(len(a))) {
		t.Errorf("variance of noise over sigma^2 is %v", variance)
	}
	for _, c := range []struct {
		name string
		x, y []float64
	}{
		{"neighbouring coordinates", a[1:], a},
		{"u and v", a[5:], a},
		{"v and G", a[7:], a},
		{"u and G", a[12:], a},
		{"consecutive steps", a[width:], a},
		{"two clients", a, b},
	} {
		n, sum := min(len(c.x), len(c.y)), 0.0
		for i := range n {
			sum += c.x[i] * c.y[i]
		}
		if r := sum / float64(n); math.Abs(r) > 5/math.Sqrt(float64(n)) {
			t.Errorf("%s: correlation %v over %d pairs", c.name, r, n)
		}
	}
}

// dpfplGroups is the size of DP-FPL on CLIP ViT-B: 12,416 numbers.
func dpfplGroups() []Group {
	return []Group{
		{"u", 16 * 8, 1, 2}, {"v", 8 * 512, 1, 2}, {"G", 16 * 512, 1, 2},
	}
}

// BenchmarkRelease draws the exact noise of one DP-FPL step; the target is 5 ms.
// times-float is its cost relative to the same number of floating-point normals
// from the same generator, the baseline that would not be private.
func BenchmarkRelease(b *testing.B) {
	m := mustMechanism(b, dpfplGroups(), Private)
	src := CryptoSource()
	b.ReportAllocs()
	for b.Loop() {
		m.Release(src)
	}
	exact := float64(b.Elapsed().Nanoseconds()) / float64(b.N)
	b.ReportMetric(exact/floatNoiseNanoseconds(12_416), "times-float")
}

// floatNoiseNanoseconds times n floating-point normals, mean of 20 rounds.
func floatNoiseNanoseconds(n int) float64 {
	const rounds = 20
	r := rand.New(CryptoSource())
	start := time.Now()
	for range rounds * n {
		r.NormFloat64()
	}
	return float64(time.Since(start).Nanoseconds()) / rounds
}

// BenchmarkAdd clips, quantises and verifies one record of DP-FPL's size.
func BenchmarkAdd(b *testing.B) {
	groups := dpfplGroups()
	m := mustMechanism(b, groups, Private)
	r := rand.New(rand.NewPCG(1, 1))
	record := make([][]float64, len(groups))
	for i, g := range groups {
		record[i] = make([]float64, g.Dim)
		for j := range record[i] {
			record[i][j] = r.NormFloat64()
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		m.records = 0
		if err := m.Add(record...); err != nil {
			b.Fatal(err)
		}
	}
}

func ExampleMechanism() {
	m, _ := NewMechanism([]Group{
		{Name: "u", Dim: 2, Clip: 1, Z: 2},
		{Name: "G", Dim: 3, Clip: 1, Z: 2},
	}, Private)
	m.Prepare(CryptoSource()) // before the gradients
	_ = m.Add([]float64{0.3, -0.4}, []float64{10, 0, 0})
	_ = m.Add([]float64{0.1, 0.2}, []float64{math.NaN(), 0, 0}) // counts as zero, in both groups
	n := m.Release(nil)
	fmt.Printf("%d numbers in steps of %g for the wire, joint z %.4f\n", len(n.Ints(1)), n.Step(1), m.Joint())
	// Output: 3 numbers in steps of 3.0517578125e-05 for the wire, joint z 1.4142
}
