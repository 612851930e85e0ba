package aggregator

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"dpfpl/mathx/agg"
	"dpfpl/schemas"
)

// Name is the sender of everything the role says.
const Name = "aggregator"

// Fold is the pure heart of the role: equal plans and equal logs give equal versions, bit for bit. It
// holds no key and signs nothing.
type Fold struct {
	plan *schemas.Plan
	gate gate
	rule rule

	version   uint64 // newest complete version
	params    []float32
	optimizer agg.Optimizer
	members   roster
	final     bool

	// The version being collected. A checkpoint is taken when both are empty.
	folded  []schemas.Folded
	overdue bool // its deadline has passed

	// The place in the log.
	applied     uint64
	appliedTime time.Time
	controls    uint64 // highest number seen

	ints     []int32 // scratch
	combined []int64 // scratch
}

// NewFold returns the fold at version 0, whose parameters are initial, l×d row-major. Errors: ErrPlan.
func NewFold(plan *schemas.Plan, initial []float32) (*Fold, error) {
	r, err := newRule(plan)
	if err != nil {
		return nil, err
	}
	dim := int(plan.Prompt.Context) * int(plan.Prompt.Width)
	if len(initial) != dim {
		return nil, fmt.Errorf("%w: %d initial parameters, want %d", ErrPlan, len(initial), dim)
	}
	f := &Fold{
		plan:      plan,
		gate:      newGate(plan),
		rule:      r,
		params:    slices.Clone(initial),
		optimizer: agg.Optimizer{Rate: plan.Server.Rate, Momentum: plan.Server.Momentum},
		members:   newRoster(plan),
		ints:      make([]int32, dim),
		combined:  make([]int64, dim),
	}
	if plan.Server.Momentum != 0 {
		f.optimizer.Velocity = make([]float64, dim)
	}
	return f, nil
}

// Check judges a log message by itself: signature, subject, shape, mechanism. It is most of the work of
// an update and safe for concurrent use. The error is nil or a *Refusal.
func (f *Fold) Check(m schemas.Message) error {
	_, err := f.Examine(m)
	return err
}

// Examine is Check, and also returns the digest of the sealed bytes, which are read once for both.
func (f *Fold) Examine(m schemas.Message) (digest [32]byte, err error) { return f.gate.check(m) }

// Apply takes in the next log message, with what Check said of it, and returns what follows, unsigned:
// a note, a dead letter, and the model when a version is complete (its Parent is left to the caller). A
// message at or before the last one is a repetition and changes nothing. After the final version nothing
// does.
func (f *Fold) Apply(m schemas.Message, checked error) []schemas.Body {
	if m.Seq <= f.applied || f.final {
		return nil
	}
	f.applied, f.appliedTime = m.Seq, m.Time

	kind, _, client, n, _ := schemas.ParseSubject(m.Subject)
	if kind == schemas.KindControl {
		f.controls = max(f.controls, n)
	}
	switch b := m.Body.(type) {
	case *schemas.Control:
		if checked == nil {
			return f.control(b)
		}
	case *schemas.Update:
		checked = f.collect(b, m.Seq, checked)
	}
	return append(f.verdict(m, kind, client, n, checked), f.advance()...)
}

// collect puts an update that passed the gate into the version being collected. The error is nil or a
// *Refusal: the gate's, or that of the version.
func (f *Fold) collect(u *schemas.Update, seq uint64, checked error) error {
	if refusal, ok := errors.AsType[*Refusal](checked); checked != nil && !(ok && refusal.authentic) {
		return checked
	}
	from := f.members.get(u.Sender)
	repeated := from.spend(u, f.version)
	switch {
	case checked != nil:
		return checked
	case u.Base > f.version:
		return refuse(schemas.ReasonFuture, "base %d, the newest version is %d", u.Base, f.version)
	case f.version-u.Base > uint64(f.plan.Rule.MaxStaleness):
		return refuse(schemas.ReasonStale, "base %d is %d versions old, want at most %d", u.Base, f.version-u.Base, f.plan.Rule.MaxStaleness)
	case repeated:
		return refuse(schemas.ReasonRepeat, "update %d on base %d repeats an earlier number or base", u.K, u.Base)
	case from.holds:
		return refuse(schemas.ReasonRepeat, "version %d already holds an update of this member", f.version+1)
	}
	tau := uint32(f.version - u.Base)
	weight := f.rule.weigh(tau)
	if err := f.rule.buffer.Add(u.Sum.Ints(f.ints), weight); err != nil {
		return refuse(schemas.ReasonShape, "%v", err)
	}
	from.holds = true
	from.MaxStaleness = max(from.MaxStaleness, tau)
	f.folded = append(f.folded, schemas.Folded{Client: u.Sender, K: u.K, Seq: seq, Staleness: tau, Weight: weight})
	return nil
}

// control takes in a control message that passed the gate.
func (f *Fold) control(c *schemas.Control) []schemas.Body {
	switch c.Event {
	case schemas.EventDeadline:
		f.overdue = f.overdue || c.Version == f.version+1
	case schemas.EventAdmit, schemas.EventEvict:
		if m := f.members.get(c.Client); m != nil {
			m.Active = c.Event == schemas.EventAdmit
		}
	case schemas.EventStop:
		return f.finish()
	}
	return f.advance()
}

// advance ends the version being collected if it is complete or can no longer be.
func (f *Fold) advance() []schemas.Body {
	n, least := len(f.folded), f.rule.least
	switch {
	case n > 0 && n == f.rule.size, n >= least && (f.overdue || !f.awaits(1, true)):
		return f.complete(false)
	case n < least && !f.awaits(least-n, false):
		return f.abandon(false)
	}
	return nil
}

// awaits reports whether at least n members, or active members, may still add to the version being
// collected.
func (f *Fold) awaits(n int, active bool) bool {
	for i := range f.members {
		m := &f.members[i]
		if (m.Active || !active) && m.owes(f.version, f.plan.Updates) {
			if n--; n == 0 {
				return true
			}
		}
	}
	return false
}

// finish ends the run with one last version, of what has been collected if that is enough.
func (f *Fold) finish() []schemas.Body {
	if len(f.folded) < f.rule.least {
		return f.abandon(true)
	}
	return f.complete(true)
}

// abandon drops what has been collected and publishes a version with unchanged parameters, from which
// everybody may begin anew.
func (f *Fold) abandon(final bool) []schemas.Body {
	f.rule.buffer.Reset()
	f.folded = nil
	return f.publish(final)
}

// complete makes the collected updates the next version.
func (f *Fold) complete(final bool) []schemas.Body {
	divisor, err := f.rule.buffer.Combine(f.combined)
	if err != nil {
		panic(err) // least is never below what the buffer needs
	}
	f.optimizer.Step(f.params, f.combined, agg.Scale(f.gate.step, divisor, f.plan.Privacy.Batch))
	return f.publish(final)
}

// publish begins the next version. The run is over with version T, and when too few members have an
// update left for another one.
func (f *Fold) publish(final bool) []schemas.Body {
	f.version++
	for i := range f.members {
		f.members[i].holds = false
	}
	f.final = final || f.version == uint64(f.plan.Versions) || !f.awaits(f.rule.least, false)
	m := f.model()
	m.Folded = f.folded
	f.folded, f.overdue = nil, false
	return []schemas.Body{m}
}

// model returns the newest complete version without Parent and Folded.
func (f *Fold) model() *schemas.Model {
	return &schemas.Model{
		Header:  f.header(),
		Version: f.version,
		Params:  schemas.NewParams(int(f.plan.Prompt.Context), int(f.plan.Prompt.Width), f.params),
		Applied: f.applied,
		Final:   f.final,
	}
}

func (f *Fold) header() schemas.Header {
	return schemas.Header{Version: schemas.Version, Run: f.plan.Run, Sender: Name}
}

// Version returns the newest complete version.
func (f *Fold) Version() uint64 { return f.version }

// Final reports whether the run is over.
func (f *Fold) Final() bool { return f.final }
