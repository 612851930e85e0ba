package clip

import (
	"fmt"
	"math"
	"math/rand/v2"

	"gonum.org/v1/gonum/mat"
)

// A weightMap is a checkpoint in memory.
type weightMap map[string][]float32

func (m weightMap) Tensor(name string, shape ...int) ([]float32, error) {
	size := 1
	for _, n := range shape {
		size *= n
	}
	t, ok := m[name]
	if !ok || len(t) != size {
		return nil, fmt.Errorf("weightMap: %s: have %d values, want %v", name, len(t), shape)
	}
	return append([]float32(nil), t...), nil
}

// normal adds a tensor of N(mean, sd²).
func (m weightMap) normal(rng *rand.Rand, name string, mean, sd float64, shape ...int) {
	size := 1
	for _, n := range shape {
		size *= n
	}
	t := make([]float32, size)
	for i := range t {
		t[i] = float32(mean + sd*rng.NormFloat64())
	}
	m[name] = t
}

// layers adds the transformer layers and norms that both towers have.
func (m weightMap) layers(rng *rand.Rand, prefix string, n, d, hidden int) {
	sd := 1 / math.Sqrt(float64(d))
	for i := range n {
		p := fmt.Sprintf("%sencoder.layers.%d.", prefix, i)
		for _, q := range []string{"q", "k", "v", "out"} {
			m.normal(rng, p+"self_attn."+q+"_proj.weight", 0, 1.5*sd, d, d)
			m.normal(rng, p+"self_attn."+q+"_proj.bias", 0, 0.1, d)
		}
		m.normal(rng, p+"mlp.fc1.weight", 0, sd, hidden, d)
		m.normal(rng, p+"mlp.fc1.bias", 0, 0.1, hidden)
		m.normal(rng, p+"mlp.fc2.weight", 0, 0.7*sd, d, hidden)
		m.normal(rng, p+"mlp.fc2.bias", 0, 0.1, d)
		m.norm(rng, p+"layer_norm1", d)
		m.norm(rng, p+"layer_norm2", d)
	}
}

func (m weightMap) norm(rng *rand.Rand, name string, d int) {
	m.normal(rng, name+".weight", 1, 0.2, d)
	m.normal(rng, name+".bias", 0, 0.2, d)
}

// randomText is a text tower's checkpoint with weights large enough to matter.
func randomText(cfg TextConfig, seed uint64) weightMap {
	rng := rand.New(rand.NewPCG(seed, 1))
	m := weightMap{}
	m.normal(rng, "text_model.embeddings.token_embedding.weight", 0, 0.5, cfg.Vocab, cfg.Width)
	m.normal(rng, "text_model.embeddings.position_embedding.weight", 0, 0.2, cfg.Positions, cfg.Width)
	m.layers(rng, "text_model.", cfg.Layers, cfg.Width, cfg.Hidden)
	m.norm(rng, "text_model.final_layer_norm", cfg.Width)
	m.normal(rng, "text_projection.weight", 0, 1/math.Sqrt(float64(cfg.Width)), cfg.Dim, cfg.Width)
	return m
}

// randomVision is a vision tower's checkpoint.
func randomVision(cfg VisionConfig, seed uint64) weightMap {
	rng := rand.New(rand.NewPCG(seed, 2))
	m := weightMap{}
	const p = "vision_model.embeddings."
	m.normal(rng, p+"class_embedding", 0, 0.5, cfg.Width)
	m.normal(rng, p+"position_embedding.weight", 0, 0.2, cfg.Grid()*cfg.Grid()+1, cfg.Width)
	in := 3
	for i, l := range cfg.Stem {
		name := fmt.Sprintf("%sstem.%d", p, i)
		m.normal(rng, name+".weight", 0, 1.4/math.Sqrt(float64(in*l.Kernel*l.Kernel)), l.Out, in, l.Kernel, l.Kernel)
		m.normal(rng, name+".bias", 0, 0.1, l.Out)
		in = l.Out
	}
	if cfg.Stem == nil {
		m.normal(rng, p+"patch_embedding.weight", 0, 1/math.Sqrt(float64(3*cfg.Patch*cfg.Patch)), cfg.Width, 3, cfg.Patch, cfg.Patch)
	}
	m.norm(rng, "vision_model.pre_layrnorm", cfg.Width)
	m.layers(rng, "vision_model.", cfg.Layers, cfg.Width, cfg.Hidden)
	m.norm(rng, "vision_model.post_layernorm", cfg.Width)
	m.normal(rng, "visual_projection.weight", 0, 1/math.Sqrt(float64(cfg.Width)), cfg.Dim, cfg.Width)
	return m
}

// An oracle evaluates transformers in float64 as the papers write them: whole padded
// sequences, one at a time, layer norms with gain and shift, no sharing, nothing folded.
type oracle struct {
	weights weightMap
	heads   int
	eps     float64
	gelu    bool
	causal  bool
	wide    map[string]*mat.Dense // the weights in float64, by name
}

func (o oracle) matrix(name string, r, c int) *mat.Dense {
	if m, ok := o.wide[name]; ok {
		return m
	}
	t := o.weights[name]
	x := make([]float64, r*c)
	if len(t) != len(x) {
		panic(fmt.Sprintf("oracle: %s has %d values, want %d×%d", name, len(t), r, c))
	}
	for i, v := range t {
		x[i] = float64(v)
	}
	o.wide[name] = mat.NewDense(r, c, x)
	return o.wide[name]
}

// linear is x·Wᵀ + b, b left out if the checkpoint has none.
func (o oracle) linear(name string, x *mat.Dense, out int) *mat.Dense {
	n, in := x.Dims()
	var y mat.Dense
	y.Mul(x, o.matrix(name+".weight", out, in).T())
	if _, ok := o.weights[name+".bias"]; ok {
		b := o.matrix(name+".bias", 1, out)
		for i := range n {
			for j := range out {
				y.Set(i, j, y.At(i, j)+b.At(0, j))
			}
		}
	}
	return &y
}

func (o oracle) norm(name string, x *mat.Dense) *mat.Dense {
	n, d := x.Dims()
	gain, shift := o.matrix(name+".weight", 1, d), o.matrix(name+".bias", 1, d)
	y := mat.NewDense(n, d, nil)
	for i := range n {
		var mean, sq float64
		for _, v := range x.RawRowView(i) {
			mean += v / float64(d)
		}
		for _, v := range x.RawRowView(i) {
			sq += (v - mean) * (v - mean) / float64(d)
		}
		for j, v := range x.RawRowView(i) {
			y.Set(i, j, (v-mean)/math.Sqrt(sq+o.eps)*gain.At(0, j)+shift.At(0, j))
		}
	}
	return y
}

func (o oracle) attention(q, k, v *mat.Dense) *mat.Dense {
	n, d := q.Dims()
	y, w := mat.NewDense(n, d, nil), d/o.heads
	for h := range o.heads {
		part := func(m *mat.Dense) mat.Matrix { return m.Slice(0, n, h*w, (h+1)*w) }
		var s, z mat.Dense
		s.Mul(part(q), part(k).T())
		for i := range n {
			r := s.RawRowView(i)
			var sum float64
			for j := range r {
				r[j] = math.Exp(r[j] / math.Sqrt(float64(w)))
				if o.causal && j > i {
					r[j] = 0
				}
				sum += r[j]
			}
			for j := range r {
				r[j] /= sum
			}
		}
		z.Mul(&s, part(v))
		y.Slice(0, n, h*w, (h+1)*w).(*mat.Dense).Copy(&z)
	}
	return y
}

func (o oracle) layers(prefix string, x *mat.Dense, n, hidden int) *mat.Dense {
	_, d := x.Dims()
	for i := range n {
		p := fmt.Sprintf("%sencoder.layers.%d.", prefix, i)
		y := o.norm(p+"layer_norm1", x)
		a := o.attention(o.linear(p+"self_attn.q_proj", y, d), o.linear(p+"self_attn.k_proj", y, d), o.linear(p+"self_attn.v_proj", y, d))
		x.Add(x, o.linear(p+"self_attn.out_proj", a, d))
		h := o.linear(p+"mlp.fc1", o.norm(p+"layer_norm2", x), hidden)
		h.Apply(func(_, _ int, v float64) float64 {
			if o.gelu {
				return v * (1 + math.Erf(v/math.Sqrt2)) / 2
			}
			return v / (1 + math.Exp(-1.702*v))
		}, h)
		x.Add(x, o.linear(p+"mlp.fc2", h, d))
	}
	return x
}

// unit is row i of x with norm 1.
func unit(x *mat.Dense, i int) []float64 {
	r := append([]float64(nil), x.RawRowView(i)...)
	n := mat.Norm(mat.NewVecDense(len(r), r), 2)
	for j := range r {
		r[j] /= n
	}
	return r
}

// A textOracle is the text tower in float64.
type textOracle struct {
	oracle
	cfg TextConfig
}

func newTextOracle(cfg TextConfig, w weightMap) textOracle {
	return textOracle{oracle{weights: w, heads: cfg.Heads, eps: cfg.Eps, gelu: cfg.Activation == GELU, causal: true,
		wide: map[string]*mat.Dense{}}, cfg}
}

// features returns the C×e features of padded prompts [SOS, ctx, class, 0, 0, …].
func (o textOracle) features(classes [][]int, ctx []float64) []float64 {
	cfg := o.cfg
	d, l := cfg.Width, len(ctx)/cfg.Width
	tokens := o.matrix("text_model.embeddings.token_embedding.weight", cfg.Vocab, d)
	positions := o.matrix("text_model.embeddings.position_embedding.weight", cfg.Positions, d)
	var out []float64
	for _, ids := range classes {
		x := mat.NewDense(cfg.Positions, d, nil)
		for i := range cfg.Positions {
			id := 0
			if i == 0 {
				id = cfg.SOS
			} else if j := i - 1 - l; j >= 0 && j < len(ids) {
				id = ids[j]
			}
			for j := range d {
				v := tokens.At(id, j)
				if i >= 1 && i <= l {
					v = ctx[(i-1)*d+j]
				}
				x.Set(i, j, v+positions.At(i, j))
			}
		}
		x = o.norm("text_model.final_layer_norm", o.layers("text_model.", x, cfg.Layers, cfg.Hidden))
		out = append(out, unit(o.linear("text_projection", x, cfg.Dim), l+len(ids))...)
	}
	return out
}

// pull is the gradient of ⟨cot, features⟩ by central differences.
func (o textOracle) pull(classes [][]int, ctx, cot []float64) []float64 {
	g, x := make([]float64, len(ctx)), append([]float64(nil), ctx...)
	for i := range x {
		dir := make([]float64, len(x))
		dir[i] = 1
		g[i] = o.slope(classes, x, cot, dir)
	}
	return g
}

// slope is the derivative of ⟨cot, features⟩ along dir, by central differences.
func (o textOracle) slope(classes [][]int, ctx, cot, dir []float64) float64 {
	const h = 1e-5 // error h² ≈ 1e-10, rounding 1e-16/h = 1e-11
	at := func(s float64) (sum float64) {
		x := make([]float64, len(ctx))
		for i := range x {
			x[i] = ctx[i] + s*dir[i]
		}
		for i, f := range o.features(classes, x) {
			sum += cot[i] * f
		}
		return sum
	}
	return (at(h) - at(-h)) / (2 * h)
}

// relative is |a − b| / |b|.
func relative[A, B float32 | float64](a []A, b []B) float64 {
	var diff, size float64
	for i := range b {
		diff += (float64(a[i]) - float64(b[i])) * (float64(a[i]) - float64(b[i]))
		size += float64(b[i]) * float64(b[i])
	}
	return math.Sqrt(diff / size)
}

func float64s(x []float32) []float64 {
	y := make([]float64, len(x))
	for i, v := range x {
		y[i] = float64(v)
	}
	return y
}
