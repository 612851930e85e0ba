package web

import (
	"embed"
	"fmt"
	"html/template"
	"math"
	"slices"
	"strings"
	"time"

	"dpfpl/roles/monitor"
	"dpfpl/schemas"
)

//go:embed static
var static embed.FS

//go:embed page.html
var source string

// page holds the page and, each by its own name, its sections.
var page = template.Must(template.New("").Funcs(template.FuncMap{
	"epsilon": epsilon, "tight": tight, "percent": percent, "seconds": seconds, "clock": clock, "machine": machine, "line": line, "bar": newBar,
	"rows": rows, "rest": rest, "level": level, "join": strings.Join, "reasons": reasons, "newest": newest, "word": word, "state": stateWord,
	"pips": pips, "add": func(a, b int) int { return a + b },
}).Parse(source))

// sections are what changes on the page, in order.
var sections = []string{"headline", "attention", "progress", "clients", "aggregator", "privacy", "dead", "connection"}

// whole is what the page is made of.
type whole struct {
	Event string // the id of the newest event that is in it
	Parts map[string]template.HTML
}

// forPage puts the rendered sections together; they were made by the same templates, so they are not escaped again.
func (n *snapshot) forPage(name string) whole {
	w := whole{Event: n.id(name), Parts: map[string]template.HTML{}}
	for _, p := range n.parts {
		w.Parts[p.name] = template.HTML(p.html)
	}
	return w
}

// maxRows is how many clients the page shows; the JSON has all.
const maxRows = 200

// rows are the clients to show, those with trouble first if there are too many.
func rows(clients []monitor.Client) []monitor.Client {
	if len(clients) <= maxRows {
		return clients
	}
	list := slices.Clone(clients)
	slices.SortStableFunc(list, func(a, b monitor.Client) int { return trouble(b) - trouble(a) })
	return list[:maxRows]
}

func rest(clients []monitor.Client) int { return max(0, len(clients)-maxRows) }

func trouble(c monitor.Client) int {
	switch {
	case c.Presence == monitor.Silent:
		return 4
	case c.Refused > 0:
		return 3
	case c.Spent:
		return 2
	case c.Presence != monitor.Present:
		return 1
	}
	return 0
}

// word is a client's presence, for people.
func word(p monitor.Presence) string {
	switch p {
	case monitor.Never:
		return "never seen"
	case monitor.Unheard:
		return "not heard yet"
	}
	return string(p)
}

func stateWord(s monitor.State) string {
	if s == monitor.Cut {
		return "cut off"
	}
	return string(s)
}

// level is how full a share is, as a class.
func level(share float64) string {
	switch {
	case share >= 0.999:
		return "full"
	case share >= 0.8:
		return "high"
	}
	return "fine"
}

func epsilon(x *float64) string {
	if x == nil {
		return "∞"
	}
	return fmt.Sprintf("%.2f", *x)
}

// tight is the tight figure, which takes a while to reckon.
func tight(x *float64) string {
	if x == nil {
		return "…"
	}
	return epsilon(x)
}

func percent(share float64) string { return fmt.Sprintf("%.0f %%", 100*share) }

// seconds is a duration for people.
func seconds(s float64) string {
	d := time.Duration(s * float64(time.Second))
	switch {
	case d < 10*time.Second:
		return fmt.Sprintf("%.1f s", s)
	case d < 2*time.Minute:
		return fmt.Sprintf("%.0f s", s)
	case d < 2*time.Hour:
		return fmt.Sprintf("%.0f min", d.Minutes())
	case d < 48*time.Hour:
		return fmt.Sprintf("%.0f h", d.Hours())
	}
	return fmt.Sprintf("%.0f days", d.Hours()/24)
}

// clock is a time for people without JavaScript; with it, the page says how long ago that was.
func clock(t time.Time) string { return t.UTC().Format("2 Jan 15:04:05 UTC") }

// machine is a time for the page's script.
func machine(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z") }

// newest are the last versions, newest first.
func newest(history []monitor.Version, n int) []monitor.Version {
	list := slices.Clone(history[max(0, len(history)-n):])
	slices.Reverse(list)
	return list
}

// reason is a dead letter's reason with its count.
type reason struct {
	Reason schemas.Reason
	Count  uint64
}

func reasons(counts map[schemas.Reason]uint64) []reason {
	var list []reason
	for r, n := range counts {
		list = append(list, reason{r, n})
	}
	slices.SortFunc(list, func(a, b reason) int { return strings.Compare(string(a.Reason), string(b.Reason)) })
	return list
}

// bar is a share of 100 wide.
type bar struct {
	Width string
	Class string
}

func newBar(share float64, class string) bar {
	return bar{fmt.Sprintf("%.1f", 100*math.Max(0, math.Min(1, share))), class}
}

// pips says which of the places of a buffer are taken; nil if there are too many to draw.
func pips(held, size int) []bool {
	if size > 40 {
		return nil
	}
	list := make([]bool, max(size, held))
	for i := range held {
		list[i] = true
	}
	return list
}

// chart is a line in a box of 600 by 90.
type chart struct {
	Line, Area, X, Y string
	From, To         time.Time
	First, Last      uint64
}

const chartWide, chartHigh = 600.0, 90.0

// line draws the number of versions over time; nil for less than two.
func line(history []monitor.Version) *chart {
	if len(history) < 2 {
		return nil
	}
	first, last := history[0], history[len(history)-1]
	c := &chart{From: first.At, To: last.At, First: first.Number, Last: last.Number}
	span, rise := last.At.Sub(first.At).Seconds(), float64(last.Number-first.Number)
	var b strings.Builder
	for i, v := range history {
		x := chartWide * float64(i) / float64(len(history)-1)
		if span > 0 {
			x = chartWide * math.Max(0, math.Min(1, v.At.Sub(first.At).Seconds()/span))
		}
		c.X, c.Y = fmt.Sprintf("%.1f", x), fmt.Sprintf("%.1f", chartHigh*(1-float64(v.Number-first.Number)/rise))
		fmt.Fprintf(&b, "%s,%s ", c.X, c.Y)
	}
	c.Line = strings.TrimSpace(b.String())
	c.Area = fmt.Sprintf("0,%v %s %v,%v", chartHigh, c.Line, chartWide, chartHigh)
	return c
}
