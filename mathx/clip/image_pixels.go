package clip

import "image"

// Len is the number of floats that Pixels makes: 3·Crop·Crop.
func (p Preprocess) Len() int { return 3 * p.Crop * p.Crop }

// Pixels overwrites dst with a tower's input for img: the short side resized
// to Resize with the long one in proportion (rounded down), the centre cropped
// (odd rests to the right and below), each channel as (v/255 - mean)/std. The
// result is 3×Crop×Crop, channel by channel, rows from the top. A nil dst is
// allocated; another length than Len panics, as does an empty image. Alpha is dropped, not blended.
func (p Preprocess) Pixels(dst []float32, img image.Image) []float32 {
	if dst == nil {
		dst = make([]float32, p.Len())
	}
	if len(dst) != p.Len() {
		panic("clip: Pixels: dst has the wrong length")
	}
	if img.Bounds().Empty() {
		panic("clip: Pixels: empty image")
	}
	rgb := p.crop(rasterOf(img))
	table := p.table()
	area := p.Crop * p.Crop
	for c := range 3 {
		plane := dst[c*area:][:area]
		for i := range plane {
			plane[i] = table[c][rgb[3*i+c]]
		}
	}
	return dst
}

// crop resizes and cuts out the centre: Crop×Crop interleaved RGB.
func (p Preprocess) crop(src raster) []byte {
	w, h := p.Resize, p.Resize
	if src.w < src.h {
		h = int(float64(p.Resize*src.h) / float64(src.w))
	} else {
		w = int(float64(p.Resize*src.w) / float64(src.h))
	}
	left, top := (w-p.Crop)/2, (h-p.Crop)/2
	return src.resample(w, h, span{left, left + p.Crop}, span{top, top + p.Crop}, p.Filter)
}

// table holds the normalised value of every byte in every channel.
func (p Preprocess) table() (t [3][256]float32) {
	for c := range t {
		for v := range t[c] {
			t[c][v] = float32((float64(v)/255 - p.Mean[c]) / p.Std[c])
		}
	}
	return t
}

// rasterOf views or copies an image's colours.
func rasterOf(img image.Image) raster {
	switch p := img.(type) {
	case *image.RGBA:
		if p.Opaque() {
			return raster{p.Pix[p.PixOffset(p.Rect.Min.X, p.Rect.Min.Y):], p.Rect.Dx(), p.Rect.Dy(), p.Stride, 4}
		}
	case *image.NRGBA:
		return raster{p.Pix[p.PixOffset(p.Rect.Min.X, p.Rect.Min.Y):], p.Rect.Dx(), p.Rect.Dy(), p.Stride, 4}
	case *image.YCbCr:
		return rasterOf(jpegRGB(p))
	}
	o := opaque(img)
	return raster{o.Pix, o.Rect.Dx(), o.Rect.Dy(), o.Stride, 4}
}
