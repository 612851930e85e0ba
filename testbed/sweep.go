package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/spf13/cobra"

	"dpfpl/testbed/internal/report"
	"dpfpl/testbed/internal/sweep"
)

// newSweepCommand runs a grid of federations: the paper's experiments.
func newSweepCommand(stdout io.Writer) *cobra.Command {
	var o sweepOptions
	cmd := &cobra.Command{
		Use:   "sweep",
		Short: "run a grid of federations: methods, budgets, ranks, seeds, rules, and the controls",
		Long: `sweep runs every cell of a grid as a federation of the deployed roles in virtual time, on all cores, and measures the
personal prompts' local and neighbour accuracy at the last ten versions. Zero-shot and noise-only controls are always
among the cells. Noise comes from the seed: results are reproducible to the bit, and protect nobody.

A line of JSON for each finished cell is kept in the output folder, so a sweep that is interrupted goes on where it was
when it is started again. Grids that come with the testbed: ` + strings.Join(sweep.Named(), ", ") + `.`,
		Example: `  go run ./testbed sweep --grid paper
  go run ./testbed sweep --grid mine.yaml --out out/mine --jobs 4
  go run ./testbed sweep --grid benchmark --features DIR --model DIR`,
		Args: func(cmd *cobra.Command, args []string) error { return input(cobra.NoArgs(cmd, args)) },
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context(), stdout) },
	}
	cmd.AddCommand(newChildCommand(func(ctx context.Context, text string, stdin io.Reader, stdout io.Writer) error {
		return sweep.Child(ctx, text, stdin, stdout, sweepBuiltin())
	}))
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVar(&o.grid, "grid", "paper", "a grid that comes with the testbed, or a YAML file")
	f.StringVar(&o.folders.Model, "model", "", "folder of a frozen CLIP in the Hugging Face layout (default: the built-in tinyclip)")
	f.StringVar(&o.folders.Features, "features", "", "folder with the grid's feature files")
	f.StringVar(&o.folders.Images, "images", "", "folder with the grid's pictures, in CoOp's layout")
	f.StringVar(&o.out, "out", "out/sweep", "folder for trials, tables and report")
	f.IntVar(&o.jobs, "jobs", runtime.GOMAXPROCS(0), "processes to run cells in")
	f.BoolVar(&o.list, "list", false, "check the grid and list its cells, without running any")
	f.BoolVar(&o.tables, "tables", false, "write the tables of what is done so far, without running any")
	return cmd
}

// sweepOptions are the sweep's flags.
type sweepOptions struct {
	grid         string
	folders      sweep.Folders
	out          string
	jobs         int
	list, tables bool
}

func sweepBuiltin() sweep.Builtin {
	return sweep.Builtin{Model: builtin("tinyclip"), Data: builtin("data")}
}

func (o *sweepOptions) run(ctx context.Context, stdout io.Writer) error {
	options, digest, err := o.prepare(ctx, stdout)
	if err != nil {
		return input(err)
	}
	if o.list {
		for _, c := range options.Grid.Cells() {
			fmt.Fprintln(stdout, c.ID())
		}
		return nil
	}
	if o.tables {
		trials, err := sweep.Done(o.out, options.Grid, digest)
		if err != nil {
			return input(err)
		}
		return o.write(stdout, options, trials)
	}
	trials, err := sweep.Run(ctx, options, digest)
	switch {
	case errors.Is(err, sweep.ErrJournal):
		return input(err)
	case err != nil:
		return fmt.Errorf("%w\nwhat is done is kept in %s; the same command goes on", err, o.out)
	}
	return o.write(stdout, options, trials)
}

// prepare reads and checks everything that is given.
func (o *sweepOptions) prepare(ctx context.Context, stdout io.Writer) (options sweep.Options, digest string, err error) {
	if o.jobs < 1 {
		return options, "", fmt.Errorf("--jobs %d: want at least 1", o.jobs)
	}
	for _, f := range []struct{ flag, dir string }{{"features", o.folders.Features}, {"images", o.folders.Images}} {
		if info, err := os.Stat(f.dir); f.dir != "" && (err != nil || !info.IsDir()) {
			return options, "", fmt.Errorf("--%s %s: not a folder", f.flag, f.dir)
		}
	}
	grid, text, err := sweep.Open(o.grid)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = fmt.Errorf("--grid: %w", err)
		}
		return options, "", err
	}
	options = sweep.Options{
		Grid: grid, Text: text, Folders: o.folders, Builtin: sweepBuiltin(), Dir: o.out, Jobs: o.jobs,
		Command: self("sweep"), Say: func(line string) { fmt.Fprintln(stdout, line) },
	}
	if digest, err = sweep.Check(ctx, &options); err != nil || o.list {
		return options, digest, err
	}
	return options, digest, report.Prepare(o.out)
}

// tablesFile holds the tables for a document.
const tablesFile = "sweep.md"

// write writes tables and report.
func (o *sweepOptions) write(stdout io.Writer, options sweep.Options, trials []report.Trial) error {
	g := options.Grid
	s := report.Sweep{
		Title: "Sweep: " + g.Name, Command: "go run ./testbed sweep --grid " + o.grid, Grid: string(options.Text), Notes: g.Notes, Target: g.Target,
		Trials: trials, Planned: g.Planned(),
	}
	for _, f := range []struct{ flag, dir string }{{"features", o.folders.Features}, {"images", o.folders.Images}, {"model", o.folders.Model}} {
		if f.dir != "" {
			s.Command += " --" + f.flag + " DIR"
		}
	}
	if err := s.Write(o.out); err != nil {
		return err
	}
	var tables bytes.Buffer
	if err := s.Markdown(&tables); err != nil {
		return err
	}
	if err := report.WriteFile(o.out, tablesFile, tables.Bytes()); err != nil {
		return err
	}
	fmt.Fprintf(stdout, "%d of %d trials are in %s, %s, %s and %s\n", len(trials), len(s.Planned),
		filepath.Join(o.out, report.SweepPageFile), report.SweepTableFile, report.SweepResultsFile, tablesFile)
	return nil
}
