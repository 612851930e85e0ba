package mia

import (
	"math"

	"dpfpl/mathx/dp"
	"dpfpl/testbed/internal/report"
)

// Ceiling is the best that any attack on one record can do under the accounted guarantee. Without noise all are 1.
type Ceiling struct {
	Success report.Number `json:"success"`
	AUC     report.Number `json:"auc"`
	TPR1    report.Number `json:"tpr_at_fpr_1_percent"`
	TPR01   report.Number `json:"tpr_at_fpr_0_1_percent"`
}

// guarantee is one point of a privacy profile.
type guarantee struct{ epsilon, delta float64 }

// profile evaluates the account, by privacy-loss distribution, at a few epsilons: each bounds the whole curve.
func profile(a *dp.Account) ([]guarantee, error) {
	var points []guarantee
	for _, epsilon := range []float64{0, 0.125, 0.25, 0.5, 1, 1.5, 2, 3, 4, 6, 8, 12, 16} {
		delta, err := a.DeltaPLD(epsilon)
		if err != nil {
			return nil, err
		}
		points = append(points, guarantee{epsilon, delta})
		if delta < 1e-6 {
			break
		}
	}
	return points, nil
}

// most is the largest true positive rate at a false positive rate: in both directions of the guarantee,
// TPR <= e^epsilon FPR + delta and 1-FPR <= e^epsilon (1-TPR) + delta.
func most(points []guarantee, fpr float64) float64 {
	tpr := 1.0
	for _, p := range points {
		grow := math.Exp(p.epsilon)
		tpr = min(tpr, grow*fpr+p.delta, 1-(1-fpr-p.delta)/grow)
	}
	return max(tpr, fpr)
}

func newCeiling(points []guarantee) Ceiling {
	const steps = 10_000
	best, area := 0.0, 0.0
	for i := range steps {
		// most is concave and increasing: the right end of a step bounds it from above.
		fpr := float64(i+1) / steps
		tpr := most(points, fpr)
		area += tpr / steps
		best = max(best, (1+tpr-fpr)/2)
	}
	return Ceiling{
		Success: report.Number(max(best, (1+most(points, 0))/2)), AUC: report.Number(area),
		TPR1: report.Number(most(points, onePercent)), TPR01: report.Number(most(points, oneInThousand)),
	}
}
