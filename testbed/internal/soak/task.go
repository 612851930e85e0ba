package soak

import (
	"fmt"
	"strings"
	"time"

	"dpfpl/mathx/dp"
	"dpfpl/mathx/prompt"
	"dpfpl/schemas"
	"dpfpl/testbed/internal/audit"
	"dpfpl/testbed/internal/federation"
	"dpfpl/testbed/internal/seeded"
)

// The task: a small prompt, and records each of which pulls along one coordinate of it.
const (
	runName = "soak"
	rows    = 4    // l
	width   = 16   // d
	updates = 1000 // N
)

// lease is how long a silent leader keeps the lease.
const lease = time.Second

// model is the digest of the frozen model that there is none of.
var model = strings.Repeat("0", 64)

func clientName(i int) string { return fmt.Sprintf("client-%d", i+1) }

// keys follow from the seed, so that every process knows its own. They guard nothing but this run.
func keys(seed uint64, clients int) (*federation.Keys, error) {
	var ids []string
	for i := range clients {
		ids = append(ids, clientName(i))
	}
	return federation.SeededKeys(ids, seed)
}

// newPlan is the run's plan: buffered asynchronous aggregation with a deadline, presence at a fast beat, more
// versions than a soak reaches, noise for epsilon 8 over all N updates.
func newPlan(seed uint64, clients int, k *federation.Keys) (*schemas.Plan, error) {
	file := federation.DefaultPlan("", clients, 250*time.Millisecond)
	file.Method.Rank, file.Prompt.Context = 2, rows
	file.Privacy.Rate, file.Privacy.Batch = 0.25, 8
	file.Rule.Buffer, file.Rule.Deadline, file.Rule.MaxStaleness = uint32(clients+1)/2, time.Second, 10
	file.Presence = schemas.TimingPlan{Heartbeat: 500 * time.Millisecond, Silence: 2 * time.Second}
	file.Updates, file.Versions, file.Seed = updates, 1<<20, seed
	if err := file.Settle(clients, width); err != nil {
		return nil, err
	}
	plan := &schemas.Plan{
		Header: schemas.Header{Version: schemas.Version, Run: runName, Sender: "operator"},
		Method: file.Method, Prompt: file.Prompt, Rule: file.Rule, Server: file.Server, Privacy: file.Privacy, Presence: file.Presence,
		Classes: []string{"in", "out"}, Backbone: model, Versions: file.Versions, Updates: file.Updates, Seed: seed,
		Aggregator: federation.Public(k.Aggregator), Operator: federation.Public(k.Operator),
	}
	for i := range clients {
		id := clientName(i)
		plan.Members = append(plan.Members, schemas.Member{ID: id, Key: federation.Public(k.Clients[id])})
	}
	return plan, plan.Validate()
}

// initial is version 0 of the global prompt.
func initial(p *schemas.Plan) []float32 {
	return prompt.RandomContext(rows, width, p.Prompt.Std, seeded.Source(p.Seed, "global prompt", "", 0))
}

// newTower makes the text tower and the records of a client.
func newTower() (*audit.Tower, []prompt.Example) {
	script := make([]audit.Gradient, rows*width)
	for i := range script {
		script[i] = audit.Gradient{Axis: i, Size: 1}
	}
	tower := audit.NewTower(rows, width, script)
	return tower, tower.Records()
}

// adjacency is the plan's; a plan that validates has one.
func adjacency(p *schemas.Plan) dp.Adjacency {
	a, err := dp.ParseAdjacency(p.Privacy.Adjacency)
	if err != nil {
		panic("soak: " + err.Error())
	}
	return a
}
