package ledger

import (
	"fmt"
	"slices"
	"sync"

	"dpfpl/mathx/dp"
)

// Ledger is an open ledger. Its methods may be called concurrently.
type Ledger struct {
	limits Limits

	mu     sync.Mutex
	book   *book
	store  store
	err    error  // why no further write is allowed
	writes uint64 // records written since it was opened
}

// store keeps records; only append must be durable when it returns.
type store interface {
	// append writes r at the end; sync waits until it is on disk.
	append(r record, sync bool) error
	// tidy may replace everything written by history.
	tidy(history func() []record) error
	close() error
}

// Open opens the ledger at path, or creates it. Errors: ErrInvalid for limits out of
// their domain, ErrLocked, ErrDamaged, and those of the file system.
func Open(path string, limits Limits) (*Ledger, error) {
	return open(path, limits, syncer.Sync)
}

func open(path string, limits Limits, fsync func(syncer) error) (*Ledger, error) {
	book, err := openBook(limits)
	if err != nil {
		return nil, err
	}
	file, err := openFile(path, book, fsync)
	if err != nil {
		return nil, err
	}
	return &Ledger{limits: limits, book: book, store: file}, nil
}

// NewMemory returns a ledger that keeps nothing when it is closed, for tests and
// simulated time. Error: ErrInvalid for limits out of their domain.
func NewMemory(limits Limits) (*Ledger, error) {
	book, err := openBook(limits)
	if err != nil {
		return nil, err
	}
	return &Ledger{limits: limits, book: book, store: memory{}}, nil
}

func openBook(limits Limits) (*book, error) {
	if err := limits.validate(); err != nil {
		return nil, err
	}
	return newBook(limits.Adjacency)
}

// memory is the store that stores nothing: the book is the ledger.
type memory struct{}

func (memory) append(record, bool) error  { return nil }
func (memory) tidy(func() []record) error { return nil }
func (memory) close() error               { return nil }

// Allows reports whether count more steps of a kind fit into the client's limits and
// what is left of its budget; ask it before joining a run. Errors: ErrInvalid,
// ErrLimit, ErrExhausted.
func (l *Ledger) Allows(step dp.Step, count uint64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.limits.allows(l.book.account, step, count)
}

// Debit spends one step, durably, before anything of it is computed. On an error
// nothing may be computed. Errors: ErrInvalid, ErrSpent, ErrLimit, ErrExhausted,
// ErrBroken, ErrClosed, and those of the file system, after which the step may or may
// not be spent.
func (l *Ledger) Debit(e Entry) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	e.Groups = slices.Clone(e.Groups)
	r := record{kind: kindDebit, entry: e}
	if err := l.book.check(r); err != nil {
		return err
	}
	if err := l.limits.allows(l.book.account, e.Step, 1); err != nil {
		return err
	}
	return l.write(r, true)
}

// Commit stores the update of the step debited last, ready to send, together with the
// learner's new state, durably and as one. The slices are copied. Errors: ErrOrder if
// k is not the last debited step or was committed before, ErrInvalid for more than 64
// MiB, and those of Debit.
func (l *Ledger) Commit(run string, k uint64, payload, state []byte) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(payload)+len(state) > maxBody-2*maxName {
		return fmt.Errorf("%w: payload of %d and state of %d bytes", ErrInvalid, len(payload), len(state))
	}
	r := record{kind: kindCommit, entry: Entry{Run: run, K: k},
		payload: slices.Clone(payload), state: slices.Clone(state)}
	if err := l.book.check(r); err != nil {
		return err
	}
	return l.write(r, true)
}

// Acked forgets the pending update k: the broker has stored it. A repeat is harmless.
// If the process dies soon after, the update may be pending again. Error: ErrOrder if
// the step was never committed.
func (l *Ledger) Acked(run string, k uint64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := record{kind: kindAcked, entry: Entry{Run: run, K: k}}
	if err := l.book.check(r); err != nil {
		return err
	}
	if !slices.ContainsFunc(l.book.pending, func(p Record) bool { return p.Run == run && p.K == k }) {
		return nil
	}
	return l.write(r, false)
}

// write makes r durable and then true.
func (l *Ledger) write(r record, sync bool) error {
	if l.err != nil {
		return l.err
	}
	err := l.store.append(r, sync)
	if err == nil {
		l.writes++
		if err := l.book.apply(r); err != nil {
			return err
		}
		err = l.store.tidy(l.book.history)
	}
	if err != nil {
		l.err = fmt.Errorf("%w: %v", ErrBroken, err)
	}
	return err
}

// Pending returns the updates that were committed and not acknowledged, in the
// order of their debits. The payloads must not be written to.
func (l *Ledger) Pending() []Record {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.book.pending)
}

// State returns the last committed step of a run and the state stored with it; 0 and
// nil if there is none.
func (l *Ledger) State(run string) (k uint64, state []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	r := l.book.run(run)
	return r.committed, slices.Clone(r.state)
}

// Next returns the smallest step of a run that Debit may still grant.
func (l *Ledger) Next(run string) uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.book.run(run).debited + 1
}

// Account returns a copy of the account of everything spent, over all runs, under the
// adjacency of the limits.
func (l *Ledger) Account() *dp.Account {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.book.account.Clone()
}

// Spent returns the epsilon at delta of everything spent, over all runs, under the
// adjacency of the limits: proven by Rényi divergence, and by privacy-loss distribution
// for reference (NaN where there is none). Error: ErrInvalid for a delta outside (0, 1).
func (l *Ledger) Spent(delta float64) (rdp dp.Renyi, pld float64, err error) {
	s, err := l.Account().Statement(delta, dp.Claim{})
	if err != nil {
		return dp.Renyi{}, 0, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return s.Renyi, s.PLD, nil
}

// Entries returns every debit ever made, in order.
func (l *Ledger) Entries() []Entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	entries := make([]Entry, len(l.book.spent))
	for i, s := range l.book.spent {
		entries[i] = s.Entry
	}
	return entries
}

// Writes returns how many records were written since the ledger was opened.
func (l *Ledger) Writes() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.writes
}

// Err says why no further write is allowed: an ErrBroken, or ErrClosed; nil while writes are.
func (l *Ledger) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// Close releases the file and its lock.
func (l *Ledger) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.store == nil {
		return nil
	}
	err := l.store.close()
	l.store, l.err = nil, ErrClosed
	return err
}
