package clip

import (
	"fmt"
	"math"

	"dpfpl/mathx/clip/internal/kernel"
)

// A dense layer y = x·w + b, packed and frozen.
type dense struct {
	w *kernel.Matrix
	b []float32
}

// apply overwrites y with x·w + b.
func (d dense) apply(y, x matrix) {
	kernel.SetRows(y.Data, d.b)
	d.w.Mul(y, x, 1)
}

// A block is one pre-norm transformer layer with what can be folded folded: the gains and
// shifts of both layer norms into the layers behind them, 1/√(head width) into query.
type block struct {
	query    dense // d → d
	keyValue dense // d → 2d, keys then values
	output   dense // d → d, adds to the residual stream
	up       dense // d → hidden
	down     dense // hidden → d, adds to the residual stream
}

// A tower is what both transformers share: dimensions, activation and blocks.
type tower struct {
	engine        kernel.Engine
	width, hidden int
	heads         int
	eps           float64
	gelu          bool // exact GELU, else QuickGELU
	blocks        []block
}

// head is the width of an attention head.
func (t *tower) head() int { return t.width / t.heads }

// activate replaces the MLP's hidden values by their activation and stores its derivative
// in slope unless that is nil.
func (t *tower) activate(x, slope []float32) {
	if t.gelu {
		t.engine.GELU(x, slope)
	} else {
		t.engine.QuickGELU(x, slope)
	}
}

// add adds a layer's output for x to the residual stream y.
func (t *tower) add(y, x matrix, d dense) {
	t.engine.AddRows(y.Data, d.b)
	d.w.Mul(y, x, 1)
}

// tower reads layers from the checkpoint below prefix, which ends in a dot.
func (r *reader) tower(prefix string, width, layers, heads, hidden int, eps float64, activation string, backward bool) tower {
	t := tower{engine: r.engine, width: width, hidden: hidden, heads: heads, eps: eps, gelu: activation == GELU}
	for i := 0; i < layers && r.err == nil; i++ {
		t.blocks = append(t.blocks, r.block(fmt.Sprintf("%sencoder.layers.%d.", prefix, i), &t, backward))
	}
	return t
}

func (r *reader) block(prefix string, t *tower, backward bool) block {
	d := t.width
	before, between := r.norm(prefix+"layer_norm1", d), r.norm(prefix+"layer_norm2", d)
	query := r.linear(prefix+"self_attn.q_proj", d, d).afterNorm(before).scaled(1 / math.Sqrt(float64(t.head())))
	key := r.linear(prefix+"self_attn.k_proj", d, d).afterNorm(before)
	value := r.linear(prefix+"self_attn.v_proj", d, d).afterNorm(before)
	return block{
		query:    r.dense(query, backward),
		keyValue: r.dense(key.beside(value), backward),
		output:   r.dense(r.linear(prefix+"self_attn.out_proj", d, d), backward),
		up:       r.dense(r.linear(prefix+"mlp.fc1", d, t.hidden).afterNorm(between), backward),
		down:     r.dense(r.linear(prefix+"mlp.fc2", t.hidden, d), backward),
	}
}

// bytes is the memory the weights hold.
func (t *tower) bytes() int {
	n := 0
	for _, b := range t.blocks {
		for _, d := range []dense{b.query, b.keyValue, b.output, b.up, b.down} {
			n += d.w.Bytes()
		}
	}
	return n
}
