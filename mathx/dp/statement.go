package dp

import (
	"errors"
	"fmt"
	"math"
	"strings"
)

// Unit is what a guarantee protects.
type Unit uint8

const (
	// Record: one example of one client.
	Record Unit = iota
	// Client: everything a client ever contributes. It needs a clip of the client's
	// whole update and cannot be derived from record-level numbers.
	Client
)

// String returns record or client.
func (u Unit) String() string {
	if u == Client {
		return "client"
	}
	return "record"
}

// Claim is the part of a guarantee that no account knows: about whom it is, against
// whom it holds, and how the run was made.
type Claim struct {
	Unit Unit
	// Protected and Adversary complete "Each record of ... is protected against ...".
	Protected string // default: the client
	Adversary string // default: anyone who sees every message of the client
	Records   int    // of the client; 0 if unknown or secret
	// Groups are the releases of a step with their multipliers; may be nil.
	Groups []Group
	// BatchClipped: the run clips the gradient of a batch and not of each record.
	BatchClipped bool
	// Unprotected: the run adds no noise.
	Unprotected bool
}

// Statement is a privacy guarantee in full: a number without the words around it says
// nothing.
type Statement struct {
	Claim     Claim
	Adjacency Adjacency
	Delta     float64
	Spent     []Spent
	Renyi     Renyi   // the guarantee
	PLD       float64 // the tight reference; NaN if there is none
	Warnings  []string
}

// Spent is a number of equal steps.
type Spent struct {
	Step  Step
	Count uint64
}

// Spent lists what the account holds.
func (a *Account) Spent() []Spent {
	spent := make([]Spent, len(a.spent))
	for i, s := range a.spent {
		spent[i] = Spent{s.step, s.count}
	}
	return spent
}

// Statement puts the account into words at a delta. Error: ErrInvalid for a delta
// outside (0, 1).
func (a *Account) Statement(delta float64, claim Claim) (Statement, error) {
	r, err := a.EpsilonRDP(delta)
	if err != nil {
		return Statement{}, err
	}
	tight, err := a.EpsilonPLD(delta)
	if errors.Is(err, ErrNoPLD) || delta < minDelta {
		tight, err = math.NaN(), nil
	}
	if err != nil {
		return Statement{}, err
	}
	s := Statement{Claim: claim, Adjacency: a.adjacency, Delta: delta, Spent: a.Spent(), Renyi: r, PLD: tight}
	if claim.Unprotected || claim.BatchClipped {
		s.Renyi, s.PLD = Renyi{Epsilon: math.Inf(1)}, math.Inf(1)
	}
	s.Warnings = s.warnings()
	return s, nil
}

// warnings lists the usual mistakes that the statement shows signs of.
func (s Statement) warnings() []string {
	var w []string
	add := func(bad bool, format string, args ...any) {
		if bad {
			w = append(w, fmt.Sprintf(format, args...))
		}
	}
	c := s.Claim
	add(c.Unprotected, "no noise was added: nothing is protected")
	add(c.BatchClipped, "the batch gradient was clipped, not each record's: one record can change it by twice the clip norm whatever the batch size, and no guarantee is stated")
	add(c.Records > 0 && s.Delta >= 1/float64(c.Records),
		"delta = %g is not below 1/N = %g: publishing one record in full would satisfy it", s.Delta, 1/float64(c.Records))
	add(s.Renyi.Epsilon > 10 && !math.IsInf(s.Renyi.Epsilon, 1), "epsilon = %.3g is above 10: hardly a protection", s.Renyi.Epsilon)
	add(s.Renyi.AtEdge && s.Renyi.Epsilon > 0, "the best order %v is at an end of the grid: epsilon may be overstated", s.Renyi.Order)
	for _, spent := range s.Spent {
		w = append(w, spent.warnings(c)...)
	}
	add(s.Adjacency == AddRemove, "under add-remove the number of records is secret: rates and divisors must not be computed from it")
	return w
}

func (s Spent) warnings(c Claim) []string {
	var w []string
	switch {
	case s.Step.Sampler == Epochs:
		w = append(w, "shuffled batches: no amplification is proven, each epoch counts as one step with q = 1")
	case s.Step.Q == 1 && s.Count > 1:
		w = append(w, "q = 1: every step is on all records; for shuffled batches count epochs, for random ones state the rate")
	}
	if len(c.Groups) > 1 {
		z := make([]float64, len(c.Groups))
		for i, g := range c.Groups {
			z[i] = g.Z
		}
		if joint := Joint(z...); math.Abs(joint/s.Step.Z-1) > 1e-6 {
			w = append(w, fmt.Sprintf("z = %.6g is not the joint multiplier %.6g of the %d releases of a step: releases from one batch must not be accounted apart", s.Step.Z, joint, len(z)))
		}
	}
	return w
}

// String returns the guarantee in words, one sentence a line, warnings last.
func (s Statement) String() string {
	var b strings.Builder
	protected, adversary := s.Claim.Protected, s.Claim.Adversary
	if protected == "" {
		protected = "the client"
	}
	if adversary == "" {
		adversary = "anyone who sees every message of the client"
	}
	fmt.Fprintf(&b, "Each %s of %s is protected against %s:\n", s.Claim.Unit, protected, adversary)
	fmt.Fprintf(&b, "epsilon = %s at delta = %g under %s (%s),\n", number(s.Renyi.Epsilon), s.Delta, s.Adjacency, s.Adjacency.meaning(s.Claim.Unit))
	switch {
	case math.IsInf(s.Renyi.Epsilon, 1):
		b.WriteString("that is, no guarantee.\n")
	case math.IsNaN(s.PLD):
		fmt.Fprintf(&b, "%s; no privacy-loss distribution is known for it.\n", s.proof())
	default:
		fmt.Fprintf(&b, "%s; the privacy-loss distribution of continuous noise gives %s.\n", s.proof(), number(s.PLD))
	}
	for _, spent := range s.Spent {
		fmt.Fprintf(&b, "%s.\n", spent)
	}
	for _, w := range s.Warnings {
		fmt.Fprintf(&b, "Warning: %s.\n", w)
	}
	return b.String()
}

// proof says what the Rényi epsilon rests on.
func (s Statement) proof() string {
	order := fmt.Sprintf("Rényi divergence of order %v", s.Renyi.Order)
	for _, spent := range s.Spent {
		if s.Adjacency == ReplaceOne && spent.Step.Sampler == Poisson && spent.Step.Q < 1 {
			return "bounded by " + order + " at twice the sensitivity (a bound verified numerically)"
		}
	}
	return "proven by " + order
}

// String describes the steps.
func (s Spent) String() string {
	noise := fmt.Sprintf("noise of standard deviation z = %.6g times the clip norm on the sum (all releases of a step jointly)", s.Step.Z)
	switch s.Step.Sampler {
	case Epochs:
		return fmt.Sprintf("%d epochs over shuffled batches, %s", s.Count, noise)
	case FixedSize:
		return fmt.Sprintf("%d steps, each on a random share q = %.6g of the records without replacement, %s", s.Count, s.Step.Q, noise)
	}
	return fmt.Sprintf("%d steps, each record taken independently with probability q = %.6g (Poisson), %s", s.Count, s.Step.Q, noise)
}

// meaning explains an adjacency for a unit.
func (a Adjacency) meaning(u Unit) string {
	switch a {
	case AddRemove:
		return fmt.Sprintf("the data with and without one %s", u)
	case ReplaceOne:
		return fmt.Sprintf("one %s exchanged for any other", u)
	}
	return fmt.Sprintf("the contribution of one %s set to zero", u)
}

func number(v float64) string {
	if math.IsInf(v, 1) {
		return "infinity"
	}
	return fmt.Sprintf("%.4f", v)
}
