package prompt

import "math/rand/v2"

// factors are u (l×k, orthonormal columns, held transposed) and v (k×d, orthonormal
// rows): one power iteration's view of p_L (paper, algorithm 1 line 5). Their
// product has norm sqrt(k) whatever p_L's: r = p_L - u v is what makes the sum exact
// and not a small rest.
type factors struct {
	ut matrix // k×l
	v  matrix // k×d
}

func newFactors(l, d, k int) factors {
	return factors{newMatrix(k, l), newMatrix(k, d)}
}

// factorise sets u and v to the orthonormalised p Ω and (pᵀ u)ᵀ, Ω being d×k standard
// normal. A column that vanishes, as all do for p = 0, is replaced by a random
// direction, so u and v are always orthonormal.
func (f factors) factorise(p matrix, public *rand.Rand) {
	omega := newMatrix(f.v.rows, p.cols)
	fillNormal(omega.data, 1, public)
	f.ut.mulT(omega, p) // (p Ω)ᵀ
	orthonormalise(f.ut, public)
	f.v.mul(f.ut, p) // uᵀ p
	orthonormalise(f.v, public)
}

// project writes an example's gradients with respect to u, g vᵀ (l×k), and, if there
// is a second group, to v, uᵀ g (k×d).
func (f factors) project(groups [][]float64, g matrix) {
	matrix{g.rows, f.v.rows, groups[0]}.mulT(g, f.v)
	if len(groups) > 1 {
		matrix{f.v.rows, g.cols, groups[1]}.mul(f.ut, g)
	}
}

// reconstruct sets grad = a v + u d - u uᵀ a v (paper, equation 4): with a and d as
// project gives them, the orthogonal projection of the gradient onto the matrices whose columns
// lie in the span of u or whose rows lie in the span of v. The authors' code adds the
// third term, which weighs the common block three times.
func (f factors) reconstruct(grad, a, d matrix) {
	k := f.ut.rows
	rest := newMatrix(k, k) // uᵀ a
	rest.mul(f.ut, a)
	inner := newMatrix(k, d.cols) // d - uᵀ a v
	inner.mul(rest, f.v)
	for i, v := range d.data {
		inner.data[i] = v - inner.data[i]
	}
	f.carry(grad, a)
	for j := range k {
		for i, s := range f.ut.row(j) {
			axpy(grad.row(i), s, inner.row(j))
		}
	}
}

// carry sets grad = a v: what is left of reconstruct when only u's gradient is
// released.
func (f factors) carry(grad, a matrix) { grad.mul(a, f.v) }

// product sets p = u v.
func (f factors) product(p matrix) { p.tmul(f.ut, f.v) }

// orthonormalise makes the rows of m orthonormal by modified Gram-Schmidt, twice
// over each row. A row of which only rounding error remains is drawn anew.
func orthonormalise(m matrix, fallback *rand.Rand) {
	for i := range m.rows {
		row := m.row(i)
		for {
			before := norm(row)
			for range 2 {
				for j := range i {
					axpy(row, -dot(row, m.row(j)), m.row(j))
				}
			}
			if after := norm(row); after > 1e-10*before && after > 1e-150 {
				scale(row, 1/after)
				break
			}
			fillNormal(row, 1, fallback)
		}
	}
}

// fillNormal fills x with independent N(0, std²).
func fillNormal(x []float64, std float64, src *rand.Rand) {
	for i := range x {
		x[i] = std * src.NormFloat64()
	}
}
