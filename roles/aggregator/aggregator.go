package aggregator

import (
	"fmt"
	"time"

	"dpfpl/schemas"
)

// Aggregator is the role: the fold, its signature, and the watch over presence and time. It is not safe for
// concurrent use.
type Aggregator struct {
	config Config
	gate   gate
	fold   *Fold
	watch  *watch
	parent [32]byte // digest of the newest sealed model
	chain  [32]byte // over the log so far
}

// New returns an aggregator that waits for Restore. Errors: ErrPlan.
func New(c Config) (*Aggregator, error) {
	if err := c.validate(); err != nil {
		return nil, err
	}
	if _, err := NewFold(c.Plan, c.Initial); err != nil {
		return nil, err
	}
	return &Aggregator{config: c, gate: newGate(c.Plan)}, nil
}

// Restore puts the aggregator where checkpoint was taken, forgetting everything since, and returns
// nothing; or at the beginning when both messages are zero, and returns model 0 with its checkpoint.
// Errors: ErrRestore.
func (a *Aggregator) Restore(now time.Time, checkpoint, model schemas.Message) ([]schemas.Message, error) {
	fold, err := NewFold(a.config.Plan, a.config.Initial)
	if err != nil {
		return nil, err
	}
	fresh := checkpoint.Body == nil && checkpoint.Err == nil && model.Body == nil && model.Err == nil
	if !fresh {
		if err := a.resume(fold, checkpoint, model); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrRestore, err)
		}
		a.parent = schemas.Digest(model.Raw)
		a.chain = checkpoint.Body.(*schemas.Checkpoint).Chain
	}
	a.fold = fold
	a.watch = newWatch(a.config, now, fold)
	if !fresh {
		return nil, nil
	}
	a.parent, a.chain = [32]byte{}, [32]byte{}
	return a.release(now, fold.model())
}

// resume holds a checkpoint and its model against the plan, the aggregator's own signature and each other.
func (a *Aggregator) resume(fold *Fold, checkpoint, model schemas.Message) error {
	for _, m := range []schemas.Message{checkpoint, model} {
		if m.Err != nil {
			return m.Err
		}
		if m.Body == nil {
			return fmt.Errorf("a checkpoint and its model belong together, one is missing")
		}
		if run := m.Body.Head().Run; run != a.config.Plan.Run {
			return fmt.Errorf("%v of run %q, want %q", m.Body.Kind(), run, a.config.Plan.Run)
		}
		if err := schemas.Verify(m.Raw, a.config.Plan.Aggregator); err != nil {
			return fmt.Errorf("%v: %w", m.Body.Kind(), err)
		}
	}
	c, ok := checkpoint.Body.(*schemas.Checkpoint)
	if !ok {
		return fmt.Errorf("%v where a checkpoint belongs", checkpoint.Body.Kind())
	}
	m, ok := model.Body.(*schemas.Model)
	if !ok {
		return fmt.Errorf("%v where a model belongs", model.Body.Kind())
	}
	if c.Model != schemas.Digest(model.Raw) {
		return fmt.Errorf("checkpoint %d is of another model than the one beside it", c.Version)
	}
	return fold.restore(c, m)
}

// Step takes in one message: of the log, or a member's presence, or a tick. It must follow Restore. What it
// returns without Raw is for the caller to seal. It never refuses a message; an error means that the plan's
// prompt can no longer be sealed, and the role must stop.
func (a *Aggregator) Step(now time.Time, m schemas.Message) ([]schemas.Message, error) {
	switch b := m.Body.(type) {
	case *schemas.Tick:
		return controls(a.watch.issue(now, a.fold, true)), nil
	case *schemas.Presence:
		if m.Seq > 0 || !a.genuine(b, m) {
			break
		}
		a.watch.see(now, b)
		return controls(a.watch.issue(now, a.fold, false)), nil
	}
	if m.Seq == 0 {
		return nil, nil
	}
	return a.read(now, m)
}

// genuine reports whether a presence message comes from the member it names.
func (a *Aggregator) genuine(p *schemas.Presence, m schemas.Message) bool {
	key, member := a.gate.keys[p.Sender]
	return member && p.Run == a.config.Plan.Run && m.Subject == schemas.Subject(p) && schemas.Verify(m.Raw, key) == nil
}

// read takes in a log message.
func (a *Aggregator) read(now time.Time, m schemas.Message) ([]schemas.Message, error) {
	if m.Seq <= a.fold.applied || a.fold.final {
		return nil, nil
	}
	p := a.Prepare(m).Body.(*prepared)
	m.Body = p.Body
	a.chain = schemas.Chain(a.chain, p.digest)
	bodies := a.fold.Apply(m, p.checked)
	a.watch.settle(a.fold.controls)
	switch b := m.Body.(type) {
	case *schemas.Update:
		a.watch.updated = now
	case *schemas.Control:
		if p.checked == nil {
			call(a.config.Events.OnControl, b)
		}
	}
	var out []schemas.Message
	for _, body := range bodies {
		switch b := body.(type) {
		case *schemas.Model:
			released, err := a.release(now, b)
			if err != nil {
				return nil, err
			}
			out = append(out, released...)
			continue
		case *schemas.Note:
			call(a.config.Events.OnVerdict, b)
		case *schemas.Dead:
			call(a.config.Events.OnDead, b)
		}
		out = append(out, schemas.Message{Body: body})
	}
	return out, nil
}

// release signs a new version and takes the checkpoint that goes with it.
func (a *Aggregator) release(now time.Time, m *schemas.Model) ([]schemas.Message, error) {
	m.Parent = a.parent
	raw, err := schemas.Seal(m, a.config.Key)
	if err != nil {
		return nil, fmt.Errorf("aggregator: version %d: %w", m.Version, err)
	}
	a.parent = schemas.Digest(raw)
	a.watch.started = now
	call(a.config.Events.OnVersion, m)
	return []schemas.Message{{Body: m, Raw: raw}, {Body: a.fold.checkpoint(a.parent, a.chain)}}, nil
}

func controls(issued []*schemas.Control) []schemas.Message {
	var out []schemas.Message
	for _, c := range issued {
		out = append(out, schemas.Message{Body: c})
	}
	return out
}

func call[T any](event func(T), v T) {
	if event != nil {
		event(v)
	}
}
