package predictor

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"

	"dpfpl/mathx/clip"
	"dpfpl/mathx/prompt"
)

// Classifier compares an image feature with one text feature for each class. It may be used concurrently.
type Classifier struct {
	Names []string // of the classes
	Dim   int      // of a feature
	scale float64
	text  []float32 // classes×Dim, unit rows
}

// Prompted puts a context of rows vectors in front of each name, which ending follows: what clients learn. Errors are
// those of the tokenizer and of clip.Text.NewEncoder.
func Prompted(model *clip.Model, context []float32, rows int, names []string, ending string) (*Classifier, error) {
	ids := make([][]int, len(names))
	for i, name := range names {
		var err error
		if ids[i], err = model.Tokens(name + ending); err != nil {
			return nil, fmt.Errorf("class %q: %w", name, err)
		}
	}
	encoder, err := model.Text.NewEncoder(ids, rows)
	if err != nil {
		return nil, err
	}
	defer encoder.Release()
	text := slices.Clone(encoder.Forward(context))
	return &Classifier{Names: names, Dim: model.Config.Text.Dim, scale: model.LogitScale, text: text}, nil
}

// Templated averages the unit features of each name in all templates, in which {} stands for it. Errors name the
// template or the name.
func Templated(model *clip.Model, names, templates []string) (*Classifier, error) {
	if model.Text == nil {
		return nil, fmt.Errorf("the model has no text tower")
	}
	k := &Classifier{Names: names, Dim: model.Config.Text.Dim, scale: model.LogitScale}
	sums := make([]float64, len(names)*k.Dim)
	for _, template := range templates {
		if !strings.Contains(template, "{}") {
			return nil, fmt.Errorf("template %q has no {} for the name", template)
		}
		var texts [][]int
		for _, name := range names {
			ids, err := model.Tokens(strings.ReplaceAll(template, "{}", name))
			if err != nil {
				return nil, err
			}
			texts = append(texts, ids)
		}
		features, err := model.Text.Features(nil, texts)
		if err != nil {
			return nil, err
		}
		for i, v := range features {
			sums[i] += float64(v)
		}
	}
	k.text = unitRows(sums, k.Dim)
	return k, nil
}

func unitRows(x []float64, dim int) []float32 {
	out := make([]float32, len(x))
	for i := 0; i < len(x); i += dim {
		sum := 0.0
		for _, v := range x[i : i+dim] {
			sum += v * v
		}
		for j, v := range x[i : i+dim] {
			out[i+j] = float32(v / math.Sqrt(sum))
		}
	}
	return out
}

// Guess is a class, by its index, with its softmax probability.
type Guess struct {
	Class       int
	Probability float64
}

// Best returns the n most probable classes, likeliest first; of equal ones the lower comes first, as in
// prompt.Predict.
func (k *Classifier) Best(feature []float32, n int) []Guess {
	similar := prompt.Similarities(nil, k.text, feature)
	guesses := make([]Guess, len(similar))
	for c := range guesses {
		guesses[c].Class = c
	}
	slices.SortStableFunc(guesses, func(a, b Guess) int { return cmp.Compare(similar[b.Class], similar[a.Class]) })
	top, sum := float64(similar[guesses[0].Class]), 0.0
	for i, g := range guesses {
		guesses[i].Probability = math.Exp(k.scale * (float64(similar[g.Class]) - top))
		sum += guesses[i].Probability
	}
	for i := range guesses {
		guesses[i].Probability /= sum
	}
	return guesses[:min(n, len(guesses))]
}
