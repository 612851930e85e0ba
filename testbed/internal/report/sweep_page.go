package report

import (
	"bytes"
	_ "embed"
	"fmt"
	"html/template"
	"strings"

	"dpfpl/mathx/prompt"
)

//go:embed sweep.html
var sweepSource string

var sweepTemplate = template.Must(template.Must(template.New("sweep").Funcs(template.FuncMap{"style": style, "sorter": sorter, "anchor": func(i int) string { return fmt.Sprintf("s%d", i) }}).Parse(sweepSource)).Parse(figuresSource))

// part is one scene with all its tables and plots.
type part struct {
	Title    string
	Sections []section
}

// section is what a part says about one thing.
type section struct {
	Title   string
	Figures []Figure
	Sheets  []sheet
}

// parts are the sweep's scenes, laid out.
func (l *ledger) parts() []part {
	var all []part
	for i := range l.scenes {
		s := &l.scenes[i]
		p := part{Title: s.String()}
		for _, mode := range modes {
			sec := section{Title: map[string]string{prompt.Paper: "With the authors' noise (mode paper)", prompt.Corrected: "By our accounting (mode corrected)"}[mode], Figures: s.figures(mode)}
			for _, make := range []func(*scene, string) (sheet, bool){l.resultSheet, l.bestSheet, l.compareSheet, l.ablationSheet} {
				if t, ok := make(s, mode); ok {
					sec.Sheets = append(sec.Sheets, t)
				}
			}
			p.add(sec)
		}
		var beyond section
		beyond.Title = "Beyond the paper"
		if t, ok := l.variantSheet(s); ok {
			beyond.Sheets = append(beyond.Sheets, t)
		}
		p.add(beyond)
		var races section
		races.Title = "Rules over time"
		for _, r := range s.races() {
			races.Figures = append(races.Figures, l.raceFigures(s, &r)...)
			races.Sheets = append(races.Sheets, l.raceSheet(s, &r))
		}
		p.add(races)
		all = append(all, p)
	}
	return all
}

func (p *part) add(s section) {
	if len(s.Sheets) > 0 {
		p.Sections = append(p.Sections, s)
	}
}

// page renders sweep.html.
func (l *ledger) page() ([]byte, error) {
	var b bytes.Buffer
	err := sweepTemplate.Execute(&b, struct {
		*ledger
		Heading  string
		Summary  string
		Findings []string
		Parts    []part
		Missing  []string
	}{l, l.title(), l.summary(), l.findings(), l.parts(), l.gaps})
	return b.Bytes(), err
}

// summary counts what the sweep consists of.
func (l *ledger) summary() string {
	if len(l.trials) == 0 {
		return "No trial has been run."
	}
	s := fmt.Sprintf("%s in %s.", plural(len(l.trials), "trial"), plural(len(l.cells), "setting"))
	if l.twice > 0 {
		s += fmt.Sprintf(" Left out as repetitions: %s.", plural(l.twice, "trial"))
	}
	if len(l.gaps) > 0 {
		s += fmt.Sprintf(" Incomplete: %s without all values.", plural(len(l.gaps), "setting"))
	}
	return s
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// markdown is the sweep's tables for a document, under headings of the third and fourth level.
func (l *ledger) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\n", plain(l.summary()))
	if l.Command != "" {
		fmt.Fprintf(&b, "Command: `%s`\n\n", strings.NewReplacer("`", "'", "\n", " ").Replace(l.Command))
	}
	for _, f := range l.findings() {
		fmt.Fprintf(&b, "- %s\n", plain(f))
	}
	if len(l.findings()) > 0 {
		b.WriteString("\n")
	}
	for _, p := range l.parts() {
		fmt.Fprintf(&b, "### %s\n\n", plain(p.Title))
		for _, s := range p.Sections {
			for i := range s.Sheets {
				s.Sheets[i].markdown(&b)
			}
		}
	}
	if len(l.gaps) > 0 {
		b.WriteString("### Missing\n\n")
		for _, g := range l.gaps {
			fmt.Fprintf(&b, "- %s\n", plain(g))
		}
	}
	return strings.TrimRight(b.String(), "\n") + "\n"
}
