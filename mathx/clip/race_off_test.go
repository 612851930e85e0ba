//go:build !race

package clip

// raced says that the race detector is on.
const raced = false
