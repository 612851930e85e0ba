package load

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"dpfpl/broker"
	"dpfpl/roles/aggregator"
	"dpfpl/schemas"
	"dpfpl/testbed/internal/process"
)

// spec is what a child is told at its start: a server's or an aggregator's.
type spec struct {
	Server *process.ServerSpec `json:",omitempty"`
	URL    string
	Run    string
	Seed   uint64
}

// What an aggregator says: that it reads the log, and that the last version is committed.
const (
	reading = "reading"
	folded  = "folded"
)

// The aggregator checks signatures before a message's turn, without which it would fold at half the speed.
var _ broker.Preparer = (*aggregator.Aggregator)(nil)

// Child is the life of one child, which Run starts with the text of its spec.
func Child(ctx context.Context, text string, stdin io.Reader, stdout io.Writer) error {
	var s spec
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		return err
	}
	if s.Server != nil {
		return process.Serve(ctx, *s.Server, stdin, stdout)
	}
	go func() {
		process.Obey(stdin, func(string, string) {})
		os.Exit(0) // told by the end of its standard input, when nothing more is to be measured
	}()
	if err := s.aggregate(ctx, stdout); err != nil {
		return err
	}
	fmt.Fprintln(stdout, folded)
	<-ctx.Done()
	return nil
}

// aggregate is the aggregator as it is deployed, but for where it takes its key from.
func (s *spec) aggregate(ctx context.Context, stdout io.Writer) error {
	t, err := newTask(Options{Seed: s.Seed})
	if err != nil {
		return err
	}
	conn, err := broker.Connect(ctx, broker.Options{Name: "aggregator", URL: s.URL})
	if err != nil {
		return err
	}
	defer conn.Close()
	m, err := conn.Plan(ctx, s.Run)
	if err != nil {
		return err
	}
	plan, ok := m.Body.(*schemas.Plan)
	if !ok {
		return fmt.Errorf("load: plan of %s: %w", s.Run, m.Err)
	}
	role, err := aggregator.New(aggregator.Config{Plan: plan, Initial: initial(plan), Key: t.keys.Aggregator})
	if err != nil {
		return err
	}
	first := true
	return broker.Fold(ctx, conn, s.Run, t.keys.Aggregator, role, broker.FoldOptions{
		Holder: "load",
		At: func(p broker.Point) {
			if p == broker.PointCommitted && first { // version 0 is there
				first = false
				fmt.Fprintln(stdout, reading)
			}
		},
	})
}
