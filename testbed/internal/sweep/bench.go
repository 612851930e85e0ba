package sweep

import (
	"context"
	"fmt"
	"io/fs"
	"os"

	"dpfpl/mathx/clip"
	"dpfpl/roles/backbone"
	"dpfpl/testbed/internal/data"
	"dpfpl/testbed/internal/federation"
)

// Folders says where things outside the grid are; empty ones are built in, or not there.
type Folders struct {
	Model    string // frozen CLIP
	Features string
	Images   string
}

// Builtin are the assets of the testbed.
type Builtin struct {
	Model fs.FS // the frozen model
	Data  fs.FS // the built-in sets
}

// bench is the table on which cells are run: the model, and the sources prepared for one seed.
type bench struct {
	grid    *Grid
	folders Folders
	builtin Builtin
	model   *clip.Model
	sources map[string]*source // of seed
	skipped func(source string, what []string)
	seed    uint64
}

// source is a data set, divided, with features and the control that learns nothing.
type source struct {
	set      *data.Set
	names    [][]int // tokens of the class names
	parties  []federation.Party
	zeroShot [][]float64 // local and neighbour accuracy of each party
}

func newBench(g *Grid, folders Folders, builtin Builtin) (b *bench, err error) {
	b = &bench{grid: g, folders: folders, builtin: builtin}
	if folders.Model == "" {
		b.model, err = backbone.FromFS(builtin.Model)
	} else {
		b.model, err = backbone.Open(folders.Model)
	}
	if err != nil {
		return nil, fmt.Errorf("model: %w", err)
	}
	if b.model.Text == nil || b.model.Tokenizer == nil {
		return nil, fmt.Errorf("model %s: needs a text tower and a tokenizer", folders.Model)
	}
	return b, nil
}

func (b *bench) close() error { return b.model.Close() }

// source prepares a data set for a seed. Errors name the source.
func (b *bench) source(ctx context.Context, name string, seed uint64) (*source, error) {
	if b.sources == nil || b.seed != seed {
		b.sources, b.seed = map[string]*source{}, seed
	}
	if s := b.sources[name]; s != nil {
		return s, nil
	}
	set, err := b.open(name, seed)
	if err != nil {
		return nil, fmt.Errorf("sources: %s: %w", name, err)
	}
	s := &source{set: set}
	if err := b.prepare(ctx, s); err != nil {
		return nil, fmt.Errorf("sources: %s: %w", name, err)
	}
	b.sources[name] = s
	return s, nil
}

// open reads and divides a source.
func (b *bench) open(name string, seed uint64) (*data.Set, error) {
	s, err := b.grid.source(name)
	if err != nil {
		return nil, err
	}
	if s.builtin() {
		return data.Open(name, b.builtin.Data, data.Options{Clients: b.grid.Clients, Seed: seed})
	}
	pool, err := b.pool(s)
	if err != nil {
		return nil, err
	}
	if n := len(pool.Skipped); n > 0 && b.skipped != nil {
		b.skipped(name, pool.Skipped)
	}
	return pool.Divide(data.Division{
		Rule: b.grid.Partition, Clients: b.grid.Clients, Alpha: b.grid.Alpha, Shots: b.grid.Shots, Truncate: b.grid.Truncate, Seed: seed,
	})
}

func (b *bench) pool(s *Source) (*data.Pool, error) {
	if s.Train != "" {
		if b.folders.Features == "" {
			return nil, fmt.Errorf("%w: needs a folder of features (--features)", ErrGrid)
		}
		folder := os.DirFS(b.folders.Features)
		classes, err := data.ClassNames(folder, s.Classes)
		if err != nil {
			return nil, err
		}
		return data.Features(folder, s.Name, s.Train, s.Test, classes, b.grid.SkipBad)
	}
	if b.folders.Images == "" {
		return nil, fmt.Errorf("%w: needs a folder of pictures (--images)", ErrGrid)
	}
	pool, err := data.CoOp(os.DirFS(b.folders.Images), s.Name, s.Images, s.Split, b.grid.SkipBad)
	if err == nil {
		err = pool.Check(b.grid.SkipBad)
	}
	return pool, err
}

func (g *Grid) source(name string) (*Source, error) {
	for i := range g.Sources {
		if g.Sources[i].Name == name {
			return &g.Sources[i], nil
		}
	}
	return nil, fmt.Errorf("%w: sources: no %q", ErrGrid, name)
}

// prepare embeds the pictures and measures the hand-written context.
func (b *bench) prepare(ctx context.Context, s *source) error {
	var err error
	if s.names, err = federation.Tokens(b.model, s.set); err != nil {
		return err
	}
	if err := b.fits(s.set); err != nil {
		return err
	}
	features, err := federation.ComputeFeatures(ctx, b.model, s.set, nil)
	if err != nil {
		return err
	}
	for _, c := range s.set.Clients {
		s.parties = append(s.parties, federation.Party{
			ID: c.ID, Train: features.Examples(c.Train), Test: features.Examples(c.Test), Neighbour: features.Examples(c.Neighbour),
		})
	}
	words, err := b.model.Words(s.set.Words)
	if err != nil {
		return err
	}
	encoder, err := b.model.Text.NewEncoder(s.names, len(words)/b.model.Text.Config().Width)
	if err != nil {
		return err
	}
	for _, p := range s.parties {
		s.zeroShot = append(s.zeroShot, federation.Accuracies(encoder, words, p.Test, p.Neighbour))
	}
	return nil
}

// fits checks that features and model live in one space, and that a model of text alone meets no pictures.
func (b *bench) fits(set *data.Set) error {
	first := set.Clients[0].Train[0]
	if first.Feature == nil {
		if b.model.Images() == nil {
			return fmt.Errorf("its pictures need an image tower, which model %s lacks", b.folders.Model)
		}
		return nil
	}
	encoder, err := b.model.Text.NewEncoder([][]int{{0}}, 1)
	if err != nil {
		return nil //nolint:nilerr // the width is all that was asked for
	}
	if _, _, _, e := encoder.Shape(); e != len(first.Feature) {
		return fmt.Errorf("its features are %d wide, the model's space has %d dimensions", len(first.Feature), e)
	}
	return nil
}
