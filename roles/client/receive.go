package client

import (
	"errors"
	"fmt"
	"reflect"
	"time"

	"dpfpl/schemas"
)

// errKnown marks a model that is not news: the catch-up read and the subscription
// overlap.
var errKnown = errors.New("not newer than the newest model seen")

// model takes up a model and learns from it. The error is that of learning; a model that
// does not count is an event.
func (c *Client) model(now time.Time, raw []byte, m *schemas.Model) error {
	switch err := c.take(raw, m); {
	case err == nil:
		return c.learn(now)
	case !errors.Is(err, errKnown):
		c.refuse(schemas.KindModel, err)
	}
	return nil
}

// take makes m the newest model if it is one.
func (c *Client) take(raw []byte, m *schemas.Model) error {
	p := c.cfg.Plan
	if err := c.fromAggregator(raw, m.Run); err != nil {
		return err
	}
	if c.newest != nil && m.Version <= c.newest.Version {
		if m.Version == c.newest.Version && schemas.Digest(raw) != c.digest {
			return fmt.Errorf("the aggregator signed two models of version %d", m.Version)
		}
		return errKnown
	}
	switch {
	case m.Params.Rows != p.Prompt.Context || m.Params.Cols != p.Prompt.Width:
		return fmt.Errorf("model %d is %d×%d, the plan's prompt %d×%d", m.Version, m.Params.Rows, m.Params.Cols, p.Prompt.Context, p.Prompt.Width)
	case m.Version > uint64(p.Versions):
		return fmt.Errorf("model %d, the plan has %d versions", m.Version, p.Versions)
	}
	c.newest, c.digest, c.global = m, schemas.Digest(raw), m.Params.Floats(nil)
	if c.cfg.Events.OnModel != nil {
		c.cfg.Events.OnModel(m.Version, m.Final)
	}
	return nil
}

func (c *Client) fromAggregator(raw []byte, run string) error {
	if run != c.cfg.Plan.Run {
		return fmt.Errorf("of run %.80q", run)
	}
	return schemas.Verify(raw, c.cfg.Plan.Aggregator)
}

// note passes on the aggregator's verdict. What was spent stays spent, whatever became of the
// update; but one that was accepted is in a version's buffer, and a second one for the same
// buffer would be refused: until that version is complete there is nothing to be made.
func (c *Client) note(raw []byte, n *schemas.Note) {
	err := c.fromAggregator(raw, n.Run)
	if err == nil && n.Client != c.cfg.ID {
		err = fmt.Errorf("note for %q", n.Client)
	}
	if err != nil {
		c.refuse(schemas.KindNote, err)
		return
	}
	if n.Verdict == schemas.VerdictAccepted {
		c.buffered = max(c.buffered, n.Version)
	}
	if c.cfg.Events.OnNote != nil {
		c.cfg.Events.OnNote(n)
	}
}

// compare holds a plan against the one that this client follows. A different one that
// the operator signed ends its part in the run: its steps were promised under the old.
func (c *Client) compare(raw []byte, p *schemas.Plan) {
	switch err := schemas.Verify(raw, c.cfg.Plan.Operator); {
	case err != nil:
		c.refuse(schemas.KindPlan, err)
	case p.Run != c.cfg.Plan.Run:
		c.refuse(schemas.KindPlan, fmt.Errorf("of run %.80q", p.Run))
	case !samePlan(p, c.cfg.Plan):
		c.stop(fmt.Errorf("%w: the operator changed the plan", ErrSpent))
	}
}

// samePlan compares all but the headers, which a plan from a file lacks.
func samePlan(a, b *schemas.Plan) bool {
	x, y := *a, *b
	x.Header, y.Header = schemas.Header{}, schemas.Header{}
	return reflect.DeepEqual(x, y)
}
