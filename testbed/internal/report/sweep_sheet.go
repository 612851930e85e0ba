package report

import (
	"fmt"
	"html/template"
	"math"
	"strconv"
	"strings"
)

// sheet is one table of a sweep, made once and written as HTML and as Markdown.
type sheet struct {
	Title string
	Says  []string // above the table
	Heads []head
	Rows  []entry
	Notes []string // below it
}

type head struct {
	Name  string
	Right bool // numbers are set to the right
}

type entry struct {
	Fields  []field
	Control bool
}

// field is what stands in one place of a table.
type field struct {
	Text  string
	Key   string // what it sorts by; empty for what is unknown, which goes last
	Best  bool
	Right bool
	Mark  template.HTML // drawn before the text
}

// heads makes column heads; those of numbers begin with ">".
func heads(names ...string) []head {
	var h []head
	for _, n := range names {
		name, right := strings.CutPrefix(n, ">")
		h = append(h, head{name, right})
	}
	return h
}

// add appends a row, its fields set as the heads say.
func (s *sheet) add(control bool, fields ...field) {
	for i := range fields {
		fields[i].Right = s.Heads[i].Right
	}
	s.Rows = append(s.Rows, entry{fields, control})
}

// drop leaves out columns whose fields all say the same, and returns what they said.
func (s *sheet) drop(columns ...int) (said []string) {
	for at := len(columns) - 1; at >= 0; at-- {
		c := columns[at]
		same := true
		for _, r := range s.Rows {
			same = same && (r.Fields[c].blank() || r.Fields[c].Text == s.firstText(c))
		}
		if !same {
			continue
		}
		if text := s.firstText(c); text != "" {
			said = append([]string{s.Heads[c].Name + " " + text}, said...)
		}
		s.Heads = append(s.Heads[:c:c], s.Heads[c+1:]...)
		for i := range s.Rows {
			f := s.Rows[i].Fields
			s.Rows[i].Fields = append(f[:c:c], f[c+1:]...)
		}
	}
	return said
}

// firstText is the first text of a column that says something.
func (s *sheet) firstText(column int) string {
	for _, r := range s.Rows {
		if !r.Fields[column].blank() {
			return r.Fields[column].Text
		}
	}
	return ""
}

func (f field) blank() bool { return f.Text == "" || f.Text == "–" }

func word(s string) field { return field{Text: s, Key: s} }

func count(n int) field { return field{Text: strconv.Itoa(n), Key: strconv.Itoa(n)} }

// positive shows a number that is not given where it is zero.
func positive(n int) field {
	if n == 0 {
		return field{Text: "–"}
	}
	return count(n)
}

func ranked(c *cell) field   { return positive(c.Rank) }
func versions(c *cell) field { return positive(c.Versions) }

func rule(c *cell) field {
	if c.Rule == "" {
		return field{Text: "–"}
	}
	return word(c.Rule)
}

// delta is that of the guarantee, if there is one.
func delta(c *cell) field {
	if c.Delta == 0 || math.IsInf(c.Nominal, 1) {
		return field{Text: "–"}
	}
	d := digits(Number(c.Delta))
	return field{Text: strings.Replace(d, "e-0", "e-", 1), Key: d}
}

// share shows a mean over seeds in percent, with its deviation if there is one.
func (s spread) share() field {
	if s.N == 0 || !s.Mean.Known() {
		return field{Text: "–"}
	}
	f := field{Text: decimals(100*s.Mean, 2), Key: digits(s.Mean)}
	if s.Std.Known() {
		f.Text += " ± " + decimals(100*s.Std, 2)
	}
	return f
}

// signed shows a mean difference in points.
func (s spread) signed() field {
	if s.N == 0 || !s.Mean.Known() {
		return field{Text: "–"}
	}
	f := field{Text: signed(100*s.Mean, 2), Key: digits(s.Mean)}
	if s.Std.Known() {
		f.Text += " ± " + decimals(100*s.Std, 2)
	}
	return f
}

func decimals(n Number, places int) string { return strconv.FormatFloat(float64(n), 'f', places, 64) }

// signed shows a difference with its sign, and no sign before zero.
func signed(n Number, places int) string {
	s := decimals(n, places)
	if strings.Trim(s, "-0.") == "" {
		return strings.TrimPrefix(s, "-")
	}
	if n > 0 {
		return "+" + s
	}
	return "−" + s[1:]
}

// loss shows a true ε: three digits, rounded up, since rounding down would promise too much.
func loss(n Number) field {
	switch v := float64(n); {
	case math.IsInf(v, 1):
		return field{Text: "∞", Key: "Infinity"}
	case !n.Known():
		return field{Text: "–"}
	case v == 0:
		return field{Text: "0", Key: "0"}
	default:
		places := 2 - int(math.Floor(math.Log10(v)))
		scale := math.Pow10(places)
		text := strconv.FormatFloat(math.Ceil(v*scale-1e-9)/scale, 'f', max(places, 0), 64)
		if places > 0 {
			text = strings.TrimRight(strings.TrimRight(text, "0"), ".")
		}
		return field{Text: text, Key: digits(n)}
	}
}

// nominally shows the ε asked for or claimed.
func (c *cell) nominally() field {
	if c.Method == ControlZeroShot {
		return field{Text: "–", Key: "0"}
	}
	f := field{Text: c.nominal(), Key: "Infinity"}
	if !math.IsInf(c.Nominal, 1) {
		f.Key = digits(Number(c.Nominal))
	}
	return f
}

// trials shows how many seeds have a value, of how many.
func (c *cell) count() field {
	n := c.local.N
	f := count(n)
	if c.wanted > n {
		f.Text = fmt.Sprintf("%d of %d", n, c.wanted)
	}
	return f
}

// markdown writes the sheet under a heading of the fourth level.
func (s *sheet) markdown(b *strings.Builder) {
	fmt.Fprintf(b, "#### %s\n\n", plain(s.Title))
	for _, p := range s.Says {
		fmt.Fprintf(b, "%s\n\n", plain(p))
	}
	for _, h := range s.Heads {
		fmt.Fprintf(b, "| %s ", plain(h.Name))
	}
	b.WriteString("|\n")
	for _, h := range s.Heads {
		if h.Right {
			b.WriteString("| ---: ")
		} else {
			b.WriteString("| --- ")
		}
	}
	b.WriteString("|\n")
	for _, r := range s.Rows {
		for _, f := range r.Fields {
			text := plain(f.Text)
			switch {
			case f.Best:
				text = "**" + text + "**"
			case r.Control && !f.Right && text != "" && text != "–":
				text = "*" + text + "*"
			}
			fmt.Fprintf(b, "| %s ", text)
		}
		b.WriteString("|\n")
	}
	b.WriteString("\n")
	for _, n := range s.Notes {
		fmt.Fprintf(b, "%s\n\n", plain(n))
	}
}

// plain keeps text from being read as Markdown or HTML.
func plain(s string) string {
	return strings.NewReplacer("\\", `\\`, "|", `\|`, "*", `\*`, "_", `\_`, "`", "\\`", "<", "&lt;", "\n", " ", "\r", " ", "[", `\[`).Replace(s)
}
