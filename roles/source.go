package main

import (
	"context"
	"fmt"
	"iter"
	"os"

	"github.com/spf13/cobra"

	"dpfpl/broker"
	"dpfpl/roles/replayer"
	"dpfpl/schemas"
	"dpfpl/schemas/logfile"
)

// sourceFlags say where a recorded run is: in a file, or on a server.
type sourceFlags struct {
	serverFlags
	file string
	run  string

	chained bool // check the digest chain of a file, for a command that does not compute it anyway
}

// register adds the flags of a run on a server, and with file also that of a file.
func (s *sourceFlags) register(c *cobra.Command, file bool) {
	if file {
		c.Flags().StringVar(&s.file, "log", "", "`file` that holds the run (see dpfpl log export)")
	}
	s.serverFlags.register(c)
	c.Flags().StringVar(&s.run, "run", "", "`name` of the run on the server, with --nats")
}

func (s *sourceFlags) connect(ctx context.Context) (*broker.Conn, error) {
	return s.serverFlags.connect(ctx, "dpfpl log")
}

// open returns the run in file order. close must be called when all has been read.
func (s *sourceFlags) open(ctx context.Context) (src replayer.Source, close func(), err error) {
	switch {
	case s.file != "" && s.url != "":
		return nil, nil, input(fmt.Errorf("either --log or --nats, not both"))
	case s.file != "":
		return openFile(s.file, !s.chained)
	case s.url == "" || s.run == "":
		return nil, nil, input(fmt.Errorf("no run: give --log, or --nats and --run"))
	}
	conn, err := s.connect(ctx)
	if err != nil {
		return nil, nil, err
	}
	plan, err := conn.Plan(ctx, s.run)
	if err != nil {
		conn.Close()
		return nil, nil, err
	}
	return stored(ctx, conn, plan), conn.Close, nil
}

// stored yields a run that is on a server, in file order.
func stored(ctx context.Context, conn *broker.Conn, plan schemas.Message) iter.Seq2[schemas.Message, error] {
	_, run, _, _, _ := schemas.ParseSubject(plan.Subject)
	return func(yield func(schemas.Message, error) bool) {
		if !yield(plan, nil) {
			return
		}
		for m, err := range logfile.Interleave(conn.ReadLog(ctx, run, 1), conn.ReadModels(ctx, run), conn.ReadCheckpoints(ctx, run)) {
			if !yield(m, err) {
				return
			}
		}
	}
}

// openFile returns the run in a file, unopened. Errors: inputError for a file that is none of ours.
func openFile(path string, unchained bool) (src replayer.Source, close func(), err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, input(err)
	}
	r, err := logfile.NewReader(f)
	if err != nil {
		f.Close()
		return nil, nil, input(fmt.Errorf("%s: %w", path, err))
	}
	r.Unchained = unchained
	src = func(yield func(schemas.Message, error) bool) {
		for m, err := range r.All() {
			if err != nil {
				err = fmt.Errorf("%s: %w", path, err)
			}
			if !yield(m, err) {
				return
			}
		}
	}
	return src, func() { f.Close() }, nil
}
