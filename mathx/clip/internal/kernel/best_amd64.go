//go:build !purego

package kernel

import "golang.org/x/sys/cpu"

// Best returns the fastest engine of this CPU.
func Best() Engine {
	if cpu.X86.HasAVX2 && cpu.X86.HasFMA {
		return AVX2
	}
	return Portable
}
