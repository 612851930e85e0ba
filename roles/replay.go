package main

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"dpfpl/roles/aggregator"
	"dpfpl/roles/replayer"
	"dpfpl/schemas"
)

// newFold lends the aggregator's fold to the replayer.
func newFold(p *schemas.Plan, initial []float32) (replayer.Fold, error) {
	return aggregator.NewFold(p, initial)
}

// replayFlags are those of dpfpl replay.
type replayFlags struct {
	source        sourceFlags
	until         uint64
	without, only string
	rule          schemas.RulePlan
	eval          evaluation
}

func newReplayCommand() *cobra.Command {
	var f replayFlags
	c := &cobra.Command{
		Use:   "replay",
		Short: "re-run the aggregator over a recorded run and compare every version bit for bit",
		Long: `Re-runs the aggregator over a recorded run and compares every version of the global prompt bit for bit.
When all agree it says so in one line and exits with 0; else it names the first version, log sequence and
client where they part, and exits with 1.

With --without, --only or a rule it asks "what if" instead: the same noised updates, aggregated without a
client, of one client only, or by another rule. That costs no privacy. The gradients stay those of the recorded prompts, so
the answer is exact for the first version that differs, and an approximation after it. With --eval either
also prints the accuracy of the global prompts, the recorded and the what-if's.`,
		Args: inputArgs(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error { return f.replay(c) },
	}
	f.source.register(c, true)
	c.Flags().Uint64Var(&f.until, "until", 0, "stop after `version`")
	c.Flags().StringVar(&f.without, "without", "", "what if `client` had not taken part")
	c.Flags().StringVar(&f.only, "only", "", "what if only `client` had taken part")
	c.Flags().StringVar(&f.rule.Name, "rule", "", "what if the `rule` had been sync, fedbuff, fedasync, trimmed or median")
	c.Flags().Uint32Var(&f.rule.Buffer, "k", 0, "buffer of the other rule")
	c.Flags().Uint32Var(&f.rule.Quorum, "quorum", 0, "quorum of the other rule")
	c.Flags().DurationVar(&f.rule.Deadline, "deadline", 0, "deadline of the other rule; recorded deadlines count")
	c.Flags().Uint32Var(&f.rule.MaxStaleness, "staleness", 0, "largest staleness of the other rule")
	c.Flags().Uint32Var(&f.rule.Trim, "trim", 0, "updates that the other rule drops at each end")
	f.eval.register(c)
	c.AddCommand(newDiffCommand(), newBlameCommand(), newReplayClientCommand())
	return c
}

func (f *replayFlags) replay(c *cobra.Command) error {
	change, asked, err := f.change(c)
	if err != nil {
		return err
	}
	score, closeModel, err := f.eval.open()
	if err != nil {
		return err
	}
	defer closeModel()
	f.source.chained = asked // a replay computes the chain itself
	src, done, err := f.source.open(c.Context())
	if err != nil {
		return err
	}
	defer done()
	if asked {
		outcome, err := replayer.WhatIf(src, newFold, change, f.until, score)
		printOutcome(c.OutOrStdout(), outcome, score != nil)
		return inputIf(err, replayer.ErrChange, replayer.ErrSource)
	}
	var ratings []rating
	if score != nil {
		src = rated(src, score, &ratings)
	}
	began := time.Now()
	result, err := replayer.Replay(src, newFold, f.until)
	err = printResult(c.OutOrStdout(), result, inputIf(err, replayer.ErrSource), time.Since(began))
	printRatings(c.OutOrStdout(), ratings, result.Agreed)
	return err
}

// change reads what is to be different. Options of a rule without a rule are refused.
func (f *replayFlags) change(c *cobra.Command) (change replayer.Change, asked bool, err error) {
	change = replayer.Change{Without: f.without, Only: f.only}
	if f.rule.Name != "" {
		change.Rule = &f.rule
		if !c.Flags().Changed("staleness") {
			f.rule.MaxStaleness = math.MaxUint32 // the question is about the rule, not about what is late
		}
	}
	for _, name := range []string{"k", "quorum", "deadline", "staleness", "trim"} {
		if f.rule.Name == "" && c.Flags().Changed(name) {
			return change, false, input(fmt.Errorf("--%s belongs to a --rule", name))
		}
	}
	return change, change != replayer.Change{}, nil
}

// printResult says in one line what a replay found. err is what the replay ended with.
func printResult(w io.Writer, r replayer.Result, err error, took time.Duration) error {
	if r.Plan == nil {
		return err
	}
	if r.Divergence != nil {
		fmt.Fprintf(w, "run %s: the replay parts from the record in %v\n", r.Plan.Run, r.Divergence)
		return cmp.Or(err, errFound)
	}
	fmt.Fprintf(w, "run %s: %d versions agree bit for bit; %d log messages: %d updates accepted, %d stale, %d refused, %d control messages",
		r.Plan.Run, r.Agreed+1, r.Messages, r.Accepted, r.Stale, r.Refused, r.Controls)
	if r.After > 0 {
		fmt.Fprintf(w, ", %d after the end", r.After)
	}
	if r.Beyond > 0 {
		fmt.Fprintf(w, "; %d more versions follow from the log but are not recorded", r.Beyond)
	}
	if !r.Final {
		fmt.Fprint(w, "; the run is not over")
	}
	fmt.Fprintf(w, " (%.1fs, %.0f messages/s)\n", took.Seconds(), float64(r.Messages)/took.Seconds())
	return err
}

// printOutcome prints a row for each recorded version, with scores if there are any.
func printOutcome(w io.Writer, o replayer.Outcome, scored bool) {
	if o.Plan == nil {
		return
	}
	fmt.Fprintf(w, "run %s, what if: %d versions of %d updates, %d stale, %d refused.\n%s\n\n",
		o.Plan.Run, o.Versions, o.Accepted, o.Stale, o.Refused, o.Privacy)
	heading := "version\tsequence\twhat-if version\tnorm\tdifference\trelative"
	if scored {
		heading += "\taccuracy\twhat-if accuracy"
	}
	table(w, heading, func(row func(...any)) {
		for _, r := range o.Rows {
			cells := []any{r.Version, r.Seq, r.Other, short(r.Norm), short(r.Difference), short(r.Difference / r.Norm)}
			if scored {
				cells = append(cells, percent(r.Recorded), percent(r.Score))
			}
			row(cells...)
		}
	})
}

func newDiffCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "diff FILE FILE",
		Short: "compare two recorded runs version by version",
		Args:  inputArgs(cobra.ExactArgs(2)),
		RunE: func(c *cobra.Command, args []string) error {
			a, closeA, err := openFile(args[0], false)
			if err != nil {
				return err
			}
			defer closeA()
			b, closeB, err := openFile(args[1], false)
			if err != nil {
				return err
			}
			defer closeB()
			pairs, err := replayer.Diff(a, b)
			return printPairs(c.OutOrStdout(), pairs, inputIf(err, replayer.ErrSource))
		},
	}
}

// printPairs reports errFound unless all pairs are the same.
func printPairs(w io.Writer, pairs []replayer.Pair, err error) error {
	table(w, "version\tupdates\tupdates\tnorm\tnorm\tdifference\t", func(row func(...any)) {
		for _, p := range pairs {
			mark := "differs"
			if p.Same {
				mark = "same bits"
			} else {
				err = cmp.Or(err, errFound)
			}
			row(p.Version, p.Folded[0], p.Folded[1], short(p.Norms[0]), short(p.Norms[1]), short(p.Difference), mark)
		}
	})
	return err
}

func newBlameCommand() *cobra.Command {
	var source sourceFlags
	var top bool
	source.chained = true
	c := &cobra.Command{
		Use:   "blame {VERSION | --top}",
		Short: "who contributed to a version, or pulled hardest over the run",
		Long: `Lists who contributed to a version: staleness, weight, the norm of the contribution as a mean gradient, and
its share of the version's step (shares add up to 1; below 0 is a pull the other way). With --top it sums
this up over the run, for each client, the hardest pull first.`,
		Args: func(c *cobra.Command, args []string) error {
			if top {
				return inputArgs(cobra.NoArgs)(c, args)
			}
			return inputArgs(cobra.ExactArgs(1))(c, args)
		},
		RunE: func(c *cobra.Command, args []string) error {
			src, done, err := source.open(c.Context())
			if err != nil {
				return err
			}
			defer done()
			if top {
				pulls, err := replayer.Top(src)
				printPulls(c.OutOrStdout(), pulls)
				return inputIf(err, replayer.ErrSource)
			}
			var version uint64
			if _, err := fmt.Sscanf(args[0]+"\n", "%d\n", &version); err != nil {
				return input(fmt.Errorf("version %q is no number", args[0]))
			}
			contributions, err := replayer.Blame(src, version)
			printContributions(c.OutOrStdout(), contributions)
			return inputIf(err, replayer.ErrSource, replayer.ErrVersion)
		},
	}
	source.register(c, true)
	c.Flags().BoolVar(&top, "top", false, "sum up over the whole run")
	return c
}

func printContributions(w io.Writer, contributions []replayer.Contribution) {
	table(w, "client\tupdate\tsequence\tstaleness\tweight\tnorm\tshare", func(row func(...any)) {
		for _, c := range contributions {
			row(c.Client, c.K, c.Seq, c.Staleness, short(float64(c.Weight)/65536), short(c.Norm), short(c.Share))
		}
	})
}

func printPulls(w io.Writer, pulls []replayer.Pull) {
	table(w, "client\tupdates\tmean weight\ttotal norm\tlargest\tin version\tmean share", func(row func(...any)) {
		for _, p := range pulls {
			row(p.Client, p.Updates, short(p.Weight), short(p.Total), short(p.Largest), p.Version, short(p.Share))
		}
	})
}

// table prints a heading and rows with aligned columns; nothing without rows.
func table(w io.Writer, heading string, rows func(row func(cells ...any))) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	begun := false
	rows(func(cells ...any) {
		if !begun {
			fmt.Fprintln(t, heading)
			begun = true
		}
		for i, c := range cells {
			if i > 0 {
				fmt.Fprint(t, "\t")
			}
			fmt.Fprint(t, c)
		}
		fmt.Fprintln(t)
	})
	t.Flush()
}

// short renders a figure with four digits.
func short(v float64) string { return fmt.Sprintf("%.4g", v) }

// percent renders a share.
func percent(v float64) string { return fmt.Sprintf("%.2f %%", 100*v) }
