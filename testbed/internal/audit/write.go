package audit

import (
	"fmt"
	"io"
	"math"
	"strings"

	"dpfpl/testbed/internal/report"
)

// Write prints the result for a terminal of 100 columns.
func (r *MechanismResult) Write(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "One training step, %d times with and %d times without one canary%s\n", r.Trials, r.Trials, planted(r.Plant))
	fmt.Fprintf(&b, "mu: how far apart the two lie, in standard deviations of the noise, for the best attacker\n\n")
	fmt.Fprintf(&b, "%-8s  %12s  %12s  %-20s  %s\n", "group", "mu accounted", "mu measured", fmt.Sprintf("%g %% interval", 100*r.Confidence), "verdict")
	for _, g := range r.Groups {
		fmt.Fprintf(&b, "%-8s  %12s  %12s  %-20s  %s\n", g.Name, digits(g.Accounted), digits(g.Measured),
			fmt.Sprintf("%s to %s", digits(g.Low), digits(g.High)), verdict(g.Accepted, "as accounted", "NOT AS ACCOUNTED"))
	}
	fmt.Fprintf(&b, "\nreleased values lie on the integer lattice: %s\n", verdict(r.OnLattice, "all", "NOT ALL"))
	fmt.Fprintf(&b, "epsilon of one such step at delta %g: accounted %s by RDP, %s by PLD; proven lost %s, by counting alone %s\n",
		r.Delta, digits(r.EpsilonRDP), digits(r.EpsilonPLD), digits(r.LowerBound), digits(r.CountedBound))
	fmt.Fprintf(&b, "the step is %s\n", verdict(r.Accepted, "accepted", "REJECTED"))
	_, err := io.WriteString(w, b.String())
	return err
}

// Write prints the result for a terminal of 100 columns.
func (r *OneRunResult) Write(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "One run of a whole federation in virtual time%s: %d clients, %d canaries of which %d took part,\n",
		planted(r.Plant), r.Clients, r.Canaries, r.Included)
	fmt.Fprintf(&b, "%d steps of each client with q = %g and joint z = %.3f, %d updates, %d versions\n\n", r.Steps, r.Rate, r.Z, r.Updates, r.Versions)
	fmt.Fprintf(&b, "%-24s  %13s  %-18s  %-17s  %s\n", "what the attacker sees", "right guesses", "epsilon proven lost", "accounted PLD/RDP", "proven/PLD")
	for _, a := range r.Artefacts {
		fmt.Fprintf(&b, "%-24s  %13s  %-19s  %-17s  %.2f\n", a.Name, fmt.Sprintf("%d of %d", a.Right, a.Guesses),
			"at least "+digits(a.LowerBound), digits(r.EpsilonPLD)+" / "+digits(r.EpsilonRDP), float64(a.LowerBound/r.EpsilonPLD))
	}
	fmt.Fprintf(&b, "\nLower bounds hold with %g %% confidence each. The attack cannot prove more than %s with so many guesses,\n",
		100*r.Confidence, digits(r.Cap))
	fmt.Fprintf(&b, "and proves about half of what a correct Gaussian mechanism loses.\n")
	fmt.Fprintf(&b, "no bound exceeds what is accounted: %s\n", verdict(r.Accepted, "yes, accepted", "NO, REJECTED"))
	if r.Rate == 1 {
		fmt.Fprintf(&b, "the audit is alive (proves at least %g of what is accounted): %s\n", Liveness, verdict(r.Alive, "yes", "NO"))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func planted(name string) string {
	if name == Honest {
		return ""
	}
	return ", with a planted bug: " + name
}

func verdict(ok bool, yes, no string) string {
	if ok {
		return yes
	}
	return no
}

// digits shows a number with three decimals.
func digits(n report.Number) string {
	if math.IsInf(float64(n), 1) {
		return "infinite"
	}
	return fmt.Sprintf("%.3f", float64(n))
}
