package monitor

import (
	"fmt"
	"strings"
	"time"

	"dpfpl/roles/roletest"
	"dpfpl/schemas"
)

// testPlan is a run of a 1×2 prompt by fedbuff 2.
func testPlan(members ...string) *schemas.Plan {
	p := roletest.Plan(members...)
	p.Rule = schemas.RulePlan{Name: "fedbuff", Buffer: 2, Quorum: 1, Deadline: time.Minute, MaxStaleness: 2}
	p.Presence = schemas.TimingPlan{Heartbeat: 10 * time.Second, Silence: 30 * time.Second}
	p.Updates = 4
	return p
}

// world makes messages as a broker would hand them out, at a time that moves on command.
type world struct {
	roletest.T
	plan             *schemas.Plan
	monitor          *Monitor
	now              time.Time
	log, state, dead uint64 // sequences
	controls         uint64
	parent           [32]byte
	all              []schemas.Message
}

// testCost charges half of what the plan's budget can take, for every update.
func testCost(updates uint64) Cost { return Cost{float64(updates), float64(updates) * 0.9} }

func newWorld(t roletest.T, p *schemas.Plan) *world {
	t.Helper()
	m, err := New(Config{Plan: p, Cost: testCost, Promise: []string{"a promise"}})
	if err != nil {
		t.Fatal(err)
	}
	return &world{T: t, plan: p, monitor: m, now: time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)}
}

// give hands the monitor a message.
func (w *world) give(m schemas.Message) {
	w.Helper()
	m.Time = w.now
	w.all = append(w.all, m)
	step(w, w.monitor, m)
}

func step(t roletest.T, m *Monitor, msg schemas.Message) {
	t.Helper()
	if out, err := m.Step(msg.Time, msg); err != nil || out != nil {
		t.Fatalf("%v, %v", out, err)
	}
}

// sealed is a message of a body, signed with the key of a name.
func (w *world) sealed(b schemas.Body, signer string) schemas.Message {
	w.Helper()
	b.Head().Run = w.plan.Run
	if b.Head().Sender == "" {
		b.Head().Sender = signer
	}
	key, _ := roletest.Key(signer)
	raw, err := schemas.Seal(b, key)
	if err != nil {
		w.Fatal(err)
	}
	body, err := schemas.Open(raw)
	return schemas.Message{Body: body, Err: err, Raw: raw, Subject: schemas.Subject(b)}
}

// logged gives a message the next place in the log.
func (w *world) logged(m schemas.Message) {
	w.Helper()
	w.log++
	m.Seq = w.log
	w.give(m)
}

func (w *world) update(client string, k, base uint64, signer string) {
	w.Helper()
	w.logged(w.sealed(&schemas.Update{
		Header: schemas.Header{Sender: client}, K: k, Base: base, Sum: schemas.NewLattice(1, 2, 1.0/65536, []int32{1, 2}),
		Mechanism: schemas.Mechanism{Noise: "client", Adjacency: "zero-out", Rate: 0.1, ZG: 1, Z: 1},
	}, signer))
}

func (w *world) control(event schemas.Event, client, reason string, version uint64) {
	w.Helper()
	w.controls++
	w.logged(w.sealed(&schemas.Control{N: w.controls, Event: event, Client: client, Reason: reason, Version: version}, "aggregator"))
}

// model stores the next version and its checkpoint, made of updates of the log by sequence.
func (w *world) model(version uint64, final bool, folded ...schemas.Folded) {
	w.Helper()
	w.state++
	m := w.sealed(&schemas.Model{
		Version: version, Parent: w.parent, Params: schemas.NewParams(1, 2, []float32{0, 0}), Folded: folded, Applied: w.log, Final: final,
	}, "aggregator")
	w.parent = schemas.Digest(m.Raw)
	m.Seq = w.state
	w.give(m)
	w.state++
	c := &schemas.Checkpoint{Version: version, Model: w.parent, Applied: w.log, Final: final}
	if w.log > 0 {
		c.AppliedTime = w.now.UnixNano()
	}
	for _, member := range w.plan.Members {
		r := schemas.MemberRecord{ID: member.ID, Active: true}
		for _, f := range folded {
			if f.Client == member.ID {
				r.Accepted++
			}
		}
		c.Members = append(c.Members, r)
	}
	m = w.sealed(c, "aggregator")
	m.Seq = w.state
	w.give(m)
}

func (w *world) letter(reason schemas.Reason, seq uint64, subject string) {
	w.Helper()
	w.dead++
	m := w.sealed(&schemas.Dead{Reason: reason, Detail: "why", Subject: subject, Seq: seq}, "aggregator")
	m.Seq = w.dead
	w.give(m)
}

func (w *world) presence(client string, state schemas.State, version uint64, signer string) {
	w.Helper()
	w.give(w.sealed(&schemas.Presence{Header: schemas.Header{Sender: client}, State: state, Version: version}, signer))
}

func (w *world) note(client string, k, seq uint64) {
	w.Helper()
	w.give(w.sealed(&schemas.Note{Client: client, K: k, Seq: seq, Verdict: schemas.VerdictAccepted, Version: 1}, "aggregator"))
}

func (w *world) sight(s schemas.Sight) { w.give(schemas.Message{Body: &s}) }

// show writes what a view says, shortly.
func show(v View, start time.Time) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, "    "+format+"\n", args...) }
	line("%s", v.Headline)
	for _, a := range v.Attention {
		since := ""
		if a.Since != nil {
			since = fmt.Sprintf(" (since %v)", a.Since.Sub(start))
		}
		line("%s: %s%s", a.Level, a.Text, since)
	}
	if c := v.Collecting; c.Version > 0 {
		line("collecting %d: %d of %d %v, %d owing", c.Version, len(c.Held), c.Size, c.Held, c.Owing)
	}
	for _, c := range v.Clients {
		text := fmt.Sprintf("%s %s, %d of %d updates, %d accepted, %d waiting, %d behind, ε %v", c.Name, c.Presence, c.Updates, c.Of, c.Accepted, c.Waiting, c.Behind, *c.Epsilon)
		if c.Since != nil {
			text += fmt.Sprintf(", since %v", c.Since.Sub(start))
		}
		if c.Took != nil {
			text += fmt.Sprintf(", took %v s", *c.Took)
		}
		line("%s", text)
	}
	a := v.Aggregator
	line("aggregator %q, standby %v, log %d, judged %d, %d behind; %d dead", a.Holder, a.Standby, a.End, a.Judged, a.Lag, v.Dead.Total)
	return b.String()
}
