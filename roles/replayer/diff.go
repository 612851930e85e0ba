package replayer

import (
	"fmt"
	"iter"
	"slices"

	"dpfpl/schemas"
)

// Pair is one version of two runs side by side.
type Pair struct {
	Version    uint64
	Norms      [2]float64 // of the parameters
	Difference float64
	Folded     [2]int // updates
	Same       bool   // same bits, of the same updates
}

// Diff compares the recorded versions of two runs as far as both go. Errors: ErrSource, also for prompts
// of different shape, and those of the sources; the result then covers what was read.
func Diff(a, b Source) ([]Pair, error) {
	left, stopLeft := iter.Pull2(models(a))
	defer stopLeft()
	right, stopRight := iter.Pull2(models(b))
	defer stopRight()
	var pairs []Pair
	for {
		p, err, ok := left()
		if !ok || err != nil {
			return pairs, err
		}
		q, err, ok := right()
		if !ok || err != nil {
			return pairs, err
		}
		if p.Params.Rows != q.Params.Rows || p.Params.Cols != q.Params.Cols {
			return pairs, fmt.Errorf("%w: prompts of %d×%d and %d×%d", ErrSource, p.Params.Rows, p.Params.Cols, q.Params.Rows, q.Params.Cols)
		}
		x, y := p.Params.Floats(nil), q.Params.Floats(nil)
		pairs = append(pairs, Pair{
			Version: p.Version, Norms: [2]float64{norm(x), norm(y)}, Difference: distance(x, y),
			Folded: [2]int{len(p.Folded), len(q.Folded)},
			Same:   string(p.Params.Data) == string(q.Params.Data) && slices.Equal(p.Folded, q.Folded),
		})
	}
}

// models yields the recorded versions of a run.
func models(src Source) iter.Seq2[*schemas.Model, error] {
	return func(yield func(*schemas.Model, error) bool) {
		r, err := begin(src)
		if err != nil {
			yield(nil, err)
			return
		}
		defer r.stop()
		if !yield(r.first, nil) {
			return
		}
		for m, err := range r.rest {
			if err != nil {
				yield(nil, err)
				return
			}
			kind, _, _, _, _ := schemas.ParseSubject(m.Subject)
			if kind != schemas.KindModel {
				continue
			}
			if model, ok := opened(m).Body.(*schemas.Model); ok && !yield(model, nil) {
				return
			}
		}
	}
}
