package client

import (
	"errors"
	"fmt"
)

// Errors of this package.
var (
	// ErrConfig reports a configuration that makes no client; the message names the field.
	ErrConfig = errors.New("client: invalid configuration")
	// ErrRefused reports a plan that this client does not follow; the message names the
	// plan's field.
	ErrRefused = errors.New("client: plan refused")
	// ErrMessage reports a message that does not count. It appears in events only.
	ErrMessage = errors.New("client: message refused")
	// ErrState reports a committed state that does not belong to the plan.
	ErrState = errors.New("client: cannot restore")
	// ErrSpent says why a client is receive-only. It appears in events only.
	ErrSpent = errors.New("client: receive-only")
	// ErrWithheld says why a personal prompt may not leave the client.
	ErrWithheld = errors.New("client: the prompt may not leave")
)

func badConfig(field, format string, args ...any) error {
	return fmt.Errorf("%w: %s: %s", ErrConfig, field, fmt.Sprintf(format, args...))
}

func refuse(field, format string, args ...any) error {
	return fmt.Errorf("%w: %s: %s", ErrRefused, field, fmt.Sprintf(format, args...))
}

func withhold(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrWithheld, fmt.Errorf(format, args...))
}
