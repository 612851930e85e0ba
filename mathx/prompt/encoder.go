package prompt

// TextEncoder maps l context vectors of width d, shared by C classes, to C
// unit-norm features of dimension e. One encoder is one workspace: it must not be
// used by two goroutines at once.
type TextEncoder interface {
	// Shape returns C, l, d and e.
	Shape() (classes, context, width, dim int)
	// Forward evaluates the text tower at ctx, l×d row-major. The result, C×e
	// row-major with unit-norm rows, is valid until the next Forward.
	Forward(ctx []float32) []float32
	// Pull is the vector-Jacobian product at the last Forward: it overwrites dst
	// (l×d) with the gradient of <cot, features> with respect to ctx; cot is C×e
	// row-major. Rows of cot that are all zero cost nothing.
	Pull(dst, cot []float32)
}

// Example is one record of a client: the unit-norm feature of its image under the
// frozen image tower, and its class.
type Example struct {
	Feature []float32 // e
	Label   int       // 0 … C-1
}

// lender is a TextEncoder that gives its workspace back between uses, so that any number of clients in a
// process share a few.
type lender interface{ Release() }

// release gives an encoder's workspace back if it can be. The next use begins with Forward.
func release(enc TextEncoder) {
	if l, ok := enc.(lender); ok {
		l.Release()
	}
}
