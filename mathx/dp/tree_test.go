package dp

import (
	"errors"
	"math"
	"math/bits"
	"strings"
	"testing"
)

// TestTreeVectors holds rows T1 and T2 (tensorflow_privacy
// tree_aggregation_accountant_test.py).
func TestTreeVectors(t *testing.T) {
	for _, c := range []struct {
		row  string
		tree Tree
		want int
	}{
		{"T1", Tree{Participations: 1, Separation: 7, Steps: 8}, 4},
		{"T1", Tree{Participations: 3, Separation: 3, Steps: 9}, 11},
		{"T1", Tree{Participations: 3, Separation: 2, Steps: 7}, 9},
		{"T1", Tree{Participations: 8, Separation: 2, Steps: 24}, 88},
		{"T2", Tree{Participations: 3, Steps: 3}, 7},
		{"T2", Tree{Participations: 8, Steps: 8}, 120},
		{"T2", Tree{Participations: 11, Steps: 11}, 127},
		{"T2", Tree{Participations: 19, Steps: 19}, 503},
		{"T2", Tree{Participations: 2, Steps: 3}, 6},
		{"T2", Tree{Participations: 2, Steps: 8}, 14},
		{"T2", Tree{Participations: 2, Steps: 11}, 14},
		{"T2", Tree{Participations: 2, Steps: 19}, 18},
	} {
		if got, err := c.tree.SquaredSensitivity(); err != nil || got != c.want {
			t.Errorf("%s %+v: %d (%v), want %d", c.row, c.tree, got, err, c.want)
		}
	}
}

// TestTreeAgainstAllPatterns compares with every pattern of up to 13 steps.
func TestTreeAgainstAllPatterns(t *testing.T) {
	for steps := 1; steps <= 13; steps++ {
		for participations := 1; participations <= min(steps, 5); participations++ {
			for separation := 0; separation < min(steps, 5); separation++ {
				tree := Tree{steps, participations, separation}
				want := 0
				for pattern := range uint(1) << steps {
					if tree.allows(pattern) {
						want = max(want, nodeSum(pattern, steps))
					}
				}
				if got, err := tree.SquaredSensitivity(); err != nil || got != want {
					t.Errorf("%+v: %d (%v), want %d", tree, got, err, want)
				}
			}
		}
	}
}

func (t Tree) allows(pattern uint) bool {
	if bits.OnesCount(pattern) > t.Participations {
		return false
	}
	for gap := 1; gap <= t.Separation; gap++ {
		if pattern&(pattern>>gap) != 0 {
			return false
		}
	}
	return true
}

// nodeSum adds the squared participations of every complete dyadic block.
func nodeSum(pattern uint, steps int) (sum int) {
	for size := 1; size <= steps; size *= 2 {
		for start := 0; start+size <= steps; start += size {
			n := bits.OnesCount(pattern >> start & (1<<size - 1))
			sum += n * n
		}
	}
	return sum
}

// TestTreeIsAccounted: a single participation costs rho = h/(2 z^2), with the h =
// floor(log2 n) + 1 nodes above a leaf.
func TestTreeIsAccounted(t *testing.T) {
	s, err := Tree{Steps: 1000, Participations: 1}.Step(2)
	if err != nil {
		t.Fatal(err)
	}
	e, err := spend(t, ZeroOut, Spent{s, 1}).EpsilonPLD(1e-6)
	if want := GDPEpsilon(math.Sqrt(10)/2, 1e-6); err != nil || math.Abs(e-want) > 1e-9 {
		t.Errorf("epsilon %v (%v), want that of ten nodes, %v", e, err, want)
	}
	for field, tree := range map[string]Tree{
		"Steps": {}, "Participations": {Steps: 3}, "Separation": {Steps: 3, Participations: 1, Separation: 3},
	} {
		if _, err := tree.Step(1); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), field) {
			t.Errorf("bad %s: error %v", field, err)
		}
	}
	if _, err := (Tree{Steps: 3, Participations: 1}).Step(0); !errors.Is(err, ErrInvalid) {
		t.Errorf("no noise: error %v", err)
	}
}
