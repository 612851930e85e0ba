package clip

import (
	"fmt"
	"testing"

	"gonum.org/v1/gonum/mat"

	"dpfpl/mathx/clip/internal/kernel"
)

// oracleVision returns the features of one image, 3×S×S, in float64.
func oracleVision(cfg VisionConfig, w weightMap, pixels []float32) []float64 {
	o := oracle{weights: w, heads: cfg.Heads, eps: cfg.Eps, gelu: cfg.Activation == GELU, wide: map[string]*mat.Dense{}}
	const p = "vision_model.embeddings."
	in, channels, side := float64s(pixels), 3, cfg.Image
	if cfg.Stem == nil {
		in, _ = oracleConv(o, p+"patch_embedding", in, channels, side, StemLayer{cfg.Width, cfg.Patch, cfg.Patch, 0})
	}
	for i, l := range cfg.Stem {
		in, side = oracleConv(o, fmt.Sprintf("%sstem.%d", p, i), in, channels, side, l)
		for j := range in {
			in[j] = max(in[j], 0)
		}
		channels = l.Out
	}
	d, n := cfg.Width, cfg.Grid()*cfg.Grid()
	x := mat.NewDense(n+1, d, nil)
	for j := range d {
		x.Set(0, j, o.matrix(p+"class_embedding", 1, d).At(0, j))
		for i := range n {
			x.Set(i+1, j, in[j*n+i])
		}
	}
	x.Add(x, o.matrix(p+"position_embedding.weight", n+1, d))
	x = o.layers("vision_model.", o.norm("vision_model.pre_layrnorm", x), cfg.Layers, cfg.Hidden)
	return unit(o.linear("visual_projection", o.norm("vision_model.post_layernorm", x), cfg.Dim), 0)
}

// oracleConv is the definition of a convolution, channels first.
func oracleConv(o oracle, name string, in []float64, channels, side int, l StemLayer) ([]float64, int) {
	k := l.Kernel
	w := o.matrix(name+".weight", l.Out, channels*k*k)
	n := (side+2*l.Padding-k)/l.Stride + 1
	out := make([]float64, l.Out*n*n)
	for c := range l.Out {
		for at := range n * n {
			sum := 0.0
			if _, ok := o.weights[name+".bias"]; ok {
				sum = o.matrix(name+".bias", 1, l.Out).At(0, c)
			}
			for i := range channels * k * k {
				y, x := at/n*l.Stride+i/k%k-l.Padding, at%n*l.Stride+i%k-l.Padding
				if y >= 0 && y < side && x >= 0 && x < side {
					sum += w.At(c, i) * in[(i/(k*k)*side+y)*side+x]
				}
			}
			out[c*n*n+at] = sum
		}
	}
	return out, n
}

func smallVision() VisionConfig {
	return VisionConfig{Width: 32, Layers: 3, Heads: 4, Hidden: 48, Image: 12, Patch: 4, Dim: 24, Activation: QuickGELU, Eps: 1e-5}
}

func TestVisionOracle(t *testing.T) {
	stem := func(c *VisionConfig) {
		c.Stem = []StemLayer{{8, 3, 2, 1}, {16, 3, 2, 1}, {32, 3, 1, 1}}
	}
	for _, engine := range engines() {
		for name, change := range map[string]func(*VisionConfig){
			"plain":  func(c *VisionConfig) {},
			"gelu":   func(c *VisionConfig) { c.Activation, c.Layers = GELU, 1 },
			"stem":   stem,
			"odd":    func(c *VisionConfig) { c.Width, c.Heads, c.Hidden, c.Dim = 30, 5, 20, 11 },
			"single": func(c *VisionConfig) { c.Patch = 12 },
		} {
			t.Run(fmt.Sprintf("%v/%s", engine, name), func(t *testing.T) {
				cfg := smallVision()
				change(&cfg)
				w := randomVision(cfg, 5)
				v, err := newVision(cfg, w, engine)
				if err != nil {
					t.Fatal(err)
				}
				n, size := 2*newGlance(v).images+1, 3*cfg.Image*cfg.Image
				pixels := gaussians(1, n*size, 1)
				got := v.Features(nil, pixels, n)
				for _, i := range []int{0, 1, n - 1} {
					want := oracleVision(cfg, w, pixels[i*size:(i+1)*size])
					if d := relative(got[i*cfg.Dim:(i+1)*cfg.Dim], want); !(d < 2e-6) {
						t.Errorf("image %d: features differ by %.2g", i, d)
					}
				}
				one := v.Features(nil, pixels[size:2*size], 1)
				for j, f := range one {
					if f != got[cfg.Dim+j] {
						t.Fatalf("feature %d of an image alone is %v, among others %v", j, f, got[cfg.Dim+j])
					}
				}
			})
		}
	}
}

func TestVisionAllocates(t *testing.T) {
	if kernel.Best() == kernel.Portable {
		t.Log("gonum's Gemm may start goroutines; counted for the assembly only")
		return
	}
	cfg := smallVision()
	v, err := NewVision(cfg, randomVision(cfg, 5))
	if err != nil {
		t.Fatal(err)
	}
	pixels, dst := gaussians(1, 5*3*cfg.Image*cfg.Image, 1), make([]float32, 5*cfg.Dim)
	if n := testing.AllocsPerRun(20, func() { v.Features(dst, pixels, 5) }); n != 0 && !raced {
		t.Errorf("Features allocates %v times", n)
	}
}

func TestNewVisionNamesTheTensor(t *testing.T) {
	cfg := smallVision()
	for name := range randomVision(cfg, 1) {
		w := randomVision(cfg, 1)
		w[name] = w[name][1:]
		if _, err := NewVision(cfg, w); err == nil || !contains(err, name) {
			t.Errorf("%s cut short: error is %v", name, err)
		}
	}
}
