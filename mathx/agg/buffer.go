package agg

import (
	"fmt"
	"math"
)

// One is the fixed-point weight 1.
const One = 1 << 16

// Buffer collects the updates of one version of the global prompt. The result depends on what was
// added and not on the order of adding.
type Buffer interface {
	// Add takes in one update; x is not kept. A failed Add changes nothing. Errors: ErrShape, and
	// ErrOverflow when all weights together exceed 2^32 - 1, that is 65,535 updates of weight 1.
	Add(x []int32, weight uint32) error
	// Len is the number of updates taken in.
	Len() int
	// Combine writes the combination to dst in units of step/(One·divisor) and empties the buffer. It
	// panics if dst has another dimension than the buffer. Errors: ErrFew, with the buffer unchanged.
	Combine(dst []int64) (divisor int64, err error)
	// Reset empties the buffer.
	Reset()
}

// load guards a buffer against shapes and weights that its arithmetic does not hold.
type load struct {
	dim    int
	n      int
	weight uint64
}

func (l *load) Len() int { return l.n }

// take accounts for one more update or refuses it. With |x| at most 2^31, weights that add up to less
// than 2^32 keep every sum inside an int64.
func (l *load) take(x []int32, weight uint32) error {
	if len(x) != l.dim {
		return fmt.Errorf("%w: update of %d numbers, want %d", ErrShape, len(x), l.dim)
	}
	if l.weight+uint64(weight) > math.MaxUint32 {
		return fmt.Errorf("%w: weights of %d updates add up to more than %d", ErrOverflow, l.n+1, uint32(math.MaxUint32))
	}
	l.n++
	l.weight += uint64(weight)
	return nil
}

func (l *load) checkDst(dst []int64) {
	if len(dst) != l.dim {
		panic("agg: Combine: length of dst is not the dimension of the buffer")
	}
}

func (l *load) reset() { l.n, l.weight = 0, 0 }
