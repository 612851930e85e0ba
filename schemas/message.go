package schemas

import "time"

// Version is the wire version every message carries. A peer refuses any other.
const Version = 1

// Kind names the type of a message. Codes are never reused.
type Kind uint8

// The kinds of message. See Catalogue for who sends which to whom.
const (
	KindPlan       Kind = 1
	KindUpdate     Kind = 2
	KindControl    Kind = 3
	KindModel      Kind = 4
	KindCheckpoint Kind = 5
	KindPresence   Kind = 6
	KindNote       Kind = 7
	KindDead       Kind = 8
	// KindSight and KindTick never travel: the loops in broker hand them to a role, when they have looked
	// around and when time has passed.
	KindSight Kind = 254
	KindTick  Kind = 255
)

// Header is what every message says about itself.
type Header struct {
	Version uint16 `msgpack:"v"`
	Run     string `msgpack:"run"`
	Sender  string `msgpack:"from"`
}

// Body is one of *Plan, *Update, *Control, *Model, *Checkpoint, *Presence, *Note, *Dead, *Sight and *Tick.
type Body interface {
	Kind() Kind
	// Head returns the message's own header, so that a sender can fill it in.
	Head() *Header
	// Validate reports everything that is wrong with the message by itself.
	Validate() error
}

// Message is a body together with where it came from. A role receives messages and returns messages;
// of those it returns, only Body and Raw count.
type Message struct {
	Body Body // nil when Err is set

	// Raw holds the sealed bytes: as they arrived, or, in a returned message, as they must be sent.
	// A returned message without Raw is sealed by the loop that sends it.
	Raw []byte

	// Subject, Seq and Time say where and when the broker stored the message. Seq is 0 for
	// messages that are not in a log.
	Subject string
	Seq     uint64
	Time    time.Time

	// Err says why the bytes could not be turned into a body. What follows from it is the role's
	// decision, because skipping a message is part of the run's history.
	Err error
}

// Tick tells a role that time has passed. It is made by the loop and never travels.
type Tick struct{ Header }

// Kind returns KindTick.
func (*Tick) Kind() Kind { return KindTick }

// Head returns the header.
func (t *Tick) Head() *Header { return &t.Header }

// Validate accepts every tick.
func (*Tick) Validate() error { return nil }
