package ledger

import (
	"crypto/sha256"
	"fmt"
	"slices"

	"dpfpl/mathx/dp"
)

// book is what the records of a ledger add up to.
type book struct {
	account *dp.Account
	spent   []Spending
	runs    map[string]*run
	pending []Record // in order of debit
}

// run is the part of the book about one run.
type run struct {
	debited   uint64 // largest K debited
	index     int    // of that debit
	committed uint64 // largest K committed
	state     []byte // that was committed last
}

func newBook(a dp.Adjacency) (*book, error) {
	account, err := dp.NewAccount(a)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return &book{account: account, runs: map[string]*run{}}, nil
}

// run returns the part of a run, an empty one if there is none.
func (b *book) run(name string) *run {
	if r := b.runs[name]; r != nil {
		return r
	}
	return &run{}
}

// check says whether r may follow what is in the book. Errors: ErrInvalid, ErrSpent,
// ErrOrder.
func (b *book) check(r record) error {
	e, of := r.entry, b.run(r.entry.Run)
	switch r.kind {
	case kindDebit:
		if err := e.validate(); err != nil {
			return err
		}
		if e.K <= of.debited {
			return fmt.Errorf("%w: run %s step %d, last %d", ErrSpent, e.Run, e.K, of.debited)
		}
	case kindCommit, kindDone:
		if e.K != of.debited || e.K == of.committed {
			return fmt.Errorf("%w: commit of run %s step %d, debited %d, committed %d", ErrOrder, e.Run, e.K, of.debited, of.committed)
		}
	case kindAcked:
		if e.K == 0 || e.K > of.committed {
			return fmt.Errorf("%w: acknowledgement of run %s step %d, committed %d", ErrOrder, e.Run, e.K, of.committed)
		}
	}
	return nil
}

// apply adds a record that check has passed.
func (b *book) apply(r record) error {
	e := r.entry
	if b.runs[e.Run] == nil {
		b.runs[e.Run] = &run{}
	}
	of := b.runs[e.Run]
	switch r.kind {
	case kindDebit:
		if err := b.account.Spend(e.Step, 1); err != nil {
			return fmt.Errorf("%w: %w", ErrInvalid, err)
		}
		b.spent = append(b.spent, Spending{Entry: e})
		of.debited, of.index = e.K, len(b.spent)-1
	case kindDone:
		b.commit(of, e.K, r.state, r.digest)
	case kindCommit:
		b.commit(of, e.K, r.state, sha256.Sum256(r.payload))
		b.pending = append(b.pending, Record{e.Run, e.K, r.payload, of.index})
		slices.SortFunc(b.pending, func(p, q Record) int { return p.order - q.order })
	case kindAcked:
		b.pending = slices.DeleteFunc(b.pending, func(p Record) bool { return p.Run == e.Run && p.K == e.K })
	}
	return nil
}

// commit notes what step k of a run came to, which was debited last.
func (b *book) commit(of *run, k uint64, state []byte, digest [32]byte) {
	of.committed, of.state = k, state
	b.spent[of.index].Committed, b.spent[of.index].Digest = true, digest
}

// history returns the shortest records that lead to the same book: every debit, the
// digest of every update, the last state of each run and the pending updates.
func (b *book) history() []record {
	payloads := map[string]map[uint64][]byte{}
	for _, p := range b.pending {
		if payloads[p.Run] == nil {
			payloads[p.Run] = map[uint64][]byte{}
		}
		payloads[p.Run][p.K] = p.Payload
	}
	var records []record
	for _, p := range b.spent {
		records = append(records, record{kind: kindDebit, entry: p.Entry})
		if !p.Committed {
			continue
		}
		r := record{kind: kindDone, entry: Entry{Run: p.Run, K: p.K}, digest: p.Digest}
		if payload, pending := payloads[p.Run][p.K]; pending {
			r.kind, r.payload = kindCommit, payload
		}
		if of := b.runs[p.Run]; p.K == of.committed {
			r.state = of.state
		}
		records = append(records, r)
	}
	return records
}
