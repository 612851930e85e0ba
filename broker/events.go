package broker

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"dpfpl/schemas"
)

// ConnEvents are told what happens to a connection. All are optional, and called from goroutines of the connection.
type ConnEvents struct {
	OnDisconnect func(error)
	OnReconnect  func()
	OnError      func(error) // refused by the broker: a permission, a slow consumer
}

// FoldEvents are told what a fold does, as it happens. All are optional, and called from Fold's goroutine, but for
// OnRead.
type FoldEvents struct {
	OnStandby   func()                // another aggregator leads
	OnLead      func()                // it takes the lead
	OnLost      func(error)           // it starts over, and why
	OnRestored  func(Stored)          // it begins from this; without messages it begins at the beginning
	OnRead      func(Position)        // a log message was read; called from another goroutine, in the order of the log
	OnFolded    func(schemas.Message) // a log message was folded in, and what followed was sent
	OnCommitted func(Stored)          // a version is stored
}

// Position is a place in the log. Behind is the number of messages that the log held after it.
type Position struct {
	Seq    uint64
	Time   time.Time // when it was stored
	Behind uint64
}

// Stored is a version as it is stored. Took is how long the broker needed to store it.
type Stored struct {
	Model, Checkpoint schemas.Message
	Took              time.Duration
}

// FollowEvents are told what passes between a follower and the broker, as it happens. All are optional, may be
// called concurrently, and must not wait. Whoever watches the broker can see the same: none of them tells when a
// follower begins or ends to compute, unless what it has made is handed over at once.
type FollowEvents struct {
	OnModel   func(schemas.Message) // a newer model has come, whether or not the follower is free to take it
	OnNote    func(*schemas.Note)   // a verdict has come
	OnIgnored func(Ignored)         // a message that came does not count
	OnUpdate  func(schemas.Message) // an update is in the outbox: handed over, or pending from before the start
	OnAttempt func(schemas.Message) // it is about to be published, for the first time or again
	OnRetry   func(Why)             // it is not known to be stored, and will be published again
	OnStored  func(schemas.Message) // it is stored
}

// Ignored says why a message that came does not count.
type Ignored string

// What does not count.
const (
	IgnoredUnreadable Ignored = "unreadable" // no message
	IgnoredSignature  Ignored = "signature"  // not signed by the aggregator
)

// Why classes what became of an attempt to publish.
type Why string

// The classes.
const (
	WhyNoPlace   Why = "no_place"     // no stream takes it
	WhyConnected Why = "disconnected" // there is no connection
	WhyTimeout   Why = "timeout"      // no answer in time
	WhyServer    Why = "server"       // the server answered with an error
	WhyOther     Why = "other"
)

// Whys and Ignoreds list what there is.
var (
	Whys     = []Why{WhyNoPlace, WhyConnected, WhyTimeout, WhyServer, WhyOther}
	Ignoreds = []Ignored{IgnoredUnreadable, IgnoredSignature}
)

func why(err error) Why {
	switch {
	case errors.Is(err, jetstream.ErrNoStreamResponse):
		return WhyNoPlace
	case errors.Is(err, nats.ErrDisconnected), errors.Is(err, nats.ErrConnectionClosed), errors.Is(err, nats.ErrConnectionReconnecting),
		errors.Is(err, nats.ErrReconnectBufExceeded):
		return WhyConnected
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, nats.ErrTimeout):
		return WhyTimeout
	case apiCode(err) != 0:
		return WhyServer
	}
	return WhyOther
}

// call tells an event, if anybody listens.
func call[T any](event func(T), v T) {
	if event != nil {
		event(v)
	}
}

func notify(event func()) {
	if event != nil {
		event()
	}
}
