package federation

import (
	"time"

	"dpfpl/mathx/clip"
	"dpfpl/roles/planfile"
	"dpfpl/schemas"
	"dpfpl/testbed/internal/data"
)

// PlanFile is a plan on disk: what the main job may be told beside its flags.
type PlanFile struct {
	planfile.File `yaml:",inline"`
}

// DefaultPlan is the main job's plan for a data set and so many clients, whose steps take about pace.
func DefaultPlan(set string, clients int, pace time.Duration) PlanFile {
	p := PlanFile{planfile.FromRandom(clients, pace)}
	p.Privacy.Batch = expectedBatch[set]
	return p
}

// expectedBatch is what the default sampling rate draws on average from a client of each built-in set.
var expectedBatch = map[string]float64{"emoji": 49, "fashion": 100}

// Plan joins the file with the members, their keys, the classes and the model.
func (p *PlanFile) Plan(run string, set *data.Set, model *clip.Model, keys *Keys) (*schemas.Plan, error) {
	plan := &schemas.Plan{
		Header: schemas.Header{Version: schemas.Version, Run: run, Sender: "operator"},
		Method: p.Method, Prompt: p.Prompt, Rule: p.Rule, Server: p.Server, Privacy: p.Privacy, Presence: p.Presence,
		Classes: set.Classes, Backbone: model.Digest, Versions: p.Versions, Updates: p.Updates, Seed: p.Seed,
		Aggregator: Public(keys.Aggregator), Operator: Public(keys.Operator),
	}
	for _, c := range set.Clients {
		plan.Members = append(plan.Members, schemas.Member{ID: c.ID, Key: Public(keys.Clients[c.ID])})
	}
	return plan, plan.Validate()
}
