package schemas_test

import (
	"math"
	"testing"
	"time"

	"github.com/nats-io/nkeys"

	"dpfpl/schemas"
)

// testKey makes the user key of number n, the same in every run.
func testKey(t testing.TB, n byte) (nkeys.KeyPair, string) {
	t.Helper()
	seed := make([]byte, 32)
	seed[0] = n
	key, err := nkeys.FromRawSeed(nkeys.PrefixByteUser, seed)
	if err != nil {
		t.Fatal(err)
	}
	public, err := key.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	return key, public
}

func head(sender string) schemas.Header {
	return schemas.Header{Version: schemas.Version, Run: "run-1", Sender: sender}
}

func samplePlan(t testing.TB) *schemas.Plan {
	t.Helper()
	_, operator := testKey(t, 1)
	_, aggregator := testKey(t, 2)
	_, anna := testKey(t, 3)
	_, bert := testKey(t, 4)
	return &schemas.Plan{
		Header:  head("operator"),
		Method:  schemas.MethodPlan{Name: "dpfpl", Mode: "corrected", Rank: 2, Rate: 0.01, Momentum: 0.9},
		Prompt:  schemas.PromptPlan{Context: 4, Width: 8, Init: "random", Std: 0.02},
		Rule:    schemas.RulePlan{Name: "fedbuff", Buffer: 2, Quorum: 1, Deadline: time.Minute, MaxStaleness: 5},
		Server:  schemas.ServerPlan{Rate: 1, Momentum: 0.5},
		Privacy: schemas.PrivacyPlan{Noise: "client", Adjacency: "zero-out", Epsilon: 4, Delta: 1e-5, Rate: 0.1, Batch: 12, ClipU: 1, ClipV: 1, ClipG: 0.5, ZU: 2, ZV: 2, ZG: 1.25},
		Presence: schemas.TimingPlan{
			Heartbeat: 5 * time.Second, Silence: 15 * time.Second,
		},
		Classes:    []string{"cat", "dog", "épée"},
		Backbone:   "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
		Versions:   20,
		Updates:    40,
		Seed:       7,
		Members:    []schemas.Member{{ID: "anna", Key: anna}, {ID: "bert", Key: bert}},
		Aggregator: aggregator,
		Operator:   operator,
	}
}

type sample struct {
	name string
	key  byte
	body schemas.Body
}

// samples holds one or more cases of every kind that travels.
func samples(t testing.TB) []sample {
	t.Helper()
	plain := samplePlan(t)
	plain.Rule = schemas.RulePlan{Name: "sync"}
	plain.Privacy = schemas.PrivacyPlan{Noise: "none", Rate: 1, Batch: 1, ClipU: 1, ClipV: 1, ClipG: 1}
	plain.Presence = schemas.TimingPlan{}
	return []sample{
		{"private", 1, samplePlan(t)},
		{"without-noise", 1, plain},
		{"typical", 3, &schemas.Update{
			Header: head("anna"), K: 3, Base: 2,
			Sum:       schemas.NewLattice(2, 3, 0x1p-17, []int32{0, -1, 70000, math.MaxInt32, math.MinInt32, 5}),
			Mechanism: schemas.Mechanism{Noise: "client", Adjacency: "zero-out", Rate: 0.1, ZU: 2, ZV: 2, ZG: 1.25, Z: 0.93},
		}},
		{"last", 3, &schemas.Update{
			Header: head("anna"), K: 1000, Base: math.MaxUint64,
			Sum:       schemas.NewLattice(1, 1, 1, []int32{0}),
			Mechanism: schemas.Mechanism{Noise: "none"},
		}},
		{"evict", 2, &schemas.Control{Header: head("aggregator"), N: 1, Event: schemas.EventEvict, Client: "bert", Version: 3, Reason: "silent for 15s"}},
		{"deadline", 2, &schemas.Control{Header: head("aggregator"), N: 300, Event: schemas.EventDeadline, Version: 70000}},
		{"initial", 2, &schemas.Model{Header: head("aggregator"), Params: schemas.NewParams(1, 2, []float32{0.5, -0.25})}},
		{"third", 2, &schemas.Model{
			Header: head("aggregator"), Version: 3, Parent: [32]byte{1, 2, 3},
			Params:  schemas.NewParams(2, 2, []float32{1, math.SmallestNonzeroFloat32, -0, math.MaxFloat32}),
			Folded:  []schemas.Folded{{Client: "anna", K: 2, Seq: 9, Weight: 65536}, {Client: "bert", K: 1, Seq: 11, Staleness: 2, Weight: 37837}},
			Applied: 12, Final: true,
		}},
		{"initial", 2, &schemas.Checkpoint{
			Header: head("aggregator"), Model: [32]byte{7},
			Members: []schemas.MemberRecord{{ID: "anna", Active: true}, {ID: "bert", Active: true}},
		}},
		{"third", 2, &schemas.Checkpoint{
			Header: head("aggregator"), Version: 3, Model: [32]byte{7}, Applied: 12, AppliedTime: 1_700_000_000_123_456_789,
			Chain: [32]byte{9}, Controls: 1, Velocity: make([]byte, 32),
			Members: []schemas.MemberRecord{{ID: "anna", Active: true, LastK: 2, LastBase: 2, Accepted: 2}, {ID: "bert", LastK: 1, Stale: 1, Refused: 3, MaxStaleness: 2}},
			Final:   true,
		}},
		{"heartbeat", 3, &schemas.Presence{Header: head("anna"), State: schemas.StateHeartbeat, Version: 3, Published: 2, Modality: "image", Software: "dpfpl 0.1"}},
		{"accepted", 2, &schemas.Note{Header: head("aggregator"), Client: "anna", K: 2, Seq: 9, Verdict: schemas.VerdictAccepted, Version: 2}},
		{"refused", 2, &schemas.Note{Header: head("aggregator"), Client: "bert", K: 1, Seq: 11, Verdict: schemas.VerdictRefused, Version: 2, Reason: schemas.ReasonFuture}},
		{"poison", 2, &schemas.Dead{Header: head("aggregator"), Reason: schemas.ReasonDecode, Detail: "cut short", Subject: "dpfpl.v1.run-1.update.anna.4", Seq: 13, Raw: []byte{1, 2, 3}}},
	}
}
