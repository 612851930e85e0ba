package schemas

import (
	"errors"
	"fmt"
)

// ErrInvalid is the parent of every reason to refuse a message for what it says.
var ErrInvalid = errors.New("schemas: invalid message")

// The reasons, each of which is an ErrInvalid.
var (
	ErrEncoding  = fmt.Errorf("%w: encoding", ErrInvalid)          // the bytes are not one message in our encoding
	ErrVersion   = fmt.Errorf("%w: wire version", ErrInvalid)      // another wire version
	ErrShape     = fmt.Errorf("%w: matrix shape", ErrInvalid)      // data does not fit rows and columns
	ErrNotFinite = fmt.Errorf("%w: number not finite", ErrInvalid) // NaN or an infinity
	ErrSubject   = fmt.Errorf("%w: subject", ErrInvalid)           // not a subject of ours
)

// ErrSignature means that the bytes were not signed by the key that should have signed them.
var ErrSignature = errors.New("schemas: signature does not match")

// fault is one wrong field: the text names it, the sentinel classifies it.
type fault struct {
	sentinel error
	text     string
}

func (f fault) Error() string { return f.text }
func (f fault) Unwrap() error { return f.sentinel }

// faults collects what is wrong with a message, so that its author learns everything at once.
type faults []error

// must records a fault in field unless ok.
func (f *faults) must(ok bool, field, format string, args ...any) {
	if !ok {
		f.add(ErrInvalid, field, format, args...)
	}
}

func (f *faults) add(sentinel error, field, format string, args ...any) {
	*f = append(*f, fault{sentinel, field + ": " + fmt.Sprintf(format, args...)})
}

// err joins the faults under what, nil when there are none. It wraps ErrInvalid and each fault's sentinel.
func (f faults) err(what Kind) error {
	if len(f) == 0 {
		return nil
	}
	return fmt.Errorf("%w: %v: %w", ErrInvalid, what, errors.Join(f...))
}
