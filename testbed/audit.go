package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"dpfpl/broker/brokertest"
	"dpfpl/testbed/internal/audit"
)

// newAuditCommand attacks the mechanism and a whole federation, and compares what the attacks prove with what is
// accounted.
func newAuditCommand(stdout io.Writer) *cobra.Command {
	var o auditOptions
	cmd := &cobra.Command{
		Use:   "audit",
		Short: "attack the privacy mechanism and a whole federation, and hold the result against the accountant",
		Long: `audit checks the program against its own claims, twice. First it runs one real training step thousands of times with
and without one record, and measures how well the releases tell the two apart: that must be what the accountant
assumes. Then it runs one whole federation whose records are canaries, through the real clients, broker and
aggregator in virtual time with cryptographic noise, and guesses from what was published which canaries took part:
the epsilon that the guesses prove lost must not exceed the accounted one.

With --plant the same audits meet a mechanism with a bug, and must reject it. The exit code is 0 when the outcome is
what it should be, 1 when it is not.`,
		Example: `  go run ./testbed audit
  go run ./testbed audit --plant half-noise
  go run ./testbed audit --rate 0.25 --steps 100 --json`,
		Args: func(cmd *cobra.Command, args []string) error { return input(cobra.NoArgs(cmd, args)) },
		RunE: func(cmd *cobra.Command, _ []string) error { return o.audit(cmd.Context(), stdout) },
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVar(&o.plant, "plant", audit.Honest, "bug to plant: "+strings.Join(audit.Plants(), ", "))
	f.IntVar(&o.trials, "trials", 20000, "training steps with and without the canary, each")
	f.IntVar(&o.run.Clients, "clients", 8, "clients of the federation")
	f.IntVar(&o.run.Canaries, "canaries", 8192, "canaries over all clients")
	f.IntVar(&o.run.Steps, "steps", 8, "steps of each client")
	f.Float64Var(&o.run.Rate, "rate", 1, "sampling rate q; the attack is strongest at 1")
	f.Float64Var(&o.run.Epsilon, "epsilon", 3, "budget that the federation's noise is made for")
	f.Float64Var(&o.run.Delta, "delta", 1e-5, "delta of every epsilon")
	f.Float64Var(&o.run.Share, "share", 0.05, "share of the canaries about which the attacker guesses")
	f.Float64Var(&o.run.Confidence, "confidence", 0.95, "confidence of the federation's lower bounds")
	f.Uint64Var(&o.run.Seed, "seed", 1, "seed of the coins that choose the canaries; noise is always fresh")
	f.BoolVar(&o.json, "json", false, "print JSON")
	return cmd
}

// auditOptions are the audit's flags.
type auditOptions struct {
	plant  string
	trials int
	run    audit.OneRunOptions
	json   bool
}

// auditConfidence is that of the mechanism's intervals.
const auditConfidence = 0.9999

// auditTolerance is how far a measured mu may be from the accounted one: 3 %, or four standard errors where there are
// few trials. Together with the confidence it makes a false alarm rarer than one run in a thousand.
func auditTolerance(trials int) float64 { return min(0.9, max(0.03, 3.5/math.Sqrt(float64(trials)))) }

// auditReport is what --json prints.
type auditReport struct {
	Mechanism  *audit.MechanismResult `json:"mechanism"`
	Federation *audit.OneRunResult    `json:"federation"` // null where the planted bug is one of the step alone
}

func (o *auditOptions) audit(ctx context.Context, stdout io.Writer) (err error) {
	if !slices.Contains(audit.Plants(), o.plant) {
		return input(fmt.Errorf("--plant %q: want one of %s", o.plant, strings.Join(audit.Plants(), ", ")))
	}
	whole := slices.Contains(audit.OneRunPlants(), o.plant)
	if o.run.Plant = o.plant; !whole {
		o.run.Plant = audit.Honest
	}
	if err := o.run.Check(); err != nil {
		return input(err)
	}
	var r auditReport
	r.Mechanism, err = audit.Mechanism(ctx, audit.MechanismOptions{
		Trials: o.trials, Confidence: auditConfidence, Tolerance: auditTolerance(o.trials), Delta: o.run.Delta, Plant: o.plant,
	})
	switch {
	case errors.Is(err, audit.ErrOptions):
		return input(err)
	case err != nil:
		return cause(ctx, err)
	}
	if !o.json {
		if err := r.Mechanism.Write(stdout); err != nil {
			return err
		}
		fmt.Fprintln(stdout)
	}
	if whole {
		if r.Federation, err = auditFederation(ctx, o.run); err != nil {
			return err
		}
	}
	if err := o.print(stdout, &r); err != nil {
		return err
	}
	return r.verdict(o.plant)
}

// auditFederation runs the audit of a federation in virtual time.
func auditFederation(ctx context.Context, o audit.OneRunOptions) (r *audit.OneRunResult, err error) {
	err = brokertest.VirtualTime(func(inside context.Context) error {
		inside, cancel := brokertest.Linked(inside, ctx)
		defer cancel()
		r, err = audit.OneRun(inside, o)
		return err
	})
	return r, err
}

func (o *auditOptions) print(stdout io.Writer, r *auditReport) error {
	switch {
	case o.json:
		return printJSON(stdout, r)
	case r.Federation != nil:
		return r.Federation.Write(stdout)
	default:
		_, err := fmt.Fprintf(stdout, "%s is a bug of the step; no federation was run\n", o.plant)
		return err
	}
}

// verdict is nil if the audits came out as they should: everything accepted, or the planted bug rejected.
func (r *auditReport) verdict(plant string) error {
	if plant != audit.Honest {
		if r.Mechanism.Accepted || plant == audit.NoNoise && r.Federation.Accepted {
			return fmt.Errorf("audit: the planted bug %s went unnoticed", plant)
		}
		return nil
	}
	switch {
	case !r.Mechanism.Accepted:
		return errors.New("audit: the training step is not what is accounted")
	case !r.Federation.Accepted:
		return errors.New("audit: the federation loses more privacy than is accounted")
	case !r.Federation.Alive:
		return errors.New("audit: the attack on the federation proves too little to say anything")
	}
	return nil
}

// cause is the reason for an error that followed from the end of a context, and other errors themselves.
func cause(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(v)
}
