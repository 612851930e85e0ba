package dp

import (
	"math"
)

// Sampler says how a step chooses its records.
type Sampler uint8

const (
	// Poisson takes each record independently with probability Q.
	Poisson Sampler = iota
	// FixedSize takes a share Q of the records, uniformly without replacement.
	FixedSize
	// Epochs shuffles the records and cuts them into batches. No amplification is
	// proven for it; a record is in one batch of an epoch, so one epoch is accounted
	// as one step with Q = 1, and steps are counted in epochs.
	Epochs
)

// String returns poisson, fixed-size or epochs.
func (s Sampler) String() string {
	switch s {
	case Poisson:
		return "poisson"
	case FixedSize:
		return "fixed-size"
	case Epochs:
		return "epochs"
	}
	return "unknown"
}

// Step is what one release costs. Z is the joint noise multiplier of everything
// that the step releases (see [Joint] and [Mechanism.Joint]): the standard deviation
// of the noise over the clip norm of one record. The adjacency is not in it: the
// account knows that, and doubles the sensitivity where it must.
type Step struct {
	Sampler Sampler
	Q       float64 // sampling rate, in (0, 1]; 1 for Epochs
	Z       float64 // > 0
}

// NewStep returns the Poisson-sampled step that releases groups of one batch with
// the given noise. It fails on a group without noise or clip norm.
func NewStep(q float64, groups ...Group) (Step, error) {
	z := make([]float64, len(groups))
	for i, g := range groups {
		if z[i] = g.Z; !(g.Z > 0) || math.IsInf(g.Z, 0) {
			return Step{}, invalid("Z of "+g.Name, g.Z, "a finite number > 0")
		}
	}
	s := Step{Q: q, Z: Joint(z...)}
	return s, s.validate()
}

func (s Step) validate() error {
	switch {
	case s.Sampler > Epochs:
		return invalid("sampler", uint8(s.Sampler), "poisson, fixed-size or epochs")
	case !(s.Q > 0 && s.Q <= 1):
		return invalid("q", s.Q, "in (0, 1]")
	case s.Sampler == Epochs && s.Q != 1:
		return invalid("q", s.Q, "1 for shuffled epochs")
	case !(s.Z > 0) || math.IsInf(s.Z, 0):
		return invalid("z", s.Z, "a finite number > 0")
	}
	return nil
}

// relative returns the noise over the sensitivity under an adjacency.
func (s Step) relative(a Adjacency) float64 { return s.Z / a.Sensitivity(1) }

// rdp returns the divergences of one step at the orders.
//
// Under replace-one the Poisson-sampled step is bounded by the add/remove one with
// doubled sensitivity: the pair (1-q) N(0) + q N(-C) against (1-q) N(0) + q N(C) is
// never farther apart (a test compares it by quadrature over a grid).
func (s Step) rdp(a Adjacency, orders []float64) []float64 {
	z := s.relative(a)
	at := (&sampledGaussian{q: s.Q, z: z}).rdp
	if s.Sampler == FixedSize && s.Q < 1 {
		at = newFixedSize(s.Q, z).rdp
	}
	rdp := make([]float64, len(orders))
	for i, alpha := range orders {
		rdp[i] = at(alpha)
	}
	return rdp
}

// Account adds up the privacy cost of steps under one adjacency. The zero value is
// an empty account for zero-out. It is not safe for concurrent use.
type Account struct {
	adjacency Adjacency
	spent     []spending
	rdp       []float64 // summed over the steps, at integerOrders
}

// spending is a number of equal steps, with the cost of one.
type spending struct {
	step  Step
	count uint64
	rdp   []float64
}

// NewAccount returns an empty account. Error: ErrInvalid for an unknown adjacency.
func NewAccount(a Adjacency) (*Account, error) {
	if err := a.validate(); err != nil {
		return nil, err
	}
	return &Account{adjacency: a}, nil
}

// Adjacency returns the adjacency that the account is for.
func (a *Account) Adjacency() Adjacency { return a.adjacency }

// Spend records count equal steps. After the first step of a kind it costs some
// additions. Steps may differ, as long as their noise and rate do not depend on the
// data. Errors: ErrInvalid, naming the field.
func (a *Account) Spend(s Step, count uint64) error {
	if err := s.validate(); err != nil {
		return err
	}
	if s.Sampler != Poisson && a.adjacency == AddRemove {
		return invalid("sampler", s.Sampler, "poisson under add-remove: a batch of public size reveals the number of records")
	}
	if count == 0 {
		return nil
	}
	group := a.group(s)
	group.count += count
	if a.rdp == nil {
		a.rdp = make([]float64, len(integerOrders))
	}
	for i, v := range group.rdp {
		a.rdp[i] += float64(count) * v
	}
	return nil
}

// group returns the spending on steps equal to s, new if there is none.
func (a *Account) group(s Step) *spending {
	for i := range a.spent {
		if a.spent[i].step == s {
			return &a.spent[i]
		}
	}
	a.spent = append(a.spent, spending{step: s, rdp: s.rdp(a.adjacency, integerOrders)})
	return &a.spent[len(a.spent)-1]
}

// Steps returns how many steps were spent.
func (a *Account) Steps() uint64 {
	n := uint64(0)
	for _, s := range a.spent {
		n += s.count
	}
	return n
}

// Clone returns an independent copy, for asking what one more step would cost.
func (a *Account) Clone() *Account {
	c := &Account{adjacency: a.adjacency, rdp: append([]float64(nil), a.rdp...)}
	c.spent = append(c.spent, a.spent...) // the per-step costs are shared and never written
	return c
}

// Renyi is an epsilon and the order of the Rényi divergence that proves it.
type Renyi struct {
	Epsilon float64
	Order   float64
	// AtEdge: the best order is the first or the last of the grid, so a wider grid
	// might prove a smaller epsilon.
	AtEdge bool
}

// EpsilonRDP returns the epsilon at delta that is proven for the mechanism of this
// package: Rényi divergences at integer orders. An empty account costs 0. Error:
// ErrInvalid for a delta outside (0, 1).
func (a *Account) EpsilonRDP(delta float64) (Renyi, error) {
	if err := validateDelta(delta); err != nil {
		return Renyi{}, err
	}
	if a.rdp == nil {
		return Renyi{Order: integerOrders[0]}, nil
	}
	return newRenyi(integerOrders, a.rdp, delta), nil
}

// EpsilonFractional is EpsilonRDP over fractional orders too. It is proven for
// continuous Gaussian noise only, and is for information.
func (a *Account) EpsilonFractional(delta float64) (Renyi, error) {
	if err := validateDelta(delta); err != nil {
		return Renyi{}, err
	}
	return newRenyi(denseOrders, a.at(denseOrders), delta), nil
}

// DeltaRDP returns the smallest proven delta at epsilon >= 0.
func (a *Account) DeltaRDP(epsilon float64) (float64, error) {
	if err := validateEpsilon(epsilon); err != nil {
		return 0, err
	}
	if a.rdp == nil {
		return 0, nil
	}
	return deltaFromRDP(integerOrders, a.rdp, epsilon), nil
}

// at returns the total divergences at other orders.
func (a *Account) at(orders []float64) []float64 {
	total := make([]float64, len(orders))
	for _, s := range a.spent {
		for i, v := range s.step.rdp(a.adjacency, orders) {
			total[i] += float64(s.count) * v
		}
	}
	return total
}

func newRenyi(orders, rdp []float64, delta float64) Renyi {
	epsilon, order := epsilonFromRDP(orders, rdp, delta)
	return Renyi{epsilon, order, order == orders[0] || order == orders[len(orders)-1]}
}

func validateDelta(delta float64) error {
	if !(delta > 0 && delta < 1) {
		return invalid("delta", delta, "in (0, 1)")
	}
	return nil
}

func validateEpsilon(epsilon float64) error {
	if !(epsilon >= 0) || math.IsInf(epsilon, 0) {
		return invalid("epsilon", epsilon, "a finite number >= 0")
	}
	return nil
}
