package prompt

import "math/rand/v2"

// RandomContext returns version 0 of a global prompt, l×d independent N(0, std²).
func RandomContext(l, d int, std float64, src rand.Source) []float32 {
	r := rand.New(src)
	ctx := make([]float32, l*d)
	for i := range ctx {
		ctx[i] = float32(std * r.NormFloat64())
	}
	return ctx
}

// WordContext returns version 0 of a global prompt of l vectors from the token
// embeddings of some words ("a photo of a"), n×d row-major: repeated, or cut, to l.
// The last words stand next to the class name, so it is the first ones that are cut.
// It is an ErrInvalid for words to hold no whole embedding.
func WordContext(words []float32, l, d int) ([]float32, error) {
	if d < 1 || len(words) == 0 || len(words)%d != 0 {
		return nil, invalid("len(words)", len(words), "a positive multiple of the width")
	}
	n := len(words) / d
	ctx := make([]float32, 0, l*d)
	for i := range l {
		row := ((i-l)%n + n) % n // aligned so that the last row is the last word
		ctx = append(ctx, words[row*d:(row+1)*d]...)
	}
	return ctx, nil
}
