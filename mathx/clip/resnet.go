package clip

import (
	"errors"
	"fmt"
	"math"
	"sync"

	"dpfpl/mathx/clip/internal/kernel"
)

// ResNetConfig is the shape of CLIP's modified ResNet (RN50, RN101, RN50x4, …).
type ResNetConfig struct {
	Width  int    // channels behind the stem; 64 in RN50
	Layers [4]int // bottleneck blocks of each stage; 3, 4, 6, 3 in RN50
	Image  int    // side in pixels, a multiple of 32
	Dim    int    // e
}

// attentionHead is the width of a head of the attention pool in every CLIP ResNet.
const attentionHead = 64

// Validate reports every value out of bounds at once, wrapping ErrConfig.
func (c ResNetConfig) Validate() error {
	b := bounds{prefix: "ResNet"}
	b.within("width", c.Width, 2, 1024)
	b.within("projection_dim", c.Dim, 1, maxWidth)
	b.within("image_size", c.Image, 32, maxImage/2)
	for i, n := range c.Layers {
		b.within(fmt.Sprintf("layers[%d]", i), n, 1, maxLayers)
	}
	if c.Width%2 != 0 || c.Image%32 != 0 {
		b.fail("width %d must be even and image_size %d a multiple of 32", c.Width, c.Image)
	}
	return errors.Join(b.errs...)
}

// ResNet is CLIP's ResNet image tower with frozen weights: a stem of three
// convolutions, average pooling before every stride, and attention pooling in
// place of the last average. It is read-only: any number of goroutines may
// share one.
type ResNet struct {
	cfg    ResNetConfig
	engine kernel.Engine
	stem   [3]conv
	blocks []bottleneck
	pool   attentionPool
	spare  sync.Pool
}

// bottleneck is a residual block, batch norms folded into its convolutions.
type bottleneck struct {
	reduce, middle, expand conv
	shrink                 bool  // halve the grid by averaging
	shortcut               *conv // of the (averaged) input; nil for identity
}

// attentionPool attends from the mean of all positions to all positions.
type attentionPool struct {
	positions   matrix // (grid²+1)×C
	query, keys dense  // C→C, scaled by 1/√64; C→2C, keys then values
	output      dense  // C→e
}

// NewResNet reads a tower under its OpenAI names (visual.conv1.weight, …) and
// packs it for this CPU. Errors are those of cfg.Validate and t.
func NewResNet(cfg ResNetConfig, t Tensors) (*ResNet, error) {
	return newResNet(cfg, t, kernel.Best())
}

func newResNet(cfg ResNetConfig, t Tensors, engine kernel.Engine) (*ResNet, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	r := &reader{Tensors: t, engine: engine}
	n := &ResNet{cfg: cfg, engine: engine}
	w, side := cfg.Width, cfg.Image
	n.stem[0] = r.normed("visual.conv1", "visual.bn1", conv{in: 3, out: w / 2, kernel: 3, stride: 2, padding: 1, side: side, relu: true})
	side = n.stem[0].outSide()
	n.stem[1] = r.normed("visual.conv2", "visual.bn2", conv{in: w / 2, out: w / 2, kernel: 3, stride: 1, padding: 1, side: side, relu: true})
	n.stem[2] = r.normed("visual.conv3", "visual.bn3", conv{in: w / 2, out: w, kernel: 3, stride: 1, padding: 1, side: side, relu: true})
	side, in := side/2, w
	for stage, blocks := range cfg.Layers {
		for i := 0; i < blocks && r.err == nil; i++ {
			shrink := stage > 0 && i == 0
			b := r.bottleneck(fmt.Sprintf("visual.layer%d.%d.", stage+1, i), in, w<<stage, side, shrink)
			n.blocks = append(n.blocks, b)
			in, side = b.expand.out, b.expand.side
		}
	}
	n.pool = r.attentionPool("visual.attnpool.", in, cfg.Dim, side)
	if r.err != nil {
		return nil, fmt.Errorf("ResNet tower: %w", r.err)
	}
	n.spare.New = func() any { return newResNetScratch(n) }
	return n, nil
}

func (r *reader) bottleneck(prefix string, in, planes, side int, shrink bool) bottleneck {
	out := side
	if shrink {
		out = side / 2
	}
	b := bottleneck{
		shrink: shrink,
		reduce: r.normed(prefix+"conv1", prefix+"bn1", conv{in: in, out: planes, kernel: 1, stride: 1, side: side, relu: true}),
		middle: r.normed(prefix+"conv2", prefix+"bn2", conv{in: planes, out: planes, kernel: 3, stride: 1, padding: 1, side: side, relu: true}),
		expand: r.normed(prefix+"conv3", prefix+"bn3", conv{in: planes, out: 4 * planes, kernel: 1, stride: 1, side: out}),
	}
	if shrink || in != 4*planes {
		c := r.normed(prefix+"downsample.0", prefix+"downsample.1", conv{in: in, out: 4 * planes, kernel: 1, stride: 1, side: out})
		b.shortcut = &c
	}
	return b
}

// normed reads a convolution without bias and the batch norm behind it as one
// convolution: gain/√(variance+ε) scales the kernel, the rest is its bias.
func (r *reader) normed(name, norm string, c conv) conv {
	k := c.kernel
	w := r.tensor(name+".weight", c.out, c.in, k, k)
	gain, shift := r.tensor(norm+".weight", c.out), r.tensor(norm+".bias", c.out)
	mean, variance := r.tensor(norm+".running_mean", c.out), r.tensor(norm+".running_var", c.out)
	l := linear{in: c.size(), out: c.out, w: make([]float32, len(w)), b: make([]float32, c.out)}
	for o := range c.out {
		const eps = 1e-5
		if variance[o] < 0 && r.err == nil {
			r.err = fmt.Errorf("%w: tensor %q: variance %v", ErrWeights, norm+".running_var", variance[o])
		}
		scale := float64(gain[o]) / math.Sqrt(float64(variance[o])+eps)
		l.b[o] = float32(float64(shift[o]) - float64(float64(mean[o])*scale))
		for i := range c.in {
			for at := range k * k {
				l.w[(at*c.in+i)*c.out+o] = float32(float64(w[(o*c.in+i)*k*k+at]) * scale)
			}
		}
	}
	c.w = r.dense(l, false)
	return c
}

func (r *reader) attentionPool(prefix string, width, dim, side int) attentionPool {
	tokens := side*side + 1
	key, value := r.linear(prefix+"k_proj", width, width), r.linear(prefix+"v_proj", width, width)
	return attentionPool{
		positions: matrix{Rows: tokens, Cols: width, Stride: width, Data: r.tensor(prefix+"positional_embedding", tokens, width)},
		query:     r.dense(r.linear(prefix+"q_proj", width, width).scaled(1/math.Sqrt(attentionHead)), false),
		keys:      r.dense(key.beside(value), false),
		output:    r.dense(r.linear(prefix+"c_proj", width, dim), false),
	}
}

// Config returns the tower's shape.
func (n *ResNet) Config() ResNetConfig { return n.cfg }

// Bytes is the memory that the packed weights hold.
func (n *ResNet) Bytes() int {
	bytes := n.pool.query.w.Bytes() + n.pool.keys.w.Bytes() + n.pool.output.w.Bytes()
	for i := range n.stem {
		bytes += n.stem[i].w.w.Bytes()
	}
	for _, b := range n.blocks {
		bytes += b.reduce.w.w.Bytes() + b.middle.w.w.Bytes() + b.expand.w.w.Bytes()
		if b.shortcut != nil {
			bytes += b.shortcut.w.w.Bytes()
		}
	}
	return bytes
}
