//go:build (!amd64 && !arm64) || purego

package kernel

import (
	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas32"
)

// Best returns the fastest engine of this CPU.
func Best() Engine { return Portable }

func mulPanels(blas32.General, blas32.General, []float32, int, int, float32) { panic(noAssembly) }

func mulInPlace(blas.Transpose, blas32.General, blas32.General, float32, blas32.General) {
	panic(noAssembly)
}
