package clip

import "math"

// Filter is a resampling filter, by PIL's numbers.
type Filter int

// The filters that CLIP preprocessing uses.
const (
	Bilinear Filter = 2
	Bicubic  Filter = 3 // a = -1/2
	Box      Filter = 4
)

// support is half the width of the filter in source pixels, 0 if unknown.
func (f Filter) support() float64 {
	switch f {
	case Bilinear:
		return 1
	case Bicubic:
		return 2
	case Box:
		return 0.5
	}
	return 0
}

// at is the filter's weight at distance x, rounded at every step so that no
// machine fuses a product with a sum.
func (f Filter) at(x float64) float64 {
	if f == Box { // half open, as PIL has it
		if x > -0.5 && x <= 0.5 {
			return 1
		}
		return 0
	}
	x = math.Abs(x)
	const a = -0.5
	switch {
	case x >= f.support():
		return 0
	case f == Bilinear:
		return 1 - x
	case x < 1:
		return float64((float64((a+2)*x)-(a+3))*x*x) + 1
	}
	return (float64((float64((x-5)*x)+8)*x) - 4) * a
}

// precision is the fraction bits of a resampling coefficient, PIL's 22: an
// 8-bit value times coefficients that may exceed 1 fits 32 bits.
const precision = 32 - 8 - 2

// taps says which source pixels make one output pixel, and their shares.
type taps struct {
	first  int
	weight []int32 // times 2^precision, sum about 1
}

// span is a run of output pixels.
type span struct{ from, to int }

// resampleTaps computes the antialiased filter for the given part of out
// pixels made from in: when shrinking, the filter is stretched by the scale.
func resampleTaps(in, out int, part span, f Filter) []taps {
	if in == out { // PIL skips this direction
		list := make([]taps, 0, part.to-part.from)
		for i := part.from; i < part.to; i++ {
			list = append(list, taps{i, []int32{1 << precision}})
		}
		return list
	}
	scale := float64(in) / float64(out)
	stretch := math.Max(scale, 1)
	support := f.support() * stretch
	list := make([]taps, 0, part.to-part.from)
	for i := part.from; i < part.to; i++ {
		centre := (float64(i) + 0.5) * scale
		first := max(0, int(centre-support+0.5))
		last := min(in, int(centre+support+0.5))
		w := make([]float64, last-first)
		sum := 0.0
		for k := range w {
			w[k] = f.at((float64(first+k) - centre + 0.5) * (1 / stretch))
			sum += w[k]
		}
		list = append(list, taps{first, fixed(w, sum)})
	}
	return list
}

// fixed normalises w to sum one and rounds it to fixed point, half away from zero.
func fixed(w []float64, sum float64) []int32 {
	out := make([]int32, len(w))
	for k, v := range w {
		if sum != 0 {
			v /= sum
		}
		out[k] = int32(math.Round(v * (1 << precision)))
	}
	return out
}

// raster is an 8-bit image of channels interleaved bytes a pixel, of which
// the first three are red, green and blue.
type raster struct {
	pix              []byte
	w, h             int
	stride, channels int // bytes
}

// resample scales src to outW×outH pixels and returns the part across×down
// of that as interleaved RGB: first along rows, then along columns, rounded
// to 8 bits between, in PIL's integer arithmetic. Only what the part needs is
// computed, so an extreme aspect ratio costs nothing.
func (src raster) resample(outW, outH int, across, down span, f Filter) []byte {
	columns := resampleTaps(src.h, outH, down, f)
	top, bottom := src.h, 0
	for _, t := range columns {
		top, bottom = min(top, t.first), max(bottom, t.first+len(t.weight))
	}
	width := 3 * (across.to - across.from)
	rows := src.resampleRows(resampleTaps(src.w, outW, across, f), span{top, bottom})
	out := make([]byte, width*len(columns))
	sums := make([]int32, width)
	for y, t := range columns {
		for i := range sums {
			sums[i] = 1 << (precision - 1)
		}
		for k, c := range t.weight {
			line := rows[width*(t.first-top+k):][:width]
			for i := range sums {
				sums[i] += int32(line[i]) * c
			}
		}
		line := out[width*y:][:width]
		for i, s := range sums {
			line[i] = clip8(s)
		}
	}
	return out
}

// resampleRows filters the given source rows horizontally.
func (src raster) resampleRows(list []taps, lines span) []byte {
	width := 3 * len(list)
	out := make([]byte, width*(lines.to-lines.from))
	for y := lines.from; y < lines.to; y++ {
		line, dst := src.pix[src.stride*y:], out[width*(y-lines.from):]
		for x, t := range list {
			const half = 1 << (precision - 1)
			r, g, b := int32(half), int32(half), int32(half)
			p := line[src.channels*t.first:]
			for k, c := range t.weight {
				q := p[src.channels*k : src.channels*k+3]
				r += int32(q[0]) * c
				g += int32(q[1]) * c
				b += int32(q[2]) * c
			}
			dst[3*x], dst[3*x+1], dst[3*x+2] = clip8(r), clip8(g), clip8(b)
		}
	}
	return out
}

func clip8(v int32) byte { return byte(min(max(v>>precision, 0), 255)) }
