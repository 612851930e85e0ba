//go:build race

package clip

// raced says that the race detector is on: it makes sync.Pool forget at random, so allocations cannot be counted.
const raced = true
