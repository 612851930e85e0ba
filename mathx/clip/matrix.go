package clip

import "gonum.org/v1/gonum/blas/blas32"

// A matrix is a row-major float32 matrix in gonum's form.
type matrix = blas32.General

// newMatrix allocates a zero matrix without gaps between its rows.
func newMatrix(rows, cols int) matrix {
	return matrix{Rows: rows, Cols: cols, Stride: cols, Data: make([]float32, rows*cols)}
}

// rows is the view of rows i to j of m.
func rows(m matrix, i, j int) matrix {
	m.Data, m.Rows = m.Data[i*m.Stride:], j-i
	if m.Rows > 0 {
		m.Data = m.Data[:(m.Rows-1)*m.Stride+m.Cols]
	} else {
		m.Data = m.Data[:0]
	}
	return m
}

// cols is the view of columns i to j of m.
func cols(m matrix, i, j int) matrix {
	if m.Rows > 0 {
		m.Data = m.Data[i : (m.Rows-1)*m.Stride+j]
	}
	m.Cols = j - i
	return m
}

// row is row i of m.
func row(m matrix, i int) []float32 { return m.Data[i*m.Stride : i*m.Stride+m.Cols] }
