package backbone

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
)

// Errors about feature caches.
var (
	ErrFeatures = errors.New("backbone: bad feature cache")
	ErrStale    = errors.New("backbone: features are of another model")
)

// The files of a feature cache.
const (
	featuresFile = "features.npy"
	labelsFile   = "labels.npy"
	metaFile     = "meta.json"
)

// metaFormat marks the layout of a cache.
const metaFormat = "dpfpl features 1"

// Meta describes a feature cache.
type Meta struct {
	Format  string   `json:"format"`
	Model   string   `json:"model"`   // clip.Model.Digest: weights and preprocessing
	Data    string   `json:"data"`    // hex SHA-256 of features.npy, then labels.npy
	Classes []string `json:"classes"` // names, indexed by label
	Files   []string `json:"files"`   // the image behind each row
	// Skipped are images without a row, and why.
	Skipped map[string]string `json:"skipped,omitempty"`
}

// Features are image features with their labels.
type Features struct {
	Meta   Meta
	Dim    int       // e
	X      []float32 // N×e, unit rows
	Labels []int     // N, indices into Meta.Classes
}

// Len is the number of rows.
func (f *Features) Len() int { return len(f.Labels) }

// Row is the feature of row i.
func (f *Features) Row(i int) []float32 { return f.X[i*f.Dim : (i+1)*f.Dim] }

// ReadArrays reads features and labels from two npy files, without a Meta.
// Rows are scaled to unit norm. Errors wrap ErrFeatures or ErrNPY.
func ReadArrays(features, labels io.Reader) (*Features, error) {
	x, err := ReadNPY(features)
	if err != nil {
		return nil, fmt.Errorf("features: %w", err)
	}
	y, err := ReadNPY(labels)
	if err != nil {
		return nil, fmt.Errorf("labels: %w", err)
	}
	if len(x.Shape) != 2 || x.Floats == nil || x.Shape[1] < 1 {
		return nil, fmt.Errorf("%w: features of shape %v, want floating-point rows", ErrFeatures, x.Shape)
	}
	if len(y.Shape) != 1 || y.Ints == nil || y.Shape[0] != x.Shape[0] {
		return nil, fmt.Errorf("%w: labels of shape %v, want %d whole numbers", ErrFeatures, y.Shape, x.Shape[0])
	}
	f := &Features{Dim: x.Shape[1], X: x.Floats, Labels: make([]int, len(y.Ints))}
	for i, v := range y.Ints {
		if v < 0 || v > math.MaxInt32 {
			return nil, fmt.Errorf("%w: label %d of row %d", ErrFeatures, v, i)
		}
		f.Labels[i] = int(v)
	}
	return f, f.normalise()
}

// normalise scales each row to unit norm, in float64; float32 rows that have
// it already keep their bits.
func (f *Features) normalise() error {
	for i := range f.Len() {
		row, sum := f.Row(i), 0.0
		for _, v := range row {
			sum += float64(v) * float64(v)
		}
		if !(sum > 0) || math.IsInf(sum, 0) {
			return fmt.Errorf("%w: row %d has norm² %v", ErrFeatures, i, sum)
		}
		if math.Abs(sum-1) < 1e-6 {
			continue
		}
		scale := 1 / math.Sqrt(sum)
		for k, v := range row {
			row[k] = float32(float64(v) * scale)
		}
	}
	return nil
}

// IsCache reports whether a folder holds a feature cache, of whatever state.
func IsCache(fsys fs.FS) bool {
	_, err := fs.Stat(fsys, metaFile)
	return err == nil
}

// ReadFeatures reads a cache and checks it against the digest of the model
// that will use it, unless that is empty. Errors wrap ErrFeatures, ErrNPY,
// ErrStale or fs.ErrNotExist.
func ReadFeatures(fsys fs.FS, model string) (*Features, error) {
	var meta Meta
	data, err := fs.ReadFile(fsys, metaFile)
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(data, &meta); err != nil {
		return nil, fmt.Errorf("%w: %s: %v", ErrFeatures, metaFile, err)
	}
	if meta.Format != metaFormat {
		return nil, fmt.Errorf("%w: format %q, want %q", ErrFeatures, meta.Format, metaFormat)
	}
	if model != "" && meta.Model != model {
		return nil, fmt.Errorf("%w: %.12s, want %.12s", ErrStale, meta.Model, model)
	}
	x, err := fs.ReadFile(fsys, featuresFile)
	if err != nil {
		return nil, err
	}
	y, err := fs.ReadFile(fsys, labelsFile)
	if err != nil {
		return nil, err
	}
	if got := dataDigest(x, y); got != meta.Data {
		return nil, fmt.Errorf("%w: the arrays have digest %.12s, %s says %.12s: damaged", ErrFeatures, got, metaFile, meta.Data)
	}
	f, err := ReadArrays(bytes.NewReader(x), bytes.NewReader(y))
	if err != nil {
		return nil, err
	}
	f.Meta = meta
	return f, f.check()
}

func (f *Features) check() error {
	if len(f.Meta.Files) != f.Len() || len(f.X) != f.Len()*f.Dim {
		return fmt.Errorf("%w: %d features of %d, %d labels, %d files", ErrFeatures, len(f.X), f.Dim, f.Len(), len(f.Meta.Files))
	}
	for i, label := range f.Labels {
		if label < 0 || label >= len(f.Meta.Classes) {
			return fmt.Errorf("%w: row %d has label %d of %d classes", ErrFeatures, i, label, len(f.Meta.Classes))
		}
	}
	return nil
}

func dataDigest(parts ...[]byte) string {
	h := sha256.New()
	for _, p := range parts {
		h.Write(p)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// Save writes the cache into a folder, which is made if need be. The arrays
// are in place before meta.json, so a cache with a meta.json is complete.
func (f *Features) Save(dir string, half bool) error {
	if err := f.check(); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	var x, y bytes.Buffer
	if err := (&Array{Shape: []int{f.Len(), f.Dim}, Floats: f.X}).WriteNPY(&x, half); err != nil {
		return err
	}
	labels := &Array{Shape: []int{f.Len()}, Ints: make([]int64, f.Len())}
	for i, v := range f.Labels {
		labels.Ints[i] = int64(v)
	}
	if err := labels.WriteNPY(&y, false); err != nil {
		return err
	}
	f.Meta.Format, f.Meta.Data = metaFormat, dataDigest(x.Bytes(), y.Bytes())
	meta, err := json.MarshalIndent(f.Meta, "", " ")
	if err != nil {
		return err
	}
	if err := os.Remove(filepath.Join(dir, metaFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, file := range []struct {
		name string
		data []byte
	}{{featuresFile, x.Bytes()}, {labelsFile, y.Bytes()}, {metaFile, meta}} {
		if err := replace(filepath.Join(dir, file.name), file.data); err != nil {
			return err
		}
	}
	return nil
}

// replace writes a file beside its place and moves it there.
func replace(path string, data []byte) error {
	part := path + ".part"
	if err := os.WriteFile(part, data, 0o644); err != nil {
		return err
	}
	return os.Rename(part, path)
}
