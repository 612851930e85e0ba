package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"

	"github.com/spf13/cobra"

	"dpfpl/mathx/dp"
)

func newPrivacyCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "privacy",
		Short: "what noise costs in privacy, and what a privacy budget costs in noise",
		Long: `Accounts for the client's mechanism: Gaussian noise on the clipped and summed gradients of a random batch, step
after step. epsilon_rdp, by Rényi divergence at integer orders, is the guarantee; epsilon_pld, the privacy-loss
distribution of continuous noise, is the tight reference beside it.

A noise multiplier z is the standard deviation of the noise over the clip norm of one record, both for the sum over
the batch. Releases made from one batch (u, v and the global gradient) count jointly.`,
		Args: inputArgs(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newPrivacyEpsilonCommand(), newPrivacyNoiseCommand())
	return c
}

// privacyFlags describe a run but for its noise.
type privacyFlags struct {
	q         float64
	steps     uint64
	delta     float64
	adjacency string
	sampler   string
	records   int
	json      bool
}

func (f *privacyFlags) register(c *cobra.Command) {
	c.Flags().Float64Var(&f.q, "q", 1, "sampling `rate`, the share of its records that a client uses in a step")
	c.Flags().Uint64Var(&f.steps, "steps", 0, "`number` of steps (with --sampler epochs: of epochs)")
	c.Flags().Float64Var(&f.delta, "delta", 1e-5, "delta of the guarantee, a `probability` below 1/N")
	c.Flags().StringVar(&f.adjacency, "adjacency", dp.ZeroOut.String(), "which data sets are neighbours: zero-out, add-remove or replace-one")
	c.Flags().StringVar(&f.sampler, "sampler", dp.Poisson.String(), "how batches are drawn: poisson, fixed-size or epochs")
	c.Flags().IntVar(&f.records, "records", 0, "`number` of the client's records, to check delta against")
	c.Flags().BoolVar(&f.json, "json", false, "print JSON")
}

// run returns the adjacency and the kind of step that the flags describe.
func (f *privacyFlags) run() (dp.Adjacency, dp.Sampler, error) {
	adjacency, err := dp.ParseAdjacency(f.adjacency)
	if err != nil {
		return 0, 0, flagError("adjacency", f.adjacency, "zero-out, add-remove or replace-one")
	}
	for _, s := range []dp.Sampler{dp.Poisson, dp.FixedSize, dp.Epochs} {
		if s.String() == f.sampler {
			return adjacency, s, f.check(adjacency, s)
		}
	}
	return 0, 0, flagError("sampler", f.sampler, "poisson, fixed-size or epochs")
}

func (f *privacyFlags) check(adjacency dp.Adjacency, sampler dp.Sampler) error {
	switch {
	case !(f.q > 0 && f.q <= 1):
		return flagError("q", f.q, "in (0, 1]")
	case sampler == dp.Epochs && f.q != 1:
		return flagError("q", f.q, "1 with --sampler epochs, for which no amplification is proven")
	case sampler != dp.Poisson && adjacency == dp.AddRemove:
		return flagError("sampler", sampler, "poisson with --adjacency add-remove")
	case f.steps == 0:
		return flagError("steps", f.steps, "> 0")
	case !(f.delta > 0 && f.delta < 1):
		return flagError("delta", f.delta, "in (0, 1)")
	case f.records < 0:
		return flagError("records", f.records, ">= 0")
	}
	return nil
}

// flagError is an error of the caller about one flag.
func flagError(flag string, value any, want string) error {
	return input(fmt.Errorf("--%s = %v, want %s", flag, value, want))
}

func newPrivacyEpsilonCommand() *cobra.Command {
	var f struct {
		privacyFlags
		z, zu, zv, zg float64
	}
	c := &cobra.Command{
		Use:     "epsilon",
		Short:   "the epsilon of a run with given noise",
		Example: "  dpfpl privacy epsilon --q 0.064 --z 2 --steps 1600 --delta 1e-5\n  dpfpl privacy epsilon --q 0.064 --z-u 3.5 --z-v 3.5 --z-g 3.5 --steps 1600",
		Args:    inputArgs(cobra.NoArgs),
	}
	c.RunE = func(c *cobra.Command, _ []string) error {
		z, groups, err := jointNoise(c, f.z, []dp.Group{{Name: "u", Z: f.zu}, {Name: "v", Z: f.zv}, {Name: "g", Z: f.zg}})
		if err != nil {
			return err
		}
		r, err := f.report(z, groups)
		if err != nil {
			return err
		}
		return r.print(c.OutOrStdout(), f.json)
	}
	f.register(c)
	c.Flags().Float64Var(&f.z, "z", 0, "joint noise `multiplier` of a step")
	c.Flags().Float64Var(&f.zu, "z-u", 0, "noise `multiplier` of the left factor, instead of --z")
	c.Flags().Float64Var(&f.zv, "z-v", 0, "noise `multiplier` of the right factor, instead of --z")
	c.Flags().Float64Var(&f.zg, "z-g", 0, "noise `multiplier` of the global gradient, instead of --z")
	return c
}

// jointNoise returns the multiplier of a step from --z, or from those of its groups
// that were given.
func jointNoise(c *cobra.Command, z float64, groups []dp.Group) (float64, []dp.Group, error) {
	var given []dp.Group
	var multipliers []float64
	for _, g := range groups {
		if flag := "z-" + g.Name; c.Flags().Changed(flag) {
			if !(g.Z > 0) || math.IsInf(g.Z, 0) {
				return 0, nil, flagError(flag, g.Z, "a finite number > 0")
			}
			given, multipliers = append(given, g), append(multipliers, g.Z)
		}
	}
	switch {
	case len(given) > 0 && c.Flags().Changed("z"):
		return 0, nil, input(errors.New("either --z or the --z-u, --z-v and --z-g of which it is made, not both"))
	case len(given) > 0:
		return dp.Joint(multipliers...), given, nil
	case !(z > 0) || math.IsInf(z, 0):
		return 0, nil, flagError("z", z, "a finite number > 0 (or --z-u, --z-v, --z-g)")
	}
	return z, nil, nil
}

func newPrivacyNoiseCommand() *cobra.Command {
	var f struct {
		privacyFlags
		epsilon float64
	}
	c := &cobra.Command{
		Use:     "noise",
		Short:   "the least noise with which a run keeps a budget",
		Example: "  dpfpl privacy noise --epsilon 2 --q 0.064 --steps 1600 --delta 1e-5",
		Args:    inputArgs(cobra.NoArgs),
	}
	c.RunE = func(c *cobra.Command, _ []string) error {
		r, err := f.calibrate(f.epsilon)
		if err != nil {
			return err
		}
		return r.print(c.OutOrStdout(), f.json)
	}
	f.register(c)
	c.Flags().Float64Var(&f.epsilon, "epsilon", 0, "the `budget`")
	return c
}

// calibrate reports on the run with the least noise that is proven to keep epsilon.
func (f *privacyFlags) calibrate(epsilon float64) (*privacyReport, error) {
	adjacency, sampler, err := f.run()
	if err != nil {
		return nil, err
	}
	if !(epsilon > 0) || math.IsInf(epsilon, 0) {
		return nil, flagError("epsilon", epsilon, "a finite number > 0")
	}
	b := dp.Budget{Epsilon: epsilon, Delta: f.delta, Adjacency: adjacency, Sampler: sampler, Q: f.q, Steps: f.steps}
	z, err := dp.CalibrateRDP(b)
	if err != nil {
		return nil, inputIf(fmt.Errorf("--epsilon: %w", err), dp.ErrInvalid)
	}
	r, err := f.report(z, nil)
	if err != nil {
		return nil, err
	}
	if r.EpsilonPLD != nil {
		tight, err := dp.CalibratePLD(b)
		if err != nil {
			return nil, inputIf(fmt.Errorf("--epsilon: %w", err), dp.ErrInvalid)
		}
		r.ZPLD = &tight
	}
	return r, nil
}

// privacyReport is what both commands print.
type privacyReport struct {
	EpsilonRDP float64  `json:"epsilon_rdp"`
	Order      float64  `json:"order"`
	EpsilonPLD *float64 `json:"epsilon_pld"` // null where none is known
	Z          float64  `json:"z"`
	ZPLD       *float64 `json:"z_pld,omitempty"` // calibrated by the tight reference
	Q          float64  `json:"q"`
	Steps      uint64   `json:"steps"`
	Delta      float64  `json:"delta"`
	Adjacency  string   `json:"adjacency"`
	Sampler    string   `json:"sampler"`
	Statement  string   `json:"statement"`
	Warnings   []string `json:"warnings"`
}

// report accounts for the run with joint multiplier z.
func (f *privacyFlags) report(z float64, groups []dp.Group) (*privacyReport, error) {
	adjacency, sampler, err := f.run()
	if err != nil {
		return nil, err
	}
	account, err := dp.NewAccount(adjacency)
	if err != nil {
		return nil, input(err)
	}
	if err := account.Spend(dp.Step{Sampler: sampler, Q: f.q, Z: z}, f.steps); err != nil {
		return nil, input(err)
	}
	s, err := account.Statement(f.delta, dp.Claim{Records: f.records, Groups: groups})
	if err != nil {
		return nil, input(err)
	}
	r := &privacyReport{
		EpsilonRDP: s.Renyi.Epsilon, Order: s.Renyi.Order, Z: z, Q: f.q, Steps: f.steps, Delta: f.delta,
		Adjacency: adjacency.String(), Sampler: sampler.String(), Statement: s.String(), Warnings: s.Warnings,
	}
	if !math.IsNaN(s.PLD) && !math.IsInf(s.PLD, 0) {
		r.EpsilonPLD = &s.PLD
	}
	return r, nil
}

// print writes the report for a reader or a program.
func (r *privacyReport) print(w io.Writer, asJSON bool) error {
	if asJSON {
		if r.Warnings == nil {
			r.Warnings = []string{}
		}
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(r)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "epsilon_rdp  %.6g  (order %v)\n", r.EpsilonRDP, r.Order)
	if r.EpsilonPLD != nil {
		fmt.Fprintf(&b, "epsilon_pld  %.6g\n", *r.EpsilonPLD)
	}
	fmt.Fprintf(&b, "z            %.6g\n", r.Z)
	if r.ZPLD != nil {
		fmt.Fprintf(&b, "z_pld        %.6g  (would do by the privacy-loss distribution)\n", *r.ZPLD)
	}
	fmt.Fprintf(&b, "\n%s", r.Statement)
	_, err := io.WriteString(w, b.String())
	return err
}
