package clip

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"dpfpl/mathx/clip/internal/kernel"
)

// engines are the implementations that this build and CPU have.
func engines() []kernel.Engine {
	if kernel.Best() == kernel.Portable {
		return []kernel.Engine{kernel.Portable}
	}
	return []kernel.Engine{kernel.Portable, kernel.Best()}
}

func smallText() TextConfig {
	return TextConfig{Width: 32, Layers: 3, Heads: 4, Hidden: 48, Positions: 14, Vocab: 20, Dim: 24,
		Activation: QuickGELU, Eps: 1e-5, SOS: 18, EOT: 19}
}

// smallClasses share beginnings, differ in length, and two are the same.
var smallClasses = [][]int{{3, 4, 19}, {3, 4, 5, 19}, {7, 19}, {3, 19}, {3, 4, 19}, {1, 2, 3, 4, 5, 6, 19}, {19}}

func gaussians(seed uint64, n int, sd float64) []float32 {
	rng := rand.New(rand.NewPCG(seed, 3))
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(sd * rng.NormFloat64())
	}
	return x
}

func mustEncoder(t testing.TB, cfg TextConfig, w weightMap, engine kernel.Engine, classes [][]int, context int) *Encoder {
	t.Helper()
	text, err := newText(cfg, w, engine)
	if err != nil {
		t.Fatal(err)
	}
	e, err := text.NewEncoder(classes, context)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// TestEncoderOracle compares both engines with padded float64 prompts: features, and the
// whole context gradient of one class.
func TestEncoderOracle(t *testing.T) {
	for _, engine := range engines() {
		for _, change := range []func(*TextConfig){
			func(c *TextConfig) {},
			func(c *TextConfig) { c.Activation = GELU },
			func(c *TextConfig) { c.Layers, c.Eps = 1, 0.1 },
			func(c *TextConfig) { c.Layers, c.Heads = 2, 1 },
			func(c *TextConfig) { c.Width, c.Heads, c.Hidden, c.Dim = 30, 5, 20, 11 }, // not whole vectors
		} {
			cfg := smallText()
			change(&cfg)
			t.Run(fmt.Sprintf("%v/%d layers/%d wide/%s", engine, cfg.Layers, cfg.Width, cfg.Activation), func(t *testing.T) {
				const l = 3
				w := randomText(cfg, 7)
				e := mustEncoder(t, cfg, w, engine, smallClasses, l)
				ctx, cot := gaussians(1, l*cfg.Width, 0.5), gaussians(2, len(smallClasses)*cfg.Dim, 1)
				o := newTextOracle(cfg, w)
				got, want := e.Forward(ctx), o.features(smallClasses, float64s(ctx))
				if d := relative(got, want); !(d < 2e-6) {
					t.Errorf("features differ by %.2g", d)
				}
				const c = 1 // the other classes are checked along random directions below
				clear(cot[:c*cfg.Dim])
				clear(cot[(c+1)*cfg.Dim:])
				grad := make([]float32, len(ctx))
				e.Pull(grad, cot)
				if d := relative(grad, o.pull(smallClasses[c:c+1], float64s(ctx), float64s(cot[c*cfg.Dim:(c+1)*cfg.Dim]))); !(d < 2e-5) {
					t.Errorf("gradient differs by %.2g", d)
				}
			})
		}
	}
}

// randomClasses draws names that often begin alike.
func randomClasses(rt *rapid.T, cfg TextConfig, l int) [][]int {
	room := cfg.Positions - 2 - l
	classes := rapid.SliceOfN(rapid.SliceOfN(rapid.IntRange(0, 3), 0, room), 1, 6).Draw(rt, "classes")
	for i := range classes {
		classes[i] = append(classes[i], cfg.EOT)
	}
	return classes
}

// TestPullIsDerivative checks Pull along random directions against differences of the
// float64 oracle, for random shapes, class lists and dropped classes. Of 40,000 pulls the
// worst used a seventieth of the margin.
func TestPullIsDerivative(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		cfg := smallText()
		cfg.Layers = rapid.IntRange(1, 3).Draw(rt, "layers")
		cfg.Heads = rapid.SampledFrom([]int{1, 2, 4}).Draw(rt, "heads")
		l := rapid.IntRange(1, 6).Draw(rt, "context")
		classes := randomClasses(rt, cfg, l)
		seed := rapid.Uint64().Draw(rt, "seed")
		engine := rapid.SampledFrom(engines()).Draw(rt, "engine")
		w := randomText(cfg, seed)
		e := mustEncoder(t, cfg, w, engine, classes, l)
		ctx, dir, cot := gaussians(seed, l*cfg.Width, 0.5), gaussians(seed+1, l*cfg.Width, 1), gaussians(seed+2, len(classes)*cfg.Dim, 1)
		for c := range classes {
			if rapid.Bool().Draw(rt, "drop") {
				clear(cot[c*cfg.Dim : (c+1)*cfg.Dim])
			}
		}
		e.Forward(ctx)
		grad := make([]float32, len(ctx))
		e.Pull(grad, cot)
		var got, size float64
		for i, g := range grad {
			got += float64(g) * float64(dir[i])
			size += float64(g) * float64(g)
		}
		want := newTextOracle(cfg, w).slope(classes, float64s(ctx), float64s(cot), float64s(dir))
		if math.Abs(got-want) > 2e-4*math.Sqrt(size*float64(len(dir)))+1e-7 {
			rt.Errorf("derivative %g, want %g", got, want)
		}
	})
}

// TestPullIsLinear: Pull(a + b) = Pull(a) + Pull(b), so per-example gradients sum to the
// batch gradient; and Pull does not disturb what later Pulls need.
func TestPullIsLinear(t *testing.T) {
	for _, engine := range engines() {
		cfg := smallText()
		const l, batch = 4, 5
		e := mustEncoder(t, cfg, randomText(cfg, 3), engine, smallClasses, l)
		e.Forward(gaussians(1, l*cfg.Width, 0.5))
		n := len(smallClasses) * cfg.Dim
		total, sum := make([]float32, n), make([]float64, l*cfg.Width)
		grad := make([]float32, l*cfg.Width)
		for i := range batch {
			cot := gaussians(uint64(10+i), n, 1)
			clear(cot[i*cfg.Dim : (i+2)*cfg.Dim])
			add(total, cot)
			e.Pull(grad, cot)
			for j, g := range grad {
				sum[j] += float64(g)
			}
		}
		e.Pull(grad, total)
		if d := relative(grad, sum); !(d < 1e-5) {
			t.Errorf("%v: batch gradient differs from the sum by %.2g", engine, d)
		}
		e.Pull(grad, make([]float32, n))
		for _, g := range grad {
			if g != 0 {
				t.Fatalf("%v: gradient of nothing is %g", engine, g)
			}
		}
	}
}

// TestPaddedBits compares the encoder with whole padded prompts, each class alone, by the
// same kernel: sharing and trimming must not change a bit.
func TestPaddedBits(t *testing.T) {
	for _, engine := range engines() {
		cfg := smallText()
		const l = 5
		e := mustEncoder(t, cfg, randomText(cfg, 4), engine, smallClasses, l)
		ctx := gaussians(1, l*cfg.Width, 0.5)
		got := e.Forward(ctx)
		for c, ids := range smallClasses {
			padded := paddedEncoder(t, e.text, ids, l)
			want := padded.Forward(ctx)[(len(ids)-1)*cfg.Dim:][:cfg.Dim]
			for j, v := range want {
				if got[c*cfg.Dim+j] != v {
					t.Fatalf("%v: class %d feature %d is %v, padded %v", engine, c, j, got[c*cfg.Dim+j], v)
				}
			}
		}
	}
}

// paddedEncoder evaluates one class at all of the tower's positions, as the reference
// does: the tokens after EOT are 0. Every position behind the context counts as a class,
// so that nothing is left out of the last layer or, with a cotangent everywhere, of Pull;
// the class's own feature is that of EOT, at row len(ids)−1.
func paddedEncoder(t testing.TB, text *Text, ids []int, context int) *Encoder {
	t.Helper()
	tree := &suffixTree{}
	for i := range text.cfg.Positions - 1 - context {
		id, at := 0, int32(i)
		if i < len(ids) {
			id = ids[i]
		}
		tree.token, tree.parent, tree.depth = append(tree.token, id), append(tree.parent, at-1), append(tree.depth, at)
		tree.leaf, tree.leaves, tree.slot = append(tree.leaf, at), append(tree.leaves, at), append(tree.slot, at)
	}
	e, err := text.newEncoder(tree, context)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestEncoderAllocates(t *testing.T) {
	if kernel.Best() == kernel.Portable {
		t.Log("gonum's Gemm may start goroutines; counted for the assembly only")
		return
	}
	cfg := smallText()
	const l = 5
	e := mustEncoder(t, cfg, randomText(cfg, 4), kernel.Best(), smallClasses, l)
	ctx, cot := gaussians(1, l*cfg.Width, 0.5), gaussians(2, len(smallClasses)*cfg.Dim, 1)
	grad := make([]float32, len(ctx))
	if n := testing.AllocsPerRun(20, func() { e.Forward(ctx); e.Pull(grad, cot) }); n != 0 {
		t.Errorf("a step allocates %v times", n)
	}
}

func TestNewEncoderRefuses(t *testing.T) {
	cfg := smallText()
	text, err := NewText(cfg, randomText(cfg, 1))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		classes [][]int
		context int
	}{
		"no classes":     {nil, 4},
		"no EOT":         {[][]int{{3, 4}}, 4},
		"empty":          {[][]int{{}}, 4},
		"EOT inside":     {[][]int{{3, 19, 19}}, 4},
		"unknown token":  {[][]int{{20, 19}}, 4},
		"negative token": {[][]int{{-1, 19}}, 4},
		"too long":       {[][]int{{1, 1, 1, 1, 1, 1, 1, 1, 1, 19}}, 4},
		"negative":       {[][]int{{19}}, -1},
		"long context":   {[][]int{{19}}, 13},
	} {
		if _, err := text.NewEncoder(c.classes, c.context); !errors.Is(err, ErrPrompt) {
			t.Errorf("%s: error is %v", name, err)
		}
	}
}

func TestNewTextNamesTheTensor(t *testing.T) {
	cfg := smallText()
	for name := range randomText(cfg, 1) {
		w := randomText(cfg, 1)
		w[name] = w[name][1:]
		if _, err := NewText(cfg, w); err == nil || !contains(err, name) {
			t.Errorf("%s cut short: error is %v", name, err)
		}
	}
}

func contains(err error, s string) bool { return strings.Contains(err.Error(), s) }
