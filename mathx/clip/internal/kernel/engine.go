package kernel

// An Engine is one implementation of the package's operations. One with assembly may only
// be used where Best returns it.
type Engine uint8

const (
	Portable Engine = iota // Go and gonum's blas32, any CPU
	AVX2                   // amd64 assembly
	NEON                   // arm64 assembly for products, the rest as in Portable
)

// String returns the engine's name.
func (e Engine) String() string {
	return [...]string{"portable", "avx2", "neon"}[e]
}

// lanes is the number of float32 values in a vector of the assembly.
const lanes = 8

// Pad returns n rounded up to a whole number of vectors.
func Pad(n int) int { return (n + lanes - 1) / lanes * lanes }
