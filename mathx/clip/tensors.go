package clip

import (
	"fmt"

	"dpfpl/mathx/clip/internal/kernel"
)

// Tensors gives a checkpoint's weights by their Hugging Face name.
type Tensors interface {
	// Tensor returns a row-major float32 copy, which the caller owns. A tensor that is
	// missing or has another shape than the one asked for is an error naming it.
	Tensor(name string, shape ...int) ([]float32, error)
}

// RowReader is an optional ability of Tensors: one row of a matrix, without holding the
// matrix. The text tower then keeps no copy of the token embedding (101 MB for CLIP).
type RowReader interface {
	// Row overwrites dst with the given row of the rows×len(dst) matrix called name.
	Row(dst []float32, name string, row, rows int) error
}

// A reader collects weights and keeps the first error, so that constructors read like
// the list of weights that they are.
type reader struct {
	Tensors
	engine kernel.Engine
	err    error
}

func (r *reader) tensor(name string, shape ...int) []float32 {
	size := 1
	for _, n := range shape {
		size *= n
	}
	if r.err == nil {
		var t []float32
		if t, r.err = r.Tensors.Tensor(name, shape...); r.err == nil {
			if len(t) == size {
				return t
			}
			r.err = fmt.Errorf("clip: tensor %s has %d values, want %d", name, len(t), size)
		}
	}
	return make([]float32, size) // keeps the caller's arithmetic in range; never used
}

// linear reads a layer y = x·Wᵀ + b, W stored out×in as PyTorch does, as in×out.
func (r *reader) linear(name string, in, out int) linear {
	l := r.projection(name, in, out)
	l.b = r.tensor(name+".bias", out)
	return l
}

// projection is linear without a bias in the checkpoint.
func (r *reader) projection(name string, in, out int) linear {
	w := r.tensor(name+".weight", out, in)
	l := linear{in: in, out: out, w: make([]float32, in*out), b: make([]float32, out)}
	for o := range out {
		for i := range in {
			l.w[i*out+o] = w[o*in+i]
		}
	}
	return l
}

// A linear is a layer y = x·w + b while it is being read: w is in×out.
type linear struct {
	in, out int
	w, b    []float32
}

// afterNorm folds a layer norm's gain and shift into the layer that follows it:
// (x∘g + s)·w + b = x·(diag(g)·w) + (s·w + b). What is left of the norm is standardising.
func (l linear) afterNorm(n layerNorm) linear {
	for o := range l.out {
		sum := float64(l.b[o])
		for i := range l.in {
			sum += float64(n.shift[i]) * float64(l.w[i*l.out+o])
		}
		l.b[o] = float32(sum)
	}
	for i := range l.in {
		row := l.w[i*l.out : (i+1)*l.out]
		for o := range row {
			row[o] *= n.gain[i]
		}
	}
	return l
}

// scaled multiplies the layer's output by s.
func (l linear) scaled(s float64) linear {
	for i, w := range l.w {
		l.w[i] = float32(float64(w) * s)
	}
	for i, b := range l.b {
		l.b[i] = float32(float64(b) * s)
	}
	return l
}

// beside joins two layers of the same input to one with both outputs.
func (l linear) beside(m linear) linear {
	out := l.out + m.out
	j := linear{in: l.in, out: out, w: make([]float32, l.in*out), b: append(append([]float32(nil), l.b...), m.b...)}
	for i := range l.in {
		copy(j.w[i*out:], l.w[i*l.out:(i+1)*l.out])
		copy(j.w[i*out+l.out:], m.w[i*m.out:(i+1)*m.out])
	}
	return j
}

// A layerNorm is a layer norm's affine part.
type layerNorm struct{ gain, shift []float32 }

func (r *reader) norm(name string, width int) layerNorm {
	return layerNorm{r.tensor(name+".weight", width), r.tensor(name+".bias", width)}
}

// dense packs the layer for use; both ways when gradients will flow back through it.
func (r *reader) dense(l linear, backward bool) dense {
	return dense{kernel.Pack(r.engine, l.in, l.out, l.w, backward), l.b}
}
