package main

import (
	"context"
	"math"
	"sync"

	"dpfpl/mathx/dp"
	"dpfpl/roles/monitor"
	"dpfpl/roles/planfile"
	"dpfpl/schemas"
)

// costs says what so many updates of a client cost. The proven figure is there at once; the tight one takes a tenth of
// a second, so it is reckoned on the side, once for each number, and is NaN until then.
type costs struct {
	step      dp.Step
	adjacency dp.Adjacency
	delta     float64
	asked     chan uint64

	mu    sync.Mutex
	known map[uint64]monitor.Cost
}

// newCosts returns nil, which means infinite, for a plan without a guarantee; ctx ends the reckoning. Errors: those of
// planfile.Mechanism.
func newCosts(ctx context.Context, plan *schemas.Plan) (*costs, error) {
	step, adjacency, guaranteed, err := planfile.Mechanism(plan)
	if err != nil || !guaranteed {
		return nil, err
	}
	c := &costs{step: step, adjacency: adjacency, delta: plan.Privacy.Delta, asked: make(chan uint64, plan.Updates+1), known: map[uint64]monitor.Cost{}}
	go func() {
		for {
			select {
			case n := <-c.asked:
				c.tighten(n)
			case <-ctx.Done():
				return
			}
		}
	}()
	return c, nil
}

func (c *costs) of(updates uint64) monitor.Cost {
	if c == nil {
		return monitor.Cost{RDP: math.Inf(1), PLD: math.Inf(1)}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	cost, ok := c.known[updates]
	if ok {
		return cost
	}
	cost = monitor.Cost{RDP: math.Inf(1), PLD: math.NaN()}
	if account := c.account(updates); account != nil {
		if proven, err := account.EpsilonRDP(c.delta); err == nil {
			cost.RDP = proven.Epsilon
		}
	}
	c.known[updates] = cost
	select {
	case c.asked <- updates:
	default: // more numbers than a plan has updates
	}
	return cost
}

func (c *costs) tighten(updates uint64) {
	account := c.account(updates)
	if account == nil {
		return
	}
	tight, err := account.EpsilonPLD(c.delta)
	if err != nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	cost := c.known[updates]
	cost.PLD = tight
	c.known[updates] = cost
}

// account holds so many steps; nil if they cannot be accounted for.
func (c *costs) account(updates uint64) *dp.Account {
	account, err := dp.NewAccount(c.adjacency)
	if err != nil || account.Spend(c.step, updates) != nil {
		return nil
	}
	return account
}
