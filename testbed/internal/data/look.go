package data

import (
	"image"
	"image/color"
	"math"

	"golang.org/x/image/draw"
)

// look is how a client's camera shows everything: always the same treatment, with nothing random in it.
type look struct {
	words  string
	angle  float64       // in degrees, clockwise
	scale  float64       // 0 is 1
	levels func(int) int // of grey; nil leaves them
}

// looks are the cameras of the fashion clients, in order.
var looks = []look{
	{words: "upright"},
	{words: "turned by 90°", angle: 90},
	{words: "negative", levels: negative},
	{words: "upside down", angle: 180},
	{words: "low contrast", levels: fog},
	{words: "turned by 45°", angle: 45, scale: 0.9},
	{words: "negative, turned by 270°", angle: 270, levels: negative},
	{words: "far away", scale: 0.6},
	{words: "two grey levels", levels: ink},
	{words: "foggy negative", levels: func(v int) int { return negative(fog(v)) }},
}

func negative(v int) int { return 255 - v }

func fog(v int) int { return 110 + v/4 }

func ink(v int) int { return v / 128 * 255 }

// apply renders a tile as the camera shows it, on a black ground.
func (l look) apply(tile *image.RGBA) *image.RGBA {
	size := tile.Bounds().Size()
	dst := image.NewRGBA(image.Rectangle{Max: size})
	draw.Draw(dst, dst.Bounds(), image.Black, image.Point{}, draw.Src)
	scale := l.scale
	if scale == 0 {
		scale = 1
	}
	draw.BiLinear.Transform(dst, about(size, l.angle*math.Pi/180, scale, scale, 0, 0), tile, tile.Bounds(), draw.Over, nil)
	if l.levels != nil {
		eachPixel(dst, func(c color.RGBA) color.RGBA {
			v := level(l.levels(int(c.R)))
			return color.RGBA{v, v, v, 255}
		})
	}
	return dst
}
