//go:build !amd64 || purego

package kernel

// noAssembly is the panic of functions that no engine of this build calls.
const noAssembly = "kernel: built without assembly"

func addAVX2(_, _ []float32)                                 { panic(noAssembly) }
func hadamardAVX2(_, _ []float32)                            { panic(noAssembly) }
func standardiseAVX2(_, _ []float32, _ float32) float32      { panic(noAssembly) }
func standardiseBackAVX2(_, _, _ []float32, _ float32)       { panic(noAssembly) }
func softmaxAVX2(_ []float32, _, _ int)                      { panic(noAssembly) }
func softmaxBackAVX2(_, _ []float32, _, _ int)               { panic(noAssembly) }
func quickGELUAVX2(_, _ []float32)                           { panic(noAssembly) }
func dotHeadsAVX2(_ []float32, _ int, _, _ []float32, _ int) { panic(noAssembly) }
func axpyHeadsAVX2(_, _, _ []float32, _, _ int)              { panic(noAssembly) }

const peakFLOP = 0

func peakLoop(int) { panic(noAssembly) }
