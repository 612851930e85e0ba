// Package tinyclip_test holds the built-in model against what PyTorch computes from the same files.
package tinyclip_test

import (
	"encoding/json"
	"fmt"
	"image"
	"image/draw"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"dpfpl/mathx/clip"
)

// golden is what testbed/reference/golden_tinyclip.py wrote: float64 results from the stored fp16 weights.
type golden struct {
	Tokens []struct {
		Text string
		IDs  []int
	}
	LogitScale float64 `json:"logit_scale"`
	Texts      struct {
		Names    []string
		Vectors  [][]float64
		Features [][]float64
	}
	Images []struct {
		Set, Part string
		Tile      int
		PixelSum  float64 `json:"pixel_sum"`
		PixelAt   []int   `json:"pixel_at"`
		Pixels    []float64
		Features  []float64
	}
	Context struct {
		Classes  []string
		Vectors  [][]float64
		Features [][]float64
		Labels   []int
		Loss     float64
		Gradient [][]float64
	}
}

func load(t *testing.T) (*clip.Model, golden) {
	t.Helper()
	model, err := clip.Load(os.DirFS("."))
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile("testdata/golden.json")
	if err != nil {
		t.Fatal(err)
	}
	var g golden
	if err := json.Unmarshal(data, &g); err != nil {
		t.Fatal(err)
	}
	return model, g
}

// tokens are a text's ids with EOT.
func tokens(t *testing.T, model *clip.Model, text string) []int {
	t.Helper()
	ids, err := model.Tokens(text)
	if err != nil {
		t.Fatalf("%q: %v", text, err)
	}
	return ids
}

// tile cuts one picture out of a sheet of the data folder.
func tile(t *testing.T, set, part string, i int) image.Image {
	t.Helper()
	size, columns := 64, 20
	if set == "fashion" {
		size, columns = 28, 50
	}
	file, err := os.Open(filepath.Join("..", "data", set, part+".png"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	sheet, err := clip.DecodeImage(file)
	if err != nil {
		t.Fatal(err)
	}
	out := image.NewRGBA(image.Rect(0, 0, size, size))
	draw.Draw(out, out.Bounds(), sheet, image.Pt(i%columns*size, i/columns*size), draw.Src)
	return out
}

// compare fails when two vectors differ by more than tolerance anywhere.
func compare(t *testing.T, what string, got []float32, want []float64, tolerance float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d numbers, want %d", what, len(got), len(want))
	}
	for i := range got {
		if math.Abs(float64(got[i])-want[i]) > tolerance {
			t.Fatalf("%s[%d] = %v, want %v", what, i, got[i], want[i])
		}
	}
}

func TestTokens(t *testing.T) {
	model, g := load(t)
	for _, c := range g.Tokens {
		got, err := model.Tokenizer.Encode(c.Text)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got, c.IDs) {
			t.Errorf("%q: %v, want %v", c.Text, got, c.IDs)
		}
	}
}

// encode evaluates the features of "NAME." behind context vectors, and returns the encoder too.
func encode(t *testing.T, model *clip.Model, names []string, vectors [][]float64, want [][]float64) (*clip.Encoder, []float32) {
	t.Helper()
	var classes [][]int
	for _, name := range names {
		classes = append(classes, tokens(t, model, name+"."))
	}
	encoder, err := model.Text.NewEncoder(classes, len(vectors))
	if err != nil {
		t.Fatal(err)
	}
	var context []float32
	for _, x := range slices.Concat(vectors...) {
		context = append(context, float32(x))
	}
	features := encoder.Forward(context)
	_, _, _, dim := encoder.Shape()
	for i, name := range names {
		compare(t, name, features[i*dim:(i+1)*dim], want[i], 1e-5)
	}
	return encoder, features
}

// TestTexts checks prompts of words: a template's own token embeddings as the context.
func TestTexts(t *testing.T) {
	model, g := load(t)
	encode(t, model, g.Texts.Names, g.Texts.Vectors, g.Texts.Features)
}

func TestImages(t *testing.T) {
	model, g := load(t)
	for _, c := range g.Images {
		name := fmt.Sprintf("%s/%s/%d", c.Set, c.Part, c.Tile)
		pixels := model.Preprocess.Pixels(nil, tile(t, c.Set, c.Part, c.Tile))
		var sum float64
		for _, p := range pixels {
			sum += float64(p)
		}
		if math.Abs(sum-c.PixelSum) > 0.01 {
			t.Errorf("%s: pixels add up to %v, want %v", name, sum, c.PixelSum)
		}
		for i, at := range c.PixelAt {
			compare(t, name, pixels[at:at+1], c.Pixels[i:i+1], 1e-6)
		}
		compare(t, name, model.Vision.Features(nil, pixels, 1), c.Features, 1e-5)
	}
}

// TestContext checks class features under a context of 16 vectors, the loss over them and its gradient.
func TestContext(t *testing.T) {
	model, g := load(t)
	if math.Abs(model.LogitScale-g.LogitScale) > 1e-4 {
		t.Errorf("logit scale %v, want %v", model.LogitScale, g.LogitScale)
	}
	encoder, features := encode(t, model, g.Context.Classes, g.Context.Vectors, g.Context.Features)
	loss, cot := 0.0, make([]float32, len(features))
	for i, c := range g.Images {
		loss += crossEntropy(cot, features, c.Features, g.Context.Labels[i], model.LogitScale, len(g.Images))
	}
	if math.Abs(loss-g.Context.Loss) > 1e-4 {
		t.Errorf("loss %v, want %v", loss, g.Context.Loss)
	}
	gradient := slices.Concat(g.Context.Gradient...)
	pulled := make([]float32, len(gradient))
	encoder.Pull(pulled, cot)
	compare(t, "gradient", pulled, gradient, 1e-4)
}

// crossEntropy adds one picture's share of the mean loss over n pictures to cot and returns it.
func crossEntropy(cot, features []float32, picture []float64, label int, scale float64, n int) float64 {
	classes, dim := len(features)/len(picture), len(picture)
	logits, total := make([]float64, classes), 0.0
	for c := range logits {
		for k, x := range picture {
			logits[c] += scale * x * float64(features[c*dim+k])
		}
		total += math.Exp(logits[c])
	}
	for c := range logits {
		p := math.Exp(logits[c]) / total
		if c == label {
			p--
		}
		for k, x := range picture {
			cot[c*dim+k] += float32(p * scale * x / float64(n))
		}
	}
	return (math.Log(total) - logits[label]) / float64(n)
}
