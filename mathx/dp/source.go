package dp

import (
	crand "crypto/rand"
	"math/rand/v2"
)

// CryptoSource returns a ChaCha8 generator keyed with 32 fresh bytes from the
// operating system. Take a new one for every step and drop it afterwards: two
// copies of one generator (a cloned machine, a forked process) would add the same
// noise to different data, and the difference of the outputs is the data. The
// state cannot be marshalled; what is kept of a step is its output.
func CryptoSource() rand.Source {
	var seed [32]byte
	_, _ = crand.Read(seed[:]) // never fails: the process ends if the system has no randomness
	return cryptoSource{rand.NewChaCha8(seed)}
}

// cryptoSource hides the marshalling of ChaCha8.
type cryptoSource struct{ chacha *rand.ChaCha8 }

func (s cryptoSource) Uint64() uint64 { return s.chacha.Uint64() }
