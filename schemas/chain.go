package schemas

import "crypto/sha256"

// Chain extends the digest chain over a run's log by one message: SHA-256 of the chain before, all zero at
// the start, followed by the message's Digest. Equal chains mean equal logs up to that message.
func Chain(before, digest [32]byte) [32]byte {
	return sha256.Sum256(append(before[:], digest[:]...))
}
