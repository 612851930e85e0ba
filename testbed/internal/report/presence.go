package report

import (
	"image/color"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// chart is a plotter of who was there when: a row for each client, top down, a bar for each span, a mark for each update.
type chart struct {
	spans   []Span
	updates []Update
	index   map[string]int
}

// Plot implements plot.Plotter.
func (c chart) Plot(canvas draw.Canvas, p *plot.Plot) {
	toX, toY := p.Transforms(&canvas)
	half := (toY(1) - toY(0)) * 0.32
	for _, s := range c.spans {
		i := c.index[s.Client]
		y := toY(c.row(i))
		canvas.FillPolygon(soft(palette[i%len(palette)]), canvas.ClipPolygonXY(box(toX(s.From), toX(s.To), y-half, y+half)))
	}
	for _, u := range c.updates {
		i := c.index[u.Client]
		y, line := toY(c.row(i)), draw.LineStyle{Color: palette[i%len(palette)], Width: 0.8}
		if u.Verdict == "accepted" {
			canvas.StrokeLine2(line, toX(u.Seconds), y-half, toX(u.Seconds), y+half)
			continue
		}
		canvas.DrawGlyph(draw.GlyphStyle{Color: color.Black, Radius: 2.5, Shape: draw.CrossGlyph{}}, vg.Point{X: toX(u.Seconds), Y: y})
	}
}

// row is the y value of client i: the first one is on top.
func (c chart) row(i int) float64 { return float64(len(c.index) - 1 - i) }

// DataRange implements plot.DataRanger.
func (c chart) DataRange() (xmin, xmax, ymin, ymax float64) {
	for _, s := range c.spans {
		xmax = max(xmax, s.To)
	}
	for _, u := range c.updates {
		xmax = max(xmax, u.Seconds)
	}
	return 0, max(xmax, 1e-3), -0.5, float64(len(c.index)) - 0.5
}

func box(x0, x1, y0, y1 vg.Length) []vg.Point {
	return []vg.Point{{X: x0, Y: y0}, {X: x1, Y: y0}, {X: x1, Y: y1}, {X: x0, Y: y1}}
}

// soft mixes a colour with white.
func soft(c color.RGBA) color.RGBA {
	blend := func(v uint8) uint8 { return uint8((int(v) + 3*255) / 4) }
	return color.RGBA{blend(c.R), blend(c.G), blend(c.B), 255}
}

// presenceFigure shows who was there when.
func (r *Run) presenceFigure() (Figure, bool) {
	c := chart{r.Spans, r.Updates, r.index()}
	p := figure("seconds", "")
	p.Add(c)
	p.Y.Tick.Marker = clientTicks(r.Clients)
	p.Y.Tick.LineStyle.Width, p.Y.LineStyle.Width = 0, 0
	height := vg.Length(60 + 18*len(r.Clients))
	return Figure{Title: "Who was there when", SVG: svgOf(p, "presence of every client over time", figureWidth, height),
		Caption: "Bar: connected. Line: an update that was folded in. Cross: one that was stale or refused."}, len(r.Spans) > 0
}

// clientTicks label the rows of the chart.
type clientTicks []Client

// Ticks implements plot.Ticker.
func (t clientTicks) Ticks(low, high float64) []plot.Tick {
	var ticks []plot.Tick
	for i, c := range t {
		if v := float64(len(t) - 1 - i); v >= low && v <= high {
			ticks = append(ticks, plot.Tick{Value: v, Label: clip(c.ID, 14)})
		}
	}
	return ticks
}
