package aggregator

import (
	"errors"
	"fmt"

	"dpfpl/schemas"
)

// Errors of this package.
var (
	// ErrPlan reports a plan or a configuration that the role cannot follow; the message names the field.
	ErrPlan = errors.New("aggregator: unusable plan")
	// ErrRestore reports a checkpoint or model that does not belong to the plan or to each other.
	ErrRestore = errors.New("aggregator: cannot restore")
)

// Refusal says why a message of the log does not count. It is the only error of [Fold.Check].
type Refusal struct {
	Reason schemas.Reason
	Detail string

	authentic bool // the member did sign the message
}

func (r *Refusal) Error() string { return fmt.Sprintf("aggregator: %s: %s", r.Reason, r.Detail) }

func refuse(reason schemas.Reason, format string, args ...any) *Refusal {
	return &Refusal{Reason: reason, Detail: fmt.Sprintf(format, args...)}
}
