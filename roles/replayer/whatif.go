package replayer

import (
	"fmt"
	"math"
	"slices"

	"dpfpl/schemas"
)

// Change is what a what-if changes. At least one field is set; Without and Only exclude each other.
type Change struct {
	Without string            // leave this member out
	Only    string            // leave all other members out
	Rule    *schemas.RulePlan // aggregate by this rule
}

// Row is what a what-if says of one recorded version.
type Row struct {
	Version    uint64  // recorded
	Seq        uint64  // of the log, with which it was complete
	Other      uint64  // the what-if's newest version at that place in the log
	Norm       float64 // of the recorded parameters
	Difference float64 // norm of the what-if's parameters minus the recorded ones
	Score      float64 // of the what-if, NaN without a score function
	Recorded   float64 // score of the recorded parameters, NaN without a score function
}

// Outcome is what a what-if gives.
type Outcome struct {
	Plan    *schemas.Plan // of the run
	Privacy string        // what asking cost, in a sentence
	Tally
	Rows []Row
}

// NewScore makes a function that rates the parameters of a plan's prompt, l×d row-major, for example by accuracy.
type NewScore func(plan *schemas.Plan) (func(params []float32) float64, error)

// WhatIf aggregates the updates of a run once more under a change, up to version until unless that is 0,
// and compares with the recorded versions at the same place in the log. An update keeps its place, and
// its base becomes the version that the what-if had when the recorded base was complete; so staleness is
// counted in the what-if's own versions. A recorded deadline counts for the version that the what-if is
// collecting then. Gradients are those of the recorded prompts: the answer is exact for the first version
// and a first-order one after. newScore, if not nil, makes what rates both. Errors: ErrSource, ErrChange,
// and those of the source, newFold and newScore; the outcome then says how far it came.
func WhatIf(src Source, newFold NewFold, change Change, until uint64, newScore NewScore) (Outcome, error) {
	r, err := begin(src)
	if err != nil {
		return Outcome{}, err
	}
	defer r.stop()
	plan, err := change.apply(r.plan)
	if err != nil {
		return Outcome{}, err
	}
	params := r.first.Params.Floats(nil)
	fold, err := newFold(plan, params)
	if err != nil {
		return Outcome{}, fmt.Errorf("%w: %w", ErrChange, err)
	}
	score := func([]float32) float64 { return math.NaN() }
	if newScore != nil {
		if score, err = newScore(r.plan); err != nil {
			return Outcome{}, err
		}
	}
	w := whatIf{
		outcome: Outcome{Plan: r.plan, Privacy: privacy(r.plan)}, plan: plan, score: score,
		params: params, bases: map[uint64]uint64{0: 0},
	}
	for it, err := range ahead(r.rest, fold.Examine) {
		if err != nil {
			return w.outcome, err
		}
		if it.log() {
			if !w.leftOut(it.Subject) {
				w.take(fold, it)
			}
			continue
		}
		if m, ok := it.Body.(*schemas.Model); ok {
			if w.compare(m); until > 0 && m.Version >= until {
				break
			}
		}
	}
	return w.outcome, nil
}

// apply returns the plan of the what-if.
func (c Change) apply(recorded *schemas.Plan) (*schemas.Plan, error) {
	p := *recorded
	for _, id := range []string{c.Without, c.Only} {
		if id != "" && !isMember(&p, id) {
			return nil, fmt.Errorf("%w: %q is not a member", ErrChange, id)
		}
	}
	switch {
	case c == Change{}:
		return nil, fmt.Errorf("%w: nothing is to change", ErrChange)
	case c.Without != "" && c.Only != "":
		return nil, fmt.Errorf("%w: either without a member or with only one", ErrChange)
	case c.Only != "" || c.Without != "":
		p.Members = slices.DeleteFunc(slices.Clone(p.Members), func(m schemas.Member) bool {
			return m.ID == c.Without || c.Only != "" && m.ID != c.Only
		})
	}
	if len(p.Members) == 0 {
		return nil, fmt.Errorf("%w: without %q nobody is left", ErrChange, c.Without)
	}
	if c.Rule != nil {
		p.Rule = *c.Rule
	}
	n := uint32(len(p.Members))
	p.Rule.Buffer, p.Rule.Quorum = min(p.Rule.Buffer, n), min(p.Rule.Quorum, n)
	p.Versions = math.MaxUint32 // the log decides where it ends
	return &p, nil
}

func privacy(p *schemas.Plan) string {
	switch {
	case p.Privacy.Noise == schemas.NoiseNone:
		return "This run promised no privacy: its updates carry no noise."
	case p.Method.Mode == "paper":
		return "This run promised no privacy: it clipped the gradients of batches and not of records."
	}
	return "This costs no privacy: every update was noised by its client before it was logged."
}

type whatIf struct {
	outcome Outcome
	plan    *schemas.Plan
	score   func([]float32) float64
	version uint64
	params  []float32
	bases   map[uint64]uint64 // our version by the recorded one
}

// leftOut reports whether a log message comes from a member of the run that the what-if leaves out.
func (w *whatIf) leftOut(subject string) bool {
	_, _, client, _, _ := schemas.ParseSubject(subject)
	return isMember(w.outcome.Plan, client) && !isMember(w.plan, client)
}

func isMember(p *schemas.Plan, id string) bool {
	return slices.ContainsFunc(p.Members, func(m schemas.Member) bool { return m.ID == id })
}

// take gives a log message to the fold, as the what-if sees it.
func (w *whatIf) take(fold Fold, it *item) {
	m := it.Message
	if it.checked == nil {
		switch b := m.Body.(type) {
		case *schemas.Update:
			u := *b
			u.Base = math.MaxUint64 // never recorded
			if base, ok := w.bases[b.Base]; ok {
				u.Base = base
			}
			m.Body = &u
		case *schemas.Control:
			c := *b
			c.Version = w.version + 1
			m.Body = &c
		}
	}
	for _, model := range w.outcome.take(m, fold.Apply(m, it.checked)) {
		w.version = model.Version
		model.Params.Floats(w.params)
	}
}

// compare adds the row of a recorded version.
func (w *whatIf) compare(m *schemas.Model) {
	recorded := m.Params.Floats(nil)
	w.bases[m.Version] = w.version
	w.outcome.Rows = append(w.outcome.Rows, Row{
		Version: m.Version, Seq: m.Applied, Other: w.version,
		Norm: norm(recorded), Difference: distance(w.params, recorded),
		Score: w.score(w.params), Recorded: w.score(recorded),
	})
}
