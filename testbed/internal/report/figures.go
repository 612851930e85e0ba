package report

import (
	"fmt"
	"html/template"
	"math"

	"dpfpl/mathx/metrics"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// Figure is a plot with its caption.
type Figure struct {
	Title   string
	SVG     template.HTML
	Keys    []key // its legend, where that stands beside the plot
	Caption string
}

// figures are all plots for which the run has data.
func (r *Run) figures() []Figure {
	var all []Figure
	for _, draw := range []func() (Figure, bool){r.meanFigure, r.epsilonFigure, r.ownFigure, r.neighbourFigure, r.stalenessFigure, r.presenceFigure} {
		if f, ok := draw(); ok {
			all = append(all, f)
		}
	}
	return all
}

// versions are the x values of the points that have the series.
func (r *Run) versions(of func(*Point) []float64) (x []float64, series [][]float64) {
	for i := range r.Series {
		if s := of(&r.Series[i]); s != nil {
			x, series = append(x, float64(r.Series[i].Version)), append(series, s)
		}
	}
	return x, series
}

// knownMean is the mean of the values that are known.
func knownMean(values []float64) float64 {
	var known []float64
	for _, v := range values {
		if !math.IsNaN(v) {
			known = append(known, v)
		}
	}
	mean, _ := metrics.MeanStd(known)
	return mean
}

func column(series [][]float64, i int) []float64 {
	c := make([]float64, len(series))
	for at := range series {
		c[at] = series[at][i]
	}
	return c
}

func means(series [][]float64) []float64 {
	m := make([]float64, len(series))
	for i := range series {
		m[i] = knownMean(series[i])
	}
	return m
}

func (r *Run) meanFigure() (Figure, bool) {
	p := figure("version of the global prompt", "accuracy, %")
	own, other := draw.LineStyle{Color: palette[0], Width: 2}, draw.LineStyle{Color: palette[1], Width: 2}
	x, local := r.versions(func(p *Point) []float64 { return p.Local })
	any := curve(p, x, means(local), own, "own classes")
	level(p, x, r.Mean.ZeroShotLocal, dash(own), "own, zero-shot")
	xn, neighbour := r.versions(func(p *Point) []float64 { return p.Neighbour })
	any = curve(p, xn, means(neighbour), other, "neighbours' classes") || any
	level(p, xn, r.Mean.ZeroShotNeighbour, dash(other), "neighbours', zero-shot")
	if r.NoiseOnly != nil {
		level(p, x, r.NoiseOnly.Local, draw.LineStyle{Color: grey, Width: 1.5, Dashes: dotted}, "own, noise only")
	}
	shares(p, 0.45)
	return Figure{Title: "Accuracy, mean over clients", SVG: svg(p, "mean accuracy over versions"),
		Caption: "Solid: with each client's personal prompt. Dashed: the frozen model with a fixed context (zero-shot)."}, any
}

func dash(l draw.LineStyle) draw.LineStyle {
	l.Width, l.Dashes = 1.5, dashed
	return l
}

// shares sets up a y axis of percentages, with room for a legend above the curves.
func shares(p *plot.Plot, room float64) {
	p.Y.Min = max(0, math.Floor(10*p.Y.Min)/10)
	p.Y.Max = min(1, p.Y.Max) + room*max(0.1, min(1, p.Y.Max)-p.Y.Min)
	p.Y.Tick.Marker = ticks{100, 1}
}

func (r *Run) ownFigure() (Figure, bool) {
	return r.clientFigure("own", func(p *Point) []float64 { return p.Local })
}

func (r *Run) neighbourFigure() (Figure, bool) {
	return r.clientFigure("neighbours'", func(p *Point) []float64 { return p.Neighbour })
}

// clientFigure has a curve for each client.
func (r *Run) clientFigure(whose string, of func(*Point) []float64) (Figure, bool) {
	p := figure("version of the global prompt", "accuracy, %")
	x, series := r.versions(of)
	any := false
	for i := range r.Clients {
		if len(series) > 0 {
			any = curve(p, x, column(series, i), stroke(i), "") || any
		}
	}
	shares(p, 0.05)
	return Figure{Title: "Accuracy of every client, " + whose + " classes", SVG: svg(p, "accuracy of every client on "+whose+" classes"),
		Caption: "With its personal prompt, among all class names."}, any
}

func (r *Run) epsilonFigure() (Figure, bool) {
	p := figure("seconds", "ε spent")
	var x []float64
	var spent [][]float64
	for _, point := range r.Series {
		if point.Epsilon != nil {
			x, spent = append(x, point.Seconds), append(spent, point.Epsilon)
		}
	}
	any := false
	for i := range r.Clients {
		if len(spent) > 0 {
			any = curve(p, x, column(spent, i), stroke(i), "") || any
		}
	}
	level(p, x, r.EpsilonBudget, draw.LineStyle{Color: palette[1], Width: 2, Dashes: dashed}, "budget")
	p.Y.Min = 0
	p.Y.Max *= 1.15
	return Figure{Title: "Privacy spent", SVG: svg(p, "epsilon of every client over time"),
		Caption: fmt.Sprintf("Rényi accounting at δ = %g. A client pays for every batch it draws, also where its update came too late.", r.Delta)}, any && r.Noise != NoiseNone
}

func (r *Run) stalenessFigure() (Figure, bool) {
	most := 0
	for _, u := range r.Updates {
		most = max(most, u.Staleness)
	}
	most = min(most, 40)
	bars := map[string]plotter.Values{"accepted": make(plotter.Values, most+1), "stale": make(plotter.Values, most+1)}
	for _, u := range r.Updates {
		if b, ok := bars[u.Verdict]; ok {
			b[min(max(u.Staleness, 0), most)]++
		}
	}
	p := figure("staleness in versions", "updates")
	width := 0.7 * (figureWidth - 60) / vg.Length(most+2)
	var below *plotter.BarChart
	for i, verdict := range []string{"accepted", "stale"} {
		b, err := plotter.NewBarChart(bars[verdict], width)
		if err != nil {
			return Figure{}, false
		}
		b.Color, b.LineStyle.Width = palette[i], 0
		if below != nil {
			b.StackOn(below)
		}
		below = b
		p.Add(b)
		p.Legend.Add(verdict, b)
	}
	p.X.Min, p.X.Max, p.Y.Min = -0.6, float64(most)+0.6, 0
	return Figure{Title: "Staleness of updates", SVG: svg(p, "number of updates by staleness"),
		Caption: "How many versions the global prompt had moved on when an update was folded in, or was too old to be."}, len(r.Updates) > 0
}
