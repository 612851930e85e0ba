// Package bubble runs tests in virtual time.
package bubble

import (
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
)

var oneProcessor sync.Mutex

// Test is synctest.Test. With the race detector on it runs f, and whatever else the process does meanwhile, on
// one processor: the detector keeps one record for all timers of a bubble, and two processors that write to it at
// once (timers due at the same instant are enough) end the process in ThreadSanitizer (go.dev/issue/78156). Races
// are still found, for the detector judges by what is ordered, not by what happened to overlap.
func Test(t *testing.T, f func(t *testing.T)) {
	if raced {
		oneProcessor.Lock()
		defer oneProcessor.Unlock()
		defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	}
	synctest.Test(t, f)
}
