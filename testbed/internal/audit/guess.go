package audit

import (
	"math"

	"dpfpl/mathx/dp"
	"dpfpl/testbed/internal/report"
)

// result attacks each artefact and compares the bounds with the claim.
func (e *experiment) result() (*OneRunResult, error) {
	r := &OneRunResult{
		Plant: e.Plant, Clients: e.Clients, Canaries: e.Canaries, Updates: e.updates, Versions: e.versions,
		Rate: e.Rate, Delta: e.Delta, Z: e.z, Confidence: e.Confidence, Accepted: true,
	}
	for _, in := range e.in {
		if in {
			r.Included++
		}
	}
	for _, p := range e.outcome.Parties {
		r.Steps = max(r.Steps, int(p.Debited))
	}
	if err := e.account(r); err != nil {
		return nil, err
	}
	r.Cap = e.bound(e.guesses())
	personal := e.personal()
	for _, a := range []struct {
		name   string
		scores []float64
	}{
		{"updates on the wire", e.wire},
		{"published global prompts", e.global()},
		{"personal prompts", personal},
		{"everything", e.everything(personal)},
	} {
		found := e.attack(a.name, a.scores)
		r.Artefacts = append(r.Artefacts, found)
		r.Accepted = r.Accepted && found.LowerBound <= r.EpsilonPLD
		r.Alive = e.Rate < 1 || found.LowerBound >= Liveness*r.EpsilonPLD
	}
	return r, nil
}

// account is what the claimed noise costs for the steps that were made.
func (e *experiment) account(r *OneRunResult) error {
	a, err := dp.NewAccount(dp.ZeroOut)
	if err != nil {
		return err
	}
	if err := a.Spend(dp.Step{Q: e.Rate, Z: e.z}, uint64(r.Steps)); err != nil {
		return err
	}
	r.EpsilonRDP, r.EpsilonPLD, err = spent(a, e.Delta)
	return err
}

// guesses is the number of canaries about which the attacker guesses, even and fixed beforehand.
func (e *experiment) guesses() int { return 2 * int(math.Round(e.Share*float64(e.Canaries)/2)) }

// attack guesses about the canaries with the highest and the lowest scores.
func (e *experiment) attack(name string, scores []float64) Artefact {
	right := dp.OneRunGuesses(scores, e.in, e.guesses())
	return Artefact{Name: name, Guesses: e.guesses(), Right: right, LowerBound: e.bound(right)}
}

// bound is the epsilon that so many right guesses prove lost.
func (e *experiment) bound(right int) report.Number {
	return report.Number(dp.OneRunBound(e.Canaries, e.guesses(), right, e.Delta, e.Confidence))
}

// global is how far the published prompt moved against each canary's gradient.
func (e *experiment) global() []float64 {
	scores := make([]float64, e.Canaries)
	for j := range scores {
		scores[j] = float64(e.first[j]) - float64(e.last[j])
	}
	return scores
}

// personal is the sum of the local gradients that each client's personal prompt betrays to those who know the
// global one.
func (e *experiment) personal() []float64 {
	scale := e.plan.Privacy.Batch / e.plan.Method.Rate
	scores := make([]float64, e.Canaries)
	for j := range scores {
		own := e.outcome.Parties[j%e.Clients].Personal
		scores[j] = scale * (float64(e.last[j]) - float64(own[j]))
	}
	return scores
}

// everything weighs wire and personal prompt as a likelihood ratio does.
func (e *experiment) everything(personal []float64) []float64 {
	scores := make([]float64, e.Canaries)
	for j := range scores {
		scores[j] = split[1]*personal[j] + split[2]*e.wire[j]
	}
	return scores
}
