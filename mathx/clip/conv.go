package clip

import (
	"fmt"
)

// A conv is a square convolution, as a matrix product over the pixels under the kernel.
// Images are height×width×channels here, so that a row of the kernel is one run of pixels.
type conv struct {
	in, out                 int // channels
	kernel, stride, padding int
	side                    int // of the input, pixels
	relu                    bool
	w                       dense // kernel²·in → out
}

// outSide is the side of the output.
func (c *conv) outSide() int { return (c.side+2*c.padding-c.kernel)/c.stride + 1 }

// size is the number of inputs under the kernel.
func (c *conv) size() int { return c.kernel * c.kernel * c.in }

// conv reads a convolution stored out×in×kernel×kernel.
func (r *reader) conv(name string, c conv, bias bool) conv {
	k := c.kernel
	w := r.tensor(name+".weight", c.out, c.in, k, k)
	l := linear{in: c.size(), out: c.out, w: make([]float32, len(w)), b: make([]float32, c.out)}
	for o := range c.out {
		for i := range c.in {
			for at := range k * k {
				l.w[(at*c.in+i)*c.out+o] = w[(o*c.in+i)*k*k+at]
			}
		}
	}
	if bias {
		l.b = r.tensor(name+".bias", c.out)
	}
	c.w = r.dense(l, false)
	return c
}

// patches reads what turns pixels into patch tokens: CLIP's patch embedding, or the
// convolutional stem of this project's own towers.
func (r *reader) patches(prefix string, cfg VisionConfig) []conv {
	if len(cfg.Stem) == 0 {
		return []conv{r.conv(prefix+"patch_embedding", conv{in: 3, out: cfg.Width, kernel: cfg.Patch, stride: cfg.Patch, side: cfg.Image}, false)}
	}
	var stem []conv
	in, side := 3, cfg.Image
	for i, l := range cfg.Stem {
		c := conv{in: in, out: l.Out, kernel: l.Kernel, stride: l.Stride, padding: l.Padding, side: side, relu: true}
		stem = append(stem, r.conv(fmt.Sprintf("%sstem.%d", prefix, i), c, true))
		in, side = l.Out, c.outSide()
	}
	return stem
}

// apply overwrites dst, outSide²×out, with the convolution of src, side²×in; patches is
// scratch of outSide²×size.
func (c *conv) apply(dst, patches matrix, src []float32) {
	n := c.outSide()
	for y := range n {
		for x := range n {
			c.gather(row(patches, y*n+x), src, y*c.stride-c.padding, x*c.stride-c.padding)
		}
	}
	c.w.apply(dst, patches)
	if c.relu {
		for i, v := range dst.Data {
			dst.Data[i] = max(v, 0)
		}
	}
}

// gather copies the pixels under the kernel at (y, x), zeros outside the image.
func (c *conv) gather(dst, src []float32, y, x int) {
	run := c.kernel * c.in
	left, right := max(0, -x), min(c.kernel, c.side-x)
	for ky := range c.kernel {
		d := dst[ky*run : (ky+1)*run]
		if y+ky < 0 || y+ky >= c.side {
			clear(d)
			continue
		}
		clear(d[:left*c.in])
		copy(d[left*c.in:right*c.in], src[((y+ky)*c.side+x+left)*c.in:])
		clear(d[right*c.in:])
	}
}

// channelsLast sets dst, side²×3, to the pixels of src, 3×side×side.
func channelsLast(dst, src []float32, side int) {
	for ch := range 3 {
		for i, v := range src[ch*side*side : (ch+1)*side*side] {
			dst[i*3+ch] = v
		}
	}
}

// scratch allocates for each convolution its patches and output.
func scratch(stem []conv) (patches, out []matrix) {
	for i := range stem {
		c := &stem[i]
		n := c.outSide() * c.outSide()
		patches, out = append(patches, newMatrix(n, c.size())), append(out, newMatrix(n, c.out))
	}
	return patches, out
}
