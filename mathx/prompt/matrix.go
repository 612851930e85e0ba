package prompt

import "math"

// matrix is a dense row-major float64 matrix. Products add in a fixed order and
// round every product, so that they are the same on every machine.
type matrix struct {
	rows, cols int
	data       []float64
}

func newMatrix(rows, cols int) matrix {
	return matrix{rows, cols, make([]float64, rows*cols)}
}

func (m matrix) row(i int) []float64 { return m.data[i*m.cols : (i+1)*m.cols] }

// mul sets m = a b.
func (m matrix) mul(a, b matrix) {
	clear(m.data)
	for i := range a.rows {
		for j, s := range a.row(i) {
			axpy(m.row(i), s, b.row(j))
		}
	}
}

// mulT sets m = a bᵀ.
func (m matrix) mulT(a, b matrix) {
	for i := range a.rows {
		for j := range b.rows {
			m.data[i*m.cols+j] = dot(a.row(i), b.row(j))
		}
	}
}

// tmul sets m = aᵀ b.
func (m matrix) tmul(a, b matrix) {
	clear(m.data)
	for i := range a.rows {
		for j, s := range a.row(i) {
			axpy(m.row(j), s, b.row(i))
		}
	}
}

// transpose sets m = aᵀ.
func (m matrix) transpose(a matrix) {
	for i := range a.rows {
		for j, v := range a.row(i) {
			m.data[j*m.cols+i] = v
		}
	}
}

// axpy adds s x to y.
func axpy(y []float64, s float64, x []float64) {
	for i, v := range x {
		y[i] += float64(s * v)
	}
}

func dot(x, y []float64) float64 {
	sum := 0.0
	for i, v := range x {
		sum += float64(v * y[i])
	}
	return sum
}

func norm(x []float64) float64 { return math.Sqrt(dot(x, x)) }

func scale(x []float64, s float64) {
	for i := range x {
		x[i] *= s
	}
}

func widen(dst []float64, src []float32) {
	for i, v := range src {
		dst[i] = float64(v)
	}
}
