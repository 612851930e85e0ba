package client

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"dpfpl/mathx/dp"
	"dpfpl/mathx/prompt"
	"dpfpl/schemas"
)

// Client is one member of a run. It is not safe for concurrent use.
type Client struct {
	cfg     Config
	learner *prompt.Learner
	budget  budget

	newest *schemas.Model // nil before the first
	digest [32]byte       // of its bytes
	global []float32      // its parameters

	last uint64 // number of the last update committed; 0 for none
	base uint64 // the version that it was made at
	// buffered is the version whose buffer holds our newest accepted update, as far as we were told.
	buffered uint64
	spent    error  // why the client is receive-only; nil while it learns
	broken   error  // a step failed halfway: the role must start anew
	held     []held // updates that wait for their time
}

var errEmpty = errors.New("neither body nor error")

// held is a durable update that is not to be sent before its time.
type held struct {
	due     time.Time
	message schemas.Message
}

// New makes the client of a plan, at the state its ledger remembers. Errors: ErrConfig,
// ErrRefused for a plan it does not follow, ErrState for a ledger whose state belongs to
// another plan. A spent budget is no error: the client is then receive-only.
func New(cfg Config) (*Client, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	cfg.fill()
	if err := admit(&cfg); err != nil {
		return nil, err
	}
	p := cfg.Plan
	learner, err := prompt.NewLearner(learning(&cfg), int(p.Prompt.Context), int(p.Prompt.Width), p.Prompt.Std, cfg.Public(0))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRefused, err)
	}
	c := &Client{cfg: cfg, learner: learner}
	if c.budget, err = newBudget(&cfg, learner); err != nil {
		return nil, err
	}
	fresh := cfg.Store.Next(p.Run) == 1
	if err := admitMechanism(&cfg, learner.Groups(), c.budget.entry.Step, fresh); err != nil {
		return nil, err
	}
	if err := c.resume(); err != nil {
		return nil, err
	}
	c.stopWhenSpent()
	return c, nil
}

// resume takes up what the ledger remembers of the run.
func (c *Client) resume() error {
	for _, e := range c.cfg.Store.Entries() {
		if e.Run != c.cfg.Plan.Run {
			continue
		}
		if err := c.budget.spend(e.Step); err != nil {
			return fmt.Errorf("%w: step %d: %w", ErrState, e.K, err)
		}
	}
	k, state := c.cfg.Store.State(c.cfg.Plan.Run)
	if k == 0 {
		return nil
	}
	base, err := restore(c.learner, state)
	if err != nil {
		return err
	}
	c.last, c.base = k, base
	return nil
}

// Step takes in one message and returns the updates that may be sent now: sealed, and
// durable in the ledger before they are returned. It takes as long as a learning step.
// Errors are those of the ledger and of a batch too large for the mechanism; after one,
// every Step returns it. A message that does not count is an event and no error.
func (c *Client) Step(now time.Time, m schemas.Message) ([]schemas.Message, error) {
	if c.broken != nil {
		return nil, c.broken
	}
	switch b := m.Body.(type) {
	case nil:
		c.refuse(0, cmp.Or(m.Err, errEmpty))
	case *schemas.Model:
		c.broken = c.model(now, m.Raw, b)
	case *schemas.Plan:
		c.compare(m.Raw, b)
	case *schemas.Note:
		c.note(m.Raw, b)
	case *schemas.Tick:
		if c.cfg.Hold > 0 { // a model may have come while an update was held back
			c.broken = c.learn(now)
		}
	default:
		c.refuse(b.Kind(), fmt.Errorf("not for a client"))
	}
	if c.broken != nil {
		return nil, c.broken
	}
	return c.due(now), nil
}

// due returns the held updates whose time has come.
func (c *Client) due(now time.Time) []schemas.Message {
	var out []schemas.Message
	for len(c.held) > 0 && !now.Before(c.held[0].due) {
		out = append(out, c.held[0].message)
		c.held = c.held[1:]
	}
	return out
}

// Pending returns this run's updates that were never acknowledged, oldest first, as the
// bytes that were sealed: for sending again after a start.
func (c *Client) Pending() []schemas.Message {
	var out []schemas.Message
	for _, r := range c.cfg.Store.Pending() {
		if r.Run != c.cfg.Plan.Run {
			continue
		}
		m := schemas.Message{Raw: r.Payload, Subject: schemas.UpdateSubject(r.Run, c.cfg.ID, r.K)}
		m.Body, m.Err = schemas.Open(r.Payload)
		out = append(out, m)
	}
	return out
}

// Acked says that the broker has stored update k. Errors: the ledger's.
func (c *Client) Acked(k uint64) error {
	return c.cfg.Store.Acked(c.cfg.Plan.Run, k)
}

// Presence returns the next heartbeat. It depends on public things only.
func (c *Client) Presence() *schemas.Presence {
	version := uint64(0)
	if c.newest != nil {
		version = c.newest.Version
	}
	return &schemas.Presence{
		Header:    c.header(),
		State:     schemas.StateHeartbeat,
		Version:   version,
		Published: c.last,
		Modality:  c.cfg.Modality,
		Software:  c.cfg.Software,
	}
}

// Personal writes the personal prompt at the newest global one to dst (l×d, nil
// allocates) and returns it, for evaluation on this client; nil before the first model.
func (c *Client) Personal(dst []float32) []float32 {
	if c.newest == nil {
		return nil
	}
	return c.learner.Context(dst, c.global)
}

// Account returns a copy of the account of this run's steps under the plan's adjacency;
// nil for a plan without a guarantee.
func (c *Client) Account() *dp.Account {
	if c.budget.account == nil {
		return nil
	}
	return c.budget.account.Clone()
}

// Spent says why the client makes no further update, an ErrSpent; nil while it does.
func (c *Client) Spent() error { return c.spent }

func (c *Client) header() schemas.Header {
	return schemas.Header{Version: schemas.Version, Run: c.cfg.Plan.Run, Sender: c.cfg.ID}
}

func (c *Client) refuse(kind schemas.Kind, err error) {
	if c.cfg.Events.OnRefused != nil {
		c.cfg.Events.OnRefused(kind, fmt.Errorf("%w: %w", ErrMessage, err))
	}
}
