package prompt

import "gonum.org/v1/gonum/blas/gonum"

// blas takes the products of prediction in single precision, several at a time: nothing that is learned depends on their
// last bits.
var blas gonum.Implementation

// Predict returns the most probable class of each feature under a personal prompt:
// the class features are evaluated once, then one product with the images' decides.
// enc is the workspace, ctx l×d, and every feature has dimension e. Ties go to the
// lower class.
func Predict(enc TextEncoder, ctx []float32, features [][]float32) []int {
	_, _, _, e := enc.Shape()
	text := enc.Forward(ctx)
	defer release(enc)
	classes := make([]int, len(features))
	for i, x := range features {
		best := blas.Sdot(e, text, 1, x, 1)
		for c := 1; c*e < len(text); c++ {
			if v := blas.Sdot(e, text[c*e:], 1, x, 1); v > best {
				best, classes[i] = v, c
			}
		}
	}
	return classes
}

// Features lists the examples' features, for [Predict].
func Features(examples []Example) [][]float32 {
	features := make([][]float32, len(examples))
	for i, x := range examples {
		features[i] = x.Feature
	}
	return features
}

// Labels lists the examples' classes.
func Labels(examples []Example) []int {
	labels := make([]int, len(examples))
	for i, x := range examples {
		labels[i] = x.Label
	}
	return labels
}
