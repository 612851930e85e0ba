package predictor

import (
	"io"

	"dpfpl/mathx/clip"
)

// Predictor classifies pictures. It may be used concurrently.
type Predictor struct {
	*Classifier
	Model  *clip.Model // with an image tower
	Pixels int         // most of a picture; what is larger is refused before it is decoded

	// Below this probability of the likeliest class there is no answer.
	MinProbability float64
}

// Unsure is the answer below MinProbability. No class is called that, unless a plan says so.
const Unsure = "unsure"

// Prediction is what a picture shows.
type Prediction struct {
	Answer  string  `json:"answer"`  // the likeliest class, or Unsure
	Classes []Class `json:"classes"` // likeliest first
}

// Class is one with its probability.
type Class struct {
	Class       string  `json:"class"`
	Probability float64 `json:"probability"`
}

// Picture reads a picture and returns its top classes. The same bytes give the same answer, alone or among others.
// Errors are those of clip.DecodeImageWithin.
func (p *Predictor) Picture(r io.Reader, top int) (Prediction, error) {
	img, err := clip.DecodeImageWithin(r, p.Pixels)
	if err != nil {
		return Prediction{}, err
	}
	out := Prediction{Answer: Unsure}
	for _, g := range p.Best(p.Model.Images().Features(nil, p.Model.Preprocess.Pixels(nil, img), 1), max(top, 1)) {
		out.Classes = append(out.Classes, Class{p.Names[g.Class], g.Probability})
	}
	if best := out.Classes[0]; best.Probability >= p.MinProbability {
		out.Answer = best.Class
	}
	return out, nil
}
