package predictor

import (
	"bytes"
	"image"
	"image/color"
	"image/png"
	"math/rand/v2"
	"mime/multipart"
	"testing"

	"dpfpl/mathx/clip"
	"dpfpl/mathx/prompt"
	"dpfpl/roles/backbone"
)

const rows = 3

var names = []string{"red heart", "tree", "moon", "car"}

// newPredictor uses a built-in CLIP and a random prompt.
func newPredictor(t testing.TB) (*Predictor, *clip.Model) {
	t.Helper()
	model, err := backbone.Open("../../testbed/tinyclip", clip.TextTower, clip.ImageTower)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { model.Close() })
	k, err := Prompted(model, learned(model), rows, names, ".")
	if err != nil {
		t.Fatal(err)
	}
	return &Predictor{Classifier: k, Model: model, Pixels: 1 << 20}, model
}

func learned(model *clip.Model) []float32 {
	return prompt.RandomContext(rows, model.Text.Config().Width, 0.05, rand.NewPCG(1, 2))
}

// drawing is a picture of some colours.
func drawing(t testing.TB, n int) []byte {
	t.Helper()
	img := image.NewRGBA(image.Rect(0, 0, 64, 48))
	r := rand.New(rand.NewPCG(uint64(n), 3))
	for y := range 48 {
		for x := range 64 {
			img.Set(x, y, color.RGBA{byte(r.IntN(40)) + byte(50*n), byte(200 - 40*n), byte(x * 2), 255})
		}
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// form joins pictures into a body.
func form(t testing.TB, pictures ...[]byte) (body []byte, contentType string) {
	t.Helper()
	var b bytes.Buffer
	w := multipart.NewWriter(&b)
	for _, p := range pictures {
		part, err := w.CreateFormFile("picture", "secret-name.png")
		if err != nil {
			t.Fatal(err)
		}
		part.Write(p)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes(), w.FormDataContentType()
}
