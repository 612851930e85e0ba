package schemas_test

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"dpfpl/schemas"
)

// TestPlanContradictions changes a sound plan in one way each and wants the wrong field named.
func TestPlanContradictions(t *testing.T) {
	if err := samplePlan(t).Validate(); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		field  string
		change func(*schemas.Plan)
	}{
		{"run:", func(p *schemas.Plan) { p.Run = "a.b" }},
		{"from:", func(p *schemas.Plan) { p.Sender = "" }},
		{"method.name:", func(p *schemas.Plan) { p.Method.Name = "fedavg" }},
		{"method.mode:", func(p *schemas.Plan) { p.Method.Mode = "" }},
		{"method.rank:", func(p *schemas.Plan) { p.Method.Rank = 5 }},
		{"method.rank:", func(p *schemas.Plan) { p.Method.Rank = 0 }},
		{"method.rate:", func(p *schemas.Plan) { p.Method.Rate = math.NaN() }},
		{"method.momentum:", func(p *schemas.Plan) { p.Method.Momentum = 1 }},
		{"prompt.context:", func(p *schemas.Plan) { p.Prompt.Context = 65 }},
		{"prompt.width:", func(p *schemas.Plan) { p.Prompt.Context, p.Prompt.Width = 64, 65535 }},
		{"prompt.std:", func(p *schemas.Plan) { p.Prompt.Std = 0 }},
		{"prompt.words:", func(p *schemas.Plan) { p.Prompt.Init = "words" }},
		{"prompt.init:", func(p *schemas.Plan) { p.Prompt.Init = "zero" }},
		{"rule.name:", func(p *schemas.Plan) { p.Rule.Name = "krum" }},
		{"rule.buffer:", func(p *schemas.Plan) { p.Rule.Buffer = 3 }},
		{"rule.buffer:", func(p *schemas.Plan) { p.Rule.Buffer = 0 }},
		{"rule.quorum:", func(p *schemas.Plan) { p.Rule = schemas.RulePlan{Name: "sync", Quorum: 3, Deadline: time.Second} }},
		{"rule.quorum:", func(p *schemas.Plan) { p.Rule.Quorum = 0 }},
		{"rule.deadline:", func(p *schemas.Plan) { p.Rule.Deadline = -1 }},
		{"rule.trim:", func(p *schemas.Plan) { p.Rule = schemas.RulePlan{Name: "trimmed", Trim: 1} }},
		{"server.rate:", func(p *schemas.Plan) { p.Server.Rate = math.Inf(1) }},
		{"server.momentum:", func(p *schemas.Plan) { p.Server.Momentum = -0.1 }},
		{"privacy.noise:", func(p *schemas.Plan) { p.Privacy.Noise = "server" }},
		{"privacy.adjacency:", func(p *schemas.Plan) { p.Privacy.Adjacency = "neighbour" }},
		{"privacy.epsilon:", func(p *schemas.Plan) { p.Privacy.Epsilon = 0 }},
		{"privacy.epsilon:", func(p *schemas.Plan) { p.Privacy.Noise = "none" }},
		{"privacy.delta:", func(p *schemas.Plan) { p.Privacy.Delta = 1 }},
		{"privacy.delta:", func(p *schemas.Plan) { p.Privacy.Delta = 0 }},
		{"privacy.rate:", func(p *schemas.Plan) { p.Privacy.Rate = 1.5 }},
		{"privacy.rate:", func(p *schemas.Plan) { p.Privacy.Rate = 0 }},
		{"privacy.batch:", func(p *schemas.Plan) { p.Privacy.Batch = 0 }},
		{"privacy.clip_u:", func(p *schemas.Plan) { p.Privacy.ClipU = 0 }},
		{"privacy.clip_g:", func(p *schemas.Plan) { p.Privacy.ClipG = -1 }},
		{"privacy.z_u:", func(p *schemas.Plan) { p.Privacy.ZU = 0 }},
		{"privacy.z_v:", func(p *schemas.Plan) { p.Privacy.ZV = 0 }},
		{"privacy.z_g:", func(p *schemas.Plan) { p.Privacy.ZG = 0 }},
		{"privacy.z_g:", func(p *schemas.Plan) { p.Privacy.Noise = "none" }},
		{"presence.silence:", func(p *schemas.Plan) { p.Presence.Silence = time.Second }},
		{"presence.heartbeat:", func(p *schemas.Plan) { p.Presence.Heartbeat = 0 }},
		{"classes:", func(p *schemas.Plan) { p.Classes = p.Classes[:1] }},
		{"classes:", func(p *schemas.Plan) { p.Classes[1] = "cat" }},
		{"classes:", func(p *schemas.Plan) { p.Classes[1] = "a\nb" }},
		{"backbone:", func(p *schemas.Plan) { p.Backbone = strings.ToUpper(p.Backbone) }},
		{"versions:", func(p *schemas.Plan) { p.Versions = 0 }},
		{"updates:", func(p *schemas.Plan) { p.Updates = 0 }},
		{"updates:", func(p *schemas.Plan) { p.Updates = 1001 }},
		{"members:", func(p *schemas.Plan) { p.Members = nil }},
		{"members:", func(p *schemas.Plan) { p.Members[0], p.Members[1] = p.Members[1], p.Members[0] }},
		{"members:", func(p *schemas.Plan) { p.Members[1].ID = p.Members[0].ID }},
		{"members:", func(p *schemas.Plan) { p.Members[1].Key = p.Members[0].Key }},
		{"members:", func(p *schemas.Plan) { p.Members[1].Key = "U" }},
		{"aggregator:", func(p *schemas.Plan) { p.Aggregator = "" }},
		{"aggregator:", func(p *schemas.Plan) { p.Aggregator = p.Members[0].Key }},
		{"operator:", func(p *schemas.Plan) { p.Operator = "x" }},
	} {
		p := samplePlan(t)
		c.change(p)
		err := p.Validate()
		if !errors.Is(err, schemas.ErrInvalid) || !strings.Contains(err.Error(), c.field) {
			t.Errorf("%s not named: %v", c.field, err)
		}
	}
}

// TestPlanReportsEverything wants all faults at once, each on a line.
func TestPlanReportsEverything(t *testing.T) {
	p := samplePlan(t)
	p.Method.Rank, p.Versions, p.Updates, p.Privacy.Delta = 9, 0, 2000, 2
	err := p.Validate()
	for _, field := range []string{"method.rank", "versions", "updates", "privacy.delta", "1000"} {
		if err == nil || !strings.Contains(err.Error(), field) {
			t.Errorf("%s missing in %v", field, err)
		}
	}
	if err := (&schemas.Plan{}).Validate(); !errors.Is(err, schemas.ErrInvalid) {
		t.Errorf("empty plan: %v", err)
	}
}

// TestBodiesRefused has the faults of the other kinds.
func TestBodiesRefused(t *testing.T) {
	digest := [32]byte{1}
	one := schemas.NewParams(1, 1, []float32{1})
	sum := schemas.NewLattice(1, 1, 1, []int32{1})
	none := schemas.Mechanism{Noise: "none"}
	for _, c := range []struct {
		name string
		body schemas.Body
		want error
	}{
		{"update 0", &schemas.Update{Header: head("a"), Sum: sum, Mechanism: none}, schemas.ErrInvalid},
		{"update 1001", &schemas.Update{Header: head("a"), K: 1001, Sum: sum, Mechanism: none}, schemas.ErrInvalid},
		{"update, dotted sender", &schemas.Update{Header: head("a.b"), K: 1, Sum: sum, Mechanism: none}, schemas.ErrInvalid},
		{"update, empty lattice", &schemas.Update{Header: head("a"), K: 1, Sum: schemas.Lattice{Step: 1}, Mechanism: none}, schemas.ErrShape},
		{"update, short data", &schemas.Update{Header: head("a"), K: 1, Sum: schemas.Lattice{Rows: 1, Cols: 2, Step: 1, Data: make([]byte, 7)}, Mechanism: none}, schemas.ErrShape},
		{"update, step 0", &schemas.Update{Header: head("a"), K: 1, Sum: schemas.NewLattice(1, 1, 0, []int32{1}), Mechanism: none}, schemas.ErrInvalid},
		{"update, step NaN", &schemas.Update{Header: head("a"), K: 1, Sum: schemas.NewLattice(1, 1, math.NaN(), []int32{1}), Mechanism: none}, schemas.ErrNotFinite},
		{"update, unknown noise", &schemas.Update{Header: head("a"), K: 1, Sum: sum, Mechanism: schemas.Mechanism{Noise: "some"}}, schemas.ErrInvalid},
		{"update, infinite z", &schemas.Update{Header: head("a"), K: 1, Sum: sum, Mechanism: schemas.Mechanism{Noise: "none", ZG: math.Inf(1)}}, schemas.ErrNotFinite},
		{"model NaN", &schemas.Model{Header: head("a"), Params: schemas.NewParams(1, 1, []float32{float32(math.NaN())})}, schemas.ErrNotFinite},
		{"model -Inf", &schemas.Model{Header: head("a"), Params: schemas.NewParams(1, 2, []float32{0, float32(math.Inf(-1))})}, schemas.ErrNotFinite},
		{"model 0 with parent", &schemas.Model{Header: head("a"), Params: one, Parent: digest}, schemas.ErrInvalid},
		{"model 1 without parent", &schemas.Model{Header: head("a"), Params: one, Version: 1}, schemas.ErrInvalid},
		{"model, log order", &schemas.Model{Header: head("a"), Params: one, Version: 1, Parent: digest, Applied: 9,
			Folded: []schemas.Folded{{Client: "a", K: 1, Seq: 3}, {Client: "b", K: 1, Seq: 3}}}, schemas.ErrInvalid},
		{"model, applied before folded", &schemas.Model{Header: head("a"), Params: one, Version: 1, Parent: digest, Applied: 2,
			Folded: []schemas.Folded{{Client: "a", K: 1, Seq: 3}}}, schemas.ErrInvalid},
		{"checkpoint without model", &schemas.Checkpoint{Header: head("a")}, schemas.ErrInvalid},
		{"checkpoint without time", &schemas.Checkpoint{Header: head("a"), Model: digest, Applied: 3}, schemas.ErrInvalid},
		{"checkpoint velocity", &schemas.Checkpoint{Header: head("a"), Model: digest, Velocity: make([]byte, 9)}, schemas.ErrInvalid},
		{"checkpoint members", &schemas.Checkpoint{Header: head("a"), Model: digest, Members: []schemas.MemberRecord{{ID: "b"}, {ID: "a"}}}, schemas.ErrInvalid},
		{"control 0", &schemas.Control{Header: head("a"), Event: schemas.EventStop}, schemas.ErrInvalid},
		{"control, no event", &schemas.Control{Header: head("a"), N: 1}, schemas.ErrInvalid},
		{"evict nobody", &schemas.Control{Header: head("a"), N: 1, Event: schemas.EventEvict}, schemas.ErrInvalid},
		{"deadline of one", &schemas.Control{Header: head("a"), N: 1, Event: schemas.EventDeadline, Client: "b"}, schemas.ErrInvalid},
		{"presence, no state", &schemas.Presence{Header: head("a")}, schemas.ErrInvalid},
		{"presence, modality", &schemas.Presence{Header: head("a"), State: schemas.StateJoin, Modality: "sound"}, schemas.ErrInvalid},
		{"note, accepted with reason", &schemas.Note{Header: head("a"), Client: "b", K: 1, Verdict: schemas.VerdictAccepted, Reason: schemas.ReasonStale}, schemas.ErrInvalid},
		{"note, refused without reason", &schemas.Note{Header: head("a"), Client: "b", K: 1, Verdict: schemas.VerdictRefused}, schemas.ErrInvalid},
		{"note, no verdict", &schemas.Note{Header: head("a"), Client: "b", K: 1}, schemas.ErrInvalid},
		{"dead, unknown reason", &schemas.Dead{Header: head("a"), Reason: "x.y"}, schemas.ErrInvalid},
	} {
		if err := c.body.Validate(); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
		key, _ := testKey(t, 1)
		if _, err := schemas.Seal(c.body, key); err == nil {
			t.Errorf("%s was sealed", c.name)
		}
	}
}
