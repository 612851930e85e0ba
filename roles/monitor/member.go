package monitor

import (
	"time"

	"dpfpl/schemas"
)

// member is what is known of one client.
type member struct {
	id, key string

	// From the log and the versions.
	k        uint64    // the highest number it has used
	base     uint64    // the newest version it has answered
	updated  time.Time // its newest update
	answered answer
	active   bool // counts for the quorum
	evicted  eviction
	record   schemas.MemberRecord // by the newest checkpoint
	used     uint64               // updates in versions
	stale    uint64               // sum of their staleness
	oldest   uint32               // the largest

	sign time.Time         // the newest sign of life of any kind
	said *schemas.Presence // the newest; nil before the first
	when time.Time         // it was said
}

// answer is an update: what it answers, and when it came.
type answer struct {
	base uint64
	at   time.Time
}

// eviction is when and why a client stopped counting.
type eviction struct {
	at  time.Time
	why string
}

// alive takes in a sign of life.
func (m *member) alive(at time.Time) {
	if at.After(m.sign) {
		m.sign = at
	}
}

// counted takes in that the client counts for the quorum, or no longer does.
func (m *member) counted(c *schemas.Control, at time.Time) {
	if m.active = c.Event == schemas.EventAdmit; m.active {
		m.alive(at)
		return
	}
	m.evicted = eviction{at, c.Reason}
}

// heard takes in what the client says of itself. Later words count, in whatever order they come.
func (m *member) heard(p *schemas.Presence, at time.Time) {
	if m.said != nil && at.Before(m.when) {
		return
	}
	m.said, m.when = p, at
	m.alive(at)
}

// folded takes in that one of the client's updates is in a version.
func (m *member) folded(f schemas.Folded) {
	m.used++
	m.stale += uint64(f.Staleness)
	m.oldest = max(m.oldest, f.Staleness)
}

// Presence is whether a client is there.
type Presence string

// The presences.
const (
	Present Presence = "present"
	Silent  Presence = "silent"  // was there, and has not been heard since
	Left    Presence = "left"    // said goodbye
	Never   Presence = "never"   // there is no sign of it at all
	Unheard Presence = "unheard" // not heard, but the monitor has not listened for long enough to say more
)

// presence judges the client at a moment; silence is how long it may say nothing, listened how long somebody
// has been listening. since is when what is said began, zero if unknown.
func (m *member) presence(now time.Time, silence, listened time.Duration) (p Presence, since time.Time) {
	gone := !m.active && !m.evicted.at.Before(m.sign) // nothing was heard since it was evicted
	switch {
	case m.said != nil && m.said.State == schemas.StateLeave && !m.when.Before(m.sign):
		return Left, m.when
	case gone && m.evicted.why == "left":
		return Left, m.evicted.at
	case !m.sign.IsZero() && !gone && now.Sub(m.sign) < silence:
		return Present, time.Time{}
	case m.said == nil && listened < silence && !gone:
		return Unheard, time.Time{}
	case m.sign.IsZero():
		return Never, time.Time{}
	}
	return Silent, m.sign
}
