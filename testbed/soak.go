package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"time"

	"github.com/spf13/cobra"

	"dpfpl/testbed/internal/soak"
)

// newSoakCommand runs a federation of real processes through kills, pauses, full disks and broken networks, and
// checks that nothing is lost or counted twice.
func newSoakCommand(stdout io.Writer) *cobra.Command {
	var o soakOptions
	cmd := &cobra.Command{
		Use:   "soak",
		Short: "run real processes through kills, pauses, full disks and broken networks, and check what is left",
		Long: `soak starts a NATS server, two aggregators and several clients as processes of their own, and for the given time
does to them what can happen to processes: kill -9 at random and at every named step boundary, pauses, slow and broken
networks, full disks, ledgers with a torn tail. Then it lets them finish and checks what is left: the final model
equals one sequential fold of the log, every accepted update is in exactly one version, no update that a client held
ready is missing, and no client's ledger is below what it published.

The plan of faults follows from the seed and is printed as it is carried out. When something does not hold, the exit
code is 1, and the folder with every log, ledger and stream is kept.`,
		Example: `  go run ./testbed soak --minutes 10
  go run ./testbed soak --minutes 1 --seed 7 --clients 8 --out out/soak`,
		Args: func(cmd *cobra.Command, args []string) error { return input(cobra.NoArgs(cmd, args)) },
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context(), stdout) },
	}
	cmd.AddCommand(newChildCommand(soak.Child))
	f := cmd.Flags()
	f.SortFlags = false
	f.Float64Var(&o.minutes, "minutes", 1, "how long faults go on at least; a whole round of them takes about half a minute")
	f.Uint64Var(&o.seed, "seed", 1, "seed of the plan of faults")
	f.IntVar(&o.clients, "clients", 4, "number of clients")
	f.StringVar(&o.out, "out", "", "empty folder for everything, which is then kept (default: a temporary one, kept on failure)")
	return cmd
}

// soakOptions are the soak's flags.
type soakOptions struct {
	minutes float64
	seed    uint64
	clients int
	out     string
}

func (o *soakOptions) run(ctx context.Context, stdout io.Writer) (err error) {
	if !(o.minutes > 0 && o.minutes <= 24*60) { // a duration may not hold it
		return input(fmt.Errorf("--minutes %v: want a second to a day", o.minutes))
	}
	options := soak.Options{
		Seed: o.seed, Clients: o.clients, Faults: time.Duration(o.minutes * float64(time.Minute)), Dir: o.out,
		Command: self("soak"), Say: func(line string) { fmt.Fprintln(stdout, line) },
	}
	if err := options.Check(); err != nil {
		return input(err)
	}
	if o.out == "" {
		if options.Dir, err = os.MkdirTemp("", "dpfpl-soak-"); err != nil {
			return err
		}
	}
	fmt.Fprintf(stdout, "seed %d, %d clients, faults for %v, everything in %s\n", o.seed, o.clients, options.Faults, options.Dir)
	r, err := soak.Run(ctx, options)
	if errors.Is(err, soak.ErrOptions) {
		return input(err)
	}
	if r != nil {
		if err := r.Write(stdout); err != nil {
			return err
		}
	}
	if err != nil {
		return fmt.Errorf("soak --seed %d: %w; everything is in %s", o.seed, err, options.Dir)
	}
	if o.out == "" {
		return os.RemoveAll(options.Dir)
	}
	return nil
}

// newChildCommand is the hidden command under which this program runs as its own child.
func newChildCommand(child func(ctx context.Context, text string, stdin io.Reader, stdout io.Writer) error) *cobra.Command {
	return &cobra.Command{
		Use:    "child",
		Hidden: true,
		Args:   cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return child(cmd.Context(), args[0], os.Stdin, os.Stdout)
		},
	}
}

// self makes commands that run this program as a child of a command.
func self(command string) func(text string) *exec.Cmd {
	return func(text string) *exec.Cmd {
		path, err := os.Executable()
		if err != nil {
			path = os.Args[0]
		}
		return exec.Command(path, command, "child", text)
	}
}
