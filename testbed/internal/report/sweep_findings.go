package report

import (
	"fmt"
	"math"
	"slices"

	"dpfpl/mathx/prompt"
)

// bestSheet says which method is best at each ε, here and in the paper. Only methods that have a value at every ε count as
// rivals where both are compared: the paper's four, as far as they were run.
func (l *ledger) bestSheet(s *scene, mode string) (sheet, bool) {
	cells := s.rivals(mode)
	data, clients := s.published()
	t := sheet{Title: "Which method is best, " + accounting(mode)}
	t.Heads = heads(">ε", "measure", "best here", ">accuracy", ">lead in points", "second here", "best in the paper", "agree")
	agree, compared := 0, 0
	for _, epsilon := range nominals(cells) {
		rivals := atEpsilon(cells, epsilon)
		for _, m := range measures {
			first, second := podium(rivals, m.Of)
			if second == nil {
				continue
			}
			theirs := bestPublished(data, clients, first.nominal(), m.Name)
			verdict := field{Text: "–"}
			if theirs != "" && paperRivals(rivals) {
				compared++
				verdict = word("no")
				if theirs == first.Method {
					agree++
					verdict = word("yes")
				}
			}
			paper := field{Text: "–"}
			if theirs != "" {
				paper = word(theirs)
			}
			lead := spread{Mean: m.Of(first).Mean - m.Of(second).Mean, Std: Unknown, N: 1}
			t.add(false, first.nominally(), word(m.Name), word(first.label(rivals)), m.Of(first).share(), lead.signed(), word(second.label(rivals)), paper, verdict)
		}
	}
	if len(t.Rows) == 0 {
		return sheet{}, false
	}
	note := fmt.Sprintf("%v. Controls do not compete.", s.stageName)
	if data == "" {
		t.drop(6, 7)
	} else {
		note += fmt.Sprintf(" The paper's best is that of the highest mean in its %s; it prints no harmonic means: theirs is of its means.", source(2, 3))
		if clients != 10 {
			note = fmt.Sprintf("%v. Controls do not compete. The paper's best is that of the highest mean in its %s.", s.stageName, source(4))
		}
		if compared > 0 {
			note += fmt.Sprintf(" Same method best in %d of %d.", agree, compared)
		}
	}
	t.Notes = l.notes(note)
	return t, true
}

// accounting names a mode within a sentence.
func accounting(mode string) string {
	if mode == prompt.Paper {
		return "with the authors' noise"
	}
	return "by our accounting"
}

// nominals are the cells' ε, in their order.
func nominals(cells []*cell) []float64 {
	var all []float64
	for _, c := range cells {
		if !slices.Contains(all, c.Nominal) {
			all = append(all, c.Nominal)
		}
	}
	return all
}

func atEpsilon(cells []*cell, epsilon float64) []*cell {
	var at []*cell
	for _, c := range cells {
		if c.Nominal == epsilon {
			at = append(at, c)
		}
	}
	return at
}

// podium is the best cell by a measure and the best of another method; second is nil unless two methods have a value.
func podium(cells []*cell, of func(*cell) spread) (first, second *cell) {
	first = highest(cells, of)
	if first == nil {
		return nil, nil
	}
	return first, highest(slices.DeleteFunc(slices.Clone(cells), func(c *cell) bool { return c.Method == first.Method }), of)
}

// highest is the first cell with the highest mean, nil if none is known.
func highest(cells []*cell, of func(*cell) spread) (top *cell) {
	for _, c := range cells {
		if v := of(c).Mean; v.Known() && (top == nil || v > of(top).Mean) {
			top = c
		}
	}
	return top
}

// label tells a cell from its rivals: the method, and its rank or rule where another cell has the same method.
func (c *cell) label(rivals []*cell) string {
	s := c.Method
	for _, other := range rivals {
		if other == c || other.Method != c.Method {
			continue
		}
		s = c.Method
		if other.Rank != c.Rank {
			s += fmt.Sprintf(", rank %d", c.Rank)
		}
		if other.Rule != c.Rule {
			s += ", " + c.Rule
		}
		if other.Versions != c.Versions {
			s += fmt.Sprintf(", %d versions", c.Versions)
		}
		break
	}
	return s
}

// paperRivals tells whether all of the paper's methods have a value.
func paperRivals(cells []*cell) bool {
	return !slices.ContainsFunc(publishedMethods, func(method string) bool {
		return !slices.ContainsFunc(cells, func(c *cell) bool { return c.Method == method && c.local.Mean.Known() })
	})
}

// bestPublished is the method with the highest published mean, empty if the paper has none there.
func bestPublished(data string, clients int, epsilon, measure string) string {
	best, at := "", Number(math.Inf(-1))
	for _, method := range publishedMethods {
		value := func(measure string) Number {
			return published[publishedKey{Data: data, Clients: clients, Epsilon: epsilon, Method: method, Rank: publishedRank, Measure: measure}].share()
		}
		v := value(measure)
		if measure == "harmonic mean" {
			v = harmonic(value("local"), value("neighbour"))
		}
		if v.Known() && v > at {
			best, at = method, v
		}
	}
	return best
}

// findings say in words what the tables show.
func (l *ledger) findings() []string {
	var all []string
	for i := range l.scenes {
		s := &l.scenes[i]
		all = append(all, s.withoutNoise()...)
		for _, mode := range modes {
			all = append(all, s.underNoise(mode)...)
		}
		all = append(all, s.againstZeroShot()...)
	}
	return all
}

// withoutNoise tells whether FedOTP is best locally, as the paper found.
func (s *scene) withoutNoise() []string {
	for _, mode := range modes {
		if first, second := podium(atEpsilon(s.rivals(mode), math.Inf(1)), measures[0].Of); second != nil {
			return []string{fmt.Sprintf("%s, without noise: %s is best locally, by %s points over %s (the paper: fedotp).", s.Data, first.Method,
				decimals(100*(first.local.Mean-second.local.Mean), 2), second.Method)}
		}
	}
	return nil
}

// underNoise tells at how many ε DP-FPL is best; the paper found it to be at all.
func (s *scene) underNoise(mode string) []string {
	cells := slices.DeleteFunc(s.rivals(mode), noiseless)
	if !slices.ContainsFunc(cells, func(c *cell) bool { return c.Method == prompt.DPFPL }) {
		return nil
	}
	won, of := map[string]int{}, map[string]int{}
	for _, epsilon := range nominals(cells) {
		for _, m := range measures[:2] {
			if first, second := podium(atEpsilon(cells, epsilon), m.Of); second != nil {
				of[m.Name]++
				if first.Method == prompt.DPFPL {
					won[m.Name]++
				}
			}
		}
	}
	if len(of) == 0 {
		return nil
	}
	return []string{fmt.Sprintf("%s, %s: dpfpl is best locally at %d of %d ε, on neighbours' classes at %d of %d (the paper: at all).", s.Data, accounting(mode),
		won["local"], of["local"], won["neighbour"], of["neighbour"])}
}

// meaningful is the largest true ε that the findings call private.
const meaningful = 10

// againstZeroShot tells whether anything private beats the hand-written context.
func (s *scene) againstZeroShot() []string {
	var private []*cell
	for _, c := range s.cells {
		if !c.control() && c.rdp.Known() && c.rdp <= meaningful {
			private = append(private, c)
		}
	}
	top := highest(private, func(c *cell) spread { return c.gain })
	if top == nil {
		return nil
	}
	what := fmt.Sprintf("%s%s at a true ε of %s", top.Method, variant(top), loss(top.rdp).Text)
	if top.gain.Mean > 0 {
		return []string{fmt.Sprintf("%s: the best result against zero-shot with a true ε of at most %d is %s points (harmonic mean), by %s.", s.Data, meaningful, signed(100*top.gain.Mean, 2), what)}
	}
	return []string{fmt.Sprintf("%s: nothing with a true ε of at most %d beats zero-shot; closest comes %s, with %s points (harmonic mean).", s.Data, meaningful, what, signed(100*top.gain.Mean, 2))}
}

func variant(c *cell) string {
	if c.Variant == "" {
		return ""
	}
	return " (" + c.Variant + ")"
}
