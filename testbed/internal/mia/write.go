package mia

import (
	"fmt"
	"io"
	"math"
	"strings"

	"dpfpl/testbed/internal/report"
)

// columns is the layout of the table.
const columns = "%-8s  %-15s  %-8s  %13s  %13s  %15s  %15s\n"

// Write prints the result for a terminal of 100 columns.
func (r *Result) Write(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "\n"+columns, "epsilon", "accuracy in/out", "attack", "success", "AUC", "TPR at 1 % FPR", "at 0.1 % FPR")
	b.WriteString(strings.Repeat("─", 99) + "\n")
	fmt.Fprintf(&b, "%-8s  %.1f\n", "start", 100*r.Start)
	for _, row := range r.Rows {
		row.write(&b)
	}
	for _, e := range r.Unfinished {
		fmt.Fprintf(&b, "%-8s  no time left\n", budget(e))
	}
	fmt.Fprintf(&b, "\n%d prompts a budget, each trained on a random half of %d pictures and attacked in its turn with the\n"+
		"others as shadows. All rates in percent; ± is %g %% confidence over the prompts. Guessing has a success and\n"+
		"an AUC of 50, and a TPR equal to the FPR. The ceiling is the best that any attack can do under the accounted\n"+
		"guarantee (PLD, zero-out, delta %g). A prompt no better than its start has learned nothing to betray.\n", r.Shadows, r.Records, 100*r.Confidence, r.Delta)
	if len(r.Rows) > 0 {
		fmt.Fprintf(&b, "At 0.1 %% FPR the threshold lets %d of all other pictures through: take that column with care.\n", r.Rows[0].Attacks[0].Errors)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (r *Row) write(b *strings.Builder) {
	line := func(epsilon, accuracy, attack string, rest ...string) {
		fmt.Fprintf(b, columns, epsilon, accuracy, attack, rest[0], rest[1], rest[2], rest[3])
	}
	for i, a := range r.Attacks {
		epsilon, accuracy := "", ""
		if i == 0 {
			epsilon, accuracy = budget(r.Epsilon), fmt.Sprintf("%.1f/%.1f", 100*r.Members, 100*r.Others)
		}
		line(epsilon, accuracy, a.Name, a.Success.text(), a.AUC.text(), a.TPR1.text(), a.TPR01.text())
	}
	if !math.IsInf(float64(r.Epsilon), 1) {
		c := r.Ceiling
		line("", "", "ceiling", percent(c.Success), percent(c.AUC), percent(c.TPR1), percent(c.TPR01))
	}
	if r.Exceeded {
		b.WriteString("          AN ATTACK DOES BETTER THAN THE GUARANTEE ALLOWS\n")
	}
}

func (e Estimate) text() string {
	return fmt.Sprintf("%.1f ± %.1f", 100*e.Mean, 100*(e.High-e.Low)/2)
}

func percent(n report.Number) string { return fmt.Sprintf("%.1f", 100*n) }

func budget(e report.Number) string {
	if math.IsInf(float64(e), 1) {
		return "no noise"
	}
	return fmt.Sprintf("%g", float64(e))
}
