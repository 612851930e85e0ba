package dp

import (
	"fmt"
	"math"
	"math/bits"
)

const (
	// scale is S, the standard deviation of the noise in lattice steps. With z = 2
	// a clipped vector of 8,192 equal entries has entries of 362 steps, so rounding
	// toward zero shrinks it by 0.14%.
	scale = 1 << 16
	// tail is the room left for noise in an int32, in standard deviations; noise
	// beyond it has probability below exp(-2000) and is clamped.
	tail = 64
	// room is what the records of a batch may add up to in one coordinate.
	room = math.MaxInt32 - tail*scale
)

// lattice is the integer grid of one group.
type lattice struct {
	name  string
	dim   int
	step  float64 // value of one integer unit
	limit int64   // L, the largest integer norm of one record
}

func newLattice(g Group, mode Mode) (lattice, error) {
	switch {
	case g.Name == "":
		return lattice{}, invalid("Name", `""`, "a name")
	case g.Dim <= 0:
		return lattice{}, invalid("Dim", g.Dim, "> 0")
	case !(g.Clip > 0) || math.IsInf(g.Clip, 0):
		return lattice{}, invalid("Clip", g.Clip, "a finite number > 0")
	}
	z := 1.0 // without noise the grid is that of z = 1
	if mode == Private {
		z = g.Z
		if !(z > 0) || math.IsInf(z, 0) {
			return lattice{}, invalid("Z", z, "a finite number > 0 in a private mechanism")
		}
	} else if g.Z != 0 {
		return lattice{}, invalid("Z", g.Z, "0 in an unprotected mechanism")
	}
	limit := math.Floor(scale / z)
	if limit < 1 || limit > room {
		return lattice{}, fmt.Errorf("%w: Z = %v gives an integer clip of %v, want 1 to %d", ErrOverflow, z, limit, room)
	}
	step := z * g.Clip / scale
	if step < 0x1p-1000 || step > 0x1p1000 {
		return lattice{}, fmt.Errorf("%w: Clip = %v gives a lattice step of %v", ErrOverflow, g.Clip, step)
	}
	return lattice{g.Name, g.Dim, step, int64(limit)}, nil
}

// quantise writes to dst the clipped g in lattice steps, rounded toward zero, with
// a verified integer norm of at most L. It reports false, leaving dst undefined,
// if g holds a NaN or an infinity.
func (l lattice) quantise(dst []int32, g []float64) bool {
	largest := 0.0
	for _, v := range g {
		largest = max(largest, math.Abs(v)) // max keeps a NaN
	}
	if math.IsNaN(largest) || math.IsInf(largest, 0) {
		return false
	}
	if largest == 0 {
		clear(dst)
		return true
	}
	// Relative to the largest entry nothing overflows or underflows.
	square := 0.0
	for _, v := range g {
		v /= largest
		square += float64(v * v)
	}
	factor := min(largest/l.step, float64(l.limit)/math.Sqrt(square))
	for {
		for j, v := range g {
			dst[j] = int32(v / largest * factor)
		}
		if l.within(dst) {
			return true
		}
		factor *= 1 - 0x1p-30 // a rounding error of the float norm
	}
}

// within reports whether the integer norm of t is at most L, in 128-bit arithmetic.
func (l lattice) within(t []int32) bool {
	var hi, lo, carry uint64
	for _, v := range t {
		lo, carry = bits.Add64(lo, uint64(int64(v)*int64(v)), 0)
		hi += carry
	}
	return hi == 0 && lo <= uint64(l.limit*l.limit)
}
