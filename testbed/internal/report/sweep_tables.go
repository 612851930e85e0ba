package report

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"dpfpl/mathx/prompt"
)

// measures are what methods are compared by.
var measures = []struct {
	Name string
	Of   func(*cell) spread
}{
	{"local", func(c *cell) spread { return c.local }},
	{"neighbour", func(c *cell) spread { return c.neighbour }},
	{"harmonic mean", func(c *cell) spread { return c.harmonic }},
}

// name is the method, and what it is a control for.
func (c *cell) name() field {
	if c.NoiseOnly {
		return word(c.Method + ", noise only")
	}
	return word(c.Method)
}

// resultSheet has the methods of one mode over ε.
func (l *ledger) resultSheet(s *scene, mode string) (sheet, bool) {
	cells, lent := s.plain(mode)
	if len(cells) == 0 {
		return sheet{}, false
	}
	asked := "ε asked for"
	t := sheet{Title: "Methods over ε, " + accounting(mode)}
	if mode == prompt.Paper {
		asked = "ε claimed"
		t.Says = []string{"Noise as the authors' code scales it for the ε it claims; beside it the true ε of one picture over the whole run, u, v and the global gradient together."}
	} else {
		t.Says = []string{"Noise calibrated to the ε asked for by exact accounting, u, v and the global gradient of one picture over the whole run together."}
	}
	t.Heads = heads("method", ">rank", "rule", ">versions", ">δ", ">"+asked, ">true ε (RDP)", ">true ε (PLD)", ">local", ">neighbour", ">harmonic mean", ">against zero-shot", ">seeds")
	top := best(cells)
	row := func(c *cell) {
		mark := func(m int, f field) field { f.Best = top[m][c]; return f }
		t.add(c.control(), c.name(), ranked(c), rule(c), versions(c), delta(c), c.nominally(), loss(c.rdp), loss(c.pld),
			mark(0, c.local.share()), mark(1, c.neighbour.share()), mark(2, c.harmonic.share()), c.gain.signed(), c.count())
	}
	if s.zero != nil {
		row(s.zero)
	}
	for _, c := range cells {
		row(c)
	}
	said := t.drop(1, 2, 3, 4)
	t.Notes = l.notes(fmt.Sprintf("%v%s. Accuracy in percent among all class names, mean over clients, ± deviation over seeds; a seed's value is the mean of its last ten versions. "+
		"Bold: best of its ε. Against zero-shot: harmonic mean less that of the hand-written context, in points. Noise only: zero in place of every gradient.%s", s.stageName, also(said), lending(mode, lent)))
	return t, true
}

// lending says where the rows without noise are from.
func lending(mode string, lent bool) string {
	switch {
	case !lent:
		return ""
	case mode == prompt.Paper:
		return " Without noise: mode corrected, which clips every picture's gradient."
	default:
		return " Without noise: mode paper, which does not clip pictures one by one."
	}
}

// rivals are the plain cells that learned from data.
func (s *scene) rivals(mode string) []*cell {
	cells, _ := s.plain(mode)
	return slices.DeleteFunc(cells, (*cell).control)
}

// also continues a sentence with what all rows have in common.
func also(said []string) string {
	if len(said) == 0 {
		return ""
	}
	return "; " + strings.Join(said, ", ")
}

// notes adds what differs from the paper, which stands under every table.
func (l *ledger) notes(first string) []string {
	if len(l.Notes) == 0 {
		return []string{first}
	}
	return []string{first, "What differs from the paper: " + strings.Join(l.Notes, " ")}
}

// best marks, for each measure, the cells with the highest mean among those of one ε that learned something.
func best(cells []*cell) []map[*cell]bool {
	marks := make([]map[*cell]bool, len(measures))
	for m := range measures {
		marks[m] = map[*cell]bool{}
		for _, c := range cells {
			mean, beaten, rivals := measures[m].Of(c).Mean, false, 0
			for _, other := range cells {
				if other.Nominal == c.Nominal && !other.control() && measures[m].Of(other).Mean.Known() {
					rivals++
					beaten = beaten || measures[m].Of(other).Mean > mean
				}
			}
			marks[m][c] = !c.control() && mean.Known() && !beaten && rivals > 1
		}
	}
	return marks
}

// compareSheet sets the paper's Tables 2 and 3 (or 4) beside the cells of one mode.
func (l *ledger) compareSheet(s *scene, mode string) (sheet, bool) {
	data, clients := s.published()
	cells := s.rivals(mode)
	if data == "" || len(cells) == 0 {
		return sheet{}, false
	}
	t := sheet{Title: "Beside the paper, " + accounting(mode)}
	t.Heads = heads("method", "rule", ">versions", ">ε", ">true ε here", ">local, paper", ">local, here", ">difference", ">neighbour, paper", ">neighbour, here", ">difference", ">seeds")
	var tables []int
	for _, epsilon := range publishedEpsilons {
		for _, method := range publishedMethods {
			key := publishedKey{Data: data, Clients: clients, Epsilon: epsilon, Method: method, Rank: publishedRank, Measure: "local"}
			local := published[key]
			key.Measure = "neighbour"
			neighbour := published[key]
			tables = append(tables, local.Table)
			if neighbour.Table != 0 {
				tables = append(tables, neighbour.Table)
			}
			for _, c := range ours(cells, method, epsilon, publishedRank) {
				t.compared(c, []field{word(method), rule(c), versions(c), c.nominally(), loss(c.rdp)}, local, neighbour)
			}
		}
	}
	said := t.drop(1, 2)
	if clients != 10 {
		t.drop(t.column("neighbour, paper"), t.column("neighbour, paper")+2)
	}
	t.Notes = l.notes(fmt.Sprintf("%v%s. Paper: %s, %s, rank %d. Here: accuracy in percent, ± deviation over seeds; difference: here less paper, in points. A dash: not run, or not published.",
		s.stageName, also(said), source(tables...), data, publishedRank))
	return t, true
}

// absent is a cell without trials.
func absent(method, epsilon string, rank int) *cell {
	nominal, err := strconv.ParseFloat(epsilon, 64)
	if err != nil {
		nominal = math.Inf(1) // "none"
	}
	return &cell{setting: setting{Method: method, Nominal: nominal, Rank: rank}, local: none, neighbour: none, harmonic: none, gain: none, rdp: Unknown, pld: Unknown}
}

// column is the position of the head with a name.
func (s *sheet) column(name string) int {
	for i, h := range s.Heads {
		if h.Name == name {
			return i
		}
	}
	return -1
}

// ours are the cells of a method at a nominal ε, one empty cell if there are none. The methods that have no factors match at
// any rank.
func ours(cells []*cell, method, epsilon string, rank int) []*cell {
	var found []*cell
	for _, c := range cells {
		factors := method != prompt.PromptFL && method != prompt.FedOTP
		if c.Method == method && c.nominal() == epsilon && (c.Rank == rank || !factors) {
			found = append(found, c)
		}
	}
	if found == nil {
		found = []*cell{absent(method, epsilon, rank)}
	}
	return found
}

// compared adds a row: what it is about, then published and own values.
func (s *sheet) compared(c *cell, about []field, local, neighbour publishedValue) {
	s.add(false, append(about, local.field(), c.local.share(), difference(c.local, local), neighbour.field(), c.neighbour.share(), difference(c.neighbour, neighbour), c.count())...)
}

// ablationSheet sets the paper's Tables 6 to 11 beside the ranks that were run, without and with the residual.
func (l *ledger) ablationSheet(s *scene, mode string) (sheet, bool) {
	data, clients := s.published()
	cells := s.rivals(mode)
	t := sheet{Title: "Rank and residual beside the paper, " + accounting(mode)}
	t.Heads = heads("residual", "rule", ">versions", ">rank", ">ε", ">true ε here", ">local, paper", ">local, here", ">difference", ">neighbour, paper", ">neighbour, here", ">difference", ">seeds")
	var tables []int
	any := false
	for _, c := range cells {
		residual, ok := map[string]string{prompt.DPLoRA: "without", prompt.DPFPL: "with"}[c.Method]
		key := publishedKey{Ablation: true, Data: data, Clients: clients, Epsilon: c.nominal(), Method: c.Method, Rank: c.Rank, Measure: "local"}
		local, have := published[key]
		key.Measure = "neighbour"
		if !ok || !have {
			continue
		}
		any = any || c.Mode == mode && (c.Method == prompt.DPLoRA || c.Rank != publishedRank)
		tables = append(tables, local.Table)
		t.compared(c, []field{word(residual), rule(c), versions(c), count(c.Rank), c.nominally(), loss(c.rdp)}, local, published[key])
	}
	if !any {
		return sheet{}, false
	}
	said := t.drop(1, 2)
	t.Notes = l.notes(fmt.Sprintf("%v%s. Paper: %s, %s. With the residual: dpfpl; without: dplora.", s.stageName, also(said), source(tables...), data))
	return t, true
}
