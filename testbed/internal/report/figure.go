package report

import (
	"bytes"
	"fmt"
	"html/template"
	"image/color"
	"math"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgsvg"
)

// Figures are small so that their letters stay readable when a phone scales them down.
const (
	figureWidth  = 400 * vg.Length(1)
	figureHeight = 250 * vg.Length(1)
)

// palette is colours that differ in print and for the colour-blind (Okabe and Ito, extended).
var palette = []color.RGBA{
	{0, 114, 178, 255}, {213, 94, 0, 255}, {0, 158, 115, 255}, {170, 68, 153, 255}, {230, 159, 0, 255},
	{86, 180, 233, 255}, {0, 0, 0, 255}, {136, 34, 85, 255}, {153, 153, 51, 255}, {120, 120, 120, 255},
}

var (
	grey    = color.RGBA{110, 110, 110, 255}
	pale    = color.RGBA{225, 225, 225, 255}
	dashed  = []vg.Length{5, 3}
	dotted  = []vg.Length{1.5, 2.5}
	strokes = [][]vg.Length{nil, dashed, dotted}
)

// stroke is client i's line: colours first, then dashes, so that fifteen clients differ even on a grey print.
func stroke(i int) draw.LineStyle {
	return draw.LineStyle{Color: palette[i%len(palette)], Width: 1.5, Dashes: strokes[i/5%len(strokes)]}
}

// figure starts a plot with our fonts, colours and a grid.
func figure(x, y string) *plot.Plot {
	p := plot.New()
	face := func(size font.Length) text.Style {
		return text.Style{Color: color.Black, Font: font.From(font.Font{Typeface: "Liberation", Variant: "Sans"}, size), Handler: plot.DefaultTextHandler}
	}
	for _, axis := range []*plot.Axis{&p.X, &p.Y} {
		xalign, yalign, rotation := axis.Tick.Label.XAlign, axis.Tick.Label.YAlign, axis.Label.TextStyle.Rotation
		labelX, labelY := axis.Label.TextStyle.XAlign, axis.Label.TextStyle.YAlign
		axis.Label.TextStyle, axis.Tick.Label = face(11), face(11)
		axis.Tick.Label.XAlign, axis.Tick.Label.YAlign = xalign, yalign
		axis.Label.TextStyle.XAlign, axis.Label.TextStyle.YAlign, axis.Label.TextStyle.Rotation = labelX, labelY, rotation
		axis.LineStyle.Color, axis.Tick.LineStyle.Color = grey, grey
		axis.Tick.Marker = ticks{1, math.Inf(1)}
	}
	p.Legend.TextStyle = face(11)
	p.Legend.Top, p.Legend.Padding = true, 2
	p.X.Label.Text, p.Y.Label.Text = x, y
	grid := plotter.NewGrid()
	grid.Vertical.Color, grid.Horizontal.Color = pale, pale
	p.Add(grid)
	return p
}

// curve adds a line to p, broken where y is NaN, and returns whether it has any point. A point on its own is a dot.
func curve(p *plot.Plot, x, y []float64, style draw.LineStyle, name string) bool {
	var legend *plotter.Line
	for _, piece := range pieces(x, y) {
		line, err := plotter.NewLine(piece)
		if err != nil {
			continue // not finite: pieces left nothing to draw
		}
		line.LineStyle = style
		p.Add(line)
		legend = line
		if len(piece) == 1 {
			dot, err := plotter.NewScatter(piece)
			if err == nil {
				dot.GlyphStyle = draw.GlyphStyle{Color: style.Color, Radius: 2, Shape: draw.CircleGlyph{}}
				p.Add(dot)
			}
		}
	}
	if legend != nil && name != "" {
		p.Legend.Add(name, legend)
	}
	return legend != nil
}

// pieces are the runs of points with finite coordinates.
func pieces(x, y []float64) []plotter.XYs {
	var all []plotter.XYs
	open := false
	for i := range x {
		if math.IsNaN(x[i]+y[i]) || math.IsInf(x[i]+y[i], 0) {
			open = false
			continue
		}
		if !open {
			all, open = append(all, nil), true
		}
		all[len(all)-1] = append(all[len(all)-1], plotter.XY{X: x[i], Y: y[i]})
	}
	return all
}

// level adds a horizontal line across the plot.
func level(p *plot.Plot, x []float64, at Number, style draw.LineStyle, name string) {
	if !at.Known() || len(x) == 0 {
		return
	}
	curve(p, []float64{x[0], x[len(x)-1]}, []float64{float64(at), float64(at)}, style, name)
}

// svg draws the plot as an element that takes the width it is given.
func svg(p *plot.Plot, label string) template.HTML { return svgOf(p, label, figureWidth, figureHeight) }

func svgOf(p *plot.Plot, label string, width, height vg.Length) template.HTML {
	return svgCanvas(width, height, p.Draw, `role="img" aria-label="`+template.HTMLEscapeString(label)+`"`)
}

// svgCanvas draws an element with the attributes given. Its colours are the style sheet's where that names them.
func svgCanvas(width, height vg.Length, draws func(draw.Canvas), attributes string) template.HTML {
	canvas := vgsvg.NewWith(vgsvg.UseWH(width, height))
	draws(draw.New(canvas))
	var b bytes.Buffer
	if _, err := canvas.WriteTo(&b); err != nil {
		panic(err) // a bytes.Buffer does not fail
	}
	body := b.String()
	body = body[strings.Index(body, "\n\txmlns:xlink"):]
	body = body[strings.IndexByte(body, '>'):]
	head := fmt.Sprintf(`<svg viewBox="0 0 %g %g" %s`, float64(width), float64(height), attributes)
	return template.HTML(head + restyle.Replace(body)) // made here of numbers and escaped strings
}

// restyle names colours, so that the style sheet can change them for a dark screen; what it doesn't name stays as drawn.
var restyle = func() *strings.Replacer {
	swaps := []string{"font-family:Liberation Sans;font-variant:normal;font-weight:normal;font-style:normal;", ""}
	name := func(c color.RGBA, variable string) {
		hex := fmt.Sprintf("#%02X%02X%02X", c.R, c.G, c.B)
		for _, property := range []string{"fill:", "stroke:"} {
			swaps = append(swaps, property+hex, fmt.Sprintf("%svar(--%s,%s)", property, variable, hex))
		}
	}
	for i, c := range palette {
		if c != (color.RGBA{A: 255}) {
			name(c, fmt.Sprintf("c%d", i))
		}
		name(soft(c), fmt.Sprintf("s%d", i))
	}
	name(color.RGBA{A: 255}, "ink")
	name(grey, "axis")
	name(pale, "grid")
	swaps = append(swaps, "fill:#FFFFFF", "fill:none")
	return strings.NewReplacer(swaps...)
}()

// ticks marks about six round values of an axis, none above top, labelled in units of 1/scale.
type ticks struct{ scale, top float64 }

// Ticks implements plot.Ticker.
func (t ticks) Ticks(low, high float64) []plot.Tick {
	high = min(high, t.top)
	step := roundStep((high-low)*t.scale/6) / t.scale
	if !(step > 0) || math.IsInf(step, 0) {
		return nil
	}
	var marks []plot.Tick
	for i := math.Ceil(low/step-1e-9) + 0; i*step <= high+step*1e-9; i++ { // + 0 turns -0 into 0
		marks = append(marks, plot.Tick{Value: i * step, Label: fmt.Sprintf("%.6g", i*step*t.scale)})
	}
	return marks
}

// roundStep is the smallest of 1, 2, 5, 10, … that is not below v.
func roundStep(v float64) float64 {
	power := math.Pow(10, math.Floor(math.Log10(v)))
	for _, m := range []float64{1, 2, 5} {
		if m*power >= v*(1-1e-9) {
			return m * power
		}
	}
	return 10 * power
}
