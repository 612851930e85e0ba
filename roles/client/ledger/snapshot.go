package ledger

import (
	"errors"
	"fmt"
	"os"
	"slices"

	"dpfpl/mathx/dp"
)

// ErrTorn reports a ledger whose last record a crash cut short. Opening the ledger removes it.
var ErrTorn = errors.New("ledger: its last record is cut short")

// Snapshot is what a ledger held while nobody else had it open.
type Snapshot struct {
	// Spent is every step ever debited, in order.
	Spent []Spending

	runs map[string]*run
}

// State returns the last committed step of a run and the state stored with it; 0 and nil if there is none.
func (s *Snapshot) State(name string) (k uint64, state []byte) {
	if r := s.runs[name]; r != nil {
		return r.committed, slices.Clone(r.state)
	}
	return 0, nil
}

// Freeze reads the ledger at path under its lock, and changes nothing: for deciding on what it says, unlike
// [Read], which may look on while a step is being taken. Errors: fs.ErrNotExist if there is none, ErrLocked,
// ErrTorn, ErrDamaged, and those of the file system.
func Freeze(path string) (_ *Snapshot, err error) {
	if _, err := os.Stat(path); err != nil {
		return nil, err // before a lock is left beside nothing
	}
	lock, err := acquire(path + ".lock")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, lock.Close()) }()
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	b, err := newBook(dp.ZeroOut) // whatever the adjacency: the account is not looked at
	if err != nil {
		return nil, err
	}
	size, err := replay(content, b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if size < int64(len(content)) {
		return nil, fmt.Errorf("%w: %s: %d bytes after offset %d", ErrTorn, path, int64(len(content))-size, size)
	}
	return &Snapshot{Spent: b.spent, runs: b.runs}, nil
}
