package main

import (
	"context"
	"errors"
	"math"

	"github.com/nats-io/nkeys"
	"github.com/rs/zerolog"

	"dpfpl/broker"
	"dpfpl/broker/logkey"
	"dpfpl/mathx/dp"
	"dpfpl/roles/client"
	"dpfpl/roles/client/ledger"
	"dpfpl/roles/telemetry"
)

// show says how the client shows itself; what it computes is private.
func (f *clientFlags) show() telemetry.Options {
	return telemetry.Options{Private: true, Labels: telemetry.Labels{"client": f.id}}
}

// follow takes part in the run until it is over. Errors: those of broker.Follow.
func (f *clientFlags) follow(ctx context.Context, run *joined, key nkeys.KeyPair, role *client.Client, store *ledger.Ledger, log zerolog.Logger) error {
	account := func() telemetry.Account { return f.account(run.plan.Privacy.Delta, role, store) }
	metrics := run.metrics.Client(run.plan, f.limits.MaxEpsilon, account)
	run.await(func(ctx context.Context) error { return f.readiness(ctx, run, store, metrics) })
	log.Info().Int(logkey.Classes, len(run.plan.Classes)).Msg("client started") // how many records there are is nobody's business
	beat := run.plan.Presence.Heartbeat
	return broker.Follow(ctx, run.Conn, f.run, f.id, key, role, broker.FollowOptions{
		Aggregator: run.plan.Aggregator, Heartbeat: beat, Tick: beat, Events: []broker.FollowEvents{metrics.Events(), run.trace.FollowEvents(f.id)},
	})
}

// account is what the metrics say of the budget.
func (f *clientFlags) account(delta float64, role *client.Client, store *ledger.Ledger) telemetry.Account {
	return telemetry.Account{
		Run: epsilon(role.Account(), delta), All: epsilon(store.Account(), f.limits.Delta),
		Writes: store.Writes(), Finished: role.Spent() != nil,
	}
}

// epsilon is +Inf without a guarantee.
func epsilon(account *dp.Account, delta float64) float64 {
	if account == nil {
		return math.Inf(1)
	}
	cost, err := account.EpsilonRDP(delta)
	if err != nil {
		return math.Inf(1)
	}
	return cost.Epsilon
}

// readiness says why a client does not take part: the run's streams do not answer, its ledger takes no more
// entries, no model has come, or it will make no further update.
func (f *clientFlags) readiness(ctx context.Context, run *joined, store *ledger.Ledger, metrics *telemetry.Client) error {
	if err := store.Err(); err != nil {
		return err
	}
	switch {
	case metrics.Finished():
		return errors.New("makes no further update: the budget or the plan grants none")
	case !metrics.Started():
		return errors.New("waits for a model")
	}
	_, err := run.Plan(ctx, f.run)
	return err
}
