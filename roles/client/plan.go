package client

import (
	"errors"
	"fmt"

	"dpfpl/mathx/dp"
	"dpfpl/mathx/prompt"
	"dpfpl/roles/client/ledger"
	"dpfpl/schemas"
)

// learning translates the plan into a method and its mechanism.
func learning(c *Config) prompt.Config {
	m, v := c.Plan.Method, c.Plan.Privacy
	return prompt.Config{
		Method:      m.Name,
		Mode:        m.Mode,
		Rank:        int(m.Rank),
		LeftOnly:    m.LeftOnly,
		LocalRate:   m.Rate,
		Momentum:    m.Momentum,
		Batch:       v.Batch,
		Clip:        prompt.Norms{U: v.ClipU, V: v.ClipV, G: v.ClipG},
		Z:           prompt.Norms{U: v.ZU, V: v.ZV, G: v.ZG},
		Unprotected: v.Noise == schemas.NoiseNone,
		Prune:       c.Prune,
		NoiseOnly:   c.NoiseOnly,
	}
}

// guaranteed reports whether the plan's mechanism has an epsilon at all.
func guaranteed(p *schemas.Plan) bool {
	return p.Privacy.Noise == schemas.NoiseClient && p.Method.Mode == prompt.Corrected
}

// admit refuses a plan that the client cannot or will not follow. Errors: ErrRefused.
func admit(c *Config) error {
	p := c.Plan
	if err := p.Validate(); err != nil {
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	public, err := c.Key.PublicKey()
	if err != nil {
		return badConfig("Key", "%v", err)
	}
	var errs []error
	must := func(ok bool, field, format string, args ...any) {
		if !ok {
			errs = append(errs, refuse(field, format, args...))
		}
	}
	member := false
	for _, m := range p.Members {
		member = member || m.ID == c.ID && m.Key == public
	}
	classes, l, d, _ := c.Encoder.Shape()
	must(member, "members", "no member %s with this client's key", c.ID)
	must(p.Backbone == c.Backbone, "backbone", "%.12s…, this client holds %.12s…", p.Backbone, c.Backbone)
	must(len(p.Classes) == classes, "classes", "%d, this client's encoder has %d", len(p.Classes), classes)
	must(int(p.Prompt.Context) == l, "prompt.context", "%d, this client's encoder takes %d", p.Prompt.Context, l)
	must(int(p.Prompt.Width) == d, "prompt.width", "%d, this client's encoder takes %d", p.Prompt.Width, d)
	must(c.AllowUnprotected || p.Privacy.Noise == schemas.NoiseClient, "privacy.noise", "%q, this client insists on noise", p.Privacy.Noise)
	must(c.AllowUnprotected || p.Method.Mode == prompt.Corrected, "method.mode", "%q has no guarantee, this client insists on one", p.Method.Mode)
	must(c.Rate <= p.Privacy.Rate, "privacy.rate", "%v, this client is set to sample with %v", p.Privacy.Rate, c.Rate)
	return errors.Join(errs...)
}

// admitMechanism refuses a plan whose noise does not hold what the plan promises, or
// that asks for more than the ledger grants. fresh is false when the run goes on after a
// restart: then a spent budget is no error.
// Errors: ErrRefused.
func admitMechanism(c *Config, groups []dp.Group, step dp.Step, fresh bool) error {
	p, have := c.Plan.Privacy, prompt.Multipliers(groups)
	for _, z := range []struct {
		field       string
		asked, have float64
	}{{"privacy.z_u", p.ZU, have.U}, {"privacy.z_v", p.ZV, have.V}, {"privacy.z_g", p.ZG, have.G}} {
		if z.asked > z.have {
			return refuse(z.field, "%v, but %s releases no such gradient", z.asked, c.Plan.Method.Name)
		}
	}
	if guaranteed(c.Plan) {
		if err := keepsPromise(c.Plan, dp.Step{Q: p.Rate, Z: step.Z}); err != nil {
			return err
		}
	}
	err := c.Store.Allows(step, uint64(c.Plan.Updates))
	switch {
	case err == nil, !fresh && errors.Is(err, ledger.ErrExhausted):
		return nil
	case errors.Is(err, ledger.ErrExhausted):
		return fmt.Errorf("%w: privacy.epsilon: the plan's %d updates: %w", ErrRefused, c.Plan.Updates, err)
	}
	return fmt.Errorf("%w: privacy: %w", ErrRefused, err)
}

// keepsPromise checks the plan's epsilon against N steps of its own mechanism.
func keepsPromise(p *schemas.Plan, step dp.Step) error {
	account, err := newAccount(p)
	if err != nil {
		return err
	}
	if err := account.Spend(step, uint64(p.Updates)); err != nil {
		return fmt.Errorf("%w: privacy: %w", ErrRefused, err)
	}
	cost, err := account.EpsilonRDP(p.Privacy.Delta)
	if err != nil {
		return fmt.Errorf("%w: privacy.delta: %w", ErrRefused, err)
	}
	if cost.Epsilon > p.Privacy.Epsilon {
		return refuse("privacy.epsilon", "%v is promised, but N = %d updates at q = %v and joint z = %.4g cost %.4g",
			p.Privacy.Epsilon, p.Updates, step.Q, step.Z, cost.Epsilon)
	}
	return nil
}

// newAccount returns an empty account under the plan's adjacency.
func newAccount(p *schemas.Plan) (*dp.Account, error) {
	adjacency, err := dp.ParseAdjacency(p.Privacy.Adjacency)
	if err != nil {
		return nil, fmt.Errorf("%w: privacy.adjacency: %w", ErrRefused, err)
	}
	return dp.NewAccount(adjacency)
}
