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
	text := enc.Forward(ctx)
	defer release(enc)
	classes := make([]int, len(features))
	var similar []float32
	for i, x := range features {
		similar = Similarities(similar[:0], text, x)
		for c, v := range similar {
			if v > similar[classes[i]] {
				classes[i] = c
			}
		}
	}
	return classes
}

// Similarities appends to dst the product of an image's feature with that of each class. Who uses a prompt takes the same ones
// as who rates it: other roundings put two classes that are all but equal in another order.
func Similarities(dst, text, feature []float32) []float32 {
	e := len(feature)
	for c := range len(text) / e {
		dst = append(dst, blas.Sdot(e, text[c*e:], 1, feature, 1))
	}
	return dst
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
