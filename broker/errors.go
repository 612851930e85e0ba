package broker

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

var (
	// ErrUnknownRun means that the run's streams do not exist.
	ErrUnknownRun = errors.New("broker: unknown run")
	// ErrNoPlan means that the run exists but has no plan yet.
	ErrNoPlan = errors.New("broker: the run has no plan yet")
	// ErrPlanExists means that the run already has another plan.
	ErrPlanExists = errors.New("broker: the run already has another plan")
	// ErrNoJetStream means that the server, or the account, has no JetStream.
	ErrNoJetStream = errors.New("broker: no JetStream on this server or for this account")
	// ErrLaxSync means that acknowledged messages may be lost with the power, or that this could not be ruled out.
	ErrLaxSync = errors.New("broker: server does not sync always")
	// ErrRolledBack means that the log is not the one that the checkpoint was made from.
	ErrRolledBack = errors.New("broker: the log was rolled back")
	// ErrTrimmed means that messages which the checkpoint has not seen are gone from the log.
	ErrTrimmed = errors.New("broker: the log was trimmed past the checkpoint")
	// ErrRefused means that the broker has no place for an update: the run is unknown or its budget of N
	// updates is spent.
	ErrRefused = errors.New("broker: update refused")
	// ErrClosed means that the connection was closed for good.
	ErrClosed = errors.New("broker: connection closed")
)

// errFenced means that someone else committed first, or is about to. It stays inside: the fold starts over.
var errFenced = errors.New("broker: another aggregator committed first")

// errAgain means that the fold must start over from what is stored: the connection was renewed, or an
// outcome is unknown.
var errAgain = errors.New("broker: start over")

// errBehind means that the log may only seem to be rolled back, to a server that was cut off from the others and still
// thinks that it leads. Then it passes.
var errBehind = errors.New("or else the server that said so was behind the others")

// The server's error codes that jetstream has no name for.
const (
	codeWrongSequence       jetstream.ErrorCode = 10071
	codeStoreFailed         jetstream.ErrorCode = 10077
	codeWrongSequenceInTurn jetstream.ErrorCode = 10164 // a write that is still in flight would win
)

// isFenced reports that a compare-and-set failed.
func isFenced(err error) bool {
	code := apiCode(err)
	return code == codeWrongSequence || code == codeWrongSequenceInTurn
}

// explain turns what JetStream says about a run into an error that an operator understands.
func explain(err error, run string) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, jetstream.ErrStreamNotFound):
		return fmt.Errorf("%w %q: it has no streams on this server; provision it first, or check the name", ErrUnknownRun, run)
	case errors.Is(err, jetstream.ErrJetStreamNotEnabled), errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount),
		errors.Is(err, nats.ErrNoResponders):
		return fmt.Errorf("%w (run %q): start nats-server with -js, and enable it for the account: %v", ErrNoJetStream, run, err)
	case errors.Is(err, nats.ErrPermissionViolation):
		return fmt.Errorf("broker: run %q: are these the right credentials? %w", run, err)
	case errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("broker: run %q: no answer in time: the servers do not agree, or these are not the right credentials: %w", run, err)
	case errors.Is(err, nats.ErrConnectionClosed):
		return fmt.Errorf("%w: %v", ErrClosed, err)
	}
	return fmt.Errorf("broker: run %q: %w", run, err)
}

// apiCode returns the server's code in err, 0 when it has none.
func apiCode(err error) jetstream.ErrorCode {
	var api *jetstream.APIError
	if errors.As(err, &api) {
		return api.ErrorCode
	}
	return 0
}
