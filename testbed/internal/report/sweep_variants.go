package report

import (
	"cmp"
	"fmt"
	"math"
	"slices"
)

// equalEpsilon is by how much two true ε may differ and still be compared as equal, as a ratio: accounting reaches what was
// asked for from below.
const equalEpsilon = 1.05

// variantSheet ranks all variants, and the grid's base of the same methods, among those of equal true ε.
func (l *ledger) variantSheet(s *scene) (sheet, bool) {
	varied := map[string]bool{} // methods
	for _, c := range s.cells {
		if c.Variant != "" {
			varied[c.Method] = true
		}
	}
	cells := s.choose(learned, func(c *cell) bool { return c.Cast == "" && varied[c.Method] })
	t := sheet{Title: "Variants at equal true ε"}
	t.Heads = heads(">at ε", "variant", "method", "mode", ">rank", "rule", ">versions", ">true ε (RDP)", ">true ε (PLD)", ">local", ">neighbour", ">harmonic mean", ">against zero-shot", ">seeds")
	for _, group := range byEpsilon(cells) {
		if !slices.ContainsFunc(group, func(c *cell) bool { return c.Variant != "" }) {
			continue // nothing to compare the base with
		}
		at := loss(group[len(group)-1].rdp)
		if math.IsInf(float64(group[0].rdp), 1) {
			at.Text = "none"
		}
		slices.SortStableFunc(group, func(a, b *cell) int { return cmp.Compare(rankable(b), rankable(a)) })
		for i, c := range group {
			name := c.Variant
			if name == "" {
				name = "the grid's base"
			}
			f := c.harmonic.share()
			f.Best = i == 0 && len(group) > 1 && !f.blank()
			t.add(false, at, word(name), word(c.Method), word(c.Mode), ranked(c), rule(c), versions(c), loss(c.rdp), loss(c.pld), c.local.share(), c.neighbour.share(), f, c.gain.signed(), c.count())
		}
		t.Says = append(t.Says, winner(at.Text, group[0]))
	}
	if len(t.Rows) == 0 {
		return sheet{}, false
	}
	if s.zero != nil {
		z := s.zero
		t.add(true, field{Text: "–", Key: "0"}, word("hand-written context"), z.name(), field{Text: "–"}, field{Text: "–"}, field{Text: "–"}, field{Text: "–"}, loss(z.rdp), loss(z.pld), z.local.share(), z.neighbour.share(), z.harmonic.share(), z.gain.signed(), z.count())
	}
	said := t.drop(3, 4, 5, 6)
	t.Notes = l.notes(fmt.Sprintf("%v%s. Rows of one ε differ by at most %.0f %% in true ε. Accuracy in percent, ± deviation over seeds; against zero-shot: harmonic mean, in points.",
		s.stageName, also(said), 100*(equalEpsilon-1)))
	return t, true
}

// rankable is what variants are ranked by: the harmonic mean, or local accuracy where there is none; unknown goes last.
func rankable(c *cell) Number {
	for _, s := range []spread{c.harmonic, c.local} {
		if s.Mean.Known() {
			return s.Mean
		}
	}
	return -1
}

func winner(epsilon string, c *cell) string {
	name := c.Method + variant(c)
	if !c.gain.Mean.Known() {
		return fmt.Sprintf("At ε %s nothing has a value yet.", epsilon)
	}
	if c.gain.Mean <= 0 {
		return fmt.Sprintf("At ε %s nothing beats zero-shot: the best, %s, reaches %s points against it.", epsilon, name, signed(100*c.gain.Mean, 2))
	}
	return fmt.Sprintf("At ε %s the best is %s, %s points against zero-shot.", epsilon, name, signed(100*c.gain.Mean, 2))
}

// byEpsilon gathers cells of nearly equal true ε, the strictest first.
func byEpsilon(cells []*cell) [][]*cell {
	cells = slices.DeleteFunc(slices.Clone(cells), func(c *cell) bool { return len(c.trials) == 0 })
	slices.SortStableFunc(cells, func(a, b *cell) int { return cmp.Compare(a.rdp, b.rdp) })
	var groups [][]*cell
	for _, c := range cells {
		n := len(groups)
		if n == 0 || c.rdp > groups[n-1][0].rdp*equalEpsilon {
			groups = append(groups, nil)
			n++
		}
		groups[n-1] = append(groups[n-1], c)
	}
	return groups
}
