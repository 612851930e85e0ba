package aggregator

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nkeys"

	"dpfpl/roles/roletest"
	"dpfpl/schemas"
)

func testUpdate(p *schemas.Plan, client string, k, base uint64, x ...int32) *schemas.Update {
	return &schemas.Update{
		Header: schemas.Header{Version: schemas.Version, Run: p.Run, Sender: client},
		K:      k, Base: base,
		Sum:       schemas.NewLattice(1, 2, latticeStep(p.Privacy), x),
		Mechanism: schemas.Mechanism{Noise: p.Privacy.Noise, Adjacency: p.Privacy.Adjacency, Rate: p.Privacy.Rate, ZG: p.Privacy.ZG, Z: p.Privacy.ZG},
	}
}

// world is a run without a broker: a log, what the aggregator committed, and a clock that moves on command.
type world struct {
	testing.TB
	plan      *schemas.Plan
	initial   []float32
	patience  time.Duration
	aggregate *Aggregator
	now       time.Time
	log       []schemas.Message
	models    []schemas.Message
	// What a restart begins with.
	checkpoint, model schemas.Message
	ahead             bool // prepare messages before their turn
	// Control messages that were issued and are not in the log yet, by number.
	issued map[uint64]schemas.Message
}

func newWorld(t testing.TB, p *schemas.Plan) *world {
	w := &world{TB: t, plan: p, initial: []float32{0, 0}, now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), issued: map[uint64]schemas.Message{}}
	w.restart()
	return w
}

// restart makes a new aggregator from what was committed and reads the rest of the log to it.
func (w *world) restart() []schemas.Message {
	w.Helper()
	key, _ := roletest.Key(Name)
	a, err := New(Config{Plan: w.plan, Initial: w.initial, Key: key, Patience: w.patience})
	if err != nil {
		w.Fatal(err)
	}
	w.aggregate = a
	out, err := a.Restore(w.now, w.checkpoint, w.model)
	if err != nil {
		w.Fatal(err)
	}
	out = w.take(out)
	for _, m := range w.log[a.fold.applied:] {
		out = append(out, w.step(m)...)
	}
	return out
}

func (w *world) step(m schemas.Message) []schemas.Message {
	w.Helper()
	if w.ahead {
		m = w.aggregate.Prepare(m)
	}
	out, err := w.aggregate.Step(w.now, m)
	if err != nil {
		w.Fatal(err)
	}
	return w.take(out)
}

// take plays the loop: it seals what is not sealed, commits model and checkpoint, and puts control
// messages aside.
func (w *world) take(out []schemas.Message) []schemas.Message {
	w.Helper()
	key, _ := roletest.Key(Name)
	for i, m := range out {
		if m.Raw == nil {
			out[i].Raw = w.seal(m.Body, key)
		}
		out[i].Subject = schemas.Subject(m.Body)
		switch b := m.Body.(type) {
		case *schemas.Model:
			w.model = out[i]
			if b.Version >= uint64(len(w.models)) {
				w.models = append(w.models, out[i])
			}
		case *schemas.Checkpoint:
			w.checkpoint = out[i]
		case *schemas.Control:
			if _, twice := w.issued[b.N]; !twice {
				w.issued[b.N] = out[i]
			}
		}
	}
	return out
}

func (w *world) seal(b schemas.Body, key nkeys.KeyPair) []byte {
	w.Helper()
	raw, err := schemas.Seal(b, key)
	if err != nil {
		w.Fatal(err)
	}
	return raw
}

// store appends bytes to the log and lets the aggregator read them.
func (w *world) store(subject string, raw []byte) []schemas.Message {
	w.Helper()
	body, err := schemas.Open(raw)
	m := schemas.Message{Body: body, Err: err, Raw: raw, Subject: subject, Seq: uint64(len(w.log) + 1), Time: w.now}
	w.log = append(w.log, m)
	return w.step(m)
}

// send stores a body signed with the key of a name, on its own subject.
func (w *world) send(b schemas.Body, signer string) []schemas.Message {
	w.Helper()
	key, _ := roletest.Key(signer)
	return w.store(schemas.Subject(b), w.seal(b, key))
}

func (w *world) tick() []schemas.Message {
	return w.step(schemas.Message{Body: &schemas.Tick{}})
}

func (w *world) presence(client string, state schemas.State, signer string) []schemas.Message {
	w.Helper()
	b := &schemas.Presence{Header: schemas.Header{Run: w.plan.Run, Sender: client}, State: state}
	key, _ := roletest.Key(signer)
	raw := w.seal(b, key)
	return w.step(schemas.Message{Body: b, Raw: raw, Subject: schemas.Subject(b)})
}

// settle stores the control messages that were issued, in order.
func (w *world) settle() []schemas.Message {
	w.Helper()
	var out []schemas.Message
	for len(w.issued) > 0 {
		n := slices.Min(slices.Collect(maps.Keys(w.issued)))
		m := w.issued[n]
		delete(w.issued, n)
		out = append(out, w.store(m.Subject, m.Raw)...)
	}
	return out
}

// line renders a message of the aggregator for a transcript.
func line(m schemas.Message) string {
	switch b := m.Body.(type) {
	case *schemas.Note:
		return strings.TrimSuffix(fmt.Sprintf("note %s %d %s, collecting version %d: %s", b.Client, b.K, b.Verdict, b.Version, b.Reason), ": ")
	case *schemas.Dead:
		return fmt.Sprintf("dead letter %s, sequence %d: %s", b.Reason, b.Seq, strings.ReplaceAll(b.Detail, "\n", "; "))
	case *schemas.Control:
		return strings.TrimSuffix(strings.Join(strings.Fields(fmt.Sprintf("control %d %s %s collecting version %d: %s", b.N, b.Event, b.Client, b.Version, b.Reason)), " "), ":")
	case *schemas.Model:
		s := fmt.Sprintf("model %d %v of", b.Version, b.Params.Floats(nil))
		for _, f := range b.Folded {
			s += fmt.Sprintf(" %s/%d", f.Client, f.K)
			if f.Staleness > 0 {
				s += fmt.Sprintf("(stale %d, weight %d)", f.Staleness, f.Weight)
			}
		}
		if len(b.Folded) == 0 {
			s += " nothing"
		}
		if b.Final {
			s += ", final"
		}
		return s
	case *schemas.Checkpoint:
		s := fmt.Sprintf("checkpoint %d at sequence %d, %d controls:", b.Version, b.Applied, b.Controls)
		for _, m := range b.Members {
			s += fmt.Sprintf(" %s(", m.ID)
			if !m.Active {
				s += "out, "
			}
			s += fmt.Sprintf("k %d, %d accepted", m.LastK, m.Accepted)
			if m.Stale+m.Refused > 0 {
				s += fmt.Sprintf(", %d stale, %d refused", m.Stale, m.Refused)
			}
			s += ")"
		}
		return s
	}
	return fmt.Sprintf("%T", m.Body)
}
