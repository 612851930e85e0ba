package brokertest

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server/ats"

	"dpfpl/broker/brokertest/bubble"
)

// VirtualTime runs f in a bubble of testing/synctest: inside it, time begins at midnight UTC 2000-01-01
// and advances only when every goroutine waits, so hours pass in seconds. Servers, connections and
// everything that waits for them must be made, and closed, inside f. It works in a test and in any other
// program, and prints nothing. The error is f's, or says that f panicked or left goroutines that wait for
// ever, and where.
//
// One thing does not follow: a file store measures MaxAge by that ticker, in real time, so a message with a
// MaxAge may expire early. A memory store does not.
//
// Three things make it work. JetStream keeps one ticker goroutine a process (package server/ats), which
// waits on a channel made at start-up; inside a bubble that would hold time still, so it is started outside
// first. nats.go keeps timers in a process-wide pool; one from another bubble, or from real time, would end
// the process, so the pool is emptied on the way in and on the way out. For the same reason nothing else
// in the process may use nats.go meanwhile. And synctest.Test wants a testing.T, of which it needs only the
// identity, so an empty one does.
func VirtualTime(f func(ctx context.Context) error) (err error) {
	ats.Register()
	defer ats.Unregister()
	emptyPools()
	defer emptyPools()
	defer func() {
		if r := recover(); r != nil { // from synctest itself: the bubble is deadlocked
			err = fmt.Errorf("brokertest: virtual time: %v%s", r, waiting())
		}
	}()
	bubble.Test(new(testing.T), func(*testing.T) {
		defer func() {
			if r := recover(); r != nil {
				err = fmt.Errorf("brokertest: panic in virtual time: %v\n%s", r, debug.Stack())
			}
		}()
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		err = f(ctx)
		time.Sleep(time.Second) // a stopped server may still be about to see that it is: time ends with f
	})
	return err
}

// waiting returns the stacks of the goroutines that a bubble has left behind.
func waiting() string {
	all := make([]byte, 1<<20)
	var left strings.Builder
	for stack := range strings.SplitSeq(string(all[:runtime.Stack(all, true)]), "\n\n") {
		if head, _, _ := strings.Cut(stack, "\n"); strings.Contains(head, "synctest bubble") {
			fmt.Fprintf(&left, "\n\n%s", stack)
		}
	}
	return left.String()
}

// emptyPools drops what every sync.Pool holds: the first collection retires it, the second frees it.
func emptyPools() {
	runtime.GC()
	runtime.GC()
}
