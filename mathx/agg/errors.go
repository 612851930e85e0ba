package agg

import (
	"errors"
	"fmt"
)

// Errors of this package. ErrShape, ErrOverflow and ErrFew are also ErrInvalid.
var (
	// ErrInvalid reports an argument outside its domain; the message names it.
	ErrInvalid = errors.New("agg: invalid input")
	// ErrShape reports an update of another dimension than the buffer's.
	ErrShape = fmt.Errorf("%w: shape", ErrInvalid)
	// ErrOverflow reports weights whose sum could carry an int64 over its range.
	ErrOverflow = fmt.Errorf("%w: overflow", ErrInvalid)
	// ErrFew reports fewer updates than the rule needs to say anything.
	ErrFew = fmt.Errorf("%w: too few updates", ErrInvalid)
)
