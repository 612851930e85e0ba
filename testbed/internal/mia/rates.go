package mia

import (
	"cmp"
	"slices"

	"dpfpl/mathx/metrics"
	"dpfpl/testbed/internal/report"
)

// Estimate is a mean over targets with its confidence interval, Student's over the targets.
type Estimate struct {
	Mean report.Number `json:"mean"`
	Low  report.Number `json:"low"`
	High report.Number `json:"high"`
}

// Attack is how well one attack tells members from others.
type Attack struct {
	Name string `json:"name"`
	// Success is the balanced share of right guesses at a threshold fixed beforehand, averaged over classes.
	Success Estimate `json:"success"`
	AUC     Estimate `json:"auc"`
	// True positive rates where the false positive rate is 1 % and 0.1 %, at one threshold for all targets.
	TPR1   Estimate `json:"tpr_at_fpr_1_percent"`
	TPR01  Estimate `json:"tpr_at_fpr_0_1_percent"`
	Errors int      `json:"false_positives_at_0_1_percent"` // that many decide the last column
}

// The false positive rates at which attacks are compared.
const onePercent, oneInThousand = 0.01, 0.001

// assess turns an attack's scores, of each record under each target, into rates.
func assess(name string, shadows []shadow, labels []int, scores [][]float64, confidence float64) Attack {
	over := func(measure func(target int) float64) Estimate {
		x := make([]float64, len(shadows))
		for m := range x {
			x[m] = measure(m)
		}
		mean, _ := metrics.MeanStd(x)
		low, high := metrics.MeanInterval(x, confidence)
		return Estimate{report.Number(mean), report.Number(low), report.Number(high)}
	}
	at := func(fpr float64) (Estimate, int) {
		limit, allowed := threshold(shadows, scores, fpr)
		return over(func(m int) float64 { return above(shadows[m].in, scores[m], limit) }), allowed
	}
	a := Attack{Name: name}
	a.Success = over(func(m int) float64 { return success(shadows[m].in, labels, scores[m]) })
	a.AUC = over(func(m int) float64 { return auc(shadows[m].in, scores[m]) })
	a.TPR1, _ = at(onePercent)
	a.TPR01, a.Errors = at(oneInThousand)
	return a
}

// success is the mean over classes, and over members and others, of the share guessed right by the sign of the score.
func success(in []bool, labels []int, scores []float64) float64 {
	right, all := map[int]*[2]float64{}, map[int]*[2]float64{}
	for j, s := range scores {
		if right[labels[j]] == nil {
			right[labels[j]], all[labels[j]] = new([2]float64), new([2]float64)
		}
		side := 0
		if in[j] {
			side = 1
		}
		all[labels[j]][side]++
		if (s > 0) == in[j] {
			right[labels[j]][side]++
		}
	}
	var shares []float64
	for _, c := range distinct(labels) {
		for side, n := range all[c] {
			if n > 0 {
				shares = append(shares, right[c][side]/n)
			}
		}
	}
	mean, _ := metrics.MeanStd(shares)
	return mean
}

// auc is the probability that a member scores higher than another record, a tie counting half.
func auc(in []bool, scores []float64) float64 {
	order := make([]int, len(scores))
	for j := range order {
		order[j] = j
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(scores[a], scores[b]) })
	members, others, wins := 0.0, 0.0, 0.0
	for i := 0; i < len(order); {
		tied := [2]float64{}
		for s := scores[order[i]]; i < len(order) && scores[order[i]] == s; i++ {
			if in[order[i]] {
				tied[1]++
			} else {
				tied[0]++
			}
		}
		wins += tied[1] * (others + tied[0]/2)
		members, others = members+tied[1], others+tied[0]
	}
	return wins / (members * others)
}

// threshold is the lowest score that at most the share fpr of all others exceeds, and how many may.
func threshold(shadows []shadow, scores [][]float64, fpr float64) (limit float64, allowed int) {
	var others []float64
	for m, s := range shadows {
		for j, in := range s.in {
			if !in {
				others = append(others, scores[m][j])
			}
		}
	}
	slices.Sort(others)
	allowed = min(int(fpr*float64(len(others))), len(others)-1)
	return others[len(others)-1-allowed], allowed
}

// above is the share of members whose score exceeds the limit.
func above(in []bool, scores []float64, limit float64) float64 {
	found, members := 0.0, 0.0
	for j, s := range scores {
		if in[j] {
			members++
			if s > limit {
				found++
			}
		}
	}
	return found / members
}
