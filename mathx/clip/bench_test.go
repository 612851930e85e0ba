//go:build unix

package clip

import (
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"syscall"
	"testing"

	"dpfpl/mathx/clip/internal/kernel"
)

// vitB is the text tower of CLIP ViT-B/32 and B/16 but for the size of the vocabulary.
func vitB() TextConfig {
	return TextConfig{Width: 512, Layers: 12, Heads: 8, Hidden: 2048, Positions: 77, Vocab: 1000, Dim: 512,
		Activation: QuickGELU, Eps: 1e-5, SOS: 998, EOT: 999}
}

// tiny is the size of the built-in model, testbed/tinyclip.
func tiny() TextConfig {
	return TextConfig{Width: 96, Layers: 3, Heads: 3, Hidden: 192, Positions: 40, Vocab: 1000, Dim: 128,
		Activation: QuickGELU, Eps: 1e-5, SOS: 998, EOT: 999}
}

// names makes n classes with 4, 5 and 6 tokens in turn, or fewer by less.
func names(n, less int) [][]int {
	classes := make([][]int, n)
	for i := range classes {
		for j := range 3 + i%3 - less {
			classes[i] = append(classes[i], (7*i+j*i+13)%990+1)
		}
		classes[i] = append(classes[i], 999)
	}
	return classes
}

var benchTexts = map[string]*Text{}

// benchEncoder makes an encoder over a tower that benchmarks share.
func benchEncoder(b *testing.B, name string, cfg TextConfig, classes [][]int) *Encoder {
	b.Helper()
	text := benchTexts[name]
	if text == nil {
		var err error
		if text, err = newText(cfg, randomText(cfg, 1), kernel.Best()); err != nil {
			b.Fatal(err)
		}
		benchTexts[name] = text
	}
	e, err := text.NewEncoder(classes, 16)
	if err != nil {
		b.Fatal(err)
	}
	return e
}

// cpuTime is the processor time that f takes, the least of a few runs: unlike wall time
// it can be compared on a machine that others use too.
func cpuTime(b *testing.B, runs int, f func()) float64 {
	b.Helper()
	now := func() float64 {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			b.Fatal(err)
		}
		return float64(u.Utime.Nano()+u.Stime.Nano()) / 1e9
	}
	best := math.Inf(1)
	for range runs {
		start := now()
		f()
		best = min(best, now()-start)
	}
	return best
}

// BenchmarkStep is one gradient step to the context at ViT-B text size, against whole
// padded prompts by the same kernel.
func BenchmarkStep(b *testing.B) {
	for _, n := range []int{10, 100} {
		b.Run(fmt.Sprintf("classes=%d", n), func(b *testing.B) {
			classes := names(n, 0)
			e := benchEncoder(b, "vitB", vitB(), classes)
			ctx, cot, grad := gaussians(1, 16*512, 0.02), gaussians(2, n*512, 1), make([]float32, 16*512)
			step := func() { e.Forward(ctx); e.Pull(grad, cot) }
			step()
			for b.Loop() {
				step()
			}
			b.StopTimer()
			padded := paddedEncoder(b, e.text, classes[0], 16)
			everywhere := gaussians(3, 60*512, 1)
			whole := cpuTime(b, 2, func() {
				for range n {
					padded.Forward(ctx)
					padded.Pull(grad, everywhere)
				}
			})
			ours := cpuTime(b, 3, step)
			b.ReportMetric(float64(e.Rows()), "rows")
			b.ReportMetric(ours, "cpu-s/step")
			b.ReportMetric(whole/ours, "×padded")
		})
	}
}

// BenchmarkTiny is the built-in model's hot path: per-example gradients of a batch of 32
// over 362 classes.
func BenchmarkTiny(b *testing.B) {
	const n, batch = 362, 32
	cfg := tiny()
	e := benchEncoder(b, "tiny", cfg, names(n, 2))
	ctx, grad := gaussians(1, 16*cfg.Width, 0.02), make([]float32, 16*cfg.Width)
	e.Forward(ctx)
	b.Run("forward", func(b *testing.B) {
		for b.Loop() {
			e.Forward(ctx)
		}
		b.ReportMetric(float64(e.Rows()), "rows")
	})
	for _, active := range []int{1, 3, 10, 30, 100, 362} {
		b.Run(fmt.Sprintf("pulls=32/classes=%d", active), func(b *testing.B) {
			cot := gaussians(2, n*cfg.Dim, 1)
			for c := range n {
				if c*active%n >= active { // spread evenly
					clear(cot[c*cfg.Dim : (c+1)*cfg.Dim])
				}
			}
			pulls := func() {
				for range batch {
					e.Pull(grad, cot)
				}
			}
			for b.Loop() {
				pulls()
			}
			b.StopTimer()
			b.ReportMetric(1e3*cpuTime(b, 5, pulls), "cpu-ms")
		})
	}
}

// BenchmarkMemory is what 20 encoders for 10 classes hold that share one ViT-B tower: one
// at work, and all at the same time.
func BenchmarkMemory(b *testing.B) {
	const clients = 20
	cfg := vitB()
	cfg.Vocab = 49408
	cfg.SOS, cfg.EOT = 49406, 49407
	heap := func() float64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return float64(m.HeapAlloc) / 1e6
	}
	weights := rowMap{randomText(cfg, 1)}
	clear(benchTexts)
	for b.Loop() {
		before := heap()
		text, err := newText(cfg, weights, kernel.Best())
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(heap()-before, "tower-MB")
		classes := names(10, 0)
		for _, c := range classes {
			c[len(c)-1] = cfg.EOT
		}
		var encoders []*Encoder
		for range clients {
			e, err := text.NewEncoder(classes, 16)
			if err != nil {
				b.Fatal(err)
			}
			e.Forward(make([]float32, 16*512))
			e.Release()
			encoders = append(encoders, e)
		}
		b.ReportMetric(heap()-before, "MB-in-turn")
		for _, e := range encoders {
			e.borrow()
		}
		b.ReportMetric(heap()-before, "MB-at-once")
		runtime.KeepAlive(encoders)
	}
}

// A rowMap is a weightMap that gives rows, as checkpoints do.
type rowMap struct{ weightMap }

func (m rowMap) Row(dst []float32, name string, row, rows int) error {
	if len(m.weightMap[name]) != rows*len(dst) {
		return fmt.Errorf("rowMap: %s has another shape", name)
	}
	copy(dst, m.weightMap[name][row*len(dst):])
	return nil
}

// BenchmarkVision is the number of images a second and core.
func BenchmarkVision(b *testing.B) {
	for _, patch := range []int{32, 16} {
		b.Run(fmt.Sprintf("ViT-B/%d", patch), func(b *testing.B) {
			cfg := VisionConfig{Width: 768, Layers: 12, Heads: 12, Hidden: 3072, Image: 224, Patch: patch, Dim: 512,
				Activation: QuickGELU, Eps: 1e-5}
			v, err := NewVision(cfg, randomVision(cfg, 1))
			if err != nil {
				b.Fatal(err)
			}
			n := newGlance(v).images
			pixels, dst := gaussians(1, n*3*224*224, 1), make([]float32, n*512)
			v.Features(dst, pixels, n)
			for b.Loop() {
				v.Features(dst, pixels, n)
			}
			b.StopTimer()
			b.ReportMetric(float64(n)/cpuTime(b, 3, func() { v.Features(dst, pixels, n) }), "images/cpu-s")
		})
	}
}

// BenchmarkExamples is a batch of 32 per-example gradients at ViT-B text size, against one
// gradient of the batch: all classes, and pruned to a proven error of a thousandth. How
// many classes count depends on how sharp the softmax is; here, where weights are random,
// the residuals are made up: of the classes in a random order, each next one has a
// hundredth of the one before.
func BenchmarkExamples(b *testing.B) {
	const batch = 32
	for _, n := range []int{10, 100} {
		e := benchEncoder(b, "vitB", vitB(), names(n, 0))
		ctx, grad := gaussians(1, 16*512, 0.02), make([]float32, 16*512)
		e.Forward(ctx)
		mean := func() { e.Forward(ctx); e.Pull(grad, gaussians(2, n*512, 1)) }
		b.Run(fmt.Sprintf("classes=%d/all", n), func(b *testing.B) {
			cot := gaussians(3, n*512, 1)
			all := func() {
				e.Forward(ctx)
				for range batch {
					e.Pull(grad, cot)
				}
			}
			for b.Loop() {
				all()
			}
			b.StopTimer()
			b.ReportMetric(cpuTime(b, 1, all)/cpuTime(b, 2, mean), "×batch")
		})
		b.Run(fmt.Sprintf("classes=%d/pruned", n), func(b *testing.B) {
			gains := e.Gains(nil, 4, 1e-3, rand.NewPCG(1, 2))
			kept, pulls := 0, 0
			cot := make([]float32, n*512)
			pruned := func() {
				e.Forward(ctx)
				for i := range batch {
					size := float32(1)
					for _, c := range rand.New(rand.NewPCG(uint64(i), 1)).Perm(n) {
						for j, v := range gaussians(uint64(i), 512, 1) {
							cot[c*512+j] = size * v
						}
						size /= 100
					}
					k, _ := e.PullPruned(grad, cot, gains, 1e-3)
					kept, pulls = kept+k, pulls+1
				}
			}
			for b.Loop() {
				pruned()
			}
			b.StopTimer()
			b.ReportMetric(float64(kept)/float64(pulls), "classes-kept")
			b.ReportMetric(cpuTime(b, 1, pruned)/cpuTime(b, 2, mean), "×batch")
		})
	}
}
