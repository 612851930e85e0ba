//go:build !purego

package kernel

// Best returns the fastest engine of this CPU; every arm64 CPU that Go supports has NEON.
func Best() Engine { return NEON }
