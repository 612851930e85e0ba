package replayer

import "errors"

// Errors of this package.
var (
	// ErrSource reports a source that is not a run in file order.
	ErrSource = errors.New("replayer: not a run in file order")
	// ErrChange reports a what-if that cannot be asked of this run.
	ErrChange = errors.New("replayer: cannot ask this of the run")
	// ErrVersion reports a version that the run does not have.
	ErrVersion = errors.New("replayer: no such version")
)
