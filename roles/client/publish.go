package client

import (
	"errors"
	"fmt"
	"slices"

	"dpfpl/mathx/dp"
	"dpfpl/mathx/prompt"
	"dpfpl/roles/client/ledger"
	"dpfpl/schemas"
)

// PublishConfig asks for the personal prompt of one client.
type PublishConfig struct {
	ID     string
	Plan   *schemas.Plan // authenticity is the caller's affair, as with Global
	Global []float32     // a version of the global prompt, l×d
	Ledger *ledger.Snapshot
	// Limits are the client's own, over all runs; MaxEpsilon must be set.
	Limits ledger.Limits
	// Unprotected admits a plan without a guarantee; nothing else that is refused.
	Unprotected bool
}

// Publication is a personal prompt that may leave its client.
type Publication struct {
	Context    []float32 // l×d: the global prompt plus the local one, by method
	Steps      uint64    // that moved the local prompt
	Guaranteed bool      // false for a plan without a guarantee
	Run        dp.Statement
	All        dp.Statement // of all runs on the same records
}

// Publish returns a client's personal prompt if its ledger has paid for every step that is in it. All that a
// step moves are noised values, so the prompt is post-processing of what the run's account has counted: u, v and
// the global gradient jointly. Whoever holds it and the whole log learns no more than that. Errors:
// ErrWithheld, with the reason.
func Publish(c PublishConfig) (*Publication, error) {
	cfg, learner, err := c.learner()
	if err != nil {
		return nil, err
	}
	budget, err := newBudget(cfg, learner)
	if err != nil {
		return nil, withhold("%w", err)
	}
	committed, err := c.match(budget.entry)
	if err != nil {
		return nil, err
	}
	if committed == 0 {
		return nil, withhold("the ledger knows no step of run %s that came to an update", c.Plan.Run)
	}
	_, state := c.Ledger.State(c.Plan.Run)
	if _, err := restore(learner, state); err != nil {
		return nil, withhold("the state in the ledger: %w", err)
	}
	if learner.Steps() != committed {
		return nil, withhold("the local prompt was moved by %d steps, the ledger has paid for %d", learner.Steps(), committed)
	}
	out := &Publication{Steps: committed, Guaranteed: guaranteed(c.Plan)}
	if err := c.price(out); err != nil {
		return nil, err
	}
	out.Context = learner.Context(nil, c.Global)
	if i := slices.IndexFunc(out.Context, func(v float32) bool { return v-v != 0 }); i >= 0 {
		return nil, withhold("number %d of it is %v", i, out.Context[i])
	}
	return out, nil
}

// learner makes the method of the plan, in its first state.
func (c *PublishConfig) learner() (*Config, *prompt.Learner, error) {
	p := c.Plan
	if err := p.Validate(); err != nil {
		return nil, nil, withhold("%w", err)
	}
	member := slices.ContainsFunc(p.Members, func(m schemas.Member) bool { return m.ID == c.ID })
	switch l, d := int(p.Prompt.Context), int(p.Prompt.Width); {
	case !member:
		return nil, nil, withhold("run %s has no member %.80s", p.Run, c.ID)
	case len(c.Global) != l*d:
		return nil, nil, withhold("a global prompt of %d numbers, the plan's is %d×%d", len(c.Global), l, d)
	case !guaranteed(p) && !c.Unprotected:
		return nil, nil, withhold("run %s has no guarantee (noise %q, mode %q): its prompts may hold any record", p.Run, p.Privacy.Noise, p.Method.Mode)
	}
	cfg := &Config{ID: c.ID, Plan: p, Rate: p.Privacy.Rate}
	learner, err := prompt.NewLearner(learning(cfg), int(p.Prompt.Context), int(p.Prompt.Width), p.Prompt.Std, publicSource(p, c.ID)(0))
	if err != nil {
		return nil, nil, withhold("%w", err)
	}
	return cfg, learner, nil
}

// match compares every step of the run with the kind that the plan asks for, and counts those that came to an
// update.
func (c *PublishConfig) match(want ledger.Entry) (committed uint64, err error) {
	debited := uint64(0)
	for _, s := range c.Ledger.Spent {
		loud := s.Step.Z <= noProtection
		switch {
		case s.Run != c.Plan.Run && loud && guaranteed(c.Plan):
			return 0, withhold("the same records were used without noise in run %.80s", s.Run)
		case s.Run != c.Plan.Run:
			continue
		case !sameKind(s.Entry, want):
			return 0, withhold("step %d in the ledger is not of the plan's mechanism: %s, want %s", s.K, kindOf(s.Entry), kindOf(want))
		}
		if debited++; s.Committed {
			committed++
		}
	}
	if debited > uint64(c.Plan.Updates) {
		return 0, withhold("the ledger has %d steps of run %s, the plan allows %d", debited, c.Plan.Run, c.Plan.Updates)
	}
	return committed, nil
}

// sameKind reports whether a step was taken by the mechanism of want; its rate may be smaller.
func sameKind(e, want ledger.Entry) bool {
	return e.Step.Sampler == want.Step.Sampler && e.Step.Q <= want.Step.Q && e.Step.Z == want.Step.Z &&
		e.Adjacency == want.Adjacency && e.Delta == want.Delta && slices.Equal(e.Groups, want.Groups)
}

func kindOf(e ledger.Entry) string {
	if e.Step.Z <= noProtection {
		return "no noise"
	}
	text := fmt.Sprintf("%v sampling with q = %v, joint z = %.6g, %v, delta = %g", e.Step.Sampler, e.Step.Q, e.Step.Z, e.Adjacency, e.Delta)
	for _, g := range e.Groups {
		text += fmt.Sprintf(", %s of %d numbers clipped to %g", g.Name, g.Dim, g.Clip)
	}
	return text
}

// price states what was spent, and refuses what exceeds a budget.
func (c *PublishConfig) price(out *Publication) error {
	claim := dp.Claim{Protected: "client " + c.ID, Adversary: "whoever holds this prompt and every message of the run"}
	if !out.Guaranteed {
		claim.Unprotected, claim.BatchClipped = c.Plan.Privacy.Noise == schemas.NoiseNone, c.Plan.Method.Mode == prompt.Paper
		s, err := new(dp.Account).Statement(c.Limits.Delta, claim)
		if err != nil {
			return withhold("%w", err)
		}
		out.Run, out.All = s, s
		return nil
	}
	run, all, own, err := c.accounts()
	if err != nil {
		return withhold("%w", err)
	}
	if err := c.within(run, own); err != nil {
		return err
	}
	delta := c.Plan.Privacy.Delta
	if out.Run, err = run.Statement(delta, claim); err != nil {
		return withhold("%w", err)
	}
	claim.Adversary = "whoever holds this prompt and every message of all runs on the same records"
	if out.All, err = all.Statement(delta, claim); err != nil {
		return withhold("%w", err)
	}
	return nil
}

// accounts adds up the steps of the run, and of all runs, under the plan's adjacency; and of all runs under the
// client's own.
func (c *PublishConfig) accounts() (run, all, own *dp.Account, err error) {
	var errs [3]error
	run, errs[0] = newAccount(c.Plan)
	all, errs[1] = newAccount(c.Plan)
	own, errs[2] = dp.NewAccount(c.Limits.Adjacency)
	if err := errors.Join(errs[:]...); err != nil {
		return nil, nil, nil, err
	}
	for _, s := range c.Ledger.Spent {
		accounts := []*dp.Account{all, own}
		if s.Run == c.Plan.Run {
			accounts = append(accounts, run)
		}
		for _, a := range accounts {
			if err := a.Spend(s.Step, 1); err != nil {
				return nil, nil, nil, err
			}
		}
	}
	return run, all, own, nil
}

// within compares the run with the plan's budget, and all runs with the client's own.
func (c *PublishConfig) within(run, own *dp.Account) error {
	p := c.Plan.Privacy
	cost, err := run.EpsilonRDP(p.Delta)
	if err != nil {
		return withhold("%w", err)
	}
	if cost.Epsilon > p.Epsilon {
		return withhold("the run's steps cost epsilon %.4g at delta %g, beyond the plan's budget of %g", cost.Epsilon, p.Delta, p.Epsilon)
	}
	l := c.Limits
	if l.MaxEpsilon == 0 {
		return withhold("no budget is given")
	}
	if cost, err = own.EpsilonRDP(l.Delta); err != nil {
		return withhold("%w", err)
	}
	if cost.Epsilon > l.MaxEpsilon || l.MaxSteps > 0 && own.Steps() > l.MaxSteps {
		return withhold("the budget is exceeded: %d steps of all runs on these records cost epsilon %.4g at delta %g (%v), maximum %g",
			own.Steps(), cost.Epsilon, l.Delta, l.Adjacency, l.MaxEpsilon)
	}
	return nil
}
