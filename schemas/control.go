package schemas

// Event is what a control message says.
type Event string

// The control events. Only these, and updates, may change what the aggregator computes.
const (
	EventDeadline Event = "deadline" // the deadline of the version being collected has passed
	EventAdmit    Event = "admit"    // a member counts for the quorum from here on
	EventEvict    Event = "evict"    // a member no longer counts for the quorum
	EventStop     Event = "stop"     // the operator ends the run early
)

// Control is an event in the update log: the aggregator writes it there so that a replay meets it at the
// same place. Control n exists once, whoever publishes it.
type Control struct {
	Header
	N       uint64 `msgpack:"n"` // 1, 2, 3, …
	Event   Event  `msgpack:"event"`
	Client  string `msgpack:"client"`  // for admit and evict
	Version uint64 `msgpack:"version"` // the version being collected when the event was written
	Reason  string `msgpack:"reason"`
}

// Kind returns KindControl.
func (*Control) Kind() Kind { return KindControl }

// Head returns the header.
func (c *Control) Head() *Header { return &c.Header }
