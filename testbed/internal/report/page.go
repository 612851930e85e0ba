package report

import (
	"bytes"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"image"
	"image/png"
	"math"
	"strings"

	"dpfpl/mathx/metrics"
)

//go:embed page.html
var pageSource string

var pageTemplate = template.Must(template.Must(template.New("page").Funcs(template.FuncMap{
	"percent": percent, "points": points, "epsilon": epsilon, "bytes": bytesize, "duration": duration,
	"join": func(names []string) string { return strings.Join(names, ", ") },
	"sub":  func(a, b Number) Number { return a - b },
	"sort": sortKey, "list": func(i ...any) []any { return i },
	"style": style, "sorter": sorter,
}).Parse(pageSource)).Parse(figuresSource))

// view is what the page's template sees.
type view struct {
	*Run
	Title     string
	Sentences []string
	Figures   []Figure
	Rows      []clientRow
	Pictures  []specimen
	Facts     []fact
}

type clientRow struct {
	Client
	Line     template.HTML // a sample of the client's stroke
	Interval string        // 95 % interval of its local accuracy
	Gain     Number
}

type specimen struct {
	Specimen
	Source         template.URL
	Was, Is        bool // before and after were right
	Mark, MarkThen string
}

type fact struct{ Name, Value string }

// page renders report.html.
func (r *Run) page() ([]byte, error) {
	r.FillMeans()
	v := view{Run: r, Title: r.title(), Sentences: r.pageSentences(), Figures: r.figures(), Facts: r.facts()}
	for i, c := range r.Clients {
		v.Rows = append(v.Rows, clientRow{Client: c, Line: sample(i), Interval: interval(c.Local, c.TestPictures), Gain: c.Local - c.ZeroShotLocal})
	}
	for i := range r.Gallery {
		s, err := show(&r.Gallery[i])
		if err != nil {
			return nil, err
		}
		v.Pictures = append(v.Pictures, s)
	}
	var b bytes.Buffer
	err := pageTemplate.Execute(&b, v)
	return b.Bytes(), err
}

// pageSentences are those of the terminal without the fates, which the page has in its table.
func (r *Run) pageSentences() []string {
	return append([]string{r.outcome(), r.privacy()}, r.Notes...)
}

// interval is Wilson's 95 % interval of an accuracy over n pictures.
func interval(accuracy Number, n int) string {
	if !accuracy.Known() || n == 0 {
		return ""
	}
	lo, hi := metrics.Wilson(min(n, int(math.Round(float64(accuracy)*float64(n)))), n, 0.95)
	return fmt.Sprintf("%.0f–%.0f", 100*lo, 100*hi)
}

// sample draws a client's stroke.
func sample(i int) template.HTML { return stamp(nil, stroke(i)) }

// show encodes a picture of the gallery.
func show(s *Specimen) (specimen, error) {
	if s.Image == nil {
		s.Image = image.NewGray(image.Rect(0, 0, 1, 1))
	}
	var b bytes.Buffer
	if err := png.Encode(&b, s.Image); err != nil {
		return specimen{}, err
	}
	mark := func(right bool) string {
		if right {
			return "✓"
		}
		return "✗"
	}
	was, is := s.Before == s.Truth, s.After == s.Truth
	return specimen{Specimen: *s, Source: template.URL("data:image/png;base64," + base64.StdEncoding.EncodeToString(b.Bytes())),
		Was: was, Is: is, Mark: mark(is), MarkThen: mark(was)}, nil
}

// facts are the run's settings and digests.
func (r *Run) facts() []fact {
	f := []fact{
		{"run", r.Run}, {"seed", fmt.Sprint(r.Seed)}, {"data", fmt.Sprintf("%s, %d class names", r.Data, r.Classes)},
		{"local test", r.LocalTest}, {"one record", r.Record},
		{"method", fmt.Sprintf("%s, rank %d", r.Method, r.Rank)}, {"rule", r.Rule}, {"versions", fmt.Sprint(r.Versions)},
		{"noise", r.Noise},
	}
	if r.Noise != NoiseNone {
		f = append(f, fact{"budget", fmt.Sprintf("ε = %s, δ = %g, adjacency %s", epsilon(r.EpsilonBudget), r.Delta, r.Adjacency)})
	}
	if r.VirtualSeconds != nil {
		f = append(f, fact{"virtual time", duration(float64(*r.VirtualSeconds))})
	}
	if r.WallSeconds != nil && !r.Virtual {
		f = append(f, fact{"wall time", duration(float64(*r.WallSeconds))})
	}
	f = append(f, fact{"plan", r.PlanDigest}, fact{"frozen model", r.BackboneDigest}, fact{"log", r.LogDigest})
	if n := len(r.ModelDigests); n > 0 {
		f = append(f, fact{"last prompt", r.ModelDigests[n-1]})
	}
	return f
}

// sortKey is what a cell sorts by: the number itself, or nothing if it is unknown.
func sortKey(n any) string {
	switch v := n.(type) {
	case Number:
		if !v.Known() {
			return ""
		}
		return fmt.Sprintf("%g", float64(v))
	default:
		return fmt.Sprint(v)
	}
}
