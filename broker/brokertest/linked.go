package brokertest

import (
	"context"
	"time"
)

// Linked makes a context of the virtual world end when the real one does. It asks, once a virtual second,
// because a channel of the one world cannot be closed from the other.
func Linked(inside, outside context.Context) (context.Context, func()) {
	inside, cancel := context.WithCancelCause(inside)
	go func() {
		second := time.NewTicker(time.Second)
		defer second.Stop()
		for {
			select {
			case <-inside.Done():
				return
			case <-second.C:
				if outside.Err() != nil {
					cancel(context.Cause(outside))
				}
			}
		}
	}()
	return inside, func() { cancel(nil) }
}
