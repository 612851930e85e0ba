package agg

import (
	"fmt"
	"slices"
)

// trimmed keeps the updates, because a coordinate's order statistics need them all.
type trimmed struct {
	load
	trim func(n int) int // values dropped at each end, out of n
	kept [][]int32
}

// NewTrimmed returns the coordinate-wise trimmed mean: of the n values of each coordinate the trim lowest
// and the trim highest are dropped. Needs more than 2·trim updates. It panics on a dim that is not
// positive or a negative trim.
func NewTrimmed(dim, trim int) Buffer {
	if dim <= 0 || trim < 0 {
		panic("agg: NewTrimmed: dim must be positive and trim not negative")
	}
	return &trimmed{load: load{dim: dim}, trim: func(int) int { return trim }}
}

// NewMedian returns the coordinate-wise median; for an even number of updates the mean of the two middle
// values. Needs one update. It panics on a dim that is not positive.
func NewMedian(dim int) Buffer {
	if dim <= 0 {
		panic("agg: NewMedian: dim must be positive")
	}
	return &trimmed{load: load{dim: dim}, trim: func(n int) int { return (n - 1) / 2 }}
}

// Add takes in x with weight One, whatever weight says.
func (t *trimmed) Add(x []int32, _ uint32) error {
	if err := t.take(x, One); err != nil {
		return err
	}
	t.kept = append(t.kept, slices.Clone(x))
	return nil
}

func (t *trimmed) Combine(dst []int64) (int64, error) {
	t.checkDst(dst)
	n := t.n
	trim := t.trim(n)
	if n <= 2*trim {
		return 0, fmt.Errorf("%w: %d of them, want more than 2·%d", ErrFew, n, trim)
	}
	column := make([]int32, n)
	for j := range dst {
		for i, x := range t.kept {
			column[i] = x[j]
		}
		slices.Sort(column)
		dst[j] = 0
		for _, v := range column[trim : n-trim] {
			dst[j] += One * int64(v)
		}
	}
	t.Reset()
	return int64(n - 2*trim), nil
}

func (t *trimmed) Reset() {
	t.reset()
	clear(t.kept)
	t.kept = t.kept[:0]
}
