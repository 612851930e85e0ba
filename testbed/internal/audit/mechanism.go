package audit

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"

	"dpfpl/mathx/dp"
	"dpfpl/mathx/prompt"
	"dpfpl/testbed/internal/report"
)

// MechanismOptions choose how a step is audited.
type MechanismOptions struct {
	Trials     int     // steps with and without the canary, each
	Confidence float64 // of every interval; the audit's false alarms are rarer, as it takes a deviation of Tolerance as well
	Tolerance  float64 // largest relative deviation of a measured mu from the accounted one
	Delta      float64
	Plant      string // Honest or a planted bug
	// Noise returns a fresh source for every step; nil means dp.CryptoSource.
	Noise func() rand.Source
}

func (o *MechanismOptions) check() error {
	switch {
	case o.Trials < 100 || o.Trials > 10_000_000:
		return fmt.Errorf("%w: --trials %d: want 100 to 10000000", ErrOptions, o.Trials)
	case !(o.Confidence > 0.5 && o.Confidence < 1):
		return fmt.Errorf("%w: --confidence %v: want between 0.5 and 1", ErrOptions, o.Confidence)
	case !(o.Tolerance > 0 && o.Tolerance < 1):
		return fmt.Errorf("%w: --tolerance %v: want between 0 and 1", ErrOptions, o.Tolerance)
	case !(o.Delta >= 1e-10 && o.Delta < 1):
		return fmt.Errorf("%w: --delta %v: want from 1e-10 up to, but without, 1", ErrOptions, o.Delta)
	}
	return nil
}

// MechanismResult is what the releases of a step say about it.
type MechanismResult struct {
	Plant      string       `json:"plant"`
	Trials     int          `json:"trials"`
	Confidence float64      `json:"confidence"`
	Tolerance  float64      `json:"tolerance"`
	Delta      float64      `json:"delta"`
	Groups     []GroupAudit `json:"groups"` // u, v, global, and the whole step last

	// Epsilon of one step, accounted and proven lost: the second if the noise is Gaussian, and by counting alone.
	EpsilonRDP   report.Number `json:"epsilon_rdp"`
	EpsilonPLD   report.Number `json:"epsilon_pld"`
	LowerBound   report.Number `json:"lower_bound"`
	CountedBound report.Number `json:"counted_bound"`

	OnLattice bool `json:"on_lattice"` // no released value lies off the lattice
	Accepted  bool `json:"accepted"`
}

// GroupAudit compares the distance between releases with and without the canary, in standard deviations.
type GroupAudit struct {
	Name      string        `json:"name"`
	Accounted report.Number `json:"mu_accounted"`
	Measured  report.Number `json:"mu_measured"`
	Low       report.Number `json:"mu_low"`
	High      report.Number `json:"mu_high"`
	Accepted  bool          `json:"accepted"`
}

// Mechanism audits one training step. The attacker knows the step but for its noise and for whether the
// canary took part, and projects what is released onto the canary's direction, which is all that a
// likelihood ratio uses. Errors: ErrOptions, and the context's.
func Mechanism(ctx context.Context, o MechanismOptions) (*MechanismResult, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	if o.Noise == nil {
		o.Noise = dp.CryptoSource
	}
	run, err := newStep(o.Plant, o.Noise)
	if err != nil {
		return nil, err
	}
	probe, err := newProbe(o.Noise)
	if err != nil {
		return nil, err
	}
	scores, onLattice, err := collect(ctx, o.Trials, run, probe)
	if err != nil {
		return nil, err
	}
	r := &MechanismResult{
		Plant: o.Plant, Trials: o.Trials, Confidence: o.Confidence, Tolerance: o.Tolerance, Delta: o.Delta,
		OnLattice: onLattice, Accepted: onLattice,
	}
	for row, name := range probe.names {
		audit, err := compare(name, probe.mu[row], scores[row], o)
		if err != nil {
			return nil, err
		}
		r.Groups = append(r.Groups, audit)
		r.Accepted = r.Accepted && audit.Accepted
	}
	return r, r.bounds(probe, scores[len(scores)-1])
}

// samples are one row's projections without and with the canary.
type samples [2][]float64

// collect runs the trials. scores has a row for each of the probe's names.
func collect(ctx context.Context, trials int, run step, p *probe) (scores []samples, onLattice bool, err error) {
	without, with := batches()
	scores, onLattice = make([]samples, len(p.names)), true
	for range trials {
		if err := ctx.Err(); err != nil {
			return nil, false, err
		}
		for i, batch := range [][]prompt.Example{without, with} {
			sums, err := run(batch)
			if err != nil {
				return nil, false, err
			}
			for row, score := range p.project(sums) {
				scores[row][i] = append(scores[row][i], score)
			}
			onLattice = onLattice && p.onLattice(sums)
		}
	}
	return scores, onLattice, nil
}

// noiseless is a mu above which a row has no noise but the rounding of its own projection.
const noiseless = 1e9

// compare estimates a row's mu, which is infinite without noise.
func compare(name string, accounted float64, s samples, o MechanismOptions) (GroupAudit, error) {
	a, err := dp.EstimateMu(accounted, s[1], s[0], o.Confidence)
	if err != nil {
		return GroupAudit{}, err
	}
	if a.Estimate > noiseless {
		a.Estimate, a.Low, a.High = math.Inf(1), math.Inf(1), math.Inf(1)
	}
	return GroupAudit{
		Name: name, Accounted: report.Number(accounted),
		Measured: report.Number(a.Estimate), Low: report.Number(a.Low), High: report.Number(a.High),
		Accepted: a.Accepts(o.Tolerance),
	}, nil
}

// bounds fills in what the whole step's row says about epsilon.
func (r *MechanismResult) bounds(p *probe, s samples) error {
	last := len(p.mu) - 1
	account, err := dp.NewAccount(dp.ZeroOut)
	if err != nil {
		return err
	}
	if err := account.Spend(dp.Step{Q: 1, Z: 1 / p.mu[last]}, 1); err != nil {
		return err
	}
	if r.EpsilonRDP, r.EpsilonPLD, err = spent(account, r.Delta); err != nil {
		return err
	}
	low := float64(r.Groups[last].Low)
	r.LowerBound = report.Number(math.Inf(1))
	if !math.IsInf(low, 1) {
		r.LowerBound = report.Number(dp.MuAudit{Low: low}.LowerBound(r.Delta))
	}
	positives, negatives := p.above(s[1]), p.above(s[0])
	r.CountedBound = report.Number(dp.RatesBound(positives, len(s[1]), negatives, len(s[0]), r.Delta, r.Confidence))
	return nil
}

func spent(a *dp.Account, delta float64) (rdp, pld report.Number, err error) {
	proven, err := a.EpsilonRDP(delta)
	if err != nil {
		return 0, 0, err
	}
	tight, err := a.EpsilonPLD(delta)
	return report.Number(proven.Epsilon), report.Number(tight), err
}
