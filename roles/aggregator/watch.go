package aggregator

import (
	"fmt"
	"time"

	"dpfpl/schemas"
)

// watch is what the role sees besides the log: the clock and its members' signs of life. It may write
// control messages, and nothing else.
type watch struct {
	timing   schemas.TimingPlan
	deadline time.Duration
	patience time.Duration

	started time.Time            // the version being collected
	updated time.Time            // the newest update in the log; zero before the first
	seen    map[string]time.Time // the last sign of life of members that have not left

	// pending are the control messages that have not come back from the log, ascending by number.
	pending []*schemas.Control
}

// newWatch gives every member that counts the benefit of the doubt.
func newWatch(c Config, now time.Time, f *Fold) *watch {
	w := &watch{
		timing: c.Plan.Presence, deadline: c.Plan.Rule.Deadline, patience: c.patience(),
		started: now, seen: make(map[string]time.Time),
	}
	if f.applied > 0 {
		w.updated = now
	}
	for _, m := range f.members {
		if m.Active {
			w.seen[m.ID] = now
		}
	}
	return w
}

// see takes in a sign of life of a member.
func (w *watch) see(now time.Time, p *schemas.Presence) {
	if p.State == schemas.StateLeave {
		delete(w.seen, p.Sender)
		return
	}
	w.seen[p.Sender] = now
}

// present reports whether a member counts by what has been seen, and if not, why.
func (w *watch) present(now time.Time, id string) (ok bool, why string) {
	seen, here := w.seen[id]
	switch {
	case !here:
		return false, "left"
	case w.timing.Silence > 0 && now.Sub(seen) >= w.timing.Silence:
		return false, fmt.Sprintf("silent for %v", w.timing.Silence)
	}
	return true, "back"
}

// due returns the control messages that the present moment calls for, without numbers, in a fixed order.
func (w *watch) due(now time.Time, f *Fold) []schemas.Control {
	var due []schemas.Control
	for _, m := range f.members {
		switch here, why := w.present(now, m.ID); {
		case m.Active && !here:
			due = append(due, schemas.Control{Event: schemas.EventEvict, Client: m.ID, Reason: why})
		case !m.Active && here:
			due = append(due, schemas.Control{Event: schemas.EventAdmit, Client: m.ID, Reason: why})
		}
	}
	if w.deadline > 0 && !f.overdue && now.Sub(w.started) >= w.deadline {
		due = append(due, schemas.Control{Event: schemas.EventDeadline})
	}
	if w.patience > 0 && !w.updated.IsZero() && now.Sub(w.updated) >= w.patience {
		due = append(due, schemas.Control{Event: schemas.EventStop, Reason: fmt.Sprintf("no update for %v", w.patience)})
	}
	for i := range due {
		due[i].Header, due[i].Version = f.header(), f.version+1
	}
	return due
}

// issue numbers what is due and returns what must be sent: what is new, and on a tick also what has not
// come back yet. A number, once given, is kept, so that saying it again says the same.
func (w *watch) issue(now time.Time, f *Fold, again bool) []*schemas.Control {
	if f.final {
		return nil
	}
	known := len(w.pending)
	for _, c := range w.due(now, f) {
		if w.issued(c) {
			continue
		}
		c.N = f.controls + 1
		if n := len(w.pending); n > 0 {
			c.N = w.pending[n-1].N + 1
		}
		w.pending = append(w.pending, &c)
	}
	if again {
		known = 0
	}
	return w.pending[known:]
}

func (w *watch) issued(c schemas.Control) bool {
	for _, p := range w.pending {
		if p.Event == c.Event && p.Client == c.Client && p.Version == c.Version {
			return true
		}
	}
	return false
}

// settle forgets what was issued up to number n: the log now says what number n is, ours or another's. What
// is still due gets a new number.
func (w *watch) settle(n uint64) {
	for len(w.pending) > 0 && w.pending[0].N <= n {
		w.pending = w.pending[1:]
	}
}
