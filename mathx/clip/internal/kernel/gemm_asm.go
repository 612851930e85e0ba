//go:build (amd64 || arm64) && !purego

package kernel

import (
	"gonum.org/v1/gonum/blas"
	"gonum.org/v1/gonum/blas/blas32"
)

//go:generate go run gemm_gen.go

// A tileFunc computes tiles one below the other, each some rows high and 8 or 16 columns
// wide: c = a·b, or c += a·b if load is not 0, k > 0 terms an element. Element (i, k) of a
// is i·rsa + k·csa bytes from a; rows of b and c are ldb and ldc bytes apart.
type tileFunc func(tiles, k int, a *float32, rsa, csa uintptr, b *float32, ldb uintptr, c *float32, ldc uintptr, load int)

// Tile functions by height.
const tileRows = 6

var (
	tiles16 = [tileRows + 1]tileFunc{nil, gemm1x16, gemm2x16, gemm3x16, gemm4x16, gemm5x16, gemm6x16}
	tiles8  = [tileRows + 1]tileFunc{nil, gemm1x8, gemm2x8, gemm3x8, gemm4x8, gemm5x8, gemm6x8}
)

// An operand is the left side of a product: element (i, k) at data[i·rs + k·cs].
type operand struct {
	data       []float32
	rows, cols int
	rs, cs     int
}

func plain(a blas32.General) operand {
	return operand{a.Data, a.Rows, a.Cols, a.Stride, 1}
}

func transposed(a blas32.General) operand {
	return operand{a.Data, a.Cols, a.Rows, 1, a.Stride}
}

// mulPanels computes dst = a·b + beta·dst for a k×n matrix b in panels.
func mulPanels(dst, a blas32.General, b []float32, k, n int, beta float32) {
	if a.Cols != k || dst.Cols != n || a.Rows != dst.Rows {
		panic("kernel: shapes do not fit")
	}
	product(dst, plain(a), beta, func(k0, j, width int) ([]float32, int) {
		return b[j*k+k0*width:], width
	})
}

// mulInPlace computes c = op(a)·b + beta·c for a row-major b.
func mulInPlace(op blas.Transpose, a, b blas32.General, beta float32, c blas32.General) {
	left := plain(a)
	if op == blas.Trans {
		left = transposed(a)
	}
	if left.cols != b.Rows || left.rows != c.Rows || b.Cols != c.Cols {
		panic("kernel: shapes do not fit")
	}
	product(c, left, beta, func(k0, j, _ int) ([]float32, int) {
		return b.Data[k0*b.Stride+j:], b.Stride
	})
}

// product goes over c in blocks; at returns where rows k0 and up of columns j to j+width
// of the right operand lie, and how far apart.
func product(c blas32.General, a operand, beta float32, at func(k0, j, width int) ([]float32, int)) {
	for k0 := 0; k0 < a.cols; k0 += blockK {
		k, load := min(blockK, a.cols-k0), 0
		if k0 > 0 || beta != 0 {
			load = 1
		}
		for i := 0; i < a.rows; i += blockRows {
			m := min(blockRows, a.rows-i)
			for j := 0; j < c.Cols; j += panelWidth {
				width := min(panelWidth, c.Cols-j)
				b, ldb := at(k0, j, width)
				panel(m, k, a, i, k0, b, ldb, c.Data[i*c.Stride+j:], c.Stride, width, load)
			}
		}
	}
}

// panel computes m rows of one panel from row i and column k0 of a on. Tiles are as even
// as can be: 5+4+4 rows for 13, since a low tile cannot keep the multipliers busy.
func panel(m, k int, a operand, i, k0 int, b []float32, ldb int, c []float32, ldc, width, load int) {
	funcs := &tiles16
	if width < panelWidth {
		funcs = &tiles8
	}
	tiles := (m + tileRows - 1) / tileRows
	height, higher := m/tiles, m%tiles
	_ = c[(m-1)*ldc+width-1]
	_ = b[(k-1)*ldb+width-1]
	_ = a.data[(i+m-1)*a.rs+(k0+k-1)*a.cs]
	left := a.data[i*a.rs+k0*a.cs:]
	if higher > 0 {
		funcs[height+1](higher, k, &left[0], 4*uintptr(a.rs), 4*uintptr(a.cs), &b[0], 4*uintptr(ldb), &c[0], 4*uintptr(ldc), load)
		done := higher * (height + 1)
		left, c = left[done*a.rs:], c[done*ldc:]
	}
	funcs[height](tiles-higher, k, &left[0], 4*uintptr(a.rs), 4*uintptr(a.cs), &b[0], 4*uintptr(ldb), &c[0], 4*uintptr(ldc), load)
}

//go:noescape
func gemm1x16(tiles, k int, a *float32, rsa, csa uintptr, b *float32, ldb uintptr, c *float32, ldc uintptr, load int)

//go:noescape
func gemm2x16(tiles, k int, a *float32, rsa, csa uintptr, b *float32, ldb uintptr, c *float32, ldc uintptr, load int)

//go:noescape
func gemm3x16(tiles, k int, a *float32, rsa, csa uintptr, b *float32, ldb uintptr, c *float32, ldc uintptr, load int)

//go:noescape
func gemm4x16(tiles, k int, a *float32, rsa, csa uintptr, b *float32, ldb uintptr, c *float32, ldc uintptr, load int)

//go:noescape
func gemm5x16(tiles, k int, a *float32, rsa, csa uintptr, b *float32, ldb uintptr, c *float32, ldc uintptr, load int)

//go:noescape
func gemm6x16(tiles, k int, a *float32, rsa, csa uintptr, b *float32, ldb uintptr, c *float32, ldc uintptr, load int)

//go:noescape
func gemm1x8(tiles, k int, a *float32, rsa, csa uintptr, b *float32, ldb uintptr, c *float32, ldc uintptr, load int)

//go:noescape
func gemm2x8(tiles, k int, a *float32, rsa, csa uintptr, b *float32, ldb uintptr, c *float32, ldc uintptr, load int)

//go:noescape
func gemm3x8(tiles, k int, a *float32, rsa, csa uintptr, b *float32, ldb uintptr, c *float32, ldc uintptr, load int)

//go:noescape
func gemm4x8(tiles, k int, a *float32, rsa, csa uintptr, b *float32, ldb uintptr, c *float32, ldc uintptr, load int)

//go:noescape
func gemm5x8(tiles, k int, a *float32, rsa, csa uintptr, b *float32, ldb uintptr, c *float32, ldc uintptr, load int)

//go:noescape
func gemm6x8(tiles, k int, a *float32, rsa, csa uintptr, b *float32, ldb uintptr, c *float32, ldc uintptr, load int)
