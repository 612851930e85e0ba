package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"dpfpl/testbed/internal/load"
)

// newLoadCommand measures what the pipeline costs beside a bare broker.
func newLoadCommand(stdout io.Writer) *cobra.Command {
	var o loadOptions
	cmd := &cobra.Command{
		Use:   "load",
		Short: "measure how fast updates are accepted and folded, beside the bare broker's rate",
		Long: `load lets many clients publish one sealed update each at the same instant over shared connections: to a log that
nobody reads, then to one that an aggregator folds. Server and aggregator are processes of their own. The ratio of the
two rates, taken in the same run, says what the pipeline costs. Sealing is not part of the time.`,
		Example: `  go run ./testbed load
  go run ./testbed load --clients 10000 --sync always --json`,
		Args: func(cmd *cobra.Command, args []string) error { return input(cobra.NoArgs(cmd, args)) },
		RunE: func(cmd *cobra.Command, _ []string) error { return o.run(cmd.Context(), stdout) },
	}
	cmd.AddCommand(newChildCommand(load.Child))
	f := cmd.Flags()
	f.SortFlags = false
	f.IntVar(&o.Clients, "clients", 1000, "number of clients")
	f.IntVar(&o.Payload, "payload", 32768, "bytes of numbers in an update; 32768 is CLIP ViT-B's prompt of 16 x 512")
	f.IntVar(&o.Connections, "connections", 16, "connections that the clients share")
	f.IntVar(&o.Buffer, "buffer", 0, "updates that make a version, a divisor of the number of clients (default: all of them, one round)")
	f.StringVar(&o.sync, "sync", "both", "how the server syncs to disk: default, always, both")
	f.IntVar(&o.Repeats, "repeats", 3, "how often to measure; the medians are reported")
	f.BoolVar(&o.Apart, "apart", false, "let the aggregator have one half of the processors, and the rest the other (Linux)")
	f.Uint64Var(&o.Seed, "seed", 1, "seed of keys and numbers")
	f.BoolVar(&o.json, "json", false, "print JSON")
	return cmd
}

// loadOptions are the measurement's flags.
type loadOptions struct {
	load.Options
	sync string
	json bool
}

func (o *loadOptions) run(ctx context.Context, stdout io.Writer) error {
	always, ok := map[string][]bool{"both": {false, true}, "default": {false}, "always": {true}}[o.sync]
	if !ok {
		return input(fmt.Errorf("--sync %q: want default, always or both", o.sync))
	}
	if o.Buffer == 0 {
		o.Buffer = o.Clients
	}
	o.Command = self("load")
	var results []*load.Result
	for _, o.SyncAlways = range always {
		r, err := load.Run(ctx, o.Options)
		if errors.Is(err, load.ErrOptions) {
			return input(err)
		}
		if err != nil {
			return err
		}
		results = append(results, r)
	}
	if o.json {
		return printJSON(stdout, results)
	}
	return load.Write(stdout, results)
}
