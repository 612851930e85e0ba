package clip

import (
	"image"
	"image/color"
)

// opaque copies an image as its colours without alpha. Sixteen-bit channels
// keep their high byte.
func opaque(img image.Image) *image.RGBA {
	b := img.Bounds()
	out := image.NewRGBA(image.Rect(0, 0, b.Dx(), b.Dy()))
	colour := colours(img)
	for y := range b.Dy() {
		row := out.Pix[y*out.Stride:][:4*b.Dx()]
		for x := range b.Dx() {
			c := colour(b.Min.X+x, b.Min.Y+y)
			row[4*x], row[4*x+1], row[4*x+2], row[4*x+3] = c[0], c[1], c[2], 255
		}
	}
	return out
}

// colours returns how a pixel of img is read.
func colours(img image.Image) func(x, y int) [3]byte {
	switch p := img.(type) {
	case *image.NRGBA:
		return func(x, y int) [3]byte { return [3]byte(p.Pix[p.PixOffset(x, y):]) }
	case *image.Gray:
		return func(x, y int) [3]byte { v := p.GrayAt(x, y).Y; return [3]byte{v, v, v} }
	case *image.Paletted:
		table := paletteColours(p.Palette)
		return func(x, y int) [3]byte { return table[p.ColorIndexAt(x, y)] }
	case *image.NRGBA64:
		return func(x, y int) [3]byte {
			c := p.NRGBA64At(x, y)
			return [3]byte{byte(c.R >> 8), byte(c.G >> 8), byte(c.B >> 8)}
		}
	}
	return func(x, y int) [3]byte { return plain(img.At(x, y)) }
}

// paletteColours is the palette without alpha; indices beyond its end are black.
func paletteColours(p color.Palette) (table [256][3]byte) {
	for i, c := range p {
		if i < len(table) {
			table[i] = plain(c)
		}
	}
	return table
}

func plain(c color.Color) [3]byte {
	n := color.NRGBAModel.Convert(c).(color.NRGBA)
	return [3]byte{n.R, n.G, n.B}
}
