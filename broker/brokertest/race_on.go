//go:build race

package brokertest

// raced says that the race detector is on.
const raced = true
