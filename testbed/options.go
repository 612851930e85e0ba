package main

import (
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"dpfpl/mathx/prompt"
	"dpfpl/roles/flagerror"
	"dpfpl/schemas"
	"dpfpl/testbed/internal/federation"
)

// options are the main job's flags.
type options struct {
	Clients     int
	Versions    int
	Seed        uint64
	Method      string
	Rank        int
	Epsilon     float64
	Delta       float64
	Rule        string
	Data        string
	DataDir     string
	Model       string
	Plan        string
	Out         string
	NonPrivate  bool
	VirtualTime bool
	Resume      bool
	NoControl   bool
	Plain       bool
	Pace        time.Duration
	own
}

// local names the flags that say where and how, and not what; a resumed run may change them.
var local = []string{"out", "resume", "plain", "help"}

func newRootCommand(stdout io.Writer) *cobra.Command {
	var o options
	cmd := &cobra.Command{
		Use:   "testbed",
		Short: "a private, personalised federation in one process, on real pictures",
		Long: `testbed starts an embedded NATS JetStream server, an aggregator and ten clients that differ, which meet
only through messages, and lets them learn DP-FPL prompts for a frozen CLIP on real pictures. One client is
ten times slower than the others, one joins late, one is cut off and returns, one leaves for good. At the end
it prints what became of each, and leaves report.html, results.json and the run's log in the output folder.`,
		Example: `  go run ./testbed                                   the main job
  go run ./testbed --data fashion --non-private      another data set, no noise
  go run ./testbed --seed 7 --virtual-time           reproducible to the bit (seeded noise: no privacy)
  go run ./testbed --data coop:DIR/oxford_pets --model DIR --shots 16
                                                     photographs of your own, a CLIP of your own
  go run ./testbed --plan plan.yaml --out out/mine   a plan of your own
  go run ./testbed --resume                          go on after an interruption`,
		Args:          func(cmd *cobra.Command, args []string) error { return input(cobra.NoArgs(cmd, args)) },
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runJob(cmd.Context(), &o, cmd.Flags(), stdout)
		},
	}
	cmd.AddCommand(newAuditCommand(stdout), newMIACommand(stdout))
	cmd.AddCommand(newSoakCommand(stdout))
	cmd.AddCommand(newLoadCommand(stdout))
	cmd.AddCommand(newPicturesCommand(stdout))
	cmd.AddCommand(newSweepCommand(stdout))
	o.register(cmd.Flags())
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return input(flagerror.Plain(err)) })
	cmd.CompletionOptions.DisableDefaultCmd = true
	return cmd
}

func (o *options) register(f *pflag.FlagSet) {
	f.SortFlags = false
	f.IntVar(&o.Clients, "clients", 10, "number of clients")
	f.IntVar(&o.Versions, "versions", 60, "versions of the global prompt to learn")
	f.Uint64Var(&o.Seed, "seed", 1, "seed of the data's division, its views and the first prompt; of everything under --virtual-time")
	f.StringVar(&o.Method, "method", prompt.DPFPL, "learning method: "+strings.Join(prompt.Methods(), ", "))
	f.IntVar(&o.Rank, "rank", 8, "rank of the local prompt's factors")
	f.Float64Var(&o.Epsilon, "epsilon", 8, "privacy budget of one picture over the whole run")
	f.Float64Var(&o.Delta, "delta", 1e-5, "delta of the guarantee")
	f.StringVar(&o.Rule, "rule", "fedbuff", "how updates become versions: sync, fedbuff, fedasync, trimmed, median")
	f.StringVar(&o.Data, "data", "emoji", dataHelp())
	f.StringVar(&o.DataDir, "data-dir", "", "folder with the data sets (default: the built-in ones)")
	o.own.register(f)
	f.StringVar(&o.Model, "model", "", "folder of a frozen CLIP in the Hugging Face layout (default: the built-in tinyclip)")
	f.StringVar(&o.Plan, "plan", "", "YAML file with a plan; flags that are given override it")
	f.StringVar(&o.Out, "out", "out", "folder for report.html, results.json and run.dpfpl")
	f.BoolVar(&o.NonPrivate, "non-private", false, "no noise and no privacy, for comparison")
	f.BoolVar(&o.VirtualTime, "virtual-time", false, "run in simulated time with seeded noise: reproducible to the bit, protects nobody")
	f.BoolVar(&o.Resume, "resume", false, "go on with the unfinished run in --out")
	f.BoolVar(&o.NoControl, "no-control", false, "skip the noise-only control run that a private run ends with")
	f.BoolVar(&o.Plain, "plain", false, "plain lines instead of a live display")
	f.DurationVar(&o.Pace, "pace", 400*time.Millisecond, "what a step takes on a typical client, on top of its arithmetic")
}

// plan is the run's plan as far as flags and file decide it. set says which flags were given.
func (o *options) plan(set func(flag string) bool) (federation.PlanFile, error) {
	p := federation.DefaultPlan(o.Data, o.Clients, o.Pace)
	if o.Plan != "" {
		if err := p.Read(o.Plan); err != nil {
			return p, err
		}
	}
	override := func(flag string, assign func()) {
		if o.Plan == "" || set(flag) {
			assign()
		}
	}
	override("versions", func() { p.Versions = uint32(o.Versions) })
	override("seed", func() { p.Seed = o.Seed })
	override("method", func() { p.Method.Name = o.Method })
	override("rank", func() { p.Method.Rank = uint16(o.Rank) })
	override("epsilon", func() { p.Privacy.Epsilon = o.Epsilon })
	override("delta", func() { p.Privacy.Delta = o.Delta })
	override("rule", func() { p.Rule.Name = o.Rule })
	if o.Plan == "" && p.Rule.Name == "trimmed" {
		p.Rule.Buffer, p.Rule.Quorum = 0, 2*p.Rule.Trim+1 // everybody, or at least so many that something is left
	}
	if o.NonPrivate {
		v := &p.Privacy
		v.Noise, v.Adjacency = schemas.NoiseNone, ""
		v.Epsilon, v.Delta, v.ZU, v.ZV, v.ZG = 0, 0, 0, 0, 0
	}
	return p, nil
}

// check reports what is wrong with the flags by themselves.
func (o *options) check(set func(flag string) bool) error {
	var errs []error
	must := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	must(o.Clients >= 1 && o.Clients <= 1000, "--clients %d: want 1 to 1000", o.Clients)
	must(o.Versions >= 1 && o.Versions <= 1000, "--versions %d: want 1 to 1000", o.Versions)
	must(o.Rank >= 1 && o.Rank <= schemas.MaxContext, "--rank %d: want 1 to %d", o.Rank, schemas.MaxContext)
	must(o.Pace > 0 && o.Pace <= time.Hour, "--pace %v: want more than 0, at most 1h", o.Pace)
	must(!o.NonPrivate || !set("epsilon") && !set("delta"), "--non-private has no --epsilon and no --delta")
	must(o.Epsilon > 0 && !math.IsInf(o.Epsilon, 1), "--epsilon %v: want a number above 0; a run without noise is --non-private", o.Epsilon)
	must(o.Delta > 0 && o.Delta < 1, "--delta %v: want more than 0, less than 1", o.Delta)
	must(o.Out != "", "--out is empty")
	return errors.Join(append(errs, o.checkData(set))...)
}
