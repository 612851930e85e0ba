package main

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"dpfpl/mathx/clip"
	"dpfpl/mathx/metrics"
	"dpfpl/mathx/prompt"
	"dpfpl/roles/replayer"
	"dpfpl/schemas"
)

// evaluation rates global prompts by their accuracy on pictures.
type evaluation struct {
	model, set, ending string
}

func (e *evaluation) register(c *cobra.Command) {
	c.Flags().StringVar(&e.set, "eval", "", "`folder` with a picture set, one sub-folder for each class, or with a feature cache: adds the accuracy")
	c.Flags().StringVar(&e.model, "model", "", "`folder` of the run's CLIP model, for --eval")
	c.Flags().StringVar(&e.ending, "ending", ".", "`text` that followed the class names in the run's prompts, for --eval")
}

// open returns what rates the prompts of a run, nil if nothing was asked for. close must be called at the end.
func (e *evaluation) open() (rate replayer.NewScore, close func(), err error) {
	switch {
	case e.set == "" && e.model != "":
		return nil, nil, input(errors.New("--model is for --eval"))
	case e.set == "":
		return nil, func() {}, nil
	}
	model, err := openModel(e.model, clip.TextTower, clip.ImageTower)
	if err != nil {
		return nil, nil, err
	}
	rate = func(plan *schemas.Plan) (func([]float32) float64, error) {
		score, err := e.accuracy(model, plan)
		if err != nil {
			err = input(fmt.Errorf("--eval: %w", err))
		}
		return score, err
	}
	return rate, func() { model.Close() }, nil
}

func (e *evaluation) accuracy(model *clip.Model, plan *schemas.Plan) (func([]float32) float64, error) {
	encoder, err := planEncoder(model, plan, e.ending)
	if err != nil {
		return nil, err
	}
	examples, err := planExamples(model, plan, e.set)
	if err != nil {
		return nil, err
	}
	features, labels := prompt.Features(examples), prompt.Labels(examples)
	return func(global []float32) float64 {
		return metrics.Accuracy(prompt.Predict(encoder, global, features), labels)
	}, nil
}

// rating is the accuracy of a recorded version.
type rating struct {
	version  uint64
	accuracy float64
}

// rated yields src and rates the models in it as they pass by. An error of newScore ends it.
func rated(src replayer.Source, newScore replayer.NewScore, ratings *[]rating) replayer.Source {
	return func(yield func(schemas.Message, error) bool) {
		var score func([]float32) float64
		for m, err := range src {
			if kind, _, _, _, _ := schemas.ParseSubject(m.Subject); err == nil && (kind == schemas.KindPlan || kind == schemas.KindModel) {
				m.Body, m.Err = schemas.Open(m.Raw)
				switch b := m.Body.(type) {
				case *schemas.Plan:
					score, err = newScore(b)
				case *schemas.Model:
					if score != nil {
						*ratings = append(*ratings, rating{b.Version, score(b.Params.Floats(nil))})
					}
				}
			}
			if !yield(m, err) || err != nil {
				return
			}
		}
	}
}

// printRatings leaves out what the replay did not come to.
func printRatings(w io.Writer, ratings []rating, upTo uint64) {
	table(w, "version\taccuracy", func(row func(...any)) {
		for _, r := range ratings {
			if r.version <= upTo {
				row(r.version, percent(r.accuracy))
			}
		}
	})
}
