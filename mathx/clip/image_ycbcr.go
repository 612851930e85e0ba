package clip

import "image"

// Go shows chroma that is stored at half size as squares of equal colour.
// libjpeg and libwebp, which PIL uses, interpolate it; and they differ in the
// rounding and in the colour space. Both are done here as they do it.

// jpegRGB converts full-range BT.601 (JFIF) with libjpeg's "fancy" upsampling.
func jpegRGB(p *image.YCbCr) *image.RGBA {
	return convertPlanes(p, (*chroma).jpegRow, func(y, cb, cr byte) (int, int, int) {
		const half = 1 << 15
		u, v := int(cb)-128, int(cr)-128
		return int(y) + (91881*v+half)>>16,
			int(y) + (-22554*u-46802*v+half)>>16,
			int(y) + (116130*u+half)>>16
	})
}

// webpRGB converts studio-range BT.601 with libwebp's upsampling.
func webpRGB(p *image.YCbCr) *image.RGBA {
	return convertPlanes(p, (*chroma).webpRow, func(y, cb, cr byte) (int, int, int) {
		l, u, v := int(y)*19077>>8, int(cb), int(cr)
		return (l + v*26149>>8 - 14234) >> 6,
			(l - u*6419>>8 - v*13320>>8 + 8708) >> 6,
			(l + u*33050>>8 - 17685) >> 6
	})
}

func convertPlanes(p *image.YCbCr, upsample func(c *chroma, dst []byte, y int), rgb func(y, cb, cr byte) (r, g, b int)) *image.RGBA {
	w, h := p.Rect.Dx(), p.Rect.Dy()
	out := image.NewRGBA(image.Rect(0, 0, w, h))
	cb, cr := newChroma(p, p.Cb), newChroma(p, p.Cr)
	us, vs := make([]byte, 2*cb.w+w), make([]byte, 2*cr.w+w)
	for y := range h {
		upsample(cb, us, y)
		upsample(cr, vs, y)
		luma, row := p.Y[p.YOffset(p.Rect.Min.X, p.Rect.Min.Y+y):], out.Pix[y*out.Stride:]
		for x := range w {
			r, g, b := rgb(luma[x], us[x], vs[x])
			row[4*x], row[4*x+1], row[4*x+2], row[4*x+3] = clampByte(r), clampByte(g), clampByte(b), 255
		}
	}
	return out
}

func clampByte(v int) byte { return byte(min(max(v, 0), 255)) }

// chroma is one subsampled plane of an image.
type chroma struct {
	pix    []byte
	stride int
	w, h   int // samples
	fx, fy int // pixels a sample stands for, each way
	full   int // width of the image in pixels
}

func newChroma(p *image.YCbCr, pix []byte) *chroma {
	c := &chroma{stride: p.CStride, fx: 1, fy: 1, full: p.Rect.Dx()}
	switch p.SubsampleRatio {
	case image.YCbCrSubsampleRatio422:
		c.fx = 2
	case image.YCbCrSubsampleRatio420:
		c.fx, c.fy = 2, 2
	case image.YCbCrSubsampleRatio440:
		c.fy = 2
	case image.YCbCrSubsampleRatio411:
		c.fx = 4
	case image.YCbCrSubsampleRatio410:
		c.fx, c.fy = 4, 2
	}
	c.w = (p.Rect.Dx() + c.fx - 1) / c.fx
	c.h = (p.Rect.Dy() + c.fy - 1) / c.fy
	c.pix = pix[p.COffset(p.Rect.Min.X, p.Rect.Min.Y):]
	return c
}

func (c *chroma) row(y int) []byte {
	y = min(max(y, 0), c.h-1)
	return c.pix[y*c.stride:][:c.w]
}

// around returns the sample row that pixel row y lies in and the next nearest.
func (c *chroma) around(y int) (near, far []byte) {
	i := y / 2
	return c.row(i), c.row(i - 1 + y%2*2)
}

// jpegRow writes the chroma of pixel row y. Half resolution is weighted 3:1
// towards the nearest samples, anything else is repeated.
func (c *chroma) jpegRow(dst []byte, y int) {
	switch {
	case c.fx == 2 && c.fy == 1 && c.w > 2:
		c.wide(dst, c.row(y))
	case c.fx == 2 && c.fy == 2 && c.w > 2:
		c.both(dst, y)
	case c.fx == 1 && c.fy == 2:
		near, far := c.around(y)
		for x := range near {
			dst[x] = byte((3*int(near[x]) + int(far[x]) + 1 + y%2) >> 2)
		}
	default:
		src := c.row(y / c.fy)
		for x := range c.full {
			dst[x] = src[x/c.fx]
		}
	}
}

func (c *chroma) wide(dst, src []byte) {
	last := c.w - 1
	for x, v := range src {
		dst[2*x] = byte((3*int(v) + int(src[max(x-1, 0)]) + 1) >> 2)
		dst[2*x+1] = byte((3*int(v) + int(src[min(x+1, last)]) + 2) >> 2)
	}
	dst[0], dst[2*last+1] = src[0], src[last]
}

func (c *chroma) both(dst []byte, y int) {
	near, far := c.around(y)
	sum := func(x int) int {
		x = min(max(x, 0), c.w-1)
		return 3*int(near[x]) + int(far[x])
	}
	for x := range c.w {
		dst[2*x] = byte((3*sum(x) + sum(x-1) + 8) >> 4)
		dst[2*x+1] = byte((3*sum(x) + sum(x+1) + 7) >> 4)
	}
}

// webpRow writes the chroma of pixel row y, four samples weighted 9:3:3:1.
func (c *chroma) webpRow(dst []byte, y int) {
	near, far := c.around(y)
	edge := func(x int) byte { return byte((3*int(near[x]) + int(far[x]) + 2) >> 2) }
	dst[0] = edge(0)
	for x := 1; x < c.w; x++ {
		nl, nr, fl, fr := int(near[x-1]), int(near[x]), int(far[x-1]), int(far[x])
		all := nl + nr + fl + fr + 8
		dst[2*x-1] = byte(((all+2*(nr+fl))>>3 + nl) >> 1)
		dst[2*x] = byte(((all+2*(nl+fr))>>3 + nr) >> 1)
	}
	dst[2*c.w-1] = edge(c.w - 1)
}
