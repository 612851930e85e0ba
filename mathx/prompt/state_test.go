package prompt

import (
	"bytes"
	"errors"
	"math"
	"testing"
)

// A restored learner goes on exactly as the first would have.
func TestStateRoundTrip(t *testing.T) {
	const l, d = 4, 8
	for _, method := range Methods() {
		enc := newToy(5, l, d, 6, 1)
		s := mustLearner(t, private(method, 2, 1), l, d, 0.1, 3)
		run(t, s, enc, 3, func(i int) []Example { return enc.examples(4, uint64(i)) })
		state, err := s.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		twin := mustLearner(t, private(method, 2, 1), l, d, 0.1, 99)
		if err := twin.UnmarshalBinary(state); err != nil {
			t.Fatal(err)
		}
		a := run(t, s, enc, 2, func(i int) []Example { return enc.examples(4, uint64(i)) })
		b := run(t, twin, enc, 2, func(i int) []Example { return enc.examples(4, uint64(i)) })
		if !equal(a[1], b[1]) || s.Steps() != twin.Steps() {
			t.Errorf("%s: the restored learner goes another way", method)
		}
	}
}

func TestUnmarshalRefuses(t *testing.T) {
	s := mustLearner(t, private(DPFPL, 2, 1), 4, 8, 0.1, 3)
	good, _ := s.MarshalBinary()
	notFinite := bytes.Clone(good)
	copy(notFinite[len(notFinite)-8:], []byte{0, 0, 0, 0, 0, 0, 0xf0, 0x7f})
	version := bytes.Clone(good)
	version[0]++
	other, _ := mustLearner(t, private(DPLoRA, 2, 1), 4, 8, 0.1, 3).MarshalBinary()
	turned, _ := mustLearner(t, private(DPFPL, 2, 1), 8, 4, 0.1, 3).MarshalBinary() // of the same length
	for name, b := range map[string][]byte{
		"other shape": turned,
		"empty":       nil, "short": good[:len(good)-1], "long": append(bytes.Clone(good), 0),
		"infinite": notFinite, "version": version, "other method": other,
	} {
		twin := mustLearner(t, private(DPFPL, 2, 1), 4, 8, 0.1, 4)
		before, _ := twin.MarshalBinary()
		if err := twin.UnmarshalBinary(b); !errors.Is(err, ErrState) {
			t.Errorf("%s: error %v", name, err)
		}
		if after, _ := twin.MarshalBinary(); !bytes.Equal(before, after) {
			t.Errorf("%s: the refused bytes changed the learner", name)
		}
	}
}

// Bytes that are accepted encode to themselves, hold no number that is not finite, and
// leave a learner that can step.
func FuzzUnmarshalBinary(f *testing.F) {
	const l, d = 2, 3
	enc := newToy(3, l, d, 4, 1)
	for _, method := range []string{DPFPL, FedPGP} {
		s, err := NewLearner(plain(method, 1), l, d, 0.1, source(1))
		if err != nil {
			f.Fatal(err)
		}
		state, _ := s.MarshalBinary()
		f.Add(state)
		f.Add(state[:len(state)/2])
		zero := bytes.Clone(state)
		clear(zero[8:])
		f.Add(zero)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, method := range []string{DPFPL, FedPGP} {
			s := mustLearner(t, plain(method, 1), l, d, 0.1, 1)
			if err := s.UnmarshalBinary(b); err != nil {
				continue
			}
			again, _ := s.MarshalBinary()
			if !bytes.Equal(b, again) {
				t.Fatal("accepted bytes encode differently")
			}
			for _, block := range s.method.state() {
				for _, v := range block {
					if math.IsNaN(v) || math.IsInf(v, 0) {
						t.Fatal("accepted a number that is not finite")
					}
				}
			}
			if _, err := s.Step(enc, 1, make([]float32, l*d), enc.examples(2, 1), source(1), source(2)); err != nil {
				t.Fatal(err)
			}
		}
	})
}
