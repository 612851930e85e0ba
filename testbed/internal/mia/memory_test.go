package mia

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"dpfpl/mathx/prompt"
)

// memory is a tower that remembers whatever it is taught: the feature of class 0 is zero and that of class 1 is the
// context itself, so a prompt is a logistic regression with as many weights as the context has numbers.
type memory struct{ features []float32 }

const memoryRows, memoryWidth = 2, 32

func (m *memory) Shape() (classes, context, width, dim int) {
	return 2, memoryRows, memoryWidth, memoryRows * memoryWidth
}

func (m *memory) Forward(ctx []float32) []float32 {
	copy(m.features[len(ctx):], ctx)
	return m.features
}

func (m *memory) Pull(dst, cot []float32) { copy(dst, cot[len(dst):]) }
func (m *memory) Release()                {}

// memoryPool has random labels: there is nothing to learn but the records themselves.
func memoryPool(n int) *Pool {
	r := rand.New(rand.NewPCG(1, 2))
	p := &Pool{Classes: 2, LogitScale: 10, NewEncoder: func(int) (Encoder, error) {
		return &memory{make([]float32, 2*memoryRows*memoryWidth)}, nil
	}}
	for range n {
		x := prompt.Example{Feature: make([]float32, memoryRows*memoryWidth), Label: r.IntN(2)}
		norm := 0.0
		for i := range x.Feature {
			v := r.NormFloat64()
			x.Feature[i] = float32(v)
			norm += v * v
		}
		for i := range x.Feature {
			x.Feature[i] /= float32(math.Sqrt(norm))
		}
		p.Records = append(p.Records, x)
	}
	return p
}

func memoryOptions(epsilons ...float64) Options {
	return Options{
		Epsilons: epsilons, Delta: 1e-5, Shadows: 16, Limit: time.Hour, Confidence: 0.95, Seed: 3, Seeded: true,
		Training: Training{Context: memoryRows, Rank: memoryRows, Steps: 20, Rate: 0.5, LocalRate: 1, GlobalRate: 1, Clip: 1},
	}
}

// TestAttacksSeeMemory: prompts that learn their pictures by heart are found out by both attacks; with noise for
// a small epsilon neither does better than the guarantee allows, and that is little.
func TestAttacksSeeMemory(t *testing.T) {
	r, err := Run(t.Context(), memoryPool(64), memoryOptions(math.Inf(1), 1))
	if err != nil {
		t.Fatal(err)
	}
	bare, private := r.Rows[0], r.Rows[1]
	for _, a := range bare.Attacks {
		if a.Success.Low < 0.75 || a.AUC.Low < 0.8 {
			t.Errorf("no noise: %+v", a)
		}
	}
	if lira := bare.Attacks[1]; lira.TPR1.Low < 0.1 {
		t.Errorf("no noise: %+v", lira)
	}
	for _, a := range private.Attacks {
		if a.AUC.Mean > private.Ceiling.AUC || a.Success.Mean > private.Ceiling.Success || a.AUC.Mean > bare.Attacks[0].AUC.Mean-0.2 {
			t.Errorf("epsilon 1: %+v, ceiling %+v", a, private.Ceiling)
		}
	}
	if bare.Members < 0.95 || bare.Others > 0.7 {
		t.Errorf("accuracy %v on members, %v on others: the labels are random", bare.Members, bare.Others)
	}
	if bare.Exceeded || private.Exceeded || len(r.Unfinished) != 0 {
		t.Errorf("exceeded: %v, %v; unfinished %v", bare.Exceeded, private.Exceeded, r.Unfinished)
	}
}

// TestRunFollowsFromSeed, with seeded noise and however the cores share the work.
func TestRunFollowsFromSeed(t *testing.T) {
	o := memoryOptions(math.Inf(1))
	o.Shadows, o.Training.Steps = 8, 3
	var means [3]float64
	for i := range means {
		o.Seed = 5 + uint64(i/2)
		r, err := Run(t.Context(), memoryPool(16), o)
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range r.Rows[0].Attacks {
			means[i] += float64(a.AUC.Mean)
		}
	}
	if means[0] != means[1] || means[1] == means[2] {
		t.Errorf("seeds 5, 5 and 6 give %v", means)
	}
}

// TestMembersAreMembers: a prompt depends on every record that is in and on none that is not.
func TestMembersAreMembers(t *testing.T) {
	pool := memoryPool(12)
	o := memoryOptions()
	tr := &trainer{Training: o.Training, pool: pool, seed: 1, noise: fromSeed(1)}
	tr.Rate = 1
	before, err := tr.shadow(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	for j, in := range before.in {
		pool.Records[j].Label ^= 1
		after, err := tr.shadow(t.Context(), 0)
		if err != nil {
			t.Fatal(err)
		}
		pool.Records[j].Label ^= 1
		same := slices.EqualFunc(before.softmax, after.softmax, slices.Equal)
		if same == in {
			t.Errorf("record %d, in %v: prompt unchanged %v", j, in, same)
		}
	}
}

// TestHalves: every record is in exactly one of two complementary shadows.
func TestHalves(t *testing.T) {
	total := 0
	for i := 0; i < 100; i += 2 {
		a, b := halves(9, i, 30), halves(9, i+1, 30)
		for j := range a {
			if a[j] == b[j] {
				t.Fatalf("record %d is in both or neither of shadows %d and %d", j, i, i+1)
			}
			if a[j] {
				total++
			}
		}
	}
	if total < 600 || total > 900 { // of 1500 fair coins, 7.7 standard deviations
		t.Errorf("%d of 1500 coins", total)
	}
}

func TestLimit(t *testing.T) {
	o := memoryOptions(math.Inf(1), 1)
	o.Limit = 1
	r, err := Run(t.Context(), memoryPool(16), o)
	if err != nil || len(r.Rows) != 0 || len(r.Unfinished) != 2 {
		t.Errorf("%+v, %v", r, err)
	}
}

// TestExceeded: prompts that leak more than is claimed are seen. Here the noise is that of no budget at all, while the
// ceiling is that of epsilon 1.
func TestExceeded(t *testing.T) {
	o := memoryOptions(math.Inf(1))
	r, err := Run(t.Context(), memoryPool(64), o)
	if err != nil {
		t.Fatal(err)
	}
	row := r.Rows[0]
	if row.check(); row.Exceeded {
		t.Error("nothing is claimed without noise")
	}
	claim := Row{Epsilon: 1}
	if err := claim.account(&o); err != nil {
		t.Fatal(err)
	}
	row.Ceiling = claim.Ceiling
	if row.check(); !row.Exceeded {
		t.Errorf("%+v under the ceiling %+v", row.Attacks, row.Ceiling)
	}
}
