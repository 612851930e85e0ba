package prompt

import (
	"errors"
	"fmt"
)

// Errors of this package.
var (
	// ErrInvalid reports an argument outside its domain; the message names it.
	ErrInvalid = errors.New("prompt: invalid input")
	// ErrState reports bytes that are not the state of a learner of this shape.
	ErrState = errors.New("prompt: invalid state")
)

// invalid returns an ErrInvalid that names the field and shows its value.
func invalid(field string, value any, want string) error {
	return fmt.Errorf("%w: %s = %v, want %s", ErrInvalid, field, value, want)
}
