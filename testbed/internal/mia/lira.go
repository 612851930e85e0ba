package mia

import "math"

// lira scores every record of every shadow prompt by the online attack with one variance for all records (section
// VI.B of the paper, which needs fewer shadows): the log-likelihood ratio of the record's confidence under the
// prompts, other than the target and its complement, that it was in, against those that it was not in.
func lira(shadows []shadow, labels []int) [][]float64 {
	confidences := make([][]float64, len(shadows))
	for m, s := range shadows {
		confidences[m] = make([]float64, len(labels))
		for j, label := range labels {
			confidences[m][j] = confidence(s.softmax[j], label)
		}
	}
	scores := make([][]float64, len(shadows))
	for target := range shadows {
		scores[target] = ratios(shadows, confidences, target)
	}
	return scores
}

// confidence is ln p - ln(1-p) of the true class: nearly normal over training runs.
func confidence(p []float64, label int) float64 {
	rest := 0.0
	for c, v := range p {
		if c != label {
			rest += v
		}
	}
	const tiny = 1e-12
	return math.Log(p[label]+tiny) - math.Log(rest+tiny)
}

// ratios are the target's scores.
func ratios(shadows []shadow, confidences [][]float64, target int) []float64 {
	n := len(confidences[target])
	var sum, count [2][]float64 // out, in: over the other shadows
	for side := range sum {
		sum[side], count[side] = make([]float64, n), make([]float64, n)
	}
	each := func(visit func(side, record int, x float64)) {
		for m := range shadows {
			if m/2 == target/2 {
				continue // the complement would tell by what it lacks
			}
			for j, x := range confidences[m] {
				side := 0
				if shadows[m].in[j] {
					side = 1
				}
				visit(side, j, x)
			}
		}
	}
	each(func(side, j int, x float64) { sum[side][j] += x; count[side][j]++ })
	var squares, freedom [2]float64
	each(func(side, j int, x float64) {
		deviation := x - sum[side][j]/count[side][j]
		squares[side] += deviation * deviation
		freedom[side]++
	})
	for side := range freedom {
		freedom[side] -= float64(n) // a mean for each record
	}
	scores := make([]float64, n)
	for j, x := range confidences[target] {
		scores[j] = logNormal(x, sum[1][j]/count[1][j], squares[1]/freedom[1]) - logNormal(x, sum[0][j]/count[0][j], squares[0]/freedom[0])
	}
	return scores
}

// logNormal is the logarithm of a normal density, without its constant.
func logNormal(x, mean, variance float64) float64 {
	const least = 1e-12
	variance = max(variance, least)
	return -(x-mean)*(x-mean)/(2*variance) - math.Log(variance)/2
}
