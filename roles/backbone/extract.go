package backbone

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"

	"dpfpl/mathx/clip"
)

// Extraction computes the features of a set of images and caches them.
type Extraction struct {
	Model  *clip.Model
	Images Images
	Dir    string // of the cache; also holds the journal of a run under way
	// Workers is how many images are worked on at a time; zero means one a
	// processor. The result is the same for any number.
	Workers int
	Half    bool // store float16
	// Progress, if not nil, is called after each batch with the number of
	// images done, skipped ones included.
	Progress func(done, total int)
}

// Skipped is an image that could not be read.
type Skipped struct {
	File   string
	Reason string
}

// journalFile is the journal's name in the cache folder.
const journalFile = "partial.journal"

// batch is how many images a worker evaluates together, between two writes to
// the journal: enough that weights are not fetched anew for each image.
const batch = 8

// Run computes what is not cached yet, saves the cache and returns it. A
// complete cache of the same model and images is returned as it is.
// Unreadable images are skipped and listed. When ctx ends, what is done stays
// in the journal and a later Run of the same images and model goes on from
// there. Errors: ErrImages if no image at all was readable, ctx.Err(), and
// those of the file system.
func (x *Extraction) Run(ctx context.Context) (*Features, []Skipped, error) {
	if cached, skipped, ok := x.cached(); ok {
		return cached, skipped, nil
	}
	if x.Model.Images() == nil {
		return nil, nil, fmt.Errorf("%w: it has no image tower", ErrFolder)
	}
	if err := os.MkdirAll(x.Dir, 0o755); err != nil {
		return nil, nil, err
	}
	j, done, err := openJournal(filepath.Join(x.Dir, journalFile), x.identity())
	if err != nil {
		return nil, nil, err
	}
	if done, err = x.goOn(ctx, j, done); err != nil {
		return nil, nil, errors.Join(err, j.close())
	}
	f, skipped := x.collect(done)
	if f.Len() == 0 {
		return nil, skipped, errors.Join(fmt.Errorf("%w: none of %d images could be read", ErrImages, len(done)), j.remove())
	}
	if err := f.Save(x.Dir, x.Half); err != nil {
		return nil, skipped, errors.Join(err, j.close())
	}
	if err := j.remove(); err != nil {
		return nil, skipped, err
	}
	f, err = ReadFeatures(os.DirFS(x.Dir), x.Model.Digest) // rounded as stored, now and later
	return f, skipped, err
}

// cached returns the cache if it is complete and of these images.
func (x *Extraction) cached() (*Features, []Skipped, bool) {
	f, err := ReadFeatures(os.DirFS(x.Dir), x.Model.Digest)
	if err != nil || !slices.Equal(f.Meta.Classes, x.Images.Classes) {
		return nil, nil, false
	}
	var skipped []Skipped
	row := 0
	for _, image := range x.Images.List {
		if row < f.Len() && f.Meta.Files[row] == image.File && f.Labels[row] == image.Label {
			row++
		} else if reason, ok := f.Meta.Skipped[image.File]; ok {
			skipped = append(skipped, Skipped{image.File, reason})
		} else {
			return nil, nil, false
		}
	}
	return f, skipped, row == f.Len()
}

// identity says what work a journal belongs to.
func (x *Extraction) identity() [32]byte {
	h := sha256.New()
	fmt.Fprintf(h, "%s\n", x.Model.Digest)
	for _, image := range x.Images.List {
		fmt.Fprintf(h, "%q %d\n", image.File, image.Label)
	}
	return [32]byte(h.Sum(nil))
}

// goOn works from the first image without an outcome to the last.
func (x *Extraction) goOn(ctx context.Context, j *journal, done []outcome) ([]outcome, error) {
	workers := x.Workers
	if workers < 1 {
		workers = runtime.GOMAXPROCS(0)
	}
	total := len(x.Images.List)
	done = done[:min(len(done), total)]
	for len(done) < total {
		if err := ctx.Err(); err != nil {
			return done, err
		}
		next := x.Images.List[len(done):min(len(done)+batch*workers, total)]
		outcomes := make([]outcome, len(next))
		var group sync.WaitGroup
		for from := 0; from < len(next); from += batch {
			to := min(from+batch, len(next))
			group.Go(func() { x.some(outcomes[from:to], next[from:to]) })
		}
		group.Wait()
		if err := j.append(outcomes); err != nil {
			return done, err
		}
		done = append(done, outcomes...)
		if x.Progress != nil {
			x.Progress(len(done), total)
		}
	}
	return done, nil
}

// some reads images and computes their features.
func (x *Extraction) some(outcomes []outcome, images []Image) {
	var pixels []float32
	var readable []int
	for i, image := range images {
		p, err := ReadPixels(x.Images.Root, image.File, x.Model.Preprocess)
		if err != nil {
			outcomes[i].reason = err.Error()
			continue
		}
		pixels, readable = append(pixels, p...), append(readable, i)
	}
	if len(readable) == 0 {
		return
	}
	features := x.Model.Images().Features(nil, pixels, len(readable))
	dim := x.Model.Dim()
	for k, i := range readable {
		outcomes[i].feature = features[k*dim : (k+1)*dim]
	}
}

// ReadPixels reads an image file as a tower's input. Errors are those of
// clip.DecodeImage and the file system.
func ReadPixels(root fs.FS, file string, p clip.Preprocess) ([]float32, error) {
	f, err := root.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	img, err := clip.DecodeImage(f)
	if err != nil {
		return nil, err
	}
	return p.Pixels(nil, img), nil
}

func (x *Extraction) collect(done []outcome) (*Features, []Skipped) {
	f := &Features{Dim: x.Model.Dim(), Meta: Meta{Model: x.Model.Digest, Classes: x.Images.Classes}}
	var skipped []Skipped
	for i, o := range done {
		image := x.Images.List[i]
		if o.feature == nil {
			skipped = append(skipped, Skipped{image.File, o.reason})
			if f.Meta.Skipped == nil {
				f.Meta.Skipped = make(map[string]string)
			}
			f.Meta.Skipped[image.File] = o.reason
			continue
		}
		f.X = append(f.X, o.feature...)
		f.Labels = append(f.Labels, image.Label)
		f.Meta.Files = append(f.Meta.Files, image.File)
	}
	return f, skipped
}
