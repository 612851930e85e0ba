package monitor

import (
	"cmp"
	"math"
	"slices"
	"time"

	"dpfpl/schemas"
)

// View is everything there is to know about a run at a moment. Times that are not known are left out.
type View struct {
	Run      string `json:"run"`
	State    State  `json:"state"`
	Headline string `json:"headline"`
	// Attention lists what somebody should look at, the worst first.
	Attention []Attention `json:"attention"`

	Version    int64      `json:"version"`  // the newest, -1 before the first
	Versions   uint32     `json:"versions"` // T, after which the run is over
	Final      bool       `json:"final"`
	ToGo       float64    `json:"seconds_to_go,omitempty"` // at the pace of the last versions
	Collecting Collecting `json:"collecting"`
	History    []Version  `json:"history"` // the newest versions, in order

	Counts     map[Presence]int `json:"counts"` // of clients
	Clients    []Client         `json:"clients"`
	Aggregator Aggregator       `json:"aggregator"`
	Dead       Dead             `json:"dead_letters"`
	Privacy    Privacy          `json:"privacy"`
	Promise    []string         `json:"promise"`
	Connection Connection       `json:"connection"`
}

// State is how a run is doing.
type State string

// The states.
const (
	Waiting  State = "waiting"  // for a plan, an aggregator, or the first update
	Reading  State = "reading"  // what was said before
	Learning State = "learning" //
	Stalled  State = "stalled"  // something keeps it from going on
	Over     State = "over"     //
	Cut      State = "cut"      // the broker is out of reach: what is shown is old
)

// Version is one version of the global prompt.
type Version struct {
	Number    uint64    `json:"version"`
	At        time.Time `json:"at"`
	Updates   int       `json:"updates"`
	Staleness float64   `json:"staleness"` // mean, in versions
}

// Collecting is the version that comes next.
type Collecting struct {
	Rule    string   `json:"rule"`
	Version uint64   `json:"version"`
	Held    []string `json:"held"` // clients whose update is in the buffer
	// Size is how many updates complete the version; 0 if it waits for every client that counts.
	Size   int `json:"size"`
	Quorum int `json:"quorum"` // the fewest with which a deadline completes it
	// Owing is how many clients are there and may still answer.
	Owing        int        `json:"owing"`
	Deadline     *time.Time `json:"deadline,omitempty"`
	Overdue      bool       `json:"overdue"`                  // the deadline has passed
	Complete     *time.Time `json:"complete_since,omitempty"` // it could be published since then
	MaxStaleness uint32     `json:"max_staleness"`
}

// Client is one member of the run.
type Client struct {
	Name     string     `json:"name"`
	Presence Presence   `json:"presence"`
	Since    *time.Time `json:"since,omitempty"` // silent, or gone
	Seen     *time.Time `json:"seen,omitempty"`  // the newest sign of life
	Counts   bool       `json:"counts"`          // for the quorum

	Updates  uint64 `json:"updates"` // the highest number that it has used
	Of       uint32 `json:"of"`      // N
	Accepted uint64 `json:"accepted"`
	Stale    uint64 `json:"stale"`
	Refused  uint64 `json:"refused"`
	Waiting  int    `json:"waiting"` // in the log, in no version yet

	Staleness    float64  `json:"staleness"` // mean of those in versions
	MaxStaleness uint32   `json:"max_staleness"`
	Behind       uint64   `json:"behind"`                 // versions since the newest that it holds or has answered
	Took         *float64 `json:"took_seconds,omitempty"` // from a version to its newest answer

	Epsilon *float64 `json:"epsilon,omitempty"` // by RDP; absent without a guarantee
	PLD     *float64 `json:"epsilon_pld,omitempty"`
	Share   float64  `json:"share"` // of the budget, 0 to 1
	Spent   bool     `json:"spent"` // no update is left

	Modality string `json:"modality,omitempty"`
	Software string `json:"software,omitempty"`
}

// Aggregator is who leads, and how far it is.
type Aggregator struct {
	Known    bool       `json:"known"` // whether anybody leads can be told
	Holder   string     `json:"holder"`
	Standby  []string   `json:"standby"`
	Leadless *time.Time `json:"leadless_since,omitempty"`
	End      uint64     `json:"log_end"`
	EndAt    *time.Time `json:"log_end_at,omitempty"`
	Applied  uint64     `json:"applied"` // log position of the newest version
	Judged   uint64     `json:"judged"`  // log position up to which it has said what it thinks
	Lag      uint64     `json:"lag"`     // updates that it has not judged
}

// Dead is the dead letters.
type Dead struct {
	Total   uint64                    `json:"total"`
	Reasons map[schemas.Reason]uint64 `json:"reasons"`
	Letters []Letter                  `json:"letters"` // the newest, newest first
}

// Letter is one dead letter.
type Letter struct {
	Seq     uint64         `json:"seq"` // in the log
	At      time.Time      `json:"at"`
	Reason  schemas.Reason `json:"reason"`
	Detail  string         `json:"detail"`
	Subject string         `json:"subject"`
	Client  string         `json:"client,omitempty"`
}

// Privacy is what the plan buys a record.
type Privacy struct {
	Guaranteed bool    `json:"guaranteed"`
	Epsilon    float64 `json:"epsilon"` // the budget
	Delta      float64 `json:"delta"`
	Adjacency  string  `json:"adjacency"`
	Forged     uint64  `json:"forged"` // messages that were not signed by who they say they are from
}

// Connection is the monitor's own to the broker.
type Connection struct {
	Up     bool       `json:"up"`
	Since  *time.Time `json:"since,omitempty"`
	Left   uint64     `json:"left"` // stored messages that it has not read yet
	Unread []string   `json:"unread,omitempty"`
}

// maxHistory is how many versions a view shows.
const maxHistory = 300

// View says what there is to know at a moment.
func (m *Monitor) View(now time.Time) View {
	p := m.config.Plan
	v := View{
		Run: p.Run, Version: int64(len(m.versions)) - 1, Versions: p.Versions, Final: m.final, Promise: m.config.Promise,
		Privacy: Privacy{
			Guaranteed: !math.IsInf(m.config.Cost(1).RDP, 1), Epsilon: p.Privacy.Epsilon, Delta: p.Privacy.Delta,
			Adjacency: p.Privacy.Adjacency, Forged: m.forged,
		},
		Connection: Connection{Up: m.sight.Connected, Since: known(m.turned), Left: m.sight.Left, Unread: m.sight.Unread},
		Counts:     map[Presence]int{},
	}
	heard := now
	if !m.sight.Connected && !m.turned.IsZero() {
		heard = m.turned // nobody can be heard since
	}
	for i := range m.members {
		c := m.client(heard, i)
		v.Clients = append(v.Clients, c)
		v.Counts[c.Presence]++
	}
	v.Collecting = m.collecting(now, v.Clients)
	v.History, v.ToGo = m.history()
	v.Aggregator = m.aggregator()
	v.Dead = Dead{Reasons: m.reasonsCopy(), Letters: slices.Clone(m.letters)}
	slices.Reverse(v.Dead.Letters)
	for _, n := range m.reasons {
		v.Dead.Total += n
	}
	var stuck bool
	v.Attention, stuck = m.attention(now, &v)
	v.State = judge(&v, stuck)
	v.Headline = headline(&v)
	return v
}

// newest is the newest version; ok is false before the first.
func (m *Monitor) newest() (n uint64, ok bool) {
	if len(m.versions) == 0 {
		return 0, false
	}
	return uint64(len(m.versions)) - 1, true
}

// silence is how long a client may say nothing and still be there.
func (m *Monitor) silence() time.Duration {
	t := m.config.Plan.Presence
	return cmp.Or(t.Silence, 3*t.Heartbeat, 30*time.Second)
}

// listened is how long the broker has been within reach without a break.
func (m *Monitor) listened(now time.Time) time.Duration {
	if !m.sight.Connected {
		return 0
	}
	return now.Sub(m.turned)
}

func (m *Monitor) client(now time.Time, i int) Client {
	b, p := &m.members[i], m.config.Plan
	c := Client{
		Name: b.id, Counts: b.active, Updates: b.k, Of: p.Updates, Seen: known(b.sign),
		Accepted: b.record.Accepted, Stale: b.record.Stale, Refused: b.record.Refused,
		MaxStaleness: b.oldest, Spent: b.k >= uint64(p.Updates),
	}
	var since time.Time
	c.Presence, since = b.presence(now, m.silence(), m.listened(now))
	c.Since = known(since)
	for _, u := range m.pending {
		if u.member == i && !m.refused[u.seq] && !m.final {
			c.Waiting++
		}
	}
	if b.used > 0 {
		c.Staleness = float64(b.stale) / float64(b.used)
	}
	if b.said != nil {
		c.Modality, c.Software = b.said.Modality, b.said.Software
	}
	m.pace(&c, b)
	var cost Cost
	if b.k > 0 {
		cost = m.config.Cost(b.k)
	}
	if !math.IsInf(m.config.Cost(1).RDP, 1) {
		c.Epsilon, c.PLD = finite(cost.RDP), finite(cost.PLD)
		c.Share = min(1, cost.RDP/p.Privacy.Epsilon)
	}
	return c
}

// pace completes a client with how far behind it is.
func (m *Monitor) pace(c *Client, b *member) {
	newest, ok := m.newest()
	if !ok {
		return
	}
	holds := b.base
	if b.said != nil {
		holds = max(holds, b.said.Version)
	}
	if b.said != nil || b.k > 0 {
		c.Behind = newest - min(newest, holds)
	}
	if a := b.answered; b.k > 0 && a.base <= newest {
		took := max(0, a.at.Sub(m.versions[a.base].at).Seconds())
		c.Took = &took
	}
}

// rule returns how many updates complete a version by themselves, 0 if only everybody's or the deadline does, and the
// fewest of a version.
func rule(p *schemas.Plan) (size, least int) {
	least = max(int(p.Rule.Quorum), 1)
	switch p.Rule.Name {
	case "fedbuff":
		size = int(p.Rule.Buffer)
	case "fedasync":
		size = 1
	case "trimmed":
		least = max(least, 2*int(p.Rule.Trim)+1)
	}
	return size, least
}

func (m *Monitor) collecting(now time.Time, clients []Client) Collecting {
	p := m.config.Plan
	size, least := rule(p)
	c := Collecting{Rule: p.Rule.Name, Size: size, Quorum: least, MaxStaleness: p.Rule.MaxStaleness}
	newest, ok := m.newest()
	if !ok || m.final {
		return c
	}
	c.Version = newest + 1
	holds := map[int]bool{}
	var times []time.Time
	for _, u := range m.pending {
		if holds[u.member] || m.refused[u.seq] || u.base > newest || newest-u.base > uint64(p.Rule.MaxStaleness) {
			continue
		}
		holds[u.member] = true
		times = append(times, u.at)
		c.Held = append(c.Held, m.members[u.member].id)
	}
	counted := 0 // may still answer, and is waited for
	for i, b := range m.members {
		if owes := !holds[i] && b.k < uint64(p.Updates) && !(b.k > 0 && b.base >= newest); owes {
			if clients[i].Presence == Present || clients[i].Presence == Unheard {
				c.Owing++
			}
			if b.active {
				counted++
			}
		}
	}
	var due time.Time
	if p.Rule.Deadline > 0 {
		due = m.versions[newest].at.Add(p.Rule.Deadline)
		c.Deadline = &due
		c.Overdue = m.deadline >= c.Version || now.After(due)
	}
	n := len(times)
	switch {
	case size > 0 && n >= size:
		c.Complete = &times[size-1]
	case n >= least && counted == 0:
		c.Complete = &times[n-1]
	case n >= least && c.Overdue:
		c.Complete = known(later(due, times[least-1]))
	}
	return c
}

// history returns the newest versions, and how many seconds the rest will take at the pace of the last ten.
func (m *Monitor) history() (list []Version, toGo float64) {
	n := len(m.versions)
	for i := max(0, n-maxHistory); i < n; i++ {
		v := Version{Number: uint64(i), At: m.versions[i].at, Updates: m.versions[i].updates}
		if v.Updates > 0 {
			v.Staleness = float64(m.versions[i].staleness) / float64(v.Updates)
		}
		list = append(list, v)
	}
	if k := min(10, n-1); k > 0 && !m.final {
		last := m.versions[n-1].at.Sub(m.versions[n-1-k].at).Seconds() / float64(k)
		toGo = last * float64(max(0, int(m.config.Plan.Versions)-(n-1)))
	}
	return list, toGo
}

func (m *Monitor) aggregator() Aggregator {
	a := Aggregator{
		Known:  m.sight.Holder != "" || !m.leadless.IsZero(),
		Holder: m.sight.Holder, Standby: m.sight.Standby, Leadless: known(m.leadless),
		End: m.end, EndAt: known(m.endAt), Applied: m.applied, Judged: max(m.applied, m.judged),
	}
	for _, u := range m.pending {
		if u.seq > a.Judged && !m.final { // what comes after the end is judged by nobody
			a.Lag++
		}
	}
	return a
}

func (m *Monitor) reasonsCopy() map[schemas.Reason]uint64 {
	c := map[schemas.Reason]uint64{}
	for r, n := range m.reasons {
		c[r] = n
	}
	return c
}

// known is a time, nil for none.
func known(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// finite is a number, nil for none that JSON knows.
func finite(x float64) *float64 {
	if math.IsInf(x, 0) || math.IsNaN(x) {
		return nil
	}
	return &x
}
