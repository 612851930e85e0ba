package main

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/nats-io/nkeys"
	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"dpfpl/broker"
	"dpfpl/broker/logkey"
	"dpfpl/mathx/clip"
	"dpfpl/roles/aggregator"
	"dpfpl/roles/planfile"
	"dpfpl/roles/telemetry"
	"dpfpl/schemas"
)

// aggregatorFlags are those of dpfpl aggregator.
type aggregatorFlags struct {
	roleFlags
	model    string
	holder   string
	lease    time.Duration
	patience time.Duration
}

func newAggregatorCommand() *cobra.Command {
	var f aggregatorFlags
	c := &cobra.Command{
		Use:   "aggregator",
		Short: "turn the updates of a run into versions of the global prompt",
		Long: `Reads the run's log from the last checkpoint on, folds the updates, and stores each version with its checkpoint
in one fenced write, until the run is over. Several may run side by side: one leads, the others take over when it
falls silent for the time of the lease. A crash at any point neither loses nor doubles an update.

It sees noised updates only, and no data. The model is needed only for a plan whose prompt begins with words.

Every flag may be given as an environment variable, --log-format as DPFPL_LOG_FORMAT. An interruption (SIGINT,
SIGTERM) ends it with exit code 0; it goes on where it was when it is started again. Exit code 1 is a failure, 2 a wrong flag or file.`,
		Example: `  dpfpl aggregator --nats tls://broker:4222 --creds aggregator.creds --run clinics --operator UABC… --holder one
  dpfpl aggregator --nats tls://broker:4222 --creds aggregator.creds --run clinics --operator UABC… --holder two`,
		Args: inputArgs(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error { return f.serve(c) },
	}
	f.register(c)
	c.Flags().StringVar(&f.model, "model", "", "`folder` of the CLIP model, for a plan whose prompt begins with words")
	c.Flags().StringVar(&f.holder, "holder", "", "`name` of this aggregator among those of the run; default host and process")
	c.Flags().DurationVar(&f.lease, "lease", 2*time.Second, "how long a silent leader keeps the lead, the same for all")
	c.Flags().DurationVar(&f.patience, "patience", 0, "how long after the last update a run is stopped; 0 follows from the plan, below 0 is never")
	return c
}

func (f *aggregatorFlags) serve(c *cobra.Command) error {
	ctx := c.Context()
	if err := f.check(); err != nil {
		return err
	}
	if f.lease <= 0 {
		return flagError("lease", f.lease, "> 0")
	}
	if f.holder == "" {
		f.holder = hostName()
	}
	log, err := f.logger(c.ErrOrStderr(), aggregator.Name)
	if err != nil {
		return err
	}
	o, err := f.options()
	if err != nil {
		return err
	}
	key, err := f.key()
	if err != nil {
		return err
	}
	f.instance = f.holder
	o.Name, o.Logger = "aggregator "+f.holder, &log
	run, err := f.join(ctx, o)
	if err != nil {
		return ended(ctx, log, err)
	}
	defer run.Close()
	err = f.fold(ctx, run, key, log)
	return ended(ctx, log, err)
}

// fold turns updates into versions until the run is over. Errors: inputError for the model, those of broker.Fold.
func (f *aggregatorFlags) fold(ctx context.Context, run *joined, key nkeys.KeyPair, log zerolog.Logger) error {
	metrics := run.metrics.Aggregator(run.plan)
	role, err := f.role(run.plan, key, aggregatorEvents(log, metrics, run.trace))
	if err != nil {
		return err
	}
	log.Info().Str(logkey.Holder, f.holder).Int(logkey.Members, len(run.plan.Members)).Msg("aggregator started")
	return broker.Fold(ctx, run.Conn, f.run, key, role, broker.FoldOptions{
		Holder: f.holder, Lease: f.lease, Tick: tick(run.plan),
		Events: []broker.FoldEvents{
			metrics.Events(),
			run.trace.FoldEvents(),
			f.readiness(run),
			{
				OnStandby: func() { log.Info().Str(logkey.Holder, f.holder).Msg("stands by") },
				OnLead:    func() { log.Info().Str(logkey.Holder, f.holder).Msg("leads") },
				OnLost:    func(err error) { log.Warn().Err(err).Msg("starts over from the checkpoint") },
			},
		},
	})
}

// readiness makes an aggregator ready while it leads or stands by, and the run's streams answer.
func (f *aggregatorFlags) readiness(run *joined) broker.FoldEvents {
	var trouble atomic.Pointer[error]
	set := func(err error) { trouble.Store(&err) }
	set(errors.New("neither leads nor stands by"))
	run.await(func(ctx context.Context) error {
		if err := *trouble.Load(); err != nil {
			return err
		}
		_, err := run.Plan(ctx, f.run)
		return err
	})
	return broker.FoldEvents{OnStandby: func() { set(nil) }, OnLead: func() { set(nil) }, OnLost: set}
}

// tick is how often the aggregator looks at the clock.
func tick(plan *schemas.Plan) time.Duration {
	if quarter := plan.Presence.Heartbeat / 4; quarter > 0 {
		return min(quarter, time.Second)
	}
	return time.Second
}

// role errors: inputError.
func (f *aggregatorFlags) role(plan *schemas.Plan, key nkeys.KeyPair, events aggregator.Events) (*aggregator.Aggregator, error) {
	var model *clip.Model
	if plan.Prompt.Init == "words" || f.model != "" {
		var err error
		if model, err = openModel(f.model, clip.TextTower); err != nil {
			return nil, err
		}
		defer model.Close()
		if model.Digest != plan.Backbone {
			return nil, input(fmt.Errorf("--model: the run is of model %.12s…, this one is %.12s…", plan.Backbone, model.Digest))
		}
	}
	initial, err := planfile.Initial(plan, model)
	if err != nil {
		return nil, input(err)
	}
	role, err := aggregator.New(aggregator.Config{
		Plan: plan, Initial: initial, Key: key, Patience: f.patience, Events: events,
	})
	if errors.Is(err, aggregator.ErrPlan) {
		return nil, input(err)
	}
	return role, err
}

// aggregatorEvents turns events into counts, and into lines: info a version, debug an update, warn for what was refused.
func aggregatorEvents(log zerolog.Logger, metrics *telemetry.Aggregator, trace *telemetry.Tracer) aggregator.Events {
	return aggregator.Events{
		OnVersion: func(m *schemas.Model) {
			log.Info().Uint64(logkey.Version, m.Version).Int(logkey.Updates, len(m.Folded)).Uint64(logkey.Seq, m.Applied).Bool(logkey.Final, m.Final).Msg("version complete")
		},
		OnVerdict: func(n *schemas.Note) {
			metrics.Verdict(n)
			trace.Verdict(n)
			log.Debug().Str(logkey.Client, n.Client).Uint64(logkey.K, n.K).Uint64(logkey.Version, n.Version).
				Str(logkey.Verdict, string(n.Verdict)).Str(logkey.Reason, string(n.Reason)).Msg("update judged")
		},
		OnDead: func(d *schemas.Dead) {
			metrics.Dead(d)
			log.Warn().Uint64(logkey.Seq, d.Seq).Str(logkey.Reason, string(d.Reason)).Msg("message refused")
		},
		OnControl: func(m *schemas.Control) {
			metrics.Control(m)
			log.Info().Str(logkey.Event, string(m.Event)).Str(logkey.Client, m.Client).Uint64(logkey.Version, m.Version).Msg("control")
		},
	}
}
