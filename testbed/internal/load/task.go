package load

import (
	"fmt"
	"math/rand/v2"
	"strings"

	"dpfpl/schemas"
	"dpfpl/testbed/internal/federation"
	"dpfpl/testbed/internal/seeded"
)

// rows is l; the width follows from the payload.
const rows = 16

// task is who publishes what.
type task struct {
	Options
	ids  []string
	keys *federation.Keys
}

func newTask(o Options) (*task, error) {
	t := &task{Options: o}
	for i := range o.Clients {
		t.ids = append(t.ids, fmt.Sprintf("client-%06d", i+1))
	}
	var err error
	t.keys, err = federation.SeededKeys(t.ids, o.Seed)
	return t, err
}

// plan is that of one run: buffered aggregation, until every client has given its one update. Nothing is noised: what
// is measured does not depend on what the numbers are.
func (t *task) plan(run string) (*schemas.Plan, error) {
	p := &schemas.Plan{
		Header:  schemas.Header{Version: schemas.Version, Run: run, Sender: "operator"},
		Method:  schemas.MethodPlan{Name: "promptfl", Mode: "corrected", Rate: 1},
		Prompt:  schemas.PromptPlan{Context: rows, Width: uint16(t.Payload / 4 / rows), Init: "random", Std: 0.02},
		Rule:    schemas.RulePlan{Name: "fedbuff", Buffer: uint32(t.Buffer), MaxStaleness: uint32(t.Clients)},
		Server:  schemas.ServerPlan{Rate: 1},
		Privacy: schemas.PrivacyPlan{Noise: schemas.NoiseNone, Rate: 1, Batch: 1, ClipG: 1},
		Classes: []string{"cat", "dog"}, Backbone: strings.Repeat("0", 64),
		Versions: uint32(t.Clients / t.Buffer), Updates: 1, Seed: t.Seed,
		Aggregator: federation.Public(t.keys.Aggregator), Operator: federation.Public(t.keys.Operator),
	}
	for _, id := range t.ids {
		p.Members = append(p.Members, schemas.Member{ID: id, Key: federation.Public(t.keys.Clients[id])})
	}
	return p, p.Validate()
}

// initial is version 0 of the global prompt.
func initial(p *schemas.Plan) []float32 {
	return make([]float32, int(p.Prompt.Context)*int(p.Prompt.Width))
}

// parcel is one update ready to be sent.
type parcel struct {
	subject string
	raw     []byte
}

// seal makes every client's update for a run.
func (t *task) seal(p *schemas.Plan) ([]parcel, error) {
	r := rand.New(seeded.Source(t.Seed, "updates", p.Run, 0))
	ints := make([]int32, int(p.Prompt.Context)*int(p.Prompt.Width))
	parcels := make([]parcel, len(t.ids))
	for i, id := range t.ids {
		for j := range ints {
			ints[j] = r.Int32N(1<<20) - 1<<19
		}
		u := &schemas.Update{
			Header: schemas.Header{Version: schemas.Version, Run: p.Run, Sender: id}, K: 1,
			Sum:       schemas.NewLattice(int(p.Prompt.Context), int(p.Prompt.Width), p.Privacy.ClipG/65536, ints),
			Mechanism: schemas.Mechanism{Noise: p.Privacy.Noise, Rate: p.Privacy.Rate},
		}
		raw, err := schemas.Seal(u, t.keys.Clients[id])
		if err != nil {
			return nil, err
		}
		parcels[i] = parcel{schemas.Subject(u), raw}
	}
	return parcels, nil
}
