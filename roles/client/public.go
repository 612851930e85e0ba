package client

import (
	"crypto/sha256"
	"fmt"
	"math/rand/v2"

	"dpfpl/schemas"
)

// publicSource derives the randomness that anyone may know, the start of the local prompt
// (k = 0) and the sketch after each step, from the plan, the client and k. Clients start
// from independent local prompts.
func publicSource(p *schemas.Plan, id string) func(k uint64) rand.Source {
	return func(k uint64) rand.Source {
		seed := sha256.Sum256(fmt.Appendf(nil, "dpfpl public %s %d %s %d", p.Run, p.Seed, id, k))
		return rand.NewChaCha8(seed)
	}
}
