package logfile

import (
	"errors"
	"fmt"
)

// Errors of this package.
var (
	// ErrFormat reports a file that is no run log.
	ErrFormat = errors.New("logfile: not a run log")
	// ErrVersion reports a run log of another format version.
	ErrVersion = errors.New("logfile: another format version")
	// ErrDamaged reports bytes or records that are not what was written; it is always a *Damage.
	ErrDamaged = errors.New("logfile: damaged")
	// ErrTruncated reports a file that ends too early. What was read before is whole.
	ErrTruncated = errors.New("logfile: truncated")
	// ErrOrder reports a message that has no place in the file at this point.
	ErrOrder = errors.New("logfile: out of order")
)

// Damage says where a file is damaged.
type Damage struct {
	Offset  int64  // of the chunk, in bytes from the start
	Chunk   uint32 // its place in the file, from 0
	Seq     uint64 // the record's sequence, 0 if unknown
	Subject string // the record's subject, empty if unknown
	What    string
}

func (d *Damage) Error() string {
	where := fmt.Sprintf("chunk %d at byte %d", d.Chunk, d.Offset)
	if d.Subject != "" {
		where += fmt.Sprintf(" (sequence %d, %s)", d.Seq, d.Subject)
	}
	return fmt.Sprintf("%v: %s: %s", ErrDamaged, where, d.What)
}

// Unwrap returns ErrDamaged.
func (d *Damage) Unwrap() error { return ErrDamaged }
