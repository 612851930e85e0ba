// Command testbed runs a whole federation in one process: an embedded NATS JetStream server, an
// aggregator and clients that differ, which meet only through messages. Without arguments it is the
// main job: it trains DP-FPL prompts on real pictures with a real frozen model and reports what happened.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// Exit codes.
const (
	exitOK      = 0
	exitFailure = 1 // the run failed, or was interrupted
	exitInput   = 2 // something given was wrong; nothing was written
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// run is main without the process: it turns arguments into an exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	root := newRootCommand(stdout)
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	var bad *inputError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &bad):
		fmt.Fprintf(stderr, "testbed: %v\n", err)
		return exitInput
	default:
		fmt.Fprintf(stderr, "testbed: %v\n", err)
		return exitFailure
	}
}

// inputError marks an error as the caller's: wrong flag, plan, model, data or output folder.
type inputError struct{ err error }

func (e *inputError) Error() string { return e.err.Error() }
func (e *inputError) Unwrap() error { return e.err }

// input wraps err as the caller's mistake; nil stays nil.
func input(err error) error {
	if err == nil {
		return nil
	}
	return &inputError{err}
}
