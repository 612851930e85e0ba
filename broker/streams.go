package broker

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"dpfpl/schemas"
)

// StreamOptions says how a run's streams are kept.
type StreamOptions struct {
	Memory   bool // keep everything in memory: for experiments, the run ends with the server
	Replicas int  // default 1

	// System is a connection in the server's system account, over which Provision asks whether every
	// server syncs always. AllowLax goes without the answer: acknowledged updates may then be lost with
	// the power, and a client whose update is lost has spent its budget for nothing.
	System   *Conn
	AllowLax bool
}

func logStream(run string) string   { return "DPFPL_LOG_" + run }
func stateStream(run string) string { return "DPFPL_STATE_" + run }
func deadStream(run string) string  { return "DPFPL_DEAD_" + run }
func leaseStream(run string) string { return "DPFPL_LEASE_" + run }

func subject(run, rest string) string { return schemas.Prefix + run + "." + rest }

// Provision creates the streams of the plan's run. It is idempotent.
// Expected errors: schemas.ErrInvalid, ErrNoJetStream, ErrLaxSync, ErrPlanExists.
func (c *Conn) Provision(ctx context.Context, plan *schemas.Plan, o StreamOptions) error {
	if err := plan.Validate(); err != nil {
		return err
	}
	if err := c.checkSync(ctx, o); err != nil {
		return err
	}
	if stored, err := c.Plan(ctx, plan.Run); err == nil && !samePlan(stored, plan) {
		return fmt.Errorf("%w: run %q", ErrPlanExists, plan.Run) // its log must keep its subjects
	}
	for _, cfg := range streamConfigs(plan, o) {
		one, cancel := c.limit(ctx)
		_, err := c.js.CreateOrUpdateStream(one, cfg)
		cancel()
		if err != nil {
			return fmt.Errorf("create stream %s: %w", cfg.Name, explain(err, plan.Run))
		}
	}
	return nil
}

// samePlan reports whether a stored plan says the same as plan, whoever signed either.
func samePlan(stored schemas.Message, plan *schemas.Plan) bool {
	body, ok := stored.Body.(*schemas.Plan)
	if !ok {
		return false
	}
	p := *plan
	p.Header = body.Header
	return reflect.DeepEqual(*body, p)
}

// streamConfigs lists the run's streams.
func streamConfigs(plan *schemas.Plan, o StreamOptions) []jetstream.StreamConfig {
	storage := jetstream.FileStorage
	if o.Memory {
		storage = jetstream.MemoryStorage
	}
	defaultTo(&o.Replicas, 1)
	run := plan.Run
	return []jetstream.StreamConfig{
		{
			Name: logStream(run), Description: "updates and control messages, in the order that counts",
			Subjects: logSubjects(run, plan.Updates), Storage: storage, Replicas: o.Replicas,
			MaxMsgsPerSubject: 1, Discard: jetstream.DiscardNew, DiscardNewPerSubject: true,
			MaxMsgSize:  4*int32(plan.Prompt.Context)*int32(plan.Prompt.Width) + 4096,
			AllowDirect: true, DenyDelete: true, DenyPurge: true,
		},
		{
			Name: stateStream(run), Description: "the plan, and every model with its checkpoint",
			Subjects: []string{subject(run, "plan"), subject(run, "model"), subject(run, "checkpoint")},
			Storage:  storage, Replicas: o.Replicas,
			AllowAtomicPublish: true, AllowDirect: true, DenyDelete: true, DenyPurge: true,
			RePublish: &jetstream.RePublish{Source: subject(run, "*"), Destination: subject(run, "pub.{{wildcard(1)}}")},
		},
		{
			Name: deadStream(run), Description: "messages that the aggregator refused",
			Subjects: []string{subject(run, "dead.*")}, Storage: storage, Replicas: o.Replicas,
			MaxAge: 30 * 24 * time.Hour, Duplicates: time.Hour, AllowDirect: true,
		},
		{
			Name: leaseStream(run), Description: "which aggregator leads, for liveness only",
			Subjects: []string{subject(run, "lease")}, Storage: storage, Replicas: o.Replicas,
			MaxMsgsPerSubject: 1, DenyDelete: true, DenyPurge: true,
		},
	}
}

// logSubjects lists the only subjects that the log accepts.
func logSubjects(run string, updates uint32) []string {
	list := make([]string, 0, updates+1)
	for k := range updates {
		list = append(list, subject(run, "update.*."+strconv.FormatUint(uint64(k)+1, 10)))
	}
	return append(list, subject(run, "control.*"))
}

// PublishPlan stores a sealed plan for a provisioned run. Publishing the same bytes again is harmless.
// Expected errors: schemas.ErrInvalid, ErrUnknownRun, ErrPlanExists, ErrNoJetStream.
func (c *Conn) PublishPlan(ctx context.Context, raw []byte) error {
	body, err := schemas.Open(raw)
	if err != nil {
		return err
	}
	plan, ok := body.(*schemas.Plan)
	if !ok {
		return fmt.Errorf("%w: a %v is not a plan", schemas.ErrInvalid, body.Kind())
	}
	stored, err := c.Plan(ctx, plan.Run)
	switch {
	case err == nil && string(stored.Raw) == string(raw):
		return nil
	case err == nil:
		return fmt.Errorf("%w: run %q", ErrPlanExists, plan.Run)
	case !errors.Is(err, ErrNoPlan):
		return err
	}
	ctx, cancel := c.limit(ctx)
	defer cancel()
	_, err = c.js.Publish(ctx, schemas.Subject(plan), raw, jetstream.WithExpectLastSequencePerSubject(0))
	if isFenced(err) {
		return fmt.Errorf("%w: run %q", ErrPlanExists, plan.Run)
	}
	return explain(err, plan.Run)
}

// Plan returns the run's plan. Its signature is for the caller to verify.
// Expected errors: ErrUnknownRun, ErrNoPlan, ErrNoJetStream.
func (c *Conn) Plan(ctx context.Context, run string) (schemas.Message, error) {
	if !schemas.ValidName(run) {
		return schemas.Message{}, fmt.Errorf("%w %.80q: a run's name is 1 to %d of A-Z a-z 0-9 _ -", ErrUnknownRun, run, schemas.MaxName)
	}
	m, err := c.last(ctx, run, stateStream(run), "plan")
	if errors.Is(err, errNothing) {
		return m, fmt.Errorf("%w: %q", ErrNoPlan, run)
	}
	return m, err
}

// Model returns the run's newest model. Expected errors: ErrUnknownRun, ErrNoJetStream.
// ok is false when there is none yet.
func (c *Conn) Model(ctx context.Context, run string) (m schemas.Message, ok bool, err error) {
	m, err = c.last(ctx, run, stateStream(run), "model")
	if errors.Is(err, errNothing) {
		return m, false, nil
	}
	return m, err == nil, err
}
