package bubble_test

import (
	"sync"
	"testing"
	"time"

	"dpfpl/broker/brokertest/bubble"
)

// TestTimersOfOneInstant: under the race detector this ended the process on any machine with two processors.
func TestTimersOfOneInstant(t *testing.T) {
	bubble.Test(t, func(*testing.T) {
		var all sync.WaitGroup
		for range 400 {
			all.Go(func() {
				for range 50 {
					a, b := time.NewTimer(time.Second), time.NewTimer(time.Second)
					<-b.C
					<-a.C
				}
			})
		}
		all.Wait()
	})
}
