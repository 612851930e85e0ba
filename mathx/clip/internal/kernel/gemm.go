package kernel

import (
	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas32"
)

// A Matrix is a frozen right operand, laid out once for the engine that will use it and
// shared by any number of goroutines.
type Matrix struct {
	K, N   int
	engine Engine
	raw    blas32.General // portable engine: K×N as given
	fwd    []float32      // assembly: panels of the K×N matrix
	bwd    []float32      // assembly: panels of its N×K transpose, if asked for
}

// Pack lays out the k×n row-major matrix w; it may keep w. The transpose is laid out as
// well when MulT will be used.
func Pack(e Engine, k, n int, w []float32, transpose bool) *Matrix {
	raw := blas32.General{Rows: k, Cols: n, Stride: n, Data: w}
	if e == Portable || n%lanes != 0 || transpose && k%lanes != 0 {
		return &Matrix{K: k, N: n, engine: Portable, raw: raw}
	}
	m := &Matrix{K: k, N: n, engine: e, fwd: panels(k, n, func(i, j int) float32 { return w[i*n+j] })}
	if transpose {
		m.bwd = panels(n, k, func(i, j int) float32 { return w[j*n+i] })
	}
	return m
}

// panels copies a k×n matrix into column panels of panelWidth, each panel row-major, so
// that a product reads it in one stream. The last panel may be half as wide.
func panels(k, n int, at func(i, j int) float32) []float32 {
	dst := make([]float32, 0, k*n)
	for j := 0; j < n; j += panelWidth {
		for i := range k {
			for jj := j; jj < min(j+panelWidth, n); jj++ {
				dst = append(dst, at(i, jj))
			}
		}
	}
	return dst
}

const (
	panelWidth = 16
	blockK     = 512 // a panel's share of a block: 32 KiB
	blockRows  = 192 // a block of a: 384 KiB, inside L2
)

// Bytes returns the memory that the matrix holds.
func (m *Matrix) Bytes() int { return 4 * (len(m.raw.Data) + len(m.fwd) + len(m.bwd)) }

// Mul computes dst = a·m + beta·dst, beta 0 or 1; a has K columns, dst has N.
func (m *Matrix) Mul(dst, a blas32.General, beta float32) {
	if m.engine == Portable {
		blas32.Gemm(blas.NoTrans, blas.NoTrans, 1, a, m.raw, beta, dst)
		return
	}
	mulPanels(dst, a, m.fwd, m.K, m.N, beta)
}

// MulT computes dst = a·mᵀ + beta·dst, beta 0 or 1; a has N columns, dst has K. The
// matrix must have been packed for it.
func (m *Matrix) MulT(dst, a blas32.General, beta float32) {
	if m.engine == Portable {
		blas32.Gemm(blas.NoTrans, blas.Trans, 1, a, m.raw, beta, dst)
		return
	}
	if m.bwd == nil {
		panic("kernel: matrix is not packed for MulT")
	}
	mulPanels(dst, a, m.bwd, m.N, m.K, beta)
}

// Gemm computes c = op(a)·b + beta·c, beta 0 or 1, op the identity or the transpose.
func (e Engine) Gemm(op blas.Transpose, a, b blas32.General, beta float32, c blas32.General) {
	if e == Portable || b.Cols%lanes != 0 {
		blas32.Gemm(op, blas.NoTrans, 1, a, b, beta, c)
		return
	}
	mulInPlace(op, a, b, beta, c)
}
