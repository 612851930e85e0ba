package clip

import (
	"bytes"
	"image"
	"image/draw"
	"image/gif"
	"slices"
)

// decodeGIF reads the first frame onto the screen as PIL does. Go's decoder
// blackens the transparent colour of the palette, PIL keeps it; so the flag
// that says there is one is cleared first. What the frame leaves free has the
// transparent colour, or the first.
func decodeGIF(data []byte) (*image.RGBA, error) {
	free := 0
	if at := gifControl(data); at > 0 && data[at]&1 != 0 {
		free = int(data[at+3])
		data = slices.Clone(data)
		data[at] &^= 1
	}
	c, err := gif.DecodeConfig(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	img, err := gif.Decode(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	frame, screen := opaque(img), image.Rect(0, 0, c.Width, c.Height)
	if img.Bounds() == screen {
		return frame, nil
	}
	out, rest := image.NewRGBA(screen), image.Black
	if p, ok := img.(*image.Paletted); ok && free < len(p.Palette) {
		rest = image.NewUniform(p.Palette[free])
	}
	draw.Draw(out, screen, rest, image.Point{}, draw.Src)
	draw.Draw(out, img.Bounds(), frame, image.Point{}, draw.Src)
	return out, nil
}

// gifControl finds the flags byte of the first frame's graphic control
// extension, 0 if there is none. The transparent index is three bytes on.
func gifControl(data []byte) int {
	i := 13
	if len(data) < i {
		return 0
	}
	if data[10]&0x80 != 0 {
		i += 3 << (data[10]&7 + 1)
	}
	for i+6 < len(data) && data[i] == 0x21 { // extension: label, then sub-blocks
		if data[i+1] == 0xf9 && data[i+2] == 4 {
			return i + 3
		}
		i += 2
		for i < len(data) && data[i] != 0 {
			i += int(data[i]) + 1
		}
		i++
	}
	return 0
}
