package schemas

import (
	"encoding/binary"
	"math"
	"unicode/utf8"
)

// MaxUpdates is the largest N of a plan. The update log lists N subjects so that the broker itself refuses
// update N+1, and listing more takes the broker seconds to create and to restart: 0.1 s for 1,000 but
// 2.2 s for 4,000 and 14 s for 10,000 (nats-server 2.15.2).
const MaxUpdates = 1000

// maxText bounds free text fields, in bytes.
const maxText = 256

func (h *Header) check(f *faults) {
	f.name("run", h.Run)
	f.name("from", h.Sender)
}

// name records a fault unless s can name a run or a client.
func (f *faults) name(field, s string) {
	f.must(ValidName(s), field, "%.80q is not 1 to %d of A-Z a-z 0-9 _ -", s, MaxName)
}

// text records a fault unless s is UTF-8 of a sane length.
func (f *faults) text(field, s string) {
	f.must(len(s) <= maxText, field, "%d bytes, at most %d fit", len(s), maxText)
	f.must(utf8.ValidString(s), field, "not UTF-8")
}

// Validate reports everything that is wrong with the update by itself.
func (u *Update) Validate() error {
	var f faults
	u.Header.check(&f)
	f.must(u.K >= 1 && u.K <= MaxUpdates, "k", "%d is outside 1 to %d", u.K, MaxUpdates)
	u.Sum.check(&f, "sum")
	u.Mechanism.check(&f)
	return f.err(KindUpdate)
}

func (m *Mechanism) check(f *faults) {
	f.oneOf("mech.noise", m.Noise, noises)
	if m.Noise == NoiseClient || m.Adjacency != "" {
		f.oneOf("mech.adj", m.Adjacency, adjacencies)
	}
	f.within("mech.q", m.Rate, 0, 1)
	for _, z := range []struct {
		field string
		value float64
	}{{"mech.zu", m.ZU}, {"mech.zv", m.ZV}, {"mech.zg", m.ZG}, {"mech.z", m.Z}} {
		f.within(z.field, z.value, 0, math.MaxFloat64)
	}
}

// Validate reports everything that is wrong with the control message by itself.
func (c *Control) Validate() error {
	var f faults
	c.Header.check(&f)
	f.must(c.N >= 1, "n", "controls count from 1")
	switch c.Event {
	case EventAdmit, EventEvict:
		f.name("client", c.Client)
	case EventDeadline, EventStop:
		f.must(c.Client == "", "client", "%.80q, but %s concerns no single client", c.Client, c.Event)
	default:
		f.must(false, "event", "%.80q is not deadline, admit, evict or stop", c.Event)
	}
	f.text("reason", c.Reason)
	return f.err(KindControl)
}

// Validate reports everything that is wrong with the model by itself.
func (m *Model) Validate() error {
	var f faults
	m.Header.check(&f)
	m.Params.check(&f, "params")
	if m.Version == 0 {
		f.must(m.Parent == [32]byte{}, "parent", "version 0 has none")
		f.must(len(m.Folded) == 0, "folded", "version 0 is made of no update")
	} else {
		f.must(m.Parent != [32]byte{}, "parent", "version %d needs one", m.Version)
	}
	var last uint64
	for i, u := range m.Folded {
		f.must(ValidName(u.Client) && u.K >= 1, "folded", "entry %d names no update: %.80q %d", i, u.Client, u.K)
		f.must(u.Seq > last, "folded", "entry %d has sequence %d after %d", i, u.Seq, last)
		last = u.Seq
	}
	f.must(m.Applied >= last, "applied", "%d is before the last folded sequence %d", m.Applied, last)
	return f.err(KindModel)
}

// Validate reports everything that is wrong with the checkpoint by itself.
func (c *Checkpoint) Validate() error {
	var f faults
	c.Header.check(&f)
	f.must(c.Model != [32]byte{}, "model", "no digest")
	f.must((c.Applied == 0) == (c.AppliedTime == 0), "applied_time", "%d does not go with applied %d", c.AppliedTime, c.Applied)
	f.must(len(c.Velocity)%8 == 0, "velocity", "%d bytes are not float64 values", len(c.Velocity))
	for i := 0; i+8 <= len(c.Velocity); i += 8 {
		v := math.Float64frombits(binary.LittleEndian.Uint64(c.Velocity[i:]))
		if math.IsNaN(v) || math.IsInf(v, 0) {
			f.add(ErrNotFinite, "velocity", "value %d is %v", i/8, v)
			break
		}
	}
	for i, m := range c.Members {
		f.name("members", m.ID)
		f.must(i == 0 || c.Members[i-1].ID < m.ID, "members", "%.80q is not in ascending order", m.ID)
	}
	return f.err(KindCheckpoint)
}

// Validate reports everything that is wrong with the presence message by itself.
func (p *Presence) Validate() error {
	var f faults
	p.Header.check(&f)
	f.oneOf("state", string(p.State), []string{string(StateJoin), string(StateHeartbeat), string(StateLeave)})
	if p.Modality != "" {
		f.oneOf("modality", p.Modality, []string{"image", "text", "image+text"})
	}
	f.text("software", p.Software)
	return f.err(KindPresence)
}

// Validate reports everything that is wrong with the note by itself.
func (n *Note) Validate() error {
	var f faults
	n.Header.check(&f)
	f.name("client", n.Client)
	f.must(n.K >= 1, "k", "updates count from 1")
	switch n.Verdict {
	case VerdictAccepted:
		f.must(n.Reason == "", "reason", "%.80q, but the update was accepted", n.Reason)
	case VerdictStale, VerdictRefused:
		f.must(n.Reason.valid(), "reason", "%.80q is none", n.Reason)
	default:
		f.must(false, "verdict", "%.80q is not accepted, stale or refused", n.Verdict)
	}
	return f.err(KindNote)
}

// Validate reports everything that is wrong with the dead letter by itself.
func (d *Dead) Validate() error {
	var f faults
	d.Header.check(&f)
	f.must(d.Reason.valid(), "reason", "%.80q is none", d.Reason)
	f.must(len(d.Detail) <= MaxDetail, "detail", "%d bytes, at most %d fit", len(d.Detail), MaxDetail)
	f.must(len(d.Subject) <= MaxDetail, "subject", "%d bytes, at most %d fit", len(d.Subject), MaxDetail)
	f.must(len(d.Raw) <= MaxDeadRaw, "raw", "%d bytes, at most %d fit", len(d.Raw), MaxDeadRaw)
	return f.err(KindDead)
}

func (r Reason) valid() bool {
	switch r {
	case ReasonDecode, ReasonVersion, ReasonSender, ReasonSignature, ReasonShape, ReasonMechanism,
		ReasonFuture, ReasonStale, ReasonRepeat:
		return true
	}
	return false
}
