package data

import (
	"image"
	"image/color"
	"math"
	"math/rand/v2"
	"testing"

	"golang.org/x/image/draw"
	"pgregory.net/rapid"
)

// block is a white picture with a black square of the given half side in its middle.
func block(size, half int) *image.RGBA {
	img := image.NewRGBA(image.Rect(0, 0, size, size))
	draw.Draw(img, img.Bounds(), image.White, image.Point{}, draw.Src)
	draw.Draw(img, image.Rect(size/2-half, size/2-half, size/2+half, size/2+half), image.Black, image.Point{}, draw.Src)
	return img
}

// darkness is the sum of 1 - level over all pixels and the centre of mass of that.
func darkness(img *image.RGBA) (sum, x, y float64) {
	for py := range img.Rect.Dy() {
		for px := range img.Rect.Dx() {
			d := 1 - float64(img.RGBAAt(px, py).R)/255
			sum, x, y = sum+d, x+d*(float64(px)+0.5), y+d*(float64(py)+0.5)
		}
	}
	return sum, x / sum, y / sum
}

var still = ranges{
	Scale: []interval{{1, 1}}, Aspect: interval{1, 1}, Saturation: interval{1, 1}, Gain: interval{1, 1}, Contrast: interval{1, 1},
}

// TestViewGeometry checks size and place of a square against what the ranges say.
func TestViewGeometry(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := still
		scale := rapid.Float64Range(0.6, 1.3).Draw(t, "scale")
		angle := rapid.Float64Range(0, math.Pi/2).Draw(t, "angle")
		shift := rapid.Float64Range(-0.15, 0.15).Draw(t, "shift")
		r.Scale, r.Rotation, r.Shift = []interval{{scale, scale}}, interval{angle, angle}, interval{shift, shift}
		sum, x, y := darkness(view(block(64, 12), r, stream(rapid.Uint64().Draw(t, "seed"), "k")))
		if want := 24 * 24 * scale * scale; math.Abs(sum-want) > 0.03*want {
			t.Fatalf("area %v, want %v", sum, want)
		}
		if want := 32 + 32*shift; math.Abs(x-want) > 0.2 || math.Abs(y-want) > 0.2 {
			t.Fatalf("centre %v, %v, want %v", x, y, want)
		}
	})
}

func TestViewColours(t *testing.T) {
	src := image.NewRGBA(image.Rect(0, 0, 1, 1))
	src.SetRGBA(0, 0, color.RGBA{200, 100, 50, 255})
	grey := still
	grey.Saturation = interval{0, 0}
	bright := still
	bright.Brightness = interval{0.4, 0.4}
	gained := still
	gained.Gain = interval{1.5, 1.5}
	flat := still
	flat.Contrast = interval{0.5, 0.5}
	for _, c := range []struct {
		r    ranges
		want color.RGBA
	}{
		{still, color.RGBA{200, 100, 50, 255}},
		{grey, color.RGBA{124, 124, 124, 255}},   // 0.299*200 + 0.587*100 + 0.114*50
		{bright, color.RGBA{255, 202, 152, 255}}, // 0.4 of 255 is 102
		{gained, color.RGBA{255, 150, 75, 255}},
		{flat, color.RGBA{164, 114, 89, 255}}, // half way to 128
	} {
		img := image.NewRGBA(src.Rect)
		copy(img.Pix, src.Pix)
		c.r.tint(img, rand.New(rand.NewPCG(1, 1)))
		if got := img.RGBAAt(0, 0); got != c.want {
			t.Errorf("%v, want %v", got, c.want)
		}
	}
}

// TestUnseenRanges checks that no test view could be a training view.
func TestUnseenRanges(t *testing.T) {
	for _, s := range unseenViews.Scale {
		for _, trained := range trainedViews.Scale {
			if s.Lo < trained.Hi && s.Hi > trained.Lo {
				t.Errorf("test sizes %v overlap training sizes %v", s, trained)
			}
		}
	}
	if unseenViews.Rotation.Lo < trainedViews.Rotation.Hi {
		t.Errorf("test angles %v overlap training angles %v", unseenViews.Rotation, trainedViews.Rotation)
	}
}

func TestLooks(t *testing.T) {
	// A tile with one grey quarter: its top right.
	tile := image.NewRGBA(image.Rect(0, 0, 28, 28))
	draw.Draw(tile, tile.Rect, image.Black, image.Point{}, draw.Src)
	draw.Draw(tile, image.Rect(14, 0, 28, 14), image.NewUniform(color.Gray{Y: 200}), image.Point{}, draw.Src)
	for _, c := range []struct {
		look           int
		nw, ne, sw, se uint8
	}{
		{0, 0, 200, 0, 0},
		{1, 0, 0, 0, 200}, // clockwise
		{2, 255, 55, 255, 255},
		{3, 0, 0, 200, 0},
		{4, 110, 160, 110, 110},
		{6, 55, 255, 255, 255},
		{8, 0, 255, 0, 0},
		{9, 145, 95, 145, 145},
	} {
		got := looks[c.look].apply(tile)
		for i, p := range []struct {
			x, y int
			want uint8
		}{{7, 7, c.nw}, {21, 7, c.ne}, {7, 21, c.sw}, {21, 21, c.se}} {
			if v := got.RGBAAt(p.x, p.y); v != (color.RGBA{p.want, p.want, p.want, 255}) {
				t.Errorf("%s, quarter %d: %v, want %d", looks[c.look].words, i, v, p.want)
			}
		}
	}
	if v := looks[7].apply(tile).RGBAAt(26, 2); v.R != 0 {
		t.Errorf("far away: the corner is %v", v)
	}
}
