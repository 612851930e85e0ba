package data

import (
	"image"
	"image/color"
	"math"
	"math/rand/v2"

	"golang.org/x/image/draw"
	"golang.org/x/image/math/f64"
)

// interval is a closed range from which a value is drawn uniformly.
type interval struct{ Lo, Hi float64 }

func (r interval) draw(rng *rand.Rand) float64 { return r.Lo + (r.Hi-r.Lo)*rng.Float64() }

// ranges bound how a view differs from the drawing it shows.
type ranges struct {
	Scale      []interval // one of these, with equal chances; the size of the drawing
	Rotation   interval   // magnitude in radians; the direction is a coin toss
	Aspect     interval   // the width is multiplied by its root, the height divided
	Shift      interval   // in halves of the width, drawn for each direction
	Saturation interval   // 0 is grey, 1 as drawn
	Gain       interval   // of each colour channel on its own
	Contrast   interval   // about the middle grey
	Brightness interval   // added, as a share of white
}

// trainedViews are the ranges of training views, of the clients and of the frozen model alike (RANGES in
// reference/tinyclip_data.py). unseenViews are those of test views: sizes and angles that no training view has.
var (
	trainedViews = ranges{
		Scale:      []interval{{0.8, 1.2}},
		Rotation:   interval{0, 0.2},
		Aspect:     interval{0.9, 1.1},
		Shift:      interval{-0.15, 0.15},
		Saturation: interval{0.4, 1.5},
		Gain:       interval{0.85, 1.15},
		Contrast:   interval{0.75, 1.2},
		Brightness: interval{-0.1, 0.1},
	}
	unseenViews = func() ranges {
		r := trainedViews
		r.Scale = []interval{{0.65, 0.8}, {1.2, 1.3}}
		r.Rotation = interval{0.2, 0.35}
		return r
	}()
)

// view renders one random view of a drawing within the ranges: the drawing is scaled, turned and shifted on a
// white ground, then its colours are changed. The drawing is not modified.
func view(drawing *image.RGBA, r ranges, src rand.Source) *image.RGBA {
	rng := rand.New(src)
	size := drawing.Bounds().Size()
	dst := image.NewRGBA(image.Rectangle{Max: size})
	draw.Draw(dst, dst.Bounds(), image.White, image.Point{}, draw.Src)
	draw.BiLinear.Transform(dst, r.affine(size, rng), drawing, drawing.Bounds(), draw.Over, nil)
	r.tint(dst, rng)
	return dst
}

// affine draws the map from drawing to view coordinates.
func (r ranges) affine(size image.Point, rng *rand.Rand) f64.Aff3 {
	scale := r.Scale[rng.IntN(len(r.Scale))].draw(rng)
	angle := r.Rotation.draw(rng)
	if rng.IntN(2) == 0 {
		angle = -angle
	}
	aspect := math.Sqrt(r.Aspect.draw(rng))
	return about(size, angle, scale*aspect, scale/aspect, r.Shift.draw(rng), r.Shift.draw(rng))
}

// about is the affine map that scales by sx and sy and turns by angle about the middle of a picture, then moves by
// x and y halves of the picture.
func about(size image.Point, angle, sx, sy, x, y float64) f64.Aff3 {
	cx, cy := float64(size.X)/2, float64(size.Y)/2
	sin, cos := math.Sincos(angle)
	a, b, d, e := cos*sx, -sin*sy, sin*sx, cos*sy
	return f64.Aff3{
		a, b, cx*(1+x) - a*cx - b*cy,
		d, e, cy*(1+y) - d*cx - e*cy,
	}
}

// tint draws and applies the change of colours, in integers.
func (r ranges) tint(img *image.RGBA, rng *rand.Rand) {
	const one = 1 << 10
	fixed := func(r interval, unit float64) int { return int(math.Round(unit * r.draw(rng))) }
	saturation := fixed(r.Saturation, one)
	gain := [3]int{fixed(r.Gain, one), fixed(r.Gain, one), fixed(r.Gain, one)}
	contrast, bright := fixed(r.Contrast, one), fixed(r.Brightness, 255)
	eachPixel(img, func(c color.RGBA) color.RGBA {
		grey := (299*int(c.R) + 587*int(c.G) + 114*int(c.B)) / 1000
		channel := func(v uint8, gain int) uint8 {
			tinted := (grey + (int(v)-grey)*saturation/one) * gain / one
			return level((tinted-128)*contrast/one + 128 + bright)
		}
		return color.RGBA{channel(c.R, gain[0]), channel(c.G, gain[1]), channel(c.B, gain[2]), 255}
	})
}

// eachPixel replaces every pixel of an image whose corner is the origin.
func eachPixel(img *image.RGBA, f func(color.RGBA) color.RGBA) {
	for y := range img.Rect.Dy() {
		for x := range img.Rect.Dx() {
			img.SetRGBA(x, y, f(img.RGBAAt(x, y)))
		}
	}
}

// level clamps a colour level.
func level(v int) uint8 { return uint8(min(max(v, 0), 255)) }
