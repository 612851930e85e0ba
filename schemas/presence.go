package schemas

// State is what a client says of itself.
type State string

// The presence states.
const (
	StateJoin      State = "join"
	StateHeartbeat State = "heartbeat"
	StateLeave     State = "leave"
)

// Presence is a client's sign of life. It carries nothing that depends on its data.
type Presence struct {
	Header
	State     State  `msgpack:"state"`
	Version   uint64 `msgpack:"version"` // newest model version seen
	Published uint64 `msgpack:"published"`
	Modality  string `msgpack:"modality"` // "image", "text" or "image+text"
	Software  string `msgpack:"software"`
}

// Kind returns KindPresence.
func (*Presence) Kind() Kind { return KindPresence }

// Head returns the header.
func (p *Presence) Head() *Header { return &p.Header }

// Verdict is what became of an update.
type Verdict string

// The verdicts.
const (
	VerdictAccepted Verdict = "accepted"
	VerdictStale    Verdict = "stale"
	VerdictRefused  Verdict = "refused"
)

// Note tells a client what became of one of its updates.
type Note struct {
	Header
	Client  string  `msgpack:"client"`
	K       uint64  `msgpack:"k"`
	Seq     uint64  `msgpack:"seq"`
	Verdict Verdict `msgpack:"verdict"`
	Version uint64  `msgpack:"version"` // the version being collected when the verdict fell
	Reason  Reason  `msgpack:"reason"`  // empty when accepted
}

// Kind returns KindNote.
func (*Note) Kind() Kind { return KindNote }

// Head returns the header.
func (n *Note) Head() *Header { return &n.Header }

// Reason is why an update was not folded in; it is also the last token of a dead letter's subject.
type Reason string

// The reasons.
const (
	ReasonDecode    Reason = "decode"    // the bytes are not a message
	ReasonVersion   Reason = "version"   // another wire version
	ReasonSender    Reason = "sender"    // unknown member, or sender and subject differ
	ReasonSignature Reason = "signature" // not signed by the member's key
	ReasonShape     Reason = "shape"     // lattice shape or step differ from the plan
	ReasonMechanism Reason = "mechanism" // weaker noise than the plan asks for
	ReasonFuture    Reason = "future"    // base version that does not exist yet
	ReasonStale     Reason = "stale"     // base version too old
	ReasonRepeat    Reason = "repeat"    // a second update of one member for one buffer, or for an older base
)

// Dead is a message that the aggregator refused, kept for the operator.
type Dead struct {
	Header
	Reason  Reason `msgpack:"reason"`
	Detail  string `msgpack:"detail"`
	Subject string `msgpack:"subject"`
	Seq     uint64 `msgpack:"seq"`
	Raw     []byte `msgpack:"raw"` // the refused bytes, cut to 64 KiB
}

// Kind returns KindDead.
func (*Dead) Kind() Kind { return KindDead }

// Head returns the header.
func (d *Dead) Head() *Header { return &d.Header }
