package metrics

import (
	"fmt"
	"math"
)

// Float is what scores are made of.
type Float interface{ ~float32 | ~float64 }

// ArgMax returns the index of the largest score, the first of equals. A NaN is never the largest. It returns -1 for no
// scores, or only NaN ones.
func ArgMax[F Float](scores []F) int {
	best := -1
	for i, s := range scores {
		if s == s && (best < 0 || s > scores[best]) {
			best = i
		}
	}
	return best
}

// Accuracy returns the share of predictions that equal their labels, NaN if there are none.
func Accuracy(predicted, labels []int) float64 {
	if len(predicted) != len(labels) {
		panic(fmt.Sprintf("metrics: %d predictions for %d labels", len(predicted), len(labels)))
	}
	right := 0
	for i, p := range predicted {
		if p == labels[i] {
			right++
		}
	}
	return share(right, len(labels))
}

// TopK returns the share of rows of scores (len(labels)×classes, row-major) in which the label's score is among the k
// largest; of equal scores that with the lower index ranks first, so that TopK with k = 1 agrees with ArgMax. A label whose score is
// NaN is never among them.
func TopK[F Float](scores []F, classes int, labels []int, k int) float64 {
	if classes < 1 || k < 1 || len(scores) != len(labels)*classes {
		panic(fmt.Sprintf("metrics: %d scores for %d labels and %d classes, k = %d", len(scores), len(labels), classes, k))
	}
	right := 0
	for i, label := range labels {
		if rank(scores[i*classes:(i+1)*classes], label) < k {
			right++
		}
	}
	return share(right, len(labels))
}

// rank is the number of classes that rank before label.
func rank[F Float](row []F, label int) int {
	own, n := row[label], 0
	if own != own {
		return len(row)
	}
	for c, s := range row {
		if s > own || s == own && c < label {
			n++
		}
	}
	return n
}

func share(right, n int) float64 {
	if n == 0 {
		return math.NaN()
	}
	return float64(right) / float64(n)
}
