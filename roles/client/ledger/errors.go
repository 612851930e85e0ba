package ledger

import "errors"

// Errors of this package.
var (
	// ErrInvalid reports an argument outside its domain; the message names the field.
	ErrInvalid = errors.New("ledger: invalid input")
	// ErrLimit reports a step that is weaker than the client's own limits allow,
	// whatever the plan says. Nothing was spent.
	ErrLimit = errors.New("ledger: plan exceeds the client's limits")
	// ErrExhausted reports that the budget does not cover the step; the message says
	// which limit. Nothing was spent, and no later step of this kind will be granted.
	ErrExhausted = errors.New("ledger: privacy budget exhausted")
	// ErrSpent reports a step that was debited before. It must not be computed again.
	ErrSpent = errors.New("ledger: step already spent")
	// ErrOrder reports a Commit without its Debit, or an Acked without its Commit.
	ErrOrder = errors.New("ledger: out of order")
	// ErrLocked reports that another process, or another Ledger of this one, has the
	// file open.
	ErrLocked = errors.New("ledger: in use")
	// ErrDamaged reports a file that is not the trace of a crash but of damage; the
	// message gives the offset. The file was not changed.
	ErrDamaged = errors.New("ledger: damaged")
	// ErrBroken reports that an earlier write failed, so that memory and disk may
	// differ. Close the ledger and open it again.
	ErrBroken = errors.New("ledger: an earlier write failed")
	// ErrClosed reports the use of a closed ledger.
	ErrClosed = errors.New("ledger: closed")
)
