package soak

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"dpfpl/roles/aggregator"
	"dpfpl/roles/client/ledger"
	"dpfpl/roles/replayer"
	"dpfpl/schemas"
	"dpfpl/schemas/logfile"
)

// logName is the exported run below the soak's folder.
const logName = "run.dpfpl"

// evidence is what a soak leaves behind.
type evidence struct {
	all     []schemas.Message // the run, in file order, the plan first
	debits  map[string]map[uint64]bool
	ready   map[string][]sighting
	pending map[string]int // updates not known to be stored
}

// gather reads a soak's folder.
func gather(dir string, clients int) (*evidence, error) {
	e := &evidence{debits: map[string]map[uint64]bool{}, ready: map[string][]sighting{}, pending: map[string]int{}}
	if err := e.readLog(filepath.Join(dir, logName)); err != nil {
		return nil, err
	}
	for i := range clients {
		id := clientName(i)
		if err := e.readLedger(id, filepath.Join(dir, id+".ledger")); err != nil {
			return nil, err
		}
		var err error
		if e.ready[id], err = readWitness(filepath.Join(dir, id+".ready")); err != nil {
			return nil, err
		}
	}
	return e, nil
}

// readLog verifies the run's file, every signature and digest of it, and reads it.
func (e *evidence) readLog(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	summary, err := logfile.Verify(file)
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if summary.Strange > 0 {
		return fmt.Errorf("%s: %d messages that are not by whom their subject says", path, summary.Strange)
	}
	if _, err := file.Seek(0, io.SeekStart); err != nil {
		return err
	}
	r, err := logfile.NewReader(file)
	if err != nil {
		return err
	}
	for {
		m, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		e.all = append(e.all, m)
	}
}

func (e *evidence) readLedger(id, path string) (err error) {
	l, err := ledger.Open(path, ledger.Limits{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	e.debits[id] = map[uint64]bool{}
	for _, entry := range l.Entries() {
		if e.debits[id][entry.K] {
			return fmt.Errorf("%s: step %d debited twice", path, entry.K)
		}
		e.debits[id][entry.K] = true
	}
	e.pending[id] = len(l.Pending())
	return nil
}

// Tally counts what the log holds.
type Tally struct {
	Updates, Controls        int
	Accepted, Stale, Refused int
	After                    int // updates that came after the final version
	Versions                 uint64
}

// check holds the evidence against what must be true of it, and counts.
func (e *evidence) check() (Tally, error) {
	if err := e.replay(); err != nil {
		return Tally{}, err
	}
	return e.count()
}

// count judges the log by a fold of its own, and holds versions, counters and clients against that.
func (e *evidence) count() (Tally, error) {
	c := counting{verdicts: map[uint64]*schemas.Note{}, seen: map[string]map[uint64]string{}}
	if err := c.fold(e.all); err != nil {
		return c.tally, err
	}
	return c.tally, errors.Join(c.inVersions(e.all), c.counters(e.all), e.clients(c.seen))
}

func newFold(p *schemas.Plan, initial []float32) (replayer.Fold, error) {
	return aggregator.NewFold(p, initial)
}

// replay folds the log in one pass and compares every version and checkpoint bit for bit.
func (e *evidence) replay() error {
	src := func(yield func(schemas.Message, error) bool) {
		for _, m := range e.all {
			if !yield(m, nil) {
				return
			}
		}
	}
	r, err := replayer.Replay(src, newFold, 0)
	switch {
	case err != nil:
		return err
	case r.Divergence != nil:
		return fmt.Errorf("the log does not fold to what is stored: %v", r.Divergence)
	case !r.Final || r.Beyond > 0:
		return fmt.Errorf("the run did not end: version %d is the last, %d more follow from the log", r.Agreed, r.Beyond)
	}
	return nil
}

// counting is what one more pass over the log finds.
type counting struct {
	verdicts map[uint64]*schemas.Note     // by log sequence
	seen     map[string]map[uint64]string // digest of every update in the log, by client and number
	tally    Tally
}

func (c *counting) fold(all []schemas.Message) error {
	plan := all[0].Body.(*schemas.Plan)
	f, err := aggregator.NewFold(plan, initial(plan))
	if err != nil {
		return err
	}
	for _, m := range all {
		switch b := m.Body.(type) {
		case *schemas.Update:
			c.tally.Updates++
			of := c.seen[b.Sender]
			if of == nil {
				of = map[uint64]string{}
				c.seen[b.Sender] = of
			}
			if of[b.K] != "" {
				return fmt.Errorf("update %d of %s is twice in the log", b.K, b.Sender)
			}
			of[b.K] = fmt.Sprintf("%x", schemas.Digest(m.Raw))
			if f.Final() {
				c.tally.After++
			}
		case *schemas.Control:
			c.tally.Controls++
		default:
			continue
		}
		for _, body := range f.Apply(m, f.Check(m)) {
			if n, ok := body.(*schemas.Note); ok {
				c.verdicts[n.Seq] = n
				c.count(n.Verdict)
			}
		}
	}
	c.tally.Versions = f.Version()
	return nil
}

func (c *counting) count(v schemas.Verdict) {
	switch v {
	case schemas.VerdictAccepted:
		c.tally.Accepted++
	case schemas.VerdictStale:
		c.tally.Stale++
	default:
		c.tally.Refused++
	}
}

// inVersions: what was accepted is in exactly one stored version, and nothing else is in any.
func (c *counting) inVersions(all []schemas.Message) error {
	in := map[uint64]uint64{} // version by log sequence
	for _, m := range all {
		v, ok := m.Body.(*schemas.Model)
		if !ok {
			continue
		}
		for _, f := range v.Folded {
			n := c.verdicts[f.Seq]
			switch {
			case n == nil || n.Verdict != schemas.VerdictAccepted || n.Client != f.Client || n.K != f.K:
				return fmt.Errorf("version %d holds update %d of %s, message %d, which was not accepted", v.Version, f.K, f.Client, f.Seq)
			case in[f.Seq] > 0:
				return fmt.Errorf("message %d is counted twice: in version %d and in version %d", f.Seq, in[f.Seq], v.Version)
			}
			in[f.Seq] = v.Version
		}
	}
	for seq, n := range c.verdicts {
		if n.Verdict == schemas.VerdictAccepted && in[seq] == 0 {
			return fmt.Errorf("update %d of %s, message %d, was accepted but is in no version", n.K, n.Client, seq)
		}
	}
	return nil
}

// counters: the last checkpoint counts what the log holds.
func (c *counting) counters(all []schemas.Message) error {
	var last *schemas.Checkpoint
	for _, m := range all {
		if b, ok := m.Body.(*schemas.Checkpoint); ok {
			last = b
		}
	}
	if last == nil {
		return errors.New("no checkpoint is stored")
	}
	counted := map[string][3]uint64{}
	for _, n := range c.verdicts {
		v := counted[n.Client]
		switch n.Verdict {
		case schemas.VerdictAccepted:
			v[0]++
		case schemas.VerdictStale:
			v[1]++
		default:
			v[2]++
		}
		counted[n.Client] = v
	}
	for _, m := range last.Members {
		if got, want := [3]uint64{m.Accepted, m.Stale, m.Refused}, counted[m.ID]; got != want {
			return fmt.Errorf("the last checkpoint counts %v accepted, stale, refused updates of %s, the log %v", got, m.ID, want)
		}
	}
	return nil
}

// clients: whatever a client held ready is in the log as it was, and whatever is in the log is in its ledger.
func (e *evidence) clients(seen map[string]map[uint64]string) error {
	var errs []error
	fault := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	for id, sightings := range e.ready {
		for _, s := range sightings {
			switch inLog := seen[id][s.k]; inLog {
			case s.digest:
			case "":
				fault("update %d of %s was ready to be sent, and is not in the log", s.k, id)
			default:
				fault("update %d of %s was ready with digest %.12s, the log has %.12s", s.k, id, s.digest, inLog)
			}
		}
	}
	for id, updates := range seen {
		for k := range updates {
			if !e.debits[id][k] {
				fault("update %d of %s is in the log, and not in its ledger", k, id)
			}
		}
	}
	for id, n := range e.pending {
		if n > 0 {
			fault("%s ended with %d updates that it does not know to be stored", id, n)
		}
	}
	return errors.Join(errs...)
}
