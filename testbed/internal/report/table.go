package report

import (
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// row is the layout of the terminal table, 99 columns wide.
const row = "%-*s  %-*s  %-*s  %5s  %5s  %6s  %6s  %4s %5s %5s"

const (
	idWidth, styleWidth, classWidth = 10, 20, 17
	tableWidth                      = idWidth + styleWidth + classWidth + 52
)

// Table writes the outcome for a terminal of 100 columns: a row for each client, the mean, the noise-only control, and what
// the figures mean.
func Table(w io.Writer, r *Results) error {
	r.FillMeans()
	var b strings.Builder
	line := func(id, style, classes string, rest ...any) {
		args := []any{idWidth, clip(id, idWidth), styleWidth, clip(style, styleWidth), classWidth, clip(classes, classWidth)}
		b.WriteString(strings.TrimRight(fmt.Sprintf(row, append(args, rest...)...), " ") + "\n")
	}
	line("", "", "", "zero-", "", "neigh-", "", "", "", "")
	line("client", "style", "classes", "shot", "local", "bour", "ε", "ok", "stale", "refus")
	b.WriteString(strings.Repeat("─", tableWidth) + "\n")
	var ok, stale, refused int
	for _, c := range r.Clients {
		line(c.ID, c.Style, list(c.Classes), percent(c.ZeroShotLocal), percent(c.Local), percent(c.Neighbour), epsilon(c.EpsilonRDP),
			fmt.Sprint(c.Accepted), fmt.Sprint(c.Stale), fmt.Sprint(c.Refused))
		ok, stale, refused = ok+c.Accepted, stale+c.Stale, refused+c.Refused
	}
	b.WriteString(strings.Repeat("─", tableWidth) + "\n")
	line("mean", "", "updates: sum", percent(r.Mean.ZeroShotLocal), percent(r.Mean.Local), percent(r.Mean.Neighbour), "",
		fmt.Sprint(ok), fmt.Sprint(stale), fmt.Sprint(refused))
	if r.NoiseOnly != nil {
		line("noise only", "control", "", "", percent(r.NoiseOnly.Local), percent(r.NoiseOnly.Neighbour), "", "", "", "")
	}
	for _, sentence := range r.sentences() {
		b.WriteString("\n" + wrap(sentence, tableWidth))
	}
	b.WriteString("\n")
	_, err := io.WriteString(w, b.String())
	return err
}

// list joins names for a narrow column.
func list(names []string) string {
	all := strings.Join(names, ", ")
	if utf8.RuneCountInString(all) <= classWidth || len(names) == 0 {
		return all
	}
	return fmt.Sprintf("%d: %s", len(names), all)
}

// clip cuts a string to n columns.
func clip(s string, n int) string {
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	return string([]rune(s)[:n-1]) + "…"
}

// wrap breaks a sentence into lines of at most n columns.
func wrap(s string, n int) string {
	var b strings.Builder
	width := 0
	for i, word := range strings.Fields(s) {
		w := utf8.RuneCountInString(word)
		switch {
		case i == 0:
		case width+1+w > n:
			b.WriteString("\n  ")
			width = 2
		default:
			b.WriteByte(' ')
			width++
		}
		b.WriteString(word)
		width += w
	}
	return b.String()
}
