package roletest

import (
	"slices"
	"strings"

	"github.com/nats-io/nkeys"

	"dpfpl/schemas"
)

// Key makes the user key of a name, the same in every run.
func Key(name string) (pair nkeys.KeyPair, public string) {
	seed := make([]byte, 32)
	copy(seed, name)
	pair, err := nkeys.FromRawSeed(nkeys.PrefixByteUser, seed)
	if err != nil {
		panic(err)
	}
	if public, err = pair.PublicKey(); err != nil {
		panic(err)
	}
	return pair, public
}

// Plan is a synchronous run of a 1×2 prompt, of which each role's tests change what they are about.
func Plan(members ...string) *schemas.Plan {
	_, operator := Key("operator")
	_, aggregator := Key("aggregator")
	p := &schemas.Plan{
		Header:     schemas.Header{Version: schemas.Version, Run: "run", Sender: "operator"},
		Method:     schemas.MethodPlan{Name: "promptfl", Mode: "corrected", Rate: 0.1},
		Prompt:     schemas.PromptPlan{Context: 1, Width: 2, Init: "random", Std: 0.02},
		Rule:       schemas.RulePlan{Name: "sync"},
		Server:     schemas.ServerPlan{Rate: 1},
		Privacy:    schemas.PrivacyPlan{Noise: "client", Adjacency: "zero-out", Epsilon: 4, Delta: 1e-5, Rate: 0.1, Batch: 1, ClipG: 1, ZG: 1},
		Classes:    []string{"cat", "dog"},
		Backbone:   strings.Repeat("0", 64),
		Versions:   10,
		Updates:    20,
		Aggregator: aggregator,
		Operator:   operator,
	}
	for _, id := range slices.Sorted(slices.Values(members)) {
		_, public := Key(id)
		p.Members = append(p.Members, schemas.Member{ID: id, Key: public})
	}
	return p
}
