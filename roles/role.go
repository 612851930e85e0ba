package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"dpfpl/broker"
	"dpfpl/broker/logkey"
	"dpfpl/roles/telemetry"
	"dpfpl/schemas"
)

// roleFlags are those of every role that takes part in a run.
type roleFlags struct {
	serverFlags
	logFlags
	run, operator string
	wait          time.Duration
	health, otlp  string
	command       string            // its name
	instance      string            // which of its kind it is
	telemetry     telemetry.Options // how it shows itself
}

func (f *roleFlags) register(c *cobra.Command) {
	f.serverFlags.register(c)
	f.command = c.Name()
	c.Flags().StringVar(&f.run, "run", "", "`name` of the run")
	c.Flags().StringVar(&f.operator, "operator", "", "public `key` of the operator who must have signed the plan (see roster.yaml)")
	c.Flags().DurationVar(&f.wait, "wait", 0, "how long to wait for a server and a plan that are not there yet")
	c.Flags().StringVar(&f.health, "health", "", "`address` on which to answer GET /healthz, /readyz and /metrics, for example 127.0.0.1:8080")
	c.Flags().StringVar(&f.otlp, "otlp", "", "`URL` of an OpenTelemetry collector to send spans to, for example http://127.0.0.1:4318; default $OTEL_EXPORTER_OTLP_ENDPOINT")
	f.logFlags.register(c)
}

// logFlags say how a process that stays logs.
type logFlags struct{ format, level string }

func (f *logFlags) register(c *cobra.Command) {
	c.Flags().StringVar(&f.format, "log-format", "console", "console or json")
	c.Flags().StringVar(&f.level, "log-level", "info", "debug, info, warn or error")
}

// logger errors: inputError.
func (f *logFlags) logger(w io.Writer, role string) (zerolog.Logger, error) {
	level, err := zerolog.ParseLevel(f.level)
	if err != nil || f.level == "" {
		return zerolog.Nop(), flagError("log-level", f.level, "debug, info, warn or error")
	}
	switch f.format {
	case "json":
	case "console":
		w = zerolog.ConsoleWriter{Out: w, TimeFormat: time.DateTime, NoColor: true}
	default:
		return zerolog.Nop(), flagError("log-format", f.format, "console or json")
	}
	return zerolog.New(w).Level(level).With().Timestamp().Str(logkey.Role, role).Logger(), nil
}

func badName(flag, name string) error {
	return fmt.Errorf("--%s %.80q: want 1 to %d of A-Z a-z 0-9 _ -", flag, name, schemas.MaxName)
}

// check errors: inputError.
func (f *roleFlags) check() error {
	switch {
	case f.run == "":
		return input(errors.New("no run: give --run"))
	case !schemas.ValidName(f.run):
		return input(badName("run", f.run))
	case !nkeys.IsValidPublicKey(f.operator):
		return input(fmt.Errorf("--operator %q: want the operator's public key, from whom you trust with it and not from the server", f.operator))
	case f.wait < 0:
		return flagError("wait", f.wait, ">= 0")
	}
	return nil
}

// logger errors: inputError.
func (f *roleFlags) logger(w io.Writer, role string) (zerolog.Logger, error) {
	log, err := f.logFlags.logger(w, role)
	return log.With().Str(logkey.Run, f.run).Logger(), err
}

// joined is a connection with the plan of the run.
type joined struct {
	*broker.Conn
	*front
	plan  *schemas.Plan
	trace *telemetry.Tracer // nil if there is no collector
	quiet func()            // ends the endpoint
}

// Close sends the last spans and ends the endpoint and the connection.
func (j *joined) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	j.trace.Close(ctx) //nolint:errcheck // lost spans are told of where they are lost
	j.quiet()
	j.Conn.Close()
}

var silent = zerolog.Nop()

// join connects and reads the plan, waiting for both as long as the flags say; meanwhile the endpoint answers.
// Errors: inputError, ctx's, errOperator, and those of broker.Connect and broker.Conn.Plan.
func (f *roleFlags) join(ctx context.Context, o broker.Options) (*joined, error) {
	o.Patience = f.wait
	if o.Logger == nil {
		o.Logger = &silent
	}
	deadline := time.Now().Add(f.wait)
	collector, err := f.collector(o.Logger)
	if err != nil {
		return nil, err
	}
	j := &joined{front: newFront(f.command, f.run, f.telemetry)}
	o.Events = append(o.Events, j.connection.Events())
	if j.quiet, err = j.serve(ctx, f.health, o.Logger); err != nil {
		return nil, err
	}
	if j.Conn, err = dial(ctx, o); err != nil {
		j.quiet()
		return nil, err
	}
	j.connection.Set(j.Conn)
	for {
		j.plan, err = openPlan(ctx, j.Conn, f.run, f.operator)
		if err == nil {
			if collector != nil {
				j.trace = telemetry.NewTracer(collector.Exporter(), f.command, f.instance, j.plan)
			}
			return j, nil
		}
		if !mayPass(err) || !time.Now().Before(deadline) {
			j.Close()
			return nil, err
		}
		select {
		case <-ctx.Done():
			j.Close()
			return nil, ctx.Err()
		case <-time.After(time.Second):
		}
	}
}

// mayPass tells whether what kept a plan from being read ends by waiting: it is not there yet, or the servers of a
// cluster are about to agree on who leads.
func mayPass(err error) bool {
	for _, passing := range []error{broker.ErrUnknownRun, broker.ErrNoPlan, broker.ErrNoJetStream, context.DeadlineExceeded, nats.ErrTimeout, nats.ErrNoResponders, nats.ErrDisconnected} {
		if errors.Is(err, passing) {
			return true
		}
	}
	return false
}

// collector is nil without one. Errors: inputError.
func (f *roleFlags) collector(log *zerolog.Logger) (*telemetry.Collector, error) {
	c, err := telemetry.CollectorOf(f.otlp, os.Getenv)
	if err != nil || c == nil {
		return nil, input(err)
	}
	c.OnTrouble = func(err error) {
		if err != nil {
			log.Warn().Err(err).Msg("the collector cannot be reached, spans are lost")
			return
		}
		log.Info().Msg("the collector takes spans again")
	}
	return c, nil
}

// ended turns what a role's loop returned into what the command returns: an interruption is no failure once
// the loop has said goodbye.
func ended(ctx context.Context, log zerolog.Logger, err error) error {
	switch {
	case err == nil:
		log.Info().Msg("run is over")
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		log.Info().Msg("interrupted, drained")
		return nil
	}
	return err
}

// hostName names this process among those that do the same.
func hostName() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return fmt.Sprintf("%s-%d", host, os.Getpid())
}
