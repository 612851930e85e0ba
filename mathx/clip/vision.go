package clip

import (
	"fmt"
	"math"
	"sync"

	"gonum.org/v1/gonum/blas"

	"dpfpl/mathx/clip/internal/kernel"
)

// Vision is CLIP's vision transformer with frozen weights. It is read-only: any number of
// goroutines may share one.
type Vision struct {
	tower
	cfg        VisionConfig
	stem       []conv
	class      []float32 // class token with its position
	positions  matrix    // patches×d
	before     layerNorm
	projection dense // post layer norm's gain and shift, then the projection: d → e
	pool       sync.Pool
}

// NewVision reads a vision transformer under its Hugging Face names (vision_model.…,
// visual_projection.weight), or with this project's convolutional stem, and packs it for
// this CPU. Errors are those of cfg.Validate and t.
func NewVision(cfg VisionConfig, t Tensors) (*Vision, error) { return newVision(cfg, t, kernel.Best()) }

func newVision(cfg VisionConfig, t Tensors, engine kernel.Engine) (*Vision, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	const prefix = "vision_model."
	r := &reader{Tensors: t, engine: engine}
	d, patches := cfg.Width, cfg.Grid()*cfg.Grid()
	v := &Vision{cfg: cfg, stem: r.patches(prefix+"embeddings.", cfg)}
	v.class = r.tensor(prefix+"embeddings.class_embedding", d)
	positions := r.tensor(prefix+"embeddings.position_embedding.weight", patches+1, d)
	add(v.class, positions[:d])
	v.positions = matrix{Rows: patches, Cols: d, Stride: d, Data: positions[d:]}
	v.before = r.norm(prefix+"pre_layrnorm", d) // sic
	v.tower = r.tower(prefix, d, cfg.Layers, cfg.Heads, cfg.Hidden, cfg.Eps, cfg.Activation, false)
	after := r.norm(prefix+"post_layernorm", d)
	v.projection = r.dense(r.projection("visual_projection", d, cfg.Dim).afterNorm(after), false)
	if r.err != nil {
		return nil, fmt.Errorf("vision tower: %w", r.err)
	}
	v.pool.New = func() any { return newGlance(v) }
	return v, nil
}

// Config returns the tower's shape.
func (v *Vision) Config() VisionConfig { return v.cfg }

// Bytes is the memory that the packed weights hold.
func (v *Vision) Bytes() int {
	n := v.bytes() + v.projection.w.Bytes()
	for _, c := range v.stem {
		n += c.w.w.Bytes()
	}
	return n
}

// Features overwrites dst with the unit features, n×e, of n images, each 3×S×S
// preprocessed values, channels first; nil dst is allocated. It runs on the caller's
// goroutine alone: to use several cores, split the images.
func (v *Vision) Features(dst, pixels []float32, n int) []float32 {
	size := 3 * v.cfg.Image * v.cfg.Image
	if dst == nil {
		dst = make([]float32, n*v.cfg.Dim)
	}
	if len(pixels) != n*size || len(dst) != n*v.cfg.Dim {
		panic("clip: Features wants n·3·S·S pixels and n·e values of dst")
	}
	g := v.pool.Get().(*glance)
	defer v.pool.Put(g)
	for i := 0; i < n; i += g.images {
		to := min(n, i+g.images)
		g.features(dst[i*v.cfg.Dim:to*v.cfg.Dim], pixels[i*size:to*size], to-i)
	}
	return dst
}

// A glance is the workspace for a few images at a time.
type glance struct {
	v              *Vision
	images, tokens int // images at a time, tokens an image
	pixels         []float32
	patches, maps  []matrix // of the stem, for one image

	x, y, q, kv, attended, hidden matrix    // images·tokens rows
	keysT                         matrix    // d×tokens, one image, columns padded with zeros
	prob                          []float32 // heads×tokens×keysT.Cols, one image
	first, firstY                 matrix    // images×d: the class tokens in the last layer
}

// glanceRows is about how many tokens are worked on together: enough for full speed of
// the matrix products, few enough for the caches.
const glanceRows = 400

func newGlance(v *Vision) *glance {
	tokens := v.positions.Rows + 1
	images := max(1, glanceRows/tokens)
	n, d := images*tokens, v.width
	g := &glance{v: v, images: images, tokens: tokens, pixels: make([]float32, 3*v.cfg.Image*v.cfg.Image),
		x: newMatrix(n, d), y: newMatrix(n, d), q: newMatrix(n, d), kv: newMatrix(n, 2*d),
		attended: newMatrix(n, d), hidden: newMatrix(n, v.hidden), keysT: newMatrix(d, kernel.Pad(tokens)),
		first: newMatrix(images, d), firstY: newMatrix(images, d)}
	g.prob = make([]float32, v.heads*tokens*g.keysT.Cols)
	g.patches, g.maps = scratch(v.stem)
	return g
}

func (g *glance) features(dst, pixels []float32, n int) {
	v := g.v
	for i := range n {
		g.embed(rows(g.x, i*g.tokens, (i+1)*g.tokens), pixels[i*len(g.pixels):(i+1)*len(g.pixels)])
	}
	x := rows(g.x, 0, n*g.tokens)
	for i := range v.blocks {
		if i+1 < len(v.blocks) {
			g.layer(&v.blocks[i], x, x, n, g.tokens)
			continue
		}
		x = rows(g.first, 0, n)
		for j := range n {
			copy(row(x, j), row(g.x, j*g.tokens))
		}
		g.layer(&v.blocks[i], rows(g.x, 0, n*g.tokens), x, n, 1)
	}
	y := rows(g.firstY, 0, n)
	for i := range n {
		v.engine.Standardise(row(y, i), row(x, i), v.eps)
	}
	z := matrix{Rows: n, Cols: v.cfg.Dim, Stride: v.cfg.Dim, Data: dst}
	v.projection.apply(z, y)
	for i := range n {
		normalise(row(z, i))
	}
}

// embed turns one image into its tokens: class, then patches, with positions, normalised.
func (g *glance) embed(x matrix, pixels []float32) {
	v := g.v
	channelsLast(g.pixels, pixels, v.cfg.Image)
	in := g.pixels
	for i := range v.stem {
		v.stem[i].apply(g.maps[i], g.patches[i], in)
		in = g.maps[i].Data
	}
	copy(row(x, 0), v.class)
	copy(x.Data[v.width:], in)
	v.engine.Add(x.Data[v.width:], v.positions.Data)
	for i := range x.Rows {
		r := row(x, i)
		v.engine.Standardise(r, r, v.eps)
		for j, gain := range v.before.gain {
			r[j] = r[j]*gain + v.before.shift[j]
		}
	}
}

// layer adds one layer to x, which holds the first queries tokens of each of n images; all
// holds all tokens, for keys and values.
func (g *glance) layer(b *block, all, x matrix, n, queries int) {
	v := g.v
	y := rows(g.y, 0, all.Rows)
	for i := range all.Rows {
		v.engine.Standardise(row(y, i), row(all, i), v.eps)
	}
	kv, q := rows(g.kv, 0, all.Rows), rows(g.q, 0, x.Rows)
	b.keyValue.apply(kv, y)
	if queries == 1 {
		y = rows(g.firstY, 0, n)
		for i := range n {
			copy(row(y, i), row(g.y, i*g.tokens))
		}
	}
	b.query.apply(q, y)
	o, h := rows(g.attended, 0, x.Rows), rows(g.hidden, 0, x.Rows)
	for i := range n {
		g.attention(rows(o, i*queries, (i+1)*queries), rows(q, i*queries, (i+1)*queries), rows(kv, i*g.tokens, (i+1)*g.tokens))
	}
	v.add(x, o, b.output)
	y = rows(g.y, 0, x.Rows)
	for i := range x.Rows {
		v.engine.Standardise(row(y, i), row(x, i), v.eps)
	}
	b.up.apply(h, y)
	v.activate(h.Data, nil)
	v.add(x, h, b.down)
}

// attention sets o to one image's attention, as matrix products.
func (g *glance) attention(o, q, kv matrix) {
	v, head, ld := g.v, g.v.head(), g.keysT.Cols
	transpose(g.keysT, cols(kv, 0, v.width))
	for h := range v.heads {
		from, to := h*head, (h+1)*head
		prob := matrix{Rows: q.Rows, Cols: ld, Stride: ld, Data: g.prob[h*q.Rows*ld:][:q.Rows*ld]}
		v.engine.Gemm(blas.NoTrans, cols(q, from, to), rows(g.keysT, from, to), 0, prob)
		for i := range q.Rows {
			setAll(row(prob, i)[g.tokens:], float32(math.Inf(-1)))
		}
		v.engine.Softmax(prob.Data, ld, ld)
		v.engine.Gemm(blas.NoTrans, cols(prob, 0, g.tokens), cols(kv, v.width+from, v.width+to), 0, cols(o, from, to))
	}
}
