package mia

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"dpfpl/mathx/dp"
	"dpfpl/mathx/metrics"
	"dpfpl/mathx/prompt"
	"dpfpl/testbed/internal/report"
)

// Options choose the experiment.
type Options struct {
	Epsilons   []float64 // budgets by Rényi divergence; +Inf trains without noise
	Delta      float64
	Shadows    int // prompts for each budget; a multiple of 4
	Limit      time.Duration
	Confidence float64
	Seed       uint64
	Training   Training
	// Seeded takes the noise from the seed as well, for tests.
	Seeded bool
	// Progress, if not nil, is told each finished budget.
	Progress func(*Row)
}

// Check reports an option outside its domain. Error: ErrOptions.
func (o *Options) Check() error {
	t := &o.Training
	for _, c := range []struct {
		ok    bool
		flag  string
		value any
		want  string
	}{
		{len(o.Epsilons) > 0, "epsilon", "", "at least one"},
		{o.Delta >= 1e-10 && o.Delta < 1, "delta", o.Delta, "from 1e-10 up to, but without, 1"},
		{o.Shadows >= 8 && o.Shadows <= 10_000 && o.Shadows%4 == 0, "shadows", o.Shadows, "a multiple of 4 from 8 to 10000"},
		{o.Limit > 0, "limit", o.Limit, "more than 0"},
		{o.Confidence > 0.5 && o.Confidence < 1, "confidence", o.Confidence, "between 0.5 and 1"},
		{t.Context >= 1 && t.Context <= 64, "context", t.Context, "1 to 64"},
		{t.Rank >= 1 && t.Rank <= t.Context, "rank", t.Rank, "1 to the context's length"},
		{t.Steps >= 1 && t.Steps <= 100_000, "steps", t.Steps, "1 to 100000"},
		{t.Rate > 0 && t.Rate <= 1, "rate", t.Rate, "more than 0, at most 1"},
		{t.LocalRate > 0 && t.LocalRate <= 1e6, "local-rate", t.LocalRate, "more than 0, at most 1e6"},
		{t.GlobalRate >= 0 && t.GlobalRate <= 1e6, "global-rate", t.GlobalRate, "0 to 1e6"},
		{t.Clip > 0 && t.Clip <= 1e6, "clip", t.Clip, "more than 0, at most 1e6"},
	} {
		if !c.ok {
			return fmt.Errorf("%w: --%s %v: want %s", ErrOptions, c.flag, c.value, c.want)
		}
	}
	for _, e := range o.Epsilons {
		if !(e > 0 && e <= 100) && !math.IsInf(e, 1) {
			return fmt.Errorf("%w: --epsilon %v: want more than 0, at most 100, or none", ErrOptions, e)
		}
	}
	return nil
}

// Result is the whole experiment.
type Result struct {
	Records    int             `json:"records"`
	Shadows    int             `json:"shadows"`
	Steps      int             `json:"steps"`
	Rate       float64         `json:"rate"`
	Delta      float64         `json:"delta"`
	Confidence float64         `json:"confidence"`
	Start      report.Number   `json:"start_accuracy"` // of the prompt before training, on all pictures
	Rows       []Row           `json:"rows"`
	Unfinished []report.Number `json:"unfinished"` // budgets for which there was no time; null is no noise
}

// Row is one privacy budget.
type Row struct {
	Epsilon report.Number `json:"epsilon"` // null without noise
	PLD     report.Number `json:"epsilon_pld"`
	Z       float64       `json:"z"`
	// Accuracies of the prompts on the pictures they learned and on the others.
	Members report.Number `json:"member_accuracy"`
	Others  report.Number `json:"other_accuracy"`
	Attacks []Attack      `json:"attacks"`
	Ceiling Ceiling       `json:"ceiling"`
	// Exceeded: an attack has a success or an AUC that the guarantee does not allow, beyond the confidence interval.
	// The true positive rates do not count here: their thresholds are chosen by few false positives.
	Exceeded bool `json:"exceeded"`
}

// Run attacks the prompts of every budget. Errors: ErrOptions, and the context's.
func Run(ctx context.Context, pool *Pool, o Options) (r *Result, err error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	limited, cancel := context.WithTimeout(ctx, o.Limit)
	defer cancel()
	r = &Result{
		Records: len(pool.Records), Shadows: o.Shadows, Steps: o.Training.Steps, Rate: o.Training.Rate, Delta: o.Delta,
		Confidence: o.Confidence, Unfinished: []report.Number{},
	}
	if r.Start, err = start(ctx, pool, &o); err != nil {
		return nil, err
	}
	for _, epsilon := range o.Epsilons {
		row, err := attack(limited, pool, &o, epsilon)
		switch {
		case err == nil:
			r.Rows = append(r.Rows, *row)
			if o.Progress != nil {
				o.Progress(row)
			}
		case errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil:
			r.Unfinished = append(r.Unfinished, report.Number(epsilon))
		default:
			return nil, err
		}
	}
	return r, nil
}

// start is the accuracy of the prompt that all training starts from.
func start(ctx context.Context, pool *Pool, o *Options) (report.Number, error) {
	t := &trainer{Training: o.Training, pool: pool, seed: o.Seed, noise: fromSeed(o.Seed)}
	t.Steps = 0
	s, err := t.shadow(ctx, 0)
	if err != nil {
		return report.Unknown, err
	}
	predicted := make([]int, len(s.softmax))
	for j, p := range s.softmax {
		predicted[j] = metrics.ArgMax(p)
	}
	return report.Number(metrics.Accuracy(predicted, prompt.Labels(pool.Records))), nil
}

// attack trains the shadow prompts of one budget and runs both attacks on them.
func attack(ctx context.Context, pool *Pool, o *Options, epsilon float64) (*Row, error) {
	row := &Row{Epsilon: report.Number(epsilon), PLD: report.Number(math.Inf(1)), Ceiling: Ceiling{1, 1, 1, 1}}
	if err := row.account(o); err != nil {
		return nil, err
	}
	t := &trainer{Training: o.Training, pool: pool, seed: o.Seed, z: row.Z, noise: cryptographic(o.Seed, row.Z > 0)}
	if o.Seeded {
		t.noise = fromSeed(o.Seed)
	}
	shadows, err := t.train(ctx, o.Shadows)
	if err != nil {
		return nil, err
	}
	labels := prompt.Labels(pool.Records)
	row.Members, row.Others = accuracies(shadows, labels)
	scores, err := paperAttack(shadows, labels, o.Seed)
	if err != nil {
		return nil, err
	}
	row.Attacks = []Attack{
		assess("paper", shadows, labels, scores, o.Confidence),
		assess("LiRA", shadows, labels, lira(shadows, labels), o.Confidence),
	}
	row.check()
	return row, ctx.Err()
}

// check sets Exceeded.
func (r *Row) check() {
	for _, a := range r.Attacks {
		r.Exceeded = r.Exceeded || a.Success.Low > r.Ceiling.Success || a.AUC.Low > r.Ceiling.AUC
	}
}

// account finds the noise for the row's budget, and what that allows.
func (r *Row) account(o *Options) error {
	if math.IsInf(float64(r.Epsilon), 1) {
		return nil
	}
	steps := uint64(o.Training.Steps)
	z, err := dp.CalibrateRDP(dp.Budget{Epsilon: float64(r.Epsilon), Delta: o.Delta, Q: o.Training.Rate, Steps: steps})
	if err != nil {
		return fmt.Errorf("%w: --epsilon %v: %w", ErrOptions, r.Epsilon, err)
	}
	a, err := dp.NewAccount(dp.ZeroOut)
	if err != nil {
		return err
	}
	if err := a.Spend(dp.Step{Q: o.Training.Rate, Z: z}, steps); err != nil {
		return err
	}
	tight, err := a.EpsilonPLD(o.Delta)
	if err != nil {
		return err
	}
	points, err := profile(a)
	if err != nil {
		return err
	}
	r.Z, r.PLD, r.Ceiling = z, report.Number(tight), newCeiling(points)
	return nil
}

// accuracies are the shares of members and of others that the prompts classify right.
func accuracies(shadows []shadow, labels []int) (members, others report.Number) {
	var right, all [2]float64
	for _, s := range shadows {
		for j, p := range s.softmax {
			side := 0
			if s.in[j] {
				side = 1
			}
			all[side]++
			if metrics.ArgMax(p) == labels[j] {
				right[side]++
			}
		}
	}
	return report.Number(right[1] / all[1]), report.Number(right[0] / all[0])
}
