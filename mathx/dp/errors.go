package dp

import (
	"errors"
	"fmt"
)

// Errors of this package. ErrOverflow and ErrShape are also ErrInvalid.
var (
	// ErrInvalid reports an argument outside its domain; the message names it.
	ErrInvalid = errors.New("dp: invalid input")
	// ErrOverflow reports numbers that do not fit the integer lattice.
	ErrOverflow = fmt.Errorf("%w: lattice overflow", ErrInvalid)
	// ErrShape reports a record whose groups or dimensions differ from the mechanism's.
	ErrShape = fmt.Errorf("%w: shape", ErrInvalid)
)

// invalid returns an ErrInvalid that names the field and shows its value.
func invalid(field string, value any, want string) error {
	return fmt.Errorf("%w: %s = %v, want %s", ErrInvalid, field, value, want)
}
