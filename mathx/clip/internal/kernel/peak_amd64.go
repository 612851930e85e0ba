//go:build !purego

package kernel

// peakFLOP is the number of operations in one turn of peakLoop: 12 multiply-adds of 8
// lanes, independent of each other.
const peakFLOP = 12 * 8 * 2

// peakLoop does nothing but multiply-adds in registers: the measure for benchmarks.
//
//go:noescape
func peakLoop(n int)
