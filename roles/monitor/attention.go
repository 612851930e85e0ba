package monitor

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"dpfpl/schemas"
)

// Level says how bad it is.
type Level string

// The levels, the worst first.
const (
	Alarm   Level = "alarm"   // the run does not go on, or what is shown is not so
	Warning Level = "warning" // it goes on, but not as it should
	Notice  Level = "notice"  // as it should, and good to know
)

// Attention is something to look at.
type Attention struct {
	Level Level      `json:"level"`
	Text  string     `json:"text"`
	Since *time.Time `json:"since,omitempty"`
}

// patience is how long the aggregator may take over what it could do at once.
const patience = 10 * time.Second

// attention lists what needs looking at, the worst first, and says whether the run is stuck. While the history is being read nothing is judged that
// only its end can tell.
func (m *Monitor) attention(now time.Time, v *View) (items []Attention, stuck bool) {
	l := &list{}
	m.aboutTheBroker(l, v)
	if !v.Connection.Up || v.Connection.Left > 0 {
		return l.items, false
	}
	if !v.Privacy.Guaranteed {
		l.add(Alarm, nil, "Nothing is protected: this plan has no privacy guarantee")
	}
	if v.Privacy.Forged > 0 {
		l.add(Warning, nil, "%s not signed by who they say they are from; they count for nothing here", count(int(v.Privacy.Forged), "message was", "messages were"))
	}
	if !v.Final {
		told := len(l.items)
		m.aboutTheAggregator(now, l, v)
		m.aboutTheQuorum(now, l, v)
		stuck = slices.ContainsFunc(l.items[told:], func(a Attention) bool { return a.Level == Alarm })
	}
	m.aboutClients(l, v)
	if n := v.Dead.Total; n > 0 {
		newest := v.Dead.Letters[0]
		l.add(Warning, nil, "%s, the newest for %s at log position %d", count(int(n), "dead letter", "dead letters"), newest.Reason, newest.Seq)
	}
	if m.stopped != "" {
		l.add(Notice, nil, "The run was stopped: %s", m.stopped)
	}
	slices.SortStableFunc(l.items, func(a, b Attention) int { return rank(a.Level) - rank(b.Level) })
	return l.items, stuck
}

type list struct{ items []Attention }

func (l *list) add(level Level, since *time.Time, format string, args ...any) {
	l.items = append(l.items, Attention{level, fmt.Sprintf(format, args...), since})
}

func rank(l Level) int { return slices.Index([]Level{Alarm, Warning, Notice}, l) }

func (m *Monitor) aboutTheBroker(l *list, v *View) {
	if !v.Connection.Up && v.Connection.Since != nil {
		l.add(Alarm, v.Connection.Since, "This monitor cannot reach the broker: what it shows is old")
	}
	for _, what := range v.Connection.Unread {
		if what != "lease" { // not before an aggregator has made one
			l.add(Alarm, nil, "The %s of this run cannot be read: it is not there, or made by an older version, or not for these credentials", streamWords[what])
		}
	}
}

var streamWords = map[string]string{"log": "log", "state": "stream of versions", "dead": "stream of dead letters"}

func (m *Monitor) aboutTheAggregator(now time.Time, l *list, v *View) {
	switch a, c := v.Aggregator, v.Collecting; {
	case v.Version < 0:
		l.add(Alarm, nil, "No aggregator has begun this run")
	case a.Leadless != nil && now.Sub(*a.Leadless) >= patience/2:
		l.add(Alarm, a.Leadless, "No aggregator leads; %s in the log", wait(int(a.Lag)))
	case c.Complete != nil && now.Sub(*c.Complete) >= patience:
		l.add(Alarm, c.Complete, "The aggregator is stale: version %d is complete and not published", c.Version)
	case a.Known && a.Leadless == nil && len(a.Standby) == 0:
		l.add(Notice, nil, "No standby: if aggregator %s fails, nobody takes over", a.Holder)
	}
}

func (m *Monitor) aboutTheQuorum(now time.Time, l *list, v *View) {
	c := v.Collecting
	if v.Version < 0 || c.Complete != nil {
		return
	}
	need := c.Quorum
	if c.Size > 0 && c.Deadline == nil {
		need = c.Size // only a full buffer makes a version
	}
	if can := len(c.Held) + c.Owing; can < need && m.listened(now) >= m.silence() {
		l.add(Alarm, nil, "Version %d needs %s; with who is there and has one left it can get %d", c.Version, count(need, "update", "updates"), can)
		return
	}
	if c.Deadline != nil && now.Sub(*c.Deadline) >= patience {
		l.add(Warning, c.Deadline, "Version %d is past its deadline with %d of the %d updates that it needs", c.Version, len(c.Held), c.Quorum)
	}
}

func (m *Monitor) aboutClients(l *list, v *View) {
	var silent, left, never, spent, slow []string
	var since *time.Time
	for _, c := range v.Clients {
		switch {
		case c.Spent:
			spent = append(spent, c.Name)
			continue
		case v.Final:
			continue
		case c.Presence == Silent:
			silent = append(silent, c.Name)
			if since == nil || c.Since.Before(*since) {
				since = c.Since
			}
		case c.Presence == Left:
			left = append(left, c.Name)
		case c.Presence == Never:
			never = append(never, c.Name)
		case c.Behind > uint64(v.Collecting.MaxStaleness) && c.Waiting == 0 && waits(v):
			slow = append(slow, c.Name)
		}
	}
	if len(silent) > 0 {
		l.add(Warning, since, "%s silent", are(silent))
	}
	if len(never) > 0 {
		l.add(Warning, nil, "%s never been seen", have(never))
	}
	if len(slow) > 0 {
		l.add(Warning, nil, "%s more than %s behind: an update for so old a one is refused as stale", are(slow), count(int(v.Collecting.MaxStaleness), "version", "versions"))
	}
	if len(spent) > 0 {
		level := Warning
		if v.Final {
			level = Notice
		}
		l.add(level, nil, "%s no update left: the privacy budget is spent", have(spent))
	}
	if len(left) > 0 {
		l.add(Notice, nil, "%s left", have(left))
	}
}

// waits reports whether being behind means something: not before the first version that learned.
func waits(v *View) bool { return v.Version > 0 }

// are and have name clients with a verb.
func are(names []string) string  { return verb(names, "is", "are") }
func have(names []string) string { return verb(names, "has", "have") }

func verb(names []string, one, many string) string {
	if len(names) == 1 {
		return names[0] + " " + one
	}
	const most = 4
	if len(names) > most {
		return fmt.Sprintf("%s and %d others %s", strings.Join(names[:most-1], ", "), len(names)-most+1, many)
	}
	return strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1] + " " + many
}

func wait(n int) string {
	if n == 1 {
		return "1 update waits"
	}
	return fmt.Sprintf("%d updates wait", n)
}

// count is a number with its noun.
func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// judge sums up how the run is doing.
func judge(v *View, stuck bool) State {
	switch {
	case !v.Connection.Up && v.Connection.Since != nil:
		return Cut
	case v.Connection.Left > 0, v.Connection.Since == nil:
		return Reading
	case v.Final:
		return Over
	case v.Version < 0:
		return Waiting
	}
	switch {
	case stuck:
		return Stalled
	case v.Version == 0 && len(v.Collecting.Held) == 0:
		return Waiting
	}
	return Learning
}

// headline says it in a line.
func headline(v *View) string {
	at := fmt.Sprintf("version %d of %d", v.Version, v.Versions)
	here := fmt.Sprintf("%d of %s present", v.Counts[Present], count(len(v.Clients), "client", "clients"))
	switch v.State {
	case Cut:
		if v.Version < 0 {
			return "Cut off from the broker"
		}
		return "Cut off from the broker; last seen at " + at
	case Reading:
		if v.Connection.Left == 0 {
			return "Reading the log"
		}
		return "Reading the log: " + count(int(v.Connection.Left), "message", "messages") + " to go"
	case Over:
		if v.Version < int64(v.Versions) {
			return "Over early, at " + at
		}
		return "Over: " + at
	case Waiting:
		if v.Version < 0 {
			return "Waiting for an aggregator; " + here
		}
		return "Waiting for the first update; " + here
	case Stalled:
		return "Stalled at " + at + ", " + here
	}
	return "Learning: " + at + ", " + here
}

// Before returns the view of a run that has no plan yet, with what keeps it.
func Before(run string, why error, now time.Time) View {
	v := View{
		Run: run, State: Waiting, Headline: "Waiting for the plan of run " + run, Version: -1, Counts: map[Presence]int{},
		Dead: Dead{Reasons: map[schemas.Reason]uint64{}},
	}
	if why != nil {
		v.Attention = []Attention{{Level: Alarm, Text: why.Error(), Since: &now}}
	}
	return v
}
