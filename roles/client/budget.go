package client

import (
	"math"

	"dpfpl/mathx/dp"
	"dpfpl/mathx/prompt"
	"dpfpl/roles/client/ledger"
)

// noProtection is the multiplier under which a step without a guarantee is entered in
// the ledger: it costs an epsilon of 10¹², more than any limit grants.
const noProtection = 1e-6

// budget is what this run costs: the kind of every step, and the account of those taken.
type budget struct {
	entry   ledger.Entry // of the next step, without its number
	account *dp.Account  // of this run; nil without a guarantee
	delta   float64
}

func newBudget(c *Config, s *prompt.Learner) (budget, error) {
	p := c.Plan
	b := budget{
		entry: ledger.Entry{Run: p.Run, Delta: p.Privacy.Delta, Step: dp.Step{Q: c.Rate, Z: noProtection}},
		delta: p.Privacy.Delta,
	}
	if !guaranteed(p) {
		if b.delta == 0 {
			b.entry.Delta = 0.5 // a plan without noise need not name one
		}
		return b, nil
	}
	account, err := newAccount(p)
	if err != nil {
		return budget{}, err
	}
	b.account = account
	b.entry.Step.Z, b.entry.Groups, b.entry.Adjacency = s.Joint(), s.Groups(), account.Adjacency()
	return b, nil
}

// spend takes one step into the run's account.
func (b *budget) spend(s dp.Step) error {
	if b.account == nil {
		return nil
	}
	return b.account.Spend(s, 1)
}

// epsilon returns the cost of the run so far.
func (b *budget) epsilon() float64 {
	if b.account == nil {
		return math.Inf(1)
	}
	cost, err := b.account.EpsilonRDP(b.delta)
	if err != nil {
		return math.Inf(1) // the plan's delta was validated
	}
	return cost.Epsilon
}
