package planfile

import (
	"os"
	"slices"
	"testing"

	"dpfpl/mathx/clip"
	"dpfpl/mathx/prompt"
	"dpfpl/schemas"
)

// TestInitialStaysTheSame holds the prompt of seed 1 to the one that recorded runs began with.
func TestInitialStaysTheSame(t *testing.T) {
	p := &schemas.Plan{Prompt: schemas.PromptPlan{Context: 2, Width: 3, Init: "random", Std: 0.02}, Seed: 1}
	got, err := Initial(p, nil)
	if err != nil {
		t.Fatal(err)
	}
	want := []float32{0.0066208383, 0.04571741, 0.01246961, -0.01466626, -0.015708769, 0.007868825}
	if !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	p.Seed = 2
	if other, err := Initial(p, nil); err != nil || slices.Equal(other, want) {
		t.Errorf("seed 2 gives the same, %v", err)
	}
}

// TestInitialOfWords: the words' embeddings of the built-in model.
func TestInitialOfWords(t *testing.T) {
	m, err := clip.Load(os.DirFS("../../testbed/tinyclip"))
	if err != nil {
		t.Fatal(err)
	}
	d := m.Text.Config().Width
	p := &schemas.Plan{Prompt: schemas.PromptPlan{Context: 4, Width: uint16(d), Init: "words", Words: "a picture of a"}}
	got, err := Initial(p, m)
	if err != nil {
		t.Fatal(err)
	}
	words, err := m.Words("a picture of a")
	if err != nil {
		t.Fatal(err)
	}
	want, err := prompt.WordContext(words, 4, d)
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("not the words: %v", err)
	}
}
