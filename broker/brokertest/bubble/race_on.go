//go:build race

package bubble

// raced says that the race detector is on.
const raced = true
