package prompt

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
)

// stateVersion is the first byte of a marshalled learner.
const stateVersion = 1

// MarshalBinary returns what survives between steps: the local parameters, the
// factors and the optimiser's memory. All of it follows from released values and
// public randomness, but it is the personal prompt and stays on the client.
//
// The layout is: version (1 byte), index in [Methods] (1), l, d, rank (uint16 each),
// steps (uint64), then the method's blocks of float64, all little-endian.
func (s *Learner) MarshalBinary() ([]byte, error) {
	b := s.header()
	b = binary.LittleEndian.AppendUint64(b, s.steps)
	for _, block := range s.method.state() {
		for _, v := range block {
			b = binary.LittleEndian.AppendUint64(b, math.Float64bits(v))
		}
	}
	return b, nil
}

// UnmarshalBinary restores a learner of the same method and shape. It returns
// ErrState, and changes nothing, for bytes of another length or header or with a
// number that is not finite.
func (s *Learner) UnmarshalBinary(b []byte) error {
	head := s.header()
	state := s.method.state()
	want := len(head) + 8
	for _, block := range state {
		want += 8 * len(block)
	}
	switch {
	case len(b) != want:
		return fmt.Errorf("%w: %d bytes, want %d", ErrState, len(b), want)
	case !slices.Equal(b[:len(head)], head):
		return fmt.Errorf("%w: header %x, want %x", ErrState, b[:len(head)], head)
	}
	b = b[len(head):]
	steps, numbers := binary.LittleEndian.Uint64(b), b[8:]
	for i := 0; i < len(numbers); i += 8 {
		if v := float64At(numbers[i:]); !finite(v) {
			return fmt.Errorf("%w: number %d is %v", ErrState, i/8, v)
		}
	}
	for _, block := range state {
		for i := range block {
			block[i], numbers = float64At(numbers), numbers[8:]
		}
	}
	s.steps = steps
	return nil
}

func (s *Learner) header() []byte {
	rank := 0
	if s.cfg.factored() {
		rank = s.cfg.Rank
	}
	b := []byte{stateVersion, byte(slices.Index(Methods(), s.cfg.Method))}
	for _, n := range []int{s.l, s.d, rank} {
		b = binary.LittleEndian.AppendUint16(b, uint16(n))
	}
	return b
}

func float64At(b []byte) float64 {
	return math.Float64frombits(binary.LittleEndian.Uint64(b))
}
