// Package kernel holds the float32 loops under the CLIP towers: products of matrices with
// frozen right operands, and the row operations between them (standardising, softmax,
// QuickGELU, and the pieces of attention that are too small for a matrix product).
//
// Portable is Go over gonum's blas32. AVX2 is assembly for amd64 with AVX2 and FMA, which
// Best chooses when the CPU has them; NEON has the products in assembly for arm64. The
// purego build tag leaves both out. Shapes the assembly does not take (a length that is not
// a multiple of 8) go to the portable code, so an Engine only ever changes speed and
// rounding.
//
// # Determinism
//
// With either engine an element of a product is the sum over k = 0, 1, 2, … in that order,
// in one accumulator, whatever the number of rows, the position of the row in its block
// or the split of rows and columns over workers. A row operation depends on its row
// alone, and trailing zeros of a softmax row do not change the rest. So a token's
// activations have the same bits whether it is computed alone, among other classes, or
// followed by padding.
//
// Matrices are blas32.General values, row-major, destination first.
package kernel
