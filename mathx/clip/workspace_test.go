package clip

import (
	"slices"
	"sync"
	"testing"

	"dpfpl/mathx/clip/internal/kernel"
)

// TestRelease: encoders of other classes in between do not change what an encoder
// computes, and those of one shape share one workspace.
func TestRelease(t *testing.T) {
	cfg := smallText()
	const l = 4
	text, err := newText(cfg, randomText(cfg, 3), kernel.Best())
	if err != nil {
		t.Fatal(err)
	}
	lists := [][][]int{{{3, 4, 19}, {5, 19}}, {{6, 7, 19}, {8, 19}}, {{3, 4, 19}, {5, 19}}, {{1, 19}}}
	ctx, cot := gaussians(1, l*cfg.Width, 0.5), gaussians(2, 2*cfg.Dim, 1)
	step := func(e *Encoder) (features, grad []float32) {
		grad = make([]float32, len(ctx))
		features = e.Forward(ctx)
		e.Pull(grad, cot[:len(features)])
		return slices.Clone(features), grad
	}
	for round := range 2 {
		for i, classes := range lists {
			e, err := text.NewEncoder(classes, l)
			if err != nil {
				t.Fatal(err)
			}
			features, grad := step(e)
			e.Release()
			fresh, err := text.NewEncoder(classes, l)
			if err != nil {
				t.Fatal(err)
			}
			fresh.workspace = newWorkspace(fresh.plan)
			fresh.prepare()
			wantFeatures, wantGrad := step(fresh)
			if !slices.Equal(features, wantFeatures) || !slices.Equal(features, e.features.Data) || !slices.Equal(grad, wantGrad) {
				t.Errorf("round %d: classes %d differ in a borrowed workspace", round, i)
			}
		}
	}
	for s, idle := range text.workspaces.idle {
		if len(idle) != 1 {
			t.Errorf("shape %v has %d workspaces", s, len(idle))
		}
	}
}

// TestConcurrentEncoders: encoders of one tower work side by side, with equal results.
func TestConcurrentEncoders(t *testing.T) {
	cfg := smallText()
	const l, workers = 4, 8
	text, err := newText(cfg, randomText(cfg, 3), kernel.Best())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cot := gaussians(1, l*cfg.Width, 0.5), gaussians(2, len(smallClasses)*cfg.Dim, 1)
	grads := make([][]float32, workers)
	var wg sync.WaitGroup
	for i := range workers {
		wg.Go(func() {
			e, err := text.NewEncoder(smallClasses, l)
			if err != nil {
				t.Error(err)
				return
			}
			grads[i] = make([]float32, len(ctx))
			for range 3 {
				e.Forward(ctx)
				e.Pull(grads[i], cot)
				e.Release()
			}
		})
	}
	wg.Wait()
	for i := range grads {
		if !slices.Equal(grads[i], grads[0]) {
			t.Errorf("worker %d has another gradient", i)
		}
	}
}

func TestPullWithoutForwardPanics(t *testing.T) {
	cfg := smallText()
	e := mustEncoder(t, cfg, randomText(cfg, 3), kernel.Best(), smallClasses, 4)
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	e.Pull(make([]float32, 4*cfg.Width), make([]float32, len(smallClasses)*cfg.Dim))
}
