package blackbox

import "errors"

// Errors of this package.
var (
	// ErrKey reports a key file that holds no key.
	ErrKey = errors.New("blackbox: no key")
	// ErrDamaged reports a file that is no black box, or a record that the key does not open; the message
	// gives the offset.
	ErrDamaged = errors.New("blackbox: damaged, or of another key")
	// ErrRecord reports a record that cannot be kept; the message names the field.
	ErrRecord = errors.New("blackbox: invalid record")
)
