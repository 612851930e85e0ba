package prompt

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

// silent is a text tower that costs nothing, so that what is measured is the method.
type silent struct{ features []float32 }

func (silent) Shape() (int, int, int, int)   { return 100, 16, 512, 512 }
func (s silent) Forward([]float32) []float32 { return s.features }
func (silent) Pull(dst, cot []float32)       { copy(dst, cot) }

// BenchmarkStep is a step of 32 examples at CLIP's shape (l = 16, d = e = 512, C = 100)
// without the text tower: factorise, project, clip, noise, reconstruct, and the softmax.
// noise-only is the part of it that does not depend on the batch.
func BenchmarkStep(b *testing.B) {
	r := rand.New(source(1))
	enc := silent{make([]float32, 100*512)}
	for i := range enc.features {
		enc.features[i] = float32(r.NormFloat64() / 22)
	}
	batch := make([]Example, 32)
	for i := range batch {
		batch[i] = Example{enc.features[i*512 : (i+1)*512], i}
	}
	for _, method := range Methods() {
		for _, noiseOnly := range []bool{false, true} {
			b.Run(fmt.Sprintf("method=%s/noise-only=%v", method, noiseOnly), func(b *testing.B) {
				c := private(method, 8, 2)
				c.NoiseOnly = noiseOnly
				s := mustLearner(b, c, 16, 512, 0.02, 1)
				global := make([]float32, 16*512)
				b.ReportAllocs()
				for b.Loop() {
					if _, err := s.Step(enc, 100, global, batch, source(1), source(2)); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
