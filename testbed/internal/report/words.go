package report

import (
	"fmt"
	"strings"
)

// sentences say what the figures mean, for terminal and page alike.
func (r *Results) sentences() []string {
	s := []string{
		fmt.Sprintf("Accuracies in percent, among all %d class names. Local: %s. Neighbour: %s.", r.Classes, r.LocalTest, r.NeighbourTest),
		r.outcome(),
		r.privacy(),
	}
	for _, c := range r.Clients {
		if c.Fate != "" {
			s = append(s, c.ID+": "+c.Fate)
		}
	}
	return s
}

// outcome compares the mean with zero-shot and the control.
func (r *Results) outcome() string {
	gain := r.Mean.Local - r.Mean.ZeroShotLocal
	s := fmt.Sprintf("Mean local accuracy %s %%, %s points against zero-shot; neighbour %s %%, %s points", percent(r.Mean.Local), points(gain),
		percent(r.Mean.Neighbour), points(r.Mean.Neighbour-r.Mean.ZeroShotNeighbour))
	if r.NoiseOnly != nil {
		s += fmt.Sprintf("; the noise-only control reaches %s %% and %s %%", percent(r.NoiseOnly.Local), percent(r.NoiseOnly.Neighbour))
	}
	return s + "."
}

// privacy is the guarantee in words.
func (r *Results) privacy() string {
	if r.Noise == NoiseNone {
		return "Privacy: none. Clients sent clipped gradients without noise (--non-private)."
	}
	rdp, pld := Number(0), Number(0)
	for _, c := range r.Clients {
		rdp, pld = max(rdp, c.EpsilonRDP), max(pld, c.EpsilonPLD)
	}
	s := fmt.Sprintf("Privacy: one record is %s; adjacency %s. No client spent more than ε = %s of a budget of %s at δ = %g (RDP; by PLD ε = %s), u, v and the global gradient together.",
		r.Record, r.Adjacency, epsilon(rdp), epsilon(r.EpsilonBudget), r.Delta, epsilon(pld))
	if r.Noise == NoiseSeeded {
		s += " Here the noise came from the seed, so that the run can be repeated: it shows what privacy costs, but protects nothing."
	}
	return s
}

// bytes shows a size.
func bytesize(n int64) string {
	switch {
	case n < 1<<10:
		return fmt.Sprintf("%d B", n)
	case n < 1<<20:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	default:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	}
}

// duration shows seconds for people.
func duration(seconds float64) string {
	switch {
	case seconds < 120:
		return fmt.Sprintf("%.1f s", seconds)
	case seconds < 7200:
		return fmt.Sprintf("%.1f min", seconds/60)
	default:
		return fmt.Sprintf("%.1f h", seconds/3600)
	}
}

// title is the page's heading.
func (r *Results) title() string {
	words := []string{r.Method, "on", r.Data + ":", fmt.Sprintf("%d clients,", len(r.Clients)), fmt.Sprintf("%d versions,", r.Versions)}
	if r.Noise == NoiseNone {
		words = append(words, "without privacy")
	} else {
		words = append(words, "ε ≤ "+epsilon(r.EpsilonBudget))
	}
	return strings.Join(words, " ")
}
