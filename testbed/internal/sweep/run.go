package sweep

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/rs/zerolog"

	"dpfpl/broker/brokertest"
	"dpfpl/mathx/prompt"
	"dpfpl/schemas"
	"dpfpl/testbed/internal/data"
	"dpfpl/testbed/internal/federation"
	"dpfpl/testbed/internal/report"
)

// last is how many versions at the end are measured: ten, as in the paper, or a fifth of them if that is fewer.
func last(versions uint64) uint64 { return min(10, max(1, versions/5)) }

// run runs a cell. It uses NATS, so nothing else in the process may meanwhile.
func (b *bench) run(ctx context.Context, c *Cell) (*report.Trial, error) {
	began := time.Now()
	s, err := b.source(ctx, c.Source, c.Seed)
	if err != nil {
		return nil, err
	}
	t := b.describe(c, s)
	if c.Method != report.ControlZeroShot {
		if err := b.federate(ctx, c, s, t); err != nil {
			return nil, fmt.Errorf("%s: %w", c.ID(), err)
		}
	}
	t.Seconds = report.Number(time.Since(began).Seconds())
	return t, nil
}

// describe is a trial before it is run; the zero-shot control is complete then.
func (b *bench) describe(c *Cell, s *source) *report.Trial {
	local, neighbour := column(s.zeroShot, 0), column(s.zeroShot, 1)
	t := b.grid.trial(c)
	t.Clients, t.ZeroShotLocal, t.ZeroShotNeighbour = len(s.set.Clients), local, neighbour
	if c.Method == report.ControlZeroShot {
		t.Local, t.Neighbour = []report.Number{local}, []report.Number{neighbour}
	}
	return t
}

// column is the mean over rows of one column, NaN left out.
func column(rows [][]float64, at int) report.Number {
	sum, n := 0.0, 0
	for _, r := range rows {
		if !math.IsNaN(r[at]) {
			sum += r[at]
			n++
		}
	}
	return report.Number(sum / float64(n))
}

// federate runs the cell's federation in virtual time and takes its figures.
func (b *bench) federate(ctx context.Context, c *Cell, s *source, t *report.Trial) error {
	p, err := b.plan(c, s.set)
	if err != nil {
		return err
	}
	plan, keys := p.plan, p.keys
	parties := slices.Clone(s.parties)
	for i, behaviour := range federation.Cast(c.Cast, len(parties), uint64(plan.Versions), b.grid.Pace) {
		parties[i].Behaviour = behaviour
	}
	versions, course := uint64(c.Setting.Versions), uint64(c.Setting.Course)
	cfg := federation.Config{
		Plan: plan, Keys: keys, Model: b.model, Names: s.names, Parties: parties,
		Seeded: true, NoiseOnly: c.NoiseOnly, Prune: b.grid.Prune, Log: zerolog.Nop(),
		Evaluate: func(v uint64) bool { return v+last(versions) > versions || course > 0 && v%course == 0 },
	}
	var outcome *federation.Outcome
	var began time.Time
	err = brokertest.VirtualTime(func(inside context.Context) error {
		inside, cancel := brokertest.Linked(inside, ctx)
		defer cancel()
		began = time.Now()
		outcome, err = federation.Run(inside, cfg)
		return err
	})
	if err != nil {
		return err
	}
	take(t, outcome, began, versions, course)
	return account(t, c, &p.file, outcome, b.model.Text.Config().Width)
}

// planned is a cell's plan.
type planned struct {
	file federation.PlanFile
	plan *schemas.Plan
	keys *federation.Keys
}

func (b *bench) plan(c *Cell, set *data.Set) (*planned, error) {
	keys, err := federation.SeededKeys(set.IDs(), c.Seed)
	if err != nil {
		return nil, err
	}
	file, err := b.grid.planFile(c, set, b.model.Text.Config().Width)
	if err != nil {
		return nil, fmt.Errorf("plan: %w", err)
	}
	plan, err := file.Plan(fmt.Sprintf("%s-%d", b.grid.Name, c.Seed), set, b.model, keys)
	if err != nil {
		return nil, fmt.Errorf("plan: %w", err)
	}
	return &planned{file, plan, keys}, nil
}

// take fills in the accuracies. At every version it is each client's newest measurement that counts, since under a rule
// that does not wait a client may skip versions.
func take(t *report.Trial, o *federation.Outcome, began time.Time, versions, course uint64) {
	newest := map[int][]float64{}
	for from := 0; from < len(o.Evaluations); {
		v := o.Evaluations[from].Version
		first := o.Evaluations[from].At
		to := from
		for ; to < len(o.Evaluations) && o.Evaluations[to].Version == v; to++ {
			e := o.Evaluations[to]
			newest[e.Party] = []float64{e.Local, e.Neighbour}
			if e.At.Before(first) {
				first = e.At
			}
		}
		from = to
		var rows [][]float64
		for p := range o.Parties {
			if newest[p] != nil {
				rows = append(rows, newest[p])
			}
		}
		local, neighbour := column(rows, 0), column(rows, 1)
		if v+last(versions) > versions {
			t.Local, t.Neighbour = append(t.Local, local), append(t.Neighbour, neighbour)
		}
		if course > 0 {
			t.Course = append(t.Course, report.Moment{Version: int(v), Seconds: report.Number(first.Sub(began).Seconds()), Local: local, Neighbour: neighbour})
		}
	}
}

// account fills in what a record really lost.
func account(t *report.Trial, c *Cell, file *federation.PlanFile, o *federation.Outcome, width int) error {
	if c.Epsilon.None() {
		return nil
	}
	if c.Mode == prompt.Paper {
		rdp, pld, err := trueEpsilon(&file.File, width)
		t.EpsilonRDP, t.EpsilonPLD = report.Number(rdp), report.Number(pld)
		return err
	}
	rdp, pld := 0.0, 0.0
	for _, p := range o.Parties {
		rdp, pld = math.Max(rdp, p.EpsilonRDP), math.Max(pld, p.EpsilonPLD)
	}
	t.EpsilonRDP, t.EpsilonPLD = report.Number(rdp), report.Number(pld)
	return nil
}
