package clip

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"maps"
	"slices"
)

// Checkpoint is the weights of a model folder: model.safetensors, or the
// shards that model.safetensors.index.json names. It remembers a digest of
// each tensor it has handed out.
type Checkpoint struct {
	files   []fs.File
	tensors map[string]*Safetensors
	sums    map[string][sha256.Size]byte
}

// maxIndex bounds model.safetensors.index.json and the other JSON of a folder.
const maxIndex = 16 << 20

// maxShards bounds the files that an index may name.
const maxShards = 256

// OpenCheckpoint opens the weights in fsys. Files that implement io.ReaderAt
// (operating-system files, memory maps, embed.FS) are read in place, others
// are first read whole. Errors wrap ErrWeights, or fs.ErrNotExist if there is
// no checkpoint. The caller closes it.
func OpenCheckpoint(fsys fs.FS) (*Checkpoint, error) {
	c := &Checkpoint{tensors: make(map[string]*Safetensors), sums: make(map[string][sha256.Size]byte)}
	err := c.open(fsys)
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

func (c *Checkpoint) open(fsys fs.FS) error {
	const single, index, openCLIP = "model.safetensors", "model.safetensors.index.json", "open_clip_model.safetensors"
	for _, name := range []string{single, openCLIP} {
		s, err := c.shard(fsys, name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		for name := range s.tensors {
			c.tensors[name] = s
		}
		return nil
	}
	data, err := readFile(fsys, index, maxIndex)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("clip: neither %s nor %s: %w", single, index, fs.ErrNotExist)
	}
	if err != nil {
		return err
	}
	return c.sharded(fsys, index, data)
}

// sharded opens every file that the index names and checks that each tensor
// lies where the index says.
func (c *Checkpoint) sharded(fsys fs.FS, index string, data []byte) error {
	var f struct {
		WeightMap map[string]string `json:"weight_map"`
	}
	if err := json.Unmarshal(data, &f); err != nil {
		return fmt.Errorf("%w: %s: %v", ErrWeights, index, err)
	}
	names := slices.Compact(slices.Sorted(maps.Values(f.WeightMap)))
	if len(names) == 0 || len(names) > maxShards {
		return fmt.Errorf("%w: %s names %d files, want 1 to %d", ErrWeights, index, len(names), maxShards)
	}
	shards := make(map[string]*Safetensors, len(names))
	for _, name := range names {
		if !fs.ValidPath(name) {
			return fmt.Errorf("%w: %s: bad file name %q", ErrWeights, index, name)
		}
		s, err := c.shard(fsys, name)
		if err != nil {
			return fmt.Errorf("clip: %s: %w", index, err)
		}
		shards[name] = s
	}
	for _, name := range slices.Sorted(maps.Keys(f.WeightMap)) {
		s := shards[f.WeightMap[name]]
		if _, ok := s.Info(name); !ok {
			return fmt.Errorf("%w: %s: tensor %q is not in %s", ErrWeights, index, name, s.name)
		}
		c.tensors[name] = s
	}
	return nil
}

func (c *Checkpoint) shard(fsys fs.FS, name string) (*Safetensors, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	c.files = append(c.files, f)
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		return nil, fmt.Errorf("%w: %s is a folder", ErrWeights, name)
	}
	if r, ok := f.(io.ReaderAt); ok {
		return OpenSafetensors(name, r, info.Size())
	}
	data, err := io.ReadAll(f)
	if err != nil {
		return nil, fmt.Errorf("clip: %s: %w", name, err)
	}
	return OpenSafetensors(name, bytes.NewReader(data), int64(len(data)))
}

// Close closes the files. Tensors handed out stay valid.
func (c *Checkpoint) Close() error {
	var errs []error
	for _, f := range c.files {
		errs = append(errs, f.Close())
	}
	c.files = nil
	return errors.Join(errs...)
}

// Info returns what is known of a tensor without reading it.
func (c *Checkpoint) Info(name string) (TensorInfo, bool) {
	if s := c.tensors[name]; s != nil {
		return s.Info(name)
	}
	return TensorInfo{}, false
}

// Tensor reads a tensor; see Safetensors.Tensor.
func (c *Checkpoint) Tensor(name string, shape ...int) ([]float32, error) {
	s := c.tensors[name]
	if s == nil {
		return nil, fmt.Errorf("%w: no tensor %q", ErrWeights, name)
	}
	h := newSum(s.tensors[name])
	v, err := s.read(name, shape, h)
	if err == nil {
		c.sums[name] = [sha256.Size]byte(h.Sum(nil))
	}
	return v, err
}

// Row reads one row of a matrix; see Safetensors.Row. It may be called
// concurrently.
func (c *Checkpoint) Row(dst []float32, name string, row, rows int) error {
	s := c.tensors[name]
	if s == nil {
		return fmt.Errorf("%w: no tensor %q", ErrWeights, name)
	}
	return s.Row(dst, name, row, rows)
}

// sum takes the digest of a tensor that is not handed out whole.
func (c *Checkpoint) sum(name string) error {
	s := c.tensors[name]
	t := s.tensors[name]
	h := newSum(t)
	err := s.scan(name, t, func(b []byte, _ int64) error {
		_, err := h.Write(b)
		return err
	})
	c.sums[name] = [sha256.Size]byte(h.Sum(nil))
	return err
}

func newSum(t TensorInfo) hash.Hash {
	h := sha256.New()
	fmt.Fprintf(h, "%s %v\n", t.DType, t.Shape)
	return h
}

// digest feeds h with every floating-point tensor, in lexical order. It does
// not depend on how the tensors are spread over files; those not handed out
// are read for it.
func (c *Checkpoint) digest(h hash.Hash) error {
	for _, name := range slices.Sorted(maps.Keys(c.tensors)) {
		info, _ := c.Info(name)
		if _, ok := decoders[info.DType]; !ok {
			continue
		}
		if _, ok := c.sums[name]; !ok {
			if err := c.sum(name); err != nil {
				return err
			}
		}
		fmt.Fprintf(h, "%s %x\n", name, c.sums[name])
	}
	return nil
}

// readFile reads a file of at most limit bytes.
func readFile(fsys fs.FS, name string, limit int64) ([]byte, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err != nil {
		return nil, fmt.Errorf("clip: %s: %w", name, err)
	}
	if int64(len(data)) > limit {
		return nil, fmt.Errorf("clip: %s is longer than %d bytes", name, limit)
	}
	return data, nil
}
