package clip_test

import (
	"os"
	"slices"
	"testing"

	"dpfpl/mathx/clip"
)

// TestWords reads the embeddings of a hand-written context from the small built-in model: equal words have
// equal rows, other words other ones.
func TestWords(t *testing.T) {
	t.Parallel()
	m, err := clip.Load(os.DirFS("../../testbed/tinyclip"))
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	d := m.Text.Config().Width
	words, err := m.Words("a picture of a")
	if err != nil {
		t.Fatal(err)
	}
	if len(words) != 4*d {
		t.Fatalf("%d numbers, want 4 tokens of %d", len(words), d)
	}
	first, second, last := words[:d], words[d:2*d], words[3*d:]
	if !slices.Equal(first, last) || slices.Equal(first, second) {
		t.Error("rows do not follow the words")
	}
	if _, err := m.Words("<|endoftext|>"); err == nil {
		t.Error("a special token passes as a word")
	}
}
