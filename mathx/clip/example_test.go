package clip_test

import (
	"fmt"
	"log"
	"os"

	"dpfpl/mathx/clip"
)

// The gradient of a loss with respect to the context vectors that all classes share.
func ExampleText_NewEncoder() {
	model, err := clip.Load(os.DirFS("testdata/hf/base"))
	if err != nil {
		log.Fatal(err)
	}
	defer model.Close()
	const eot, context = 39, 4
	classes := [][]int{{3, 4, 5, eot}, {3, 4, eot}, {7, eot}}
	encoder, err := model.Text.NewEncoder(classes, context)
	if err != nil {
		log.Fatal(err)
	}
	_, _, width, dim := encoder.Shape()
	fmt.Printf("%d token rows instead of %d\n", encoder.Rows(), len(classes)*model.Config.Text.Positions)

	prompt := make([]float32, context*width)
	before := append([]float32(nil), encoder.Forward(prompt)...)
	toward := make([]float32, len(before)) // bring class 2 nearer to class 0
	copy(toward[2*dim:], before[:dim])
	gradient := make([]float32, len(prompt))
	encoder.Pull(gradient, toward)
	for i, g := range gradient {
		prompt[i] += 0.01 * g
	}
	after := encoder.Forward(prompt)
	fmt.Println("nearer:", dot(toward, after) > dot(toward, before))
	// Output:
	// 12 token rows instead of 60
	// nearer: true
}

func dot(x, y []float32) (sum float64) {
	for i := range x {
		sum += float64(x[i]) * float64(y[i])
	}
	return sum
}
