package replayer

import "math"

// norm is the Euclidean norm.
func norm(v []float32) float64 {
	total := 0.0
	for _, x := range v {
		total += float64(x) * float64(x)
	}
	return math.Sqrt(total)
}

// distance is the Euclidean norm of a − b, which must be of one length.
func distance(a, b []float32) float64 {
	total := 0.0
	for j := range a {
		d := float64(a[j]) - float64(b[j])
		total += d * d
	}
	return math.Sqrt(total)
}
