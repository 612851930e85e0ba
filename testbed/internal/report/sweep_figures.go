package report

import (
	"cmp"
	"fmt"
	"html/template"
	"image/color"
	"math"
	"slices"
	"strings"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// glyphs and colours tell methods and rules apart, each by itself.
var glyphs = []draw.GlyphDrawer{draw.CircleGlyph{}, draw.SquareGlyph{}, draw.TriangleGlyph{}, draw.PyramidGlyph{}, draw.BoxGlyph{}, draw.RingGlyph{}, draw.CrossGlyph{}}

// plotted is the order of colours: the paper's method first, so that it is the same one everywhere.
var plotted = []string{"dpfpl", "promptfl", "fedotp", "fedpgp", "dplora"}

func glyph(i int) draw.GlyphStyle {
	return draw.GlyphStyle{Color: palette[i%len(palette)], Radius: 3.2, Shape: glyphs[i%len(glyphs)]}
}

// key is a plot's legend: it stands beside the plot, where it wraps on a narrow screen.
type key struct {
	Mark template.HTML
	Name string
}

// stamp draws a glyph on a piece of its line.
func stamp(g *draw.GlyphStyle, line draw.LineStyle) template.HTML {
	return svgCanvas(26, 10, func(c draw.Canvas) {
		c.StrokeLine2(line, 0, 5, 26, 5)
		if g != nil {
			c.DrawGlyph(*g, vg.Point{X: 13, Y: 5})
		}
	}, `class="stroke" aria-hidden="true"`)
}

// mark is a cell's values as they are drawn.
type mark struct {
	x, y, dx, dy float64
	label        string
}

// marks adds points with error bars, joined in their order, and labels on the right (1) or the left (-1), or none (0).
func marks(p *plot.Plot, points []mark, g draw.GlyphStyle, line draw.LineStyle, side int) {
	points = slices.DeleteFunc(slices.Clone(points), func(m mark) bool { return math.IsNaN(m.x+m.y) || math.IsInf(m.x+m.y, 0) })
	if len(points) == 0 {
		return
	}
	xy := make(plotter.XYs, len(points))
	labels := make([]string, len(points))
	for i, m := range points {
		xy[i], labels[i] = plotter.XY{X: m.x, Y: m.y}, m.label
	}
	if l, err := plotter.NewLine(xy); err == nil {
		l.LineStyle = line
		p.Add(l)
	}
	p.Add(bars{points, draw.LineStyle{Color: g.Color, Width: 0.8}})
	if s, err := plotter.NewScatter(xy); err == nil {
		s.GlyphStyle = g
		p.Add(s)
	}
	if side != 0 {
		tell(p, plotter.XYLabels{XYs: xy, Labels: labels}, g.Color, side)
	}
}

// tell writes labels in a colour, on the right (1) or the left (-1) of their points.
func tell(p *plot.Plot, at plotter.XYLabels, c color.Color, side int) {
	l, err := plotter.NewLabels(at)
	if err != nil {
		return // not finite: marks left nothing to draw
	}
	for i := range l.TextStyle {
		style := &l.TextStyle[i]
		style.Font.Size, style.Font.Typeface, style.Font.Variant, style.Handler = 9, "Liberation", "Sans", plot.DefaultTextHandler
		style.Color = c
		if side < 0 {
			style.XAlign = text.XRight
		}
	}
	l.Offset = vg.Point{X: vg.Length(5 * side), Y: vg.Length(3 * side)}
	p.Add(l)
}

// bars is a plotter of deviations, in both directions.
type bars struct {
	points []mark
	line   draw.LineStyle
}

// Plot implements plot.Plotter.
func (b bars) Plot(c draw.Canvas, p *plot.Plot) {
	x, y := p.Transforms(&c)
	const cap = 2
	for _, m := range b.points {
		if m.dx > 0 {
			l, r, at := x(m.x-m.dx), x(m.x+m.dx), y(m.y)
			c.StrokeLine2(b.line, l, at, r, at)
			c.StrokeLine2(b.line, l, at-cap, l, at+cap)
			c.StrokeLine2(b.line, r, at-cap, r, at+cap)
		}
		if m.dy > 0 {
			l, h, at := y(m.y-m.dy), y(m.y+m.dy), x(m.x)
			c.StrokeLine2(b.line, at, l, at, h)
			c.StrokeLine2(b.line, at-cap, l, at+cap, l)
			c.StrokeLine2(b.line, at-cap, h, at+cap, h)
		}
	}
}

// DataRange implements plot.DataRanger.
func (b bars) DataRange() (xmin, xmax, ymin, ymax float64) {
	xmin, xmax, ymin, ymax = math.Inf(1), math.Inf(-1), math.Inf(1), math.Inf(-1)
	for _, m := range b.points {
		dx, dy := max(m.dx, 0), max(m.dy, 0) // an unknown deviation has no bar
		xmin, xmax, ymin, ymax = min(xmin, m.x-dx), max(xmax, m.x+dx), min(ymin, m.y-dy), max(ymax, m.y+dy)
	}
	return xmin, xmax, ymin, ymax
}

// within leaves some room around the points of an axis of percentages.
func within(a *plot.Axis) {
	room := max(0.01, 0.06*(a.Max-a.Min))
	a.Min, a.Max = max(0, a.Min-room), min(1, a.Max+room)
	a.Tick.Marker = ticks{100, 1}
}

func deviation(s spread) float64 {
	if !s.Std.Known() {
		return 0
	}
	return float64(s.Std)
}

// byMethod divides cells by method, in the order of colours. Of a method that was run at several ranks, rules or lengths, only
// those that go with the paper's rank are drawn, and of them the first.
func byMethod(cells []*cell) (names []string, of map[string][]*cell) {
	of = map[string][]*cell{}
	for _, c := range cells {
		if !slices.Contains(names, c.Method) {
			names = append(names, c.Method)
		}
	}
	for _, name := range names {
		var own []*cell
		for _, c := range cells {
			if c.Method == name {
				own = append(own, c)
			}
		}
		if i := slices.IndexFunc(own, func(c *cell) bool { return c.Rank == publishedRank }); i > 0 {
			own[0], own[i] = own[i], own[0]
		}
		first := own[0]
		of[name] = slices.DeleteFunc(slices.Clone(own), func(c *cell) bool {
			return c.Rank != first.Rank || c.Rule != first.Rule
		})
		slices.SortStableFunc(of[name], func(a, b *cell) int { return cmp.Compare(b.Nominal, a.Nominal) })
		of[name] = slices.CompactFunc(of[name], func(a, b *cell) bool { return a.Nominal == b.Nominal })
	}
	slices.SortStableFunc(names, func(a, b string) int { return cmp.Compare(place(plotted, a), place(plotted, b)) })
	return names, of
}

// figures are the plots of one mode.
func (s *scene) figures(mode string) []Figure {
	var all []Figure
	cells, _ := s.plain(mode)
	cells = slices.DeleteFunc(cells, func(c *cell) bool { return !c.local.Mean.Known() })
	for _, draw := range []func([]*cell, string) (Figure, bool){s.scatterFigure, s.harmonicFigure} {
		if f, ok := draw(cells, mode); ok {
			all = append(all, f)
		}
	}
	return all
}

// scatterFigure is local against neighbour accuracy.
func (s *scene) scatterFigure(cells []*cell, _ string) (Figure, bool) {
	p := figure("local accuracy, %", "accuracy on neighbours' classes, %")
	f := Figure{Title: "Local against neighbour accuracy"}
	names, of := byMethod(slices.DeleteFunc(slices.Clone(cells), func(c *cell) bool { return c.control() || !c.neighbour.Mean.Known() }))
	for _, name := range names {
		i := place(plotted, name)
		var points []mark
		for _, c := range of[name] {
			points = append(points, mark{float64(c.local.Mean), float64(c.neighbour.Mean), deviation(c.local), deviation(c.neighbour), c.nominal()})
		}
		line := draw.LineStyle{Color: palette[i%len(palette)], Width: 0.6}
		g := glyph(i)
		marks(p, points, g, line, 1-2*(i%2))
		f.Keys = append(f.Keys, key{stamp(&g, line), name})
	}
	noise := draw.GlyphStyle{Color: grey, Radius: 3, Shape: draw.PlusGlyph{}}
	var controls []mark
	for _, c := range cells {
		if c.control() && c.neighbour.Mean.Known() {
			controls = append(controls, mark{float64(c.local.Mean), float64(c.neighbour.Mean), 0, 0, ""})
		}
	}
	if len(controls) > 0 {
		marks(p, controls, noise, draw.LineStyle{}, 0)
		f.Keys = append(f.Keys, key{stamp(&noise, draw.LineStyle{}), "noise only"})
	}
	if z := s.zero; z != nil && z.neighbour.Mean.Known() {
		g := draw.GlyphStyle{Color: color.Black, Radius: 4.5, Shape: draw.CrossGlyph{}}
		marks(p, []mark{{float64(z.local.Mean), float64(z.neighbour.Mean), deviation(z.local), deviation(z.neighbour), ""}}, g, draw.LineStyle{}, 0)
		f.Keys = append(f.Keys, key{stamp(&g, draw.LineStyle{}), "zero-shot"})
	}
	within(&p.X)
	within(&p.Y)
	f.SVG = svgOf(p, "local against neighbour accuracy of every method and ε", figureWidth, 300)
	f.Caption = "A method's points are joined from no noise to the smallest ε, which stands beside each. Bars: deviation over seeds. Up and right is better."
	return f, len(names) > 0
}

// harmonicFigure is the harmonic mean over ε, which are set at equal distances; local accuracy where nobody has neighbours.
func (s *scene) harmonicFigure(cells []*cell, mode string) (Figure, bool) {
	what, of := "harmonic mean, %", func(c *cell) spread { return c.harmonic }
	if !slices.ContainsFunc(cells, func(c *cell) bool { return c.harmonic.Mean.Known() }) {
		what, of = "local accuracy, %", func(c *cell) spread { return c.local }
	}
	epsilons := nominals(cells)
	slices.Sort(epsilons)
	label := "ε asked for"
	if mode == modes[1] {
		label = "ε claimed"
	}
	p := figure(label, what)
	f := Figure{Title: strings.ToUpper(what[:1]) + strings.TrimSuffix(what[1:], ", %") + " over ε"}
	names, members := byMethod(slices.DeleteFunc(slices.Clone(cells), (*cell).control))
	series := func(i int, name string, cells []*cell, control bool) {
		var points []mark
		for _, c := range cells {
			shift := 0.05 * (float64(i) - float64(len(plotted)-1)/2) // so that bars do not lie on each other
			points = append(points, mark{float64(slices.Index(epsilons, c.Nominal)) + shift, float64(of(c).Mean), 0, deviation(of(c)), ""})
		}
		g, line := glyph(i), draw.LineStyle{Color: palette[i%len(palette)], Width: 1.5}
		if control {
			g.Radius, line.Width, line.Dashes = 1.8, 0.8, dotted
			name += ", noise only"
		}
		marks(p, points, g, line, 0)
		f.Keys = append(f.Keys, key{stamp(&g, line), name})
	}
	for _, name := range names {
		series(place(plotted, name), name, members[name], false)
	}
	controls, noise := byMethod(slices.DeleteFunc(slices.Clone(cells), func(c *cell) bool { return !c.NoiseOnly }))
	for _, name := range controls {
		series(place(plotted, name), name, noise[name], true)
	}
	x := []float64{-0.3, float64(len(epsilons)) - 0.7}
	if s.zero != nil {
		line := draw.LineStyle{Color: color.Black, Width: 1.2, Dashes: dashed}
		level(p, x, of(s.zero).Mean, line, "")
		f.Keys = append(f.Keys, key{stamp(nil, line), "zero-shot"})
	}
	p.X.Min, p.X.Max = x[0], x[1]
	within(&p.Y)
	p.X.Tick.Marker = named(epsilons)
	f.SVG = svg(p, f.Title)
	f.Caption = "Mean over seeds; bars: their deviation."
	return f, len(names) > 0
}

// named are ticks at 0, 1, … with the ε that stand there.
type named []float64

// Ticks implements plot.Ticker.
func (n named) Ticks(low, high float64) []plot.Tick {
	var t []plot.Tick
	for i, epsilon := range n {
		t = append(t, plot.Tick{Value: float64(i), Label: setting{Nominal: epsilon}.nominal()})
	}
	return t
}

// raceFigures are local accuracy over virtual time, a plot for each cast and a line for each rule.
func (l *ledger) raceFigures(s *scene, r *race) []Figure {
	var all []Figure
	goals := r.goals(l.target())
	var targets []Number
	for _, seed := range s.seeds {
		if g, have := goals[seed]; have {
			targets = append(targets, g)
		}
	}
	for _, cast := range r.casts() {
		p := figure("virtual seconds", "local accuracy, %")
		f := Figure{Title: "Local accuracy over time, " + cmp.Or(cast, "all alike")}
		end := 0.0
		for _, c := range r.cells {
			if c.Cast != cast {
				continue
			}
			x, y := c.course()
			i := place(rules, c.Rule)
			line := draw.LineStyle{Color: palette[i%len(palette)], Width: 1.8, Dashes: strokes[i%len(strokes)]}
			if curve(p, x, y, line, "") {
				f.Keys = append(f.Keys, key{stamp(nil, line), c.Rule})
				end = max(end, x[len(x)-1])
			}
		}
		if f.Keys == nil {
			continue
		}
		thin := draw.LineStyle{Color: color.Black, Width: 0.8, Dashes: dashed}
		if s.zero != nil {
			level(p, []float64{0, end}, s.zero.local.Mean, thin, "")
			f.Keys = append(f.Keys, key{stamp(nil, thin), "zero-shot"})
		}
		if len(targets) > 0 {
			line := draw.LineStyle{Color: grey, Width: 1.2, Dashes: dotted}
			level(p, []float64{0, end}, spreadOf(targets).Mean, line, "")
			f.Keys = append(f.Keys, key{stamp(nil, line), "target"})
		}
		within(&p.Y)
		p.X.Min = 0
		f.SVG = svg(p, fmt.Sprintf("local accuracy over virtual time for every rule, %s", cmp.Or(cast, "all alike")))
		f.Caption = r.title() + ". Mean over seeds of what each had reached at that time."
		all = append(all, f)
	}
	return all
}

func (r *race) casts() []string {
	var all []string
	for _, c := range r.cells {
		if !slices.Contains(all, c.Cast) {
			all = append(all, c.Cast)
		}
	}
	return all
}

// course is the mean over trials of local accuracy as it stood at each time at which one of them changed, from when all
// have begun to when the first one ends.
func (c *cell) course() (x, y []float64) {
	var runs [][]Moment
	var times []float64
	begin, end := 0.0, math.Inf(1)
	for i := range c.trials {
		var run []Moment
		for _, m := range c.trials[i].Course {
			if m.Seconds.Known() && m.Local.Known() {
				run = append(run, m)
				times = append(times, float64(m.Seconds))
			}
		}
		if len(run) > 0 {
			runs = append(runs, run)
			begin, end = max(begin, float64(run[0].Seconds)), min(end, float64(run[len(run)-1].Seconds))
		}
	}
	slices.Sort(times)
	for _, at := range slices.Compact(times) {
		if at < begin || at > end {
			continue
		}
		sum := 0.0
		for _, run := range runs {
			i, found := slices.BinarySearchFunc(run, at, func(m Moment, at float64) int { return cmp.Compare(float64(m.Seconds), at) })
			if !found {
				i--
			}
			sum += float64(run[i].Local)
		}
		x, y = append(x, at), append(y, sum/float64(len(runs)))
	}
	return x, y
}
