package clip

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

// An hfGolden is what Hugging Face transformers computed in float64 for a small random
// model, see testbed/reference/make_clip_goldens.py.
type hfGolden struct {
	Classes         [][]int
	Context         []float64
	PromptFeatures  []float64 `json:"prompt_features"`
	Cotangent       []float64
	ContextGradient []float64 `json:"context_gradient"`
	TextFeatures    []float64 `json:"text_features"`
	Pixels          []float64
	ImageFeatures   []float64 `json:"image_features"`
	LogitScale      float64   `json:"logit_scale"`
}

func float32s(x []float64) []float32 {
	y := make([]float32, len(x))
	for i, v := range x {
		y[i] = float32(v)
	}
	return y
}

// weightsOf reads all tensors of a checkpoint.
func weightsOf(t *testing.T, c *Checkpoint) weightMap {
	t.Helper()
	w := weightMap{}
	for name := range c.tensors {
		info, _ := c.Info(name)
		v, err := c.Tensor(name, info.Shape...)
		if err != nil {
			t.Fatal(err)
		}
		w[name] = v
	}
	return w
}

func within(t *testing.T, what string, bound, difference float64) {
	t.Helper()
	if !(difference < bound) {
		t.Errorf("%s differ by %.2g, at most %.0g", what, difference, bound)
	}
}

// TestHuggingFace loads small random models as files and compares both towers, every
// engine, and the float64 oracles of the other tests with transformers' results.
func TestHuggingFace(t *testing.T) {
	for _, name := range []string{"base", "gelu", "odd"} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join("testdata", "hf", name)
			data, err := os.ReadFile(filepath.Join(dir, "golden.json"))
			if err != nil {
				t.Fatal(err)
			}
			var g hfGolden
			if err := json.Unmarshal(data, &g); err != nil {
				t.Fatal(err)
			}
			m, err := Load(os.DirFS(dir))
			if err != nil {
				t.Fatal(err)
			}
			defer m.Close()
			w := weightsOf(t, m.weights)
			within(t, "logit scale", 1e-6, relative([]float64{m.LogitScale}, []float64{g.LogitScale}))

			oracle := newTextOracle(m.Config.Text, w)
			within(t, "oracle's prompt features", 1e-9, relative(oracle.features(g.Classes, g.Context), g.PromptFeatures))
			within(t, "oracle's context gradients", 1e-6, relative(oracle.pull(g.Classes, g.Context, g.Cotangent), g.ContextGradient))
			size := len(g.Pixels) / 2
			images := append(oracleVision(m.Config.Vision, w, float32s(g.Pixels[:size])), oracleVision(m.Config.Vision, w, float32s(g.Pixels[size:]))...)
			within(t, "oracle's image features", 1e-9, relative(images, g.ImageFeatures))

			for _, engine := range engines() {
				text, err := newText(m.Config.Text, m.weights, engine)
				if err != nil {
					t.Fatal(err)
				}
				e, err := text.NewEncoder(g.Classes, len(g.Context)/m.Config.Text.Width)
				if err != nil {
					t.Fatal(err)
				}
				within(t, engine.String()+" prompt features", 5e-6, relative(e.Forward(float32s(g.Context)), g.PromptFeatures))
				grad := make([]float32, len(g.Context))
				e.Pull(grad, float32s(g.Cotangent))
				within(t, engine.String()+" context gradients", 2e-5, relative(grad, g.ContextGradient))
				plain, err := text.Features(nil, g.Classes)
				if err != nil {
					t.Fatal(err)
				}
				within(t, engine.String()+" text features", 5e-6, relative(plain, g.TextFeatures))

				vision, err := newVision(m.Config.Vision, m.weights, engine)
				if err != nil {
					t.Fatal(err)
				}
				within(t, engine.String()+" image features", 5e-6, relative(vision.Features(nil, float32s(g.Pixels), 2), g.ImageFeatures))
			}
		})
	}
}
