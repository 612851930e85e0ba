package audit

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/rs/zerolog"

	"dpfpl/broker"
	"dpfpl/mathx/clip"
	"dpfpl/mathx/dp"
	"dpfpl/mathx/prompt"
	"dpfpl/schemas"
	"dpfpl/testbed/internal/federation"
	"dpfpl/testbed/internal/report"
	"dpfpl/testbed/internal/seeded"
)

// OneRunOptions choose the federation that is audited.
type OneRunOptions struct {
	Clients    int
	Canaries   int     // over all clients; a multiple of 8
	Steps      int     // of each client
	Rate       float64 // q
	Epsilon    float64 // budget by Rényi divergence, for which the noise is calibrated
	Delta      float64
	Share      float64 // of the canaries about which the attacker guesses, fixed beforehand
	Confidence float64 // of the lower bound
	Seed       uint64  // of the coins that decide which canaries take part
	Plant      string  // Honest, HalfNoise or NoNoise
	Seeded     bool    // noise from the seed, for tests that must not depend on chance
}

// OneRunPlants lists what can be planted in a whole federation.
func OneRunPlants() []string { return []string{Honest, HalfNoise, NoNoise} }

// Check reports an option outside its domain. Error: ErrOptions.
func (o *OneRunOptions) Check() error {
	for _, c := range []struct {
		ok    bool
		flag  string
		value any
		want  string
	}{
		{o.Clients >= 1 && o.Clients <= 100, "clients", o.Clients, "1 to 100"},
		{o.Canaries >= 64 && o.Canaries <= 8192 && o.Canaries%rows == 0, "canaries", o.Canaries, "a multiple of 8 from 64 to 8192"},
		{o.Canaries >= 8*o.Clients, "canaries", o.Canaries, "at least 8 for each client"},
		{o.Steps >= 1 && o.Steps <= 1000, "steps", o.Steps, "1 to 1000"},
		{o.Rate > 0 && o.Rate <= 1, "rate", o.Rate, "more than 0, at most 1"},
		{o.Epsilon > 0 && o.Epsilon <= 100, "epsilon", o.Epsilon, "more than 0, at most 100"},
		{o.Delta >= 1e-10 && o.Delta < 1, "delta", o.Delta, "from 1e-10 up to, but without, 1"},
		{o.Share > 0 && o.Share <= 1, "share", o.Share, "more than 0, at most 1"},
		{o.Confidence > 0.5 && o.Confidence < 1, "confidence", o.Confidence, "between 0.5 and 1"},
		{slices.Contains(OneRunPlants(), o.Plant), "plant", o.Plant, "none, half-noise or no-noise for a whole federation"},
	} {
		if !c.ok {
			return fmt.Errorf("%w: --%s %v: want %s", ErrOptions, c.flag, c.value, c.want)
		}
	}
	return nil
}

// OneRunResult holds what an attacker proved lost against what the accountant allows.
type OneRunResult struct {
	Plant      string        `json:"plant"`
	Clients    int           `json:"clients"`
	Canaries   int           `json:"canaries"`
	Included   int           `json:"included"`
	Steps      int           `json:"steps"` // most that a client took
	Updates    int           `json:"updates"`
	Versions   uint64        `json:"versions"`
	Rate       float64       `json:"rate"`
	Delta      float64       `json:"delta"`
	Z          float64       `json:"z"` // claimed, joint
	Confidence float64       `json:"confidence"`
	EpsilonRDP report.Number `json:"epsilon_rdp"` // accounted for the claimed noise
	EpsilonPLD report.Number `json:"epsilon_pld"`
	Artefacts  []Artefact    `json:"artefacts"` // everything together last
	// Cap is the bound if every guess were right: what the audit can prove at the most.
	Cap report.Number `json:"cap"`

	Accepted bool `json:"accepted"` // no lower bound exceeds the accounted epsilon
	// Alive: at q = 1, the attack on everything proves at least Liveness of the accounted epsilon. A dead audit
	// would accept anything.
	Alive bool `json:"alive"`
}

// Liveness is the least share of the accounted epsilon that a working attack proves at q = 1.
const Liveness = 0.35

// Artefact is the attack on one thing that others see.
type Artefact struct {
	Name       string        `json:"name"`
	Guesses    int           `json:"guesses"`
	Right      int           `json:"right"`
	LowerBound report.Number `json:"lower_bound"`
}

// OneRun runs a federation once, through the real clients, broker and aggregator, with canaries as its only
// records, and attacks what it published. Canary j has a gradient of exactly the clip norm along coordinate
// j of the global prompt and belongs to client j mod Clients; a fair coin decides whether it takes part. Run it
// in virtual time, as clients pause between steps. Errors: ErrOptions, and the federation's.
func OneRun(ctx context.Context, o OneRunOptions) (*OneRunResult, error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	e, err := newExperiment(o)
	if err != nil {
		return nil, err
	}
	if err := e.run(ctx); err != nil {
		return nil, err
	}
	return e.result()
}

// rows is the number of context vectors. The factors have that rank as well: then u is square, and the local
// prompt moves along a canary's own coordinate as the global one does.
const rows = 8

const (
	runName = "canaries"
	pace    = 400 * time.Millisecond // of a step, in virtual time
)

// How the joint noise is shared: 1/z² of the groups u, v and global as shares of the whole. u's release adds
// nothing to what the coordinates of v and of the global prompt say about a canary, so it gets little.
var split = [3]float64{0.02, 0.49, 0.49}

// experiment is a federation of canaries.
type experiment struct {
	OneRunOptions
	z       float64 // claimed, joint
	ids     []string
	plan    federation.PlanFile
	in      []bool // does canary j take part?
	outcome *federation.Outcome

	updates  int
	versions uint64
	wire     []float64 // sums of what each canary's client sent at its coordinate
	first    []float32 // published global prompts
	last     []float32
}

func newExperiment(o OneRunOptions) (*experiment, error) {
	z, err := dp.CalibrateRDP(dp.Budget{Epsilon: o.Epsilon, Delta: o.Delta, Q: o.Rate, Steps: uint64(o.Steps)})
	if err != nil {
		return nil, fmt.Errorf("%w: --epsilon %v: %w", ErrOptions, o.Epsilon, err)
	}
	e := &experiment{OneRunOptions: o, z: z, in: make([]bool, o.Canaries), wire: make([]float64, o.Canaries)}
	for c := range o.Clients {
		e.ids = append(e.ids, fmt.Sprintf("client-%03d", c+1))
	}
	coins := seeded.Source(o.Seed, "canaries", "", 0)
	for j := range e.in {
		e.in[j] = coins.Uint64()&1 == 1
	}
	e.makePlan()
	return e, nil
}

// makePlan sets up buffered, asynchronous aggregation with as many versions as all clients' steps can fill.
func (e *experiment) makePlan() {
	p := federation.DefaultPlan("canaries", e.Clients, pace)
	p.Method.Rank, p.Prompt.Context, p.Prompt.Std = rows, rows, 1e-6
	p.Prompt.Width = uint16(e.Canaries / rows)
	p.Updates = uint32(e.Steps)
	p.Versions = uint32(e.Steps*e.Clients) / p.Rule.Buffer
	p.Seed = e.Seed
	p.Privacy = schemas.PrivacyPlan{
		Noise: schemas.NoiseClient, Adjacency: dp.ZeroOut.String(), Epsilon: e.Epsilon, Delta: e.Delta,
		Rate: e.Rate, Batch: max(1, e.Rate*float64(e.Canaries)/float64(2*e.Clients)), ClipU: 1, ClipV: 1, ClipG: 1,
		ZU: e.z / math.Sqrt(split[0]), ZV: e.z / math.Sqrt(split[1]), ZG: e.z / math.Sqrt(split[2]),
	}
	switch v := &p.Privacy; e.Plant {
	case HalfNoise: // the plan must admit to it, or the clients refuse; the claim does not
		v.ZU, v.ZV, v.ZG = v.ZU/2, v.ZV/2, v.ZG/2
		v.Epsilon *= 10
	case NoNoise:
		v.Noise, v.Epsilon, v.Delta, v.ZU, v.ZV, v.ZG = schemas.NoiseNone, 0, 0, 0, 0, 0
	}
	e.plan = p
}

// run runs the federation.
func (e *experiment) run(ctx context.Context) error {
	keys, err := e.keys()
	if err != nil {
		return err
	}
	model := &clip.Model{Digest: strings.Repeat("0", 64), LogitScale: LogitScale}
	towers := map[string]*Tower{}
	var parties []federation.Party
	for c, behaviour := range federation.Behaviours(e.Clients, 0, pace) {
		tower, records := e.cage(c)
		towers[e.ids[c]] = tower
		parties = append(parties, federation.Party{ID: e.ids[c], Train: records, Behaviour: behaviour})
	}
	e.outcome, err = federation.Run(ctx, federation.Config{
		Plan: e.settled(keys, model), Keys: keys, Model: model, Parties: parties,
		Encoder: func(id string) (prompt.TextEncoder, error) { return towers[id], nil },
		Seeded:  e.Seeded, Export: e.read, Log: zerolog.Nop(),
	})
	return err
}

func (e *experiment) keys() (*federation.Keys, error) {
	if e.Seeded {
		return federation.SeededKeys(e.ids, e.Seed)
	}
	return federation.FreshKeys(e.ids)
}

// settled joins the plan with those who take part.
func (e *experiment) settled(keys *federation.Keys, model *clip.Model) *schemas.Plan {
	p := e.plan
	plan := &schemas.Plan{
		Header: schemas.Header{Version: schemas.Version, Run: runName, Sender: "operator"},
		Method: p.Method, Prompt: p.Prompt, Rule: p.Rule, Server: p.Server, Privacy: p.Privacy, Presence: p.Presence,
		Classes: []string{"in", "out"}, Backbone: model.Digest, Versions: p.Versions, Updates: p.Updates, Seed: p.Seed,
		Aggregator: federation.Public(keys.Aggregator), Operator: federation.Public(keys.Operator),
	}
	for _, id := range e.ids {
		plan.Members = append(plan.Members, schemas.Member{ID: id, Key: federation.Public(keys.Clients[id])})
	}
	return plan
}

// cage is client c's text tower and those of its canaries that take part.
func (e *experiment) cage(c int) (*Tower, []prompt.Example) {
	var script []Gradient
	var in []bool
	for j := c; j < e.Canaries; j += e.Clients {
		script = append(script, Gradient{Axis: j, Size: 1})
		in = append(in, e.in[j])
	}
	tower := NewTower(rows, e.Canaries/rows, script)
	var records []prompt.Example
	for i, r := range tower.Records() {
		if in[i] {
			records = append(records, r)
		}
	}
	return tower, records
}

// read takes in what was published.
func (e *experiment) read(ctx context.Context, conn *broker.Conn) error {
	for m, err := range conn.ReadLog(ctx, runName, 1) {
		if err := cmp.Or(err, m.Err); err != nil {
			return err
		}
		if u, ok := m.Body.(*schemas.Update); ok {
			e.updates++
			ints := u.Sum.Ints(nil)
			for j := slices.Index(e.ids, u.Sender); j < e.Canaries; j += e.Clients {
				e.wire[j] += float64(ints[j]) * u.Sum.Step
			}
		}
	}
	for m, err := range conn.ReadModels(ctx, runName) {
		if err := cmp.Or(err, m.Err); err != nil {
			return err
		}
		b := m.Body.(*schemas.Model)
		e.last, e.versions = b.Params.Floats(nil), b.Version
		if e.first == nil {
			e.first = e.last
		}
	}
	return nil
}
