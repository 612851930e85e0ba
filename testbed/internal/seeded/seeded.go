// Package seeded makes reproducible randomness for virtual time. It exists in the testbed alone: noise from
// here protects nobody, and every output of a run that used it says so.
package seeded

import (
	"crypto/sha256"
	"encoding/binary"
	"math/rand/v2"
)

// Source returns the stream of one (seed, purpose, who, step): equal arguments give equal numbers,
// different ones independent numbers, whatever order they are asked for in.
func Source(seed uint64, purpose, who string, step uint64) rand.Source {
	return rand.NewChaCha8(Seed(seed, purpose, who, step))
}

// Seed returns the 32 bytes behind Source; testbed keys are made of them too.
func Seed(seed uint64, purpose, who string, step uint64) [32]byte {
	h := sha256.New()
	var b [8]byte
	number := func(n uint64) {
		binary.LittleEndian.PutUint64(b[:], n)
		h.Write(b[:])
	}
	text := func(s string) {
		number(uint64(len(s)))
		h.Write([]byte(s))
	}
	number(seed)
	text(purpose)
	text(who)
	number(step)
	return [32]byte(h.Sum(nil))
}
