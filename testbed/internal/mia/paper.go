package mia

import (
	"fmt"

	"dpfpl/testbed/internal/seeded"
)

// paperAttack scores every record of every shadow prompt by the paper's attack models, one for each class. Those for one
// half of the prompts are trained on the other half.
func paperAttack(shadows []shadow, labels []int, seed uint64) ([][]float64, error) {
	scores := make([][]float64, len(shadows))
	// Shadows 2i and 2i+1 complement each other: they stay in one half.
	fold := func(m int) int { return m / 2 % 2 }
	for side := range 2 {
		models := map[int]*perceptron{}
		for _, class := range distinct(labels) {
			var x [][]float64
			var member []bool
			for m, s := range shadows {
				if fold(m) == side {
					continue
				}
				for j, label := range labels {
					if label == class {
						x, member = append(x, s.softmax[j]), append(member, s.in[j])
					}
				}
			}
			model, err := fitPerceptron(x, member, seeded.Source(seed, "attack model", fmt.Sprint(side), uint64(class)))
			if err != nil {
				return nil, err
			}
			models[class] = model
		}
		for m, s := range shadows {
			if fold(m) != side {
				continue
			}
			scores[m] = make([]float64, len(labels))
			for j, label := range labels {
				scores[m][j] = models[label].score(s.softmax[j])
			}
		}
	}
	return scores, nil
}

// distinct lists the labels that occur.
func distinct(labels []int) []int {
	seen := map[int]bool{}
	var out []int
	for _, l := range labels {
		if !seen[l] {
			seen[l] = true
			out = append(out, l)
		}
	}
	return out
}
