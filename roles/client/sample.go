package client

import (
	"math/rand/v2"

	"dpfpl/mathx/prompt"
)

// poisson takes each of n records independently with probability q. The coins decide what
// amplifies the privacy of the step, so they are as secret as its noise.
func poisson(n int, q float64, secret rand.Source) (in []bool) {
	coins := rand.New(secret)
	in = make([]bool, n)
	for i := range in {
		in[i] = coins.Float64() < q
	}
	return in
}

// pick returns the records that are in the batch.
func pick(data []prompt.Example, in []bool) (batch []prompt.Example) {
	for i, x := range data {
		if in[i] {
			batch = append(batch, x)
		}
	}
	return batch
}
