package monitor

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"dpfpl/schemas"
)

// ErrPlan reports a configuration that the role cannot follow.
var ErrPlan = errors.New("monitor: unusable plan")

// Cost is what updates cost one record: the proven epsilon, and the tighter one beside it.
type Cost struct{ RDP, PLD float64 }

// Config is what a monitor needs to exist.
type Config struct {
	Plan *schemas.Plan // whose signature was verified
	// Cost returns what so many updates of one client cost; infinite for a plan without a guarantee. It must be a
	// pure function. nil is infinite, too.
	Cost func(updates uint64) Cost
	// Promise says in words what the plan promises.
	Promise []string
}

// Monitor is the role. It is not safe for concurrent use.
type Monitor struct {
	config  Config
	members []member       // in the plan's order
	index   map[string]int // by id
	state
}

// state is all that a monitor has seen.
type state struct {
	versions []version // by number
	final    bool
	applied  uint64 // log position of the newest version
	forged   uint64 // messages with a wrong signature

	end      uint64 // newest log message
	endAt    time.Time
	pending  []pending // updates after applied
	deadline uint64    // the newest version whose deadline has passed
	stopped  string    // why the run was stopped

	letters  []Letter                  // the newest dead letters, newest last
	reasons  map[schemas.Reason]uint64 // how many there are of each
	refused  map[uint64]bool           // log positions after applied that are dead
	deadSeq  uint64                    // newest in their stream
	judged   uint64                    // the newest log message that the aggregator has judged aloud
	sight    schemas.Sight
	turned   time.Time // since when the broker is, or is not, within reach
	leadless time.Time // since when nobody leads; zero if somebody does, or nobody ever did
}

// version is a version of the global prompt.
type version struct {
	at        time.Time
	updates   int
	staleness uint64 // sum
}

// pending is an update that no version has taken up yet.
type pending struct {
	seq, base uint64
	member    int
	at        time.Time
}

// New returns a monitor that has seen nothing. Errors: ErrPlan.
func New(c Config) (*Monitor, error) {
	if c.Plan == nil {
		return nil, fmt.Errorf("%w: there is none", ErrPlan)
	}
	if err := c.Plan.Validate(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrPlan, err)
	}
	if c.Cost == nil {
		c.Cost = func(uint64) Cost { return Cost{math.Inf(1), math.Inf(1)} }
	}
	m := &Monitor{config: c, index: map[string]int{}}
	m.reset()
	return m, nil
}

// reset forgets everything but the plan.
func (m *Monitor) reset() {
	m.state = state{reasons: map[schemas.Reason]uint64{}, refused: map[uint64]bool{}}
	m.members = make([]member, len(m.config.Plan.Members))
	for i, p := range m.config.Plan.Members {
		m.members[i] = member{id: p.ID, key: p.Key, active: true}
		m.index[p.ID] = i
	}
}

// Step takes in one message. It returns nothing and never fails; both are there so that it looks like any role's.
func (m *Monitor) Step(now time.Time, msg schemas.Message) ([]schemas.Message, error) {
	kind, _, _, _, err := schemas.ParseSubject(msg.Subject)
	if err == nil && (kind == schemas.KindUpdate || kind == schemas.KindControl) {
		if msg.Seq <= m.end {
			return nil, nil // a repetition, or not from the log
		}
		m.end, m.endAt = msg.Seq, msg.Time
	}
	switch b := msg.Body.(type) {
	case *schemas.Update:
		m.update(msg, b)
	case *schemas.Control:
		m.control(msg, b)
	case *schemas.Model:
		m.model(msg, b)
	case *schemas.Checkpoint:
		m.checkpoint(msg, b)
	case *schemas.Dead:
		m.dead(msg, b)
	case *schemas.Presence:
		m.presence(msg, b)
	case *schemas.Note:
		if m.signed(msg, b, m.config.Plan.Aggregator) {
			m.judged = max(m.judged, b.Seq)
		}
	case *schemas.Sight:
		m.look(now, b)
	}
	return nil, nil
}

// signed reports whether a message is of this run, stands where it belongs, and has the signature of a key.
func (m *Monitor) signed(msg schemas.Message, b schemas.Body, key string) bool {
	if b.Head().Run != m.config.Plan.Run || msg.Subject != schemas.Subject(b) || schemas.Verify(msg.Raw, key) != nil {
		m.forged++
		return false
	}
	return true
}

// member returns who a message says it is from, if it is.
func (m *Monitor) member(msg schemas.Message, b schemas.Body) (*member, int) {
	i, known := m.index[b.Head().Sender]
	if !known || !m.signed(msg, b, m.members[i].key) {
		return nil, 0
	}
	return &m.members[i], i
}

func (m *Monitor) update(msg schemas.Message, u *schemas.Update) {
	from, i := m.member(msg, u)
	if from == nil {
		return
	}
	from.k = max(from.k, u.K)
	from.updated, from.base = msg.Time, max(from.base, u.Base)
	from.answered = answer{base: u.Base, at: msg.Time}
	from.alive(msg.Time)
	if msg.Seq > m.applied {
		m.pending = append(m.pending, pending{msg.Seq, u.Base, i, msg.Time})
	}
}

func (m *Monitor) control(msg schemas.Message, c *schemas.Control) {
	key := m.config.Plan.Aggregator
	if c.Event == schemas.EventStop && schemas.Verify(msg.Raw, m.config.Plan.Operator) == nil {
		key = m.config.Plan.Operator
	}
	if !m.signed(msg, c, key) {
		return
	}
	switch c.Event {
	case schemas.EventDeadline:
		m.deadline = max(m.deadline, c.Version)
	case schemas.EventStop:
		m.stopped = c.Reason
		if m.stopped == "" {
			m.stopped = "by the operator"
		}
	case schemas.EventAdmit, schemas.EventEvict:
		if i, known := m.index[c.Client]; known {
			m.members[i].counted(c, msg.Time)
		}
	}
}

func (m *Monitor) model(msg schemas.Message, b *schemas.Model) {
	if msg.Seq == 0 || b.Version != uint64(len(m.versions)) || !m.signed(msg, b, m.config.Plan.Aggregator) {
		return
	}
	v := version{at: msg.Time, updates: len(b.Folded)}
	for _, f := range b.Folded {
		v.staleness += uint64(f.Staleness)
		if i, known := m.index[f.Client]; known {
			m.members[i].folded(f)
		}
	}
	m.versions = append(m.versions, v)
	m.final = b.Final
	m.apply(b.Applied)
}

// apply moves the position up to which the log is in versions.
func (m *Monitor) apply(seq uint64) {
	m.applied = max(m.applied, seq)
	m.pending = slices.DeleteFunc(m.pending, func(p pending) bool { return p.seq <= m.applied })
	for s := range m.refused {
		if s <= m.applied {
			delete(m.refused, s)
		}
	}
}

func (m *Monitor) checkpoint(msg schemas.Message, c *schemas.Checkpoint) {
	if msg.Seq == 0 || !m.signed(msg, c, m.config.Plan.Aggregator) {
		return
	}
	for _, r := range c.Members {
		if i, known := m.index[r.ID]; known {
			m.members[i].record = r
		}
	}
}

// maxLetters is how many dead letters a view shows.
const maxLetters = 50

func (m *Monitor) dead(msg schemas.Message, d *schemas.Dead) {
	if msg.Seq <= m.deadSeq || !m.signed(msg, d, m.config.Plan.Aggregator) {
		return
	}
	m.deadSeq = msg.Seq
	m.judged = max(m.judged, d.Seq)
	m.reasons[d.Reason]++
	if d.Seq > m.applied {
		m.refused[d.Seq] = true
	}
	_, _, client, _, _ := schemas.ParseSubject(d.Subject)
	m.letters = append(m.letters, Letter{Seq: d.Seq, At: msg.Time, Reason: d.Reason, Detail: d.Detail, Subject: d.Subject, Client: client})
	if n := len(m.letters); n > maxLetters {
		m.letters = slices.Delete(m.letters, 0, n-maxLetters)
	}
}

func (m *Monitor) presence(msg schemas.Message, p *schemas.Presence) {
	if msg.Seq > 0 {
		return
	}
	if from, _ := m.member(msg, p); from != nil {
		from.heard(p, msg.Time)
	}
}

func (m *Monitor) look(now time.Time, s *schemas.Sight) {
	if s.Anew {
		m.reset()
	}
	if m.turned.IsZero() || s.Connected != m.sight.Connected {
		m.turned = now
	}
	led := m.sight.Holder != "" || !m.leadless.IsZero()
	m.sight = *s
	switch {
	case s.Holder != "" || slices.Contains(s.Unread, "lease"):
		m.leadless = time.Time{}
	case s.Connected && m.leadless.IsZero() && led:
		m.leadless = now
	}
}
