package federation

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"

	"dpfpl/mathx/clip"
	"dpfpl/mathx/prompt"
	"dpfpl/testbed/internal/data"
)

// Features is the frozen image tower applied once to every picture of a set, by picture key.
type Features map[string][]float32

// ComputeFeatures renders, preprocesses and embeds every picture that some client holds, on all cores; a picture that is
// a feature already stays what it is.
// progress, if not nil, is told how many of how many are done. Errors are those of rendering, and the context's.
func ComputeFeatures(ctx context.Context, m *clip.Model, set *data.Set, progress func(done, all int)) (Features, error) {
	todo := distinct(set)
	out := make(Features, len(todo))
	todo = slices.DeleteFunc(todo, func(p data.Picture) bool {
		if p.Feature != nil {
			out[p.Key] = p.Feature
		}
		return p.Feature != nil
	})
	var (
		mu    sync.Mutex
		first error
		wg    sync.WaitGroup
	)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	next := make(chan data.Picture)
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			var pixels []float32
			for p := range next {
				feature, err := embed(m, p, &pixels)
				mu.Lock()
				if err != nil && first == nil {
					first = err
					cancel()
				}
				out[p.Key] = feature
				if progress != nil {
					progress(len(out), len(todo))
				}
				mu.Unlock()
			}
		})
	}
feed:
	for _, p := range todo {
		select {
		case next <- p:
		case <-ctx.Done():
			break feed
		}
	}
	close(next)
	wg.Wait()
	if first == nil {
		first = ctx.Err()
	}
	return out, first
}

// distinct lists every picture of a set once.
func distinct(set *data.Set) []data.Picture {
	seen := map[string]bool{}
	var all []data.Picture
	for _, c := range set.Clients {
		for _, pics := range [][]data.Picture{c.Train, c.Test, c.Neighbour} {
			for _, p := range pics {
				if !seen[p.Key] {
					seen[p.Key] = true
					all = append(all, p)
				}
			}
		}
	}
	return all
}

func embed(m *clip.Model, p data.Picture, pixels *[]float32) ([]float32, error) {
	img, err := p.Image()
	if err != nil {
		return nil, fmt.Errorf("picture %s: %w", p.Key, err)
	}
	*pixels = m.Preprocess.Pixels(*pixels, img)
	return m.Images().Features(nil, *pixels, 1), nil
}

// Examples joins pictures with their features.
func (f Features) Examples(pics []data.Picture) []prompt.Example {
	out := make([]prompt.Example, len(pics))
	for i, p := range pics {
		out[i] = prompt.Example{Feature: f[p.Key], Label: p.Label}
	}
	return out
}
