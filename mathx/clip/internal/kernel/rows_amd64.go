//go:build !purego

package kernel

// The assembly behind the row operations. Lengths are multiples of 8, strides in bytes.

//go:noescape
func addRow(dst, src *float32, n int)

//go:noescape
func mulRow(dst, src *float32, n int)

//go:noescape
func standardise(dst, src *float32, n int, eps, inv float32) (rstd float32)

//go:noescape
func standardiseBack(dx, dy, y *float32, n int, rstd, inv float32)

//go:noescape
func softmax(x *float32, rows, n int, ld uintptr)

//go:noescape
func softmaxBack(d, p *float32, rows, n int, ld uintptr)

//go:noescape
func quickGELU(x, slope *float32, n int)

//go:noescape
func dotHeads(dst *float32, stride uintptr, x, y *float32, heads, dh int)

//go:noescape
func axpyHeads(y, x, alpha *float32, stride uintptr, heads, dh int)

func addAVX2(dst, src []float32) {
	if len(dst) > 0 {
		_ = src[len(dst)-1]
		addRow(&dst[0], &src[0], len(dst))
	}
}

func hadamardAVX2(dst, src []float32) {
	if len(dst) > 0 {
		_ = src[len(dst)-1]
		mulRow(&dst[0], &src[0], len(dst))
	}
}

func standardiseAVX2(dst, src []float32, eps float32) float32 {
	_ = dst[len(src)-1]
	return standardise(&dst[0], &src[0], len(src), eps, 1/float32(len(src)))
}

func standardiseBackAVX2(g, dy, y []float32, rstd float32) {
	_, _ = dy[len(g)-1], y[len(g)-1]
	standardiseBack(&g[0], &dy[0], &y[0], len(g), rstd, 1/float32(len(g)))
}

// rowCount is the number of rows of length n, ld apart, in x.
func rowCount(x []float32, n, ld int) int {
	if len(x) < n || n == 0 {
		return 0
	}
	return (len(x)-n)/ld + 1
}

func softmaxAVX2(x []float32, n, ld int) {
	if rows := rowCount(x, n, ld); rows > 0 {
		softmax(&x[0], rows, n, 4*uintptr(ld))
	}
}

func softmaxBackAVX2(d, p []float32, n, ld int) {
	if rows := rowCount(d, n, ld); rows > 0 {
		_ = p[(rows-1)*ld+n-1]
		softmaxBack(&d[0], &p[0], rows, n, 4*uintptr(ld))
	}
}

// quickGELUAVX2 takes what is left of whole vectors by way of a padded one, so that a
// value's result does not depend on how many there are.
func quickGELUAVX2(x, slope []float32) {
	n := len(x) / lanes * lanes
	if n > 0 {
		var to *float32
		if slope != nil {
			_ = slope[n-1]
			to = &slope[0]
		}
		quickGELU(&x[0], to, n)
	}
	if n < len(x) {
		var last, lastSlope [lanes]float32
		copy(last[:], x[n:])
		quickGELU(&last[0], &lastSlope[0], lanes)
		copy(x[n:], last[:])
		if slope != nil {
			copy(slope[n:], lastSlope[:len(x)-n])
		}
	}
}

func dotHeadsAVX2(dst []float32, stride int, x, y []float32, dh int) {
	heads := len(x) / dh
	_, _ = y[heads*dh-1], dst[(heads-1)*stride]
	dotHeads(&dst[0], 4*uintptr(stride), &x[0], &y[0], heads, dh)
}

func axpyHeadsAVX2(y, x, alpha []float32, stride, dh int) {
	heads := len(x) / dh
	_, _ = y[heads*dh-1], alpha[(heads-1)*stride]
	axpyHeads(&y[0], &x[0], &alpha[0], 4*uintptr(stride), heads, dh)
}
