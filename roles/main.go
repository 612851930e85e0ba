// Command dpfpl is everything that one deploys: each role of a federation, and the tools to look at a run.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"dpfpl/roles/flagerror"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run is main without the process: it turns arguments into an exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := newRootCommand()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	code := exitCode(err)
	if code != exitOK && err != errFound {
		fmt.Fprintf(stderr, "dpfpl: %v\n", err)
	}
	return code
}

func newRootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "dpfpl",
		Short: "differentially private federated prompt learning over NATS JetStream",
		Long: `Everything that one deploys: each role of a federation, and the tools to look at a run.

Flags come from the command line, then from the environment (--max-epsilon is DPFPL_MAX_EPSILON), then from the file of --config.
"dpfpl completion" prints a script that completes them in a shell.

Exit codes
  0  done, or interrupted (SIGINT, SIGTERM) and drained
  1  failed, or found something: a refused plan, a replay that differs, a broker out of reach
  2  a flag, a file or a plan is wrong; the message names it`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          inputArgs(cobra.NoArgs),
		RunE:          func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.PersistentPreRunE = fillFlags
	root.PersistentFlags().String(configFlag, "", "YAML `file` of flags, name: value; variables and the command line come first")
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return input(flagerror.Plain(err)) })
	root.AddCommand(newReplayCommand(), newLogCommand(), newPrivacyCommand(), newFeaturesCommand(), newZeroshotCommand(), newEmbedCommand())
	root.AddCommand(newPlanCommand(), newEnrollCommand(), newAggregatorCommand(), newClientCommand(), newMonitorCommand(), newHealthCommand())
	root.AddCommand(newPromptCommand(), newPredictCommand())
	completeFlags(root)
	return root
}
