package client

import (
	"errors"
	"fmt"
	"time"

	"dpfpl/mathx/dp"
	"dpfpl/mathx/prompt"
	"dpfpl/roles/client/blackbox"
	"dpfpl/roles/client/ledger"
	"dpfpl/schemas"
)

// learn makes the update for the newest model, if there is one to be made. While an update is held back nothing is
// computed: it would leave late by as long as that takes.
func (c *Client) learn(now time.Time) error {
	if c.newest == nil || len(c.held) > 0 {
		return nil
	}
	if c.spent != nil || c.newest.Final || c.last > 0 && c.newest.Version <= c.base || c.newest.Version < c.buffered {
		return nil
	}
	k := c.cfg.Store.Next(c.cfg.Plan.Run)
	entry := c.budget.entry
	entry.K = k
	switch err := c.cfg.Store.Debit(entry); {
	case errors.Is(err, ledger.ErrExhausted):
		c.stop(fmt.Errorf("%w: %w", ErrSpent, err))
		return nil
	case err != nil:
		return fmt.Errorf("client: debit of update %d: %w", k, err)
	}
	if err := c.budget.spend(entry.Step); err != nil {
		return fmt.Errorf("client: update %d: %w", k, err)
	}
	update, memory, err := c.update(k)
	if err != nil {
		return fmt.Errorf("client: update %d: %w", k, err)
	}
	message, err := c.commit(update)
	if err != nil {
		return fmt.Errorf("client: commit of update %d: %w", k, err)
	}
	if err := c.remember(memory, message.Raw); err != nil {
		return fmt.Errorf("client: black box of update %d: %w", k, err)
	}
	c.held = append(c.held, held{now.Add(c.cfg.Hold), message})
	if c.cfg.Events.OnStep != nil {
		c.cfg.Events.OnStep(Step{K: k, Base: update.Base, Epsilon: c.budget.epsilon()})
	}
	c.stopWhenSpent()
	return nil
}

// update takes one Poisson batch to a release. The local prompt has moved when it
// returns; nothing is durable yet. memory is for the black box.
func (c *Client) update(k uint64) (u *schemas.Update, memory *blackbox.Record, err error) {
	secret := c.cfg.Noise(k)
	in := poisson(len(c.cfg.Data), c.cfg.Rate, secret)
	if memory, err = c.recall(k, in); err != nil {
		return nil, nil, err
	}
	noised, err := c.learner.Step(c.cfg.Encoder, c.cfg.LogitScale, c.global, pick(c.cfg.Data, in), secret, c.cfg.Public(k))
	if err != nil {
		return nil, nil, err
	}
	return &schemas.Update{
		Header:    c.header(),
		K:         k,
		Base:      c.newest.Version,
		Sum:       c.lattice(noised),
		Mechanism: c.mechanism(),
	}, memory, nil
}

// lattice is the part of a release that leaves the client.
func (c *Client) lattice(n *dp.Noised) schemas.Lattice {
	p, g := c.cfg.Plan.Prompt, c.learner.GlobalGroup()
	return schemas.NewLattice(int(p.Context), int(p.Width), n.Step(g), n.Ints(g))
}

// mechanism says what the client ran.
func (c *Client) mechanism() schemas.Mechanism {
	z := prompt.Multipliers(c.learner.Groups())
	return schemas.Mechanism{
		Noise:     c.cfg.Plan.Privacy.Noise,
		Adjacency: c.cfg.Plan.Privacy.Adjacency,
		Rate:      c.cfg.Rate,
		ZU:        z.U,
		ZV:        z.V,
		ZG:        z.G,
		Z:         c.learner.Joint(),
	}
}

// commit seals an update and makes it durable together with the local prompt.
func (c *Client) commit(u *schemas.Update) (schemas.Message, error) {
	raw, err := schemas.Seal(u, c.cfg.Key)
	if err != nil {
		return schemas.Message{}, err
	}
	learner, err := c.learner.MarshalBinary()
	if err != nil {
		return schemas.Message{}, err
	}
	if err := c.cfg.Store.Commit(u.Run, u.K, raw, appendState(u.Base, learner)); err != nil {
		return schemas.Message{}, err
	}
	c.last, c.base = u.K, u.Base
	return schemas.Message{Body: u, Raw: raw, Subject: schemas.Subject(u)}, nil
}

// stopWhenSpent turns the client receive-only when the plan or the ledger grants no
// further step.
func (c *Client) stopWhenSpent() {
	run, n := c.cfg.Plan.Run, uint64(c.cfg.Plan.Updates)
	if c.cfg.Store.Next(run) > n {
		c.stop(fmt.Errorf("%w: all N = %d updates are spent", ErrSpent, n))
		return
	}
	if err := c.cfg.Store.Allows(c.budget.entry.Step, 1); err != nil {
		c.stop(fmt.Errorf("%w: %w", ErrSpent, err))
	}
}

// stop turns the client receive-only.
func (c *Client) stop(reason error) {
	if c.spent != nil {
		return
	}
	c.spent = reason
	if c.cfg.Events.OnSpent != nil {
		c.cfg.Events.OnSpent(reason)
	}
}
