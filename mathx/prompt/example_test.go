package prompt

import (
	"fmt"

	"dpfpl/mathx/dp"
)

// One private step: what leaves the client is the last group of the release, and the
// personal prompt moves by the others.
func ExampleLearner_Step() {
	const l, d = 4, 8
	encoder := newToy(5, l, d, 6, 1) // a stand-in for CLIP's text tower
	cfg := Config{
		Method: DPFPL, Mode: Corrected, Rank: 2, LocalRate: 0.02, Momentum: 0.9,
		Batch: 32, Clip: Norms{U: 1, V: 1, G: 1},
	}
	cfg.Z = cfg.EqualSplit(0.8, l, d)
	learner, err := NewLearner(cfg, l, d, 0.02, source(1))
	if err != nil {
		fmt.Println(err)
		return
	}
	global := RandomContext(l, d, 0.02, source(2))
	noised, err := learner.Step(encoder, 14, global, encoder.examples(3, 1), dp.CryptoSource(), source(3))
	if err != nil {
		fmt.Println(err)
		return
	}
	wire := noised.Ints(learner.GlobalGroup())
	fmt.Printf("%d integers for the wire, joint noise multiplier %.2f\n", len(wire), learner.Joint())
	for _, g := range learner.Groups() {
		fmt.Printf("%s: %d numbers, z = %.2f\n", g.Name, g.Dim, g.Z)
	}
	// Output:
	// 32 integers for the wire, joint noise multiplier 0.80
	// u: 8 numbers, z = 1.39
	// v: 16 numbers, z = 1.39
	// global: 32 numbers, z = 1.39
}
