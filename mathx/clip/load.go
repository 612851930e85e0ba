package clip

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io/fs"
	"maps"
	"math"
	"slices"
)

// Model is a CLIP model opened from a folder. A folder may hold a text tower,
// an image tower or both; what is absent is nil.
type Model struct {
	Config     Config
	Text       *Text
	Vision     *Vision
	ResNet     *ResNet
	Tokenizer  *Tokenizer // nil if the folder has no vocabulary
	Preprocess Preprocess
	LogitScale float64 // what cosines are multiplied by, e.g. 100
	// Digest is the hex SHA-256 of everything that decides what the folder
	// computes: configuration, preprocessing, vocabulary and floating-point
	// tensors, whichever towers were loaded. Folders that differ only in how
	// files are cut have equal digests.
	Digest string

	weights *Checkpoint
	source  source // the weights by their Hugging Face names
}

// ImageEncoder is an image tower of either kind.
type ImageEncoder interface {
	// Features overwrites dst, n×e, with the unit features of n images of
	// Preprocess.Len pixels; nil is allocated.
	Features(dst, pixels []float32, n int) []float32
}

// Images returns the image tower, or nil if the folder has none.
func (m *Model) Images() ImageEncoder {
	switch {
	case m.Vision != nil:
		return m.Vision
	case m.ResNet != nil:
		return m.ResNet
	}
	return nil
}

// Dim is e, the dimension of the joint space.
func (m *Model) Dim() int {
	switch {
	case m.Text != nil:
		return m.Config.Text.Dim
	case m.Vision != nil:
		return m.Config.Vision.Dim
	}
	return m.Config.ResNet.Dim
}

// Part is a tower that Load may be restricted to.
type Part uint8

// The parts of a model folder.
const (
	TextTower Part = iota
	ImageTower
)

// source gives weights by their Hugging Face names.
type source interface {
	Tensors
	RowReader
	Info(name string) (TensorInfo, bool)
}

// Names by which the towers are recognised in a checkpoint.
const (
	textEmbedding   = "text_model.embeddings.token_embedding.weight"
	visionEmbedding = "vision_model.embeddings.class_embedding"
	logitScale      = "logit_scale"
)

// Load opens a model folder: config.json in the Hugging Face layout, weights
// (see OpenCheckpoint) and, where present, preprocessor_config.json and a
// vocabulary (see LoadTokenizer). Weights under OpenAI's names (OpenCLIP's
// layout, and the only one with ResNets) need no config.json.
// Text.NewEncoder reads rows of the token embedding from the open file, so
// keep the model until it is done, and then Close it. If parts are given, only
// these towers are loaded. Errors wrap ErrConfig, ErrWeights, ErrTokenizer or
// fs.ErrNotExist.
func Load(fsys fs.FS, parts ...Part) (*Model, error) {
	weights, err := OpenCheckpoint(fsys)
	if err != nil {
		return nil, err
	}
	m := &Model{weights: weights}
	if len(parts) == 0 {
		parts = []Part{TextTower, ImageTower}
	}
	if err := m.load(fsys, parts); err != nil {
		return nil, errors.Join(err, m.Close())
	}
	return m, nil
}

func (m *Model) load(fsys fs.FS, parts []Part) error {
	defaults, err := m.loadConfig(fsys)
	if err != nil {
		return err
	}
	if err := m.loadTowers(parts); err != nil {
		return err
	}
	if err := m.loadScale(); err != nil {
		return err
	}
	if err := m.loadPreprocess(fsys, defaults); err != nil {
		return err
	}
	if err := m.loadTokenizer(fsys); err != nil {
		return err
	}
	m.Digest, err = m.digest()
	return err
}

// loadConfig finds out the layout and the towers' shapes; defaults is the
// preprocessing without a preprocessor_config.json.
func (m *Model) loadConfig(fsys fs.FS) (defaults Preprocess, err error) {
	if isOpenAI(m.weights) {
		m.source = openAI{m.weights}
		file, err := readOpenCLIP(fsys)
		if err != nil {
			return defaults, err
		}
		if m.Config, err = openAIConfig(m.weights, file); err != nil {
			return defaults, err
		}
		defaults = DefaultPreprocess(m.image())
		copy(defaults.Mean[:], file.Preprocess.Mean)
		copy(defaults.Std[:], file.Preprocess.Std)
		return defaults, nil
	}
	m.source = m.weights
	data, err := readFile(fsys, "config.json", maxIndex)
	if err != nil {
		return defaults, err
	}
	if m.Config, err = ParseConfig(data); err != nil {
		return defaults, err
	}
	return DefaultPreprocess(m.image()), nil
}

// image is the side of the images that the tower takes.
func (m *Model) image() int { return max(m.Config.Vision.Image, m.Config.ResNet.Image) }

func (m *Model) loadTowers(parts []Part) (err error) {
	has := func(p Part, name string) bool {
		_, ok := m.source.Info(name)
		return ok && slices.Contains(parts, p)
	}
	if has(TextTower, textEmbedding) {
		if err := m.checkSize("text tower", m.Config.Text.parameters()); err != nil {
			return err
		}
		if m.Text, err = NewText(m.Config.Text, m.source); err != nil {
			return err
		}
	}
	if has(ImageTower, visionEmbedding) {
		if err := m.checkSize("vision tower", m.Config.Vision.parameters()); err != nil {
			return err
		}
		if m.Vision, err = NewVision(m.Config.Vision, m.source); err != nil {
			return err
		}
	} else if has(ImageTower, resNetPool) {
		if err := m.checkSize("ResNet", m.Config.ResNet.parameters()); err != nil {
			return err
		}
		if m.ResNet, err = NewResNet(m.Config.ResNet, m.source); err != nil {
			return err
		}
	}
	if m.Text == nil && m.Images() == nil {
		return fmt.Errorf("%w: no CLIP tower that was asked for: no tensor %q, %q or %q", ErrWeights,
			m.stored(textEmbedding), m.stored(visionEmbedding), resNetPool)
	}
	return nil
}

// stored is the name under which the checkpoint has a tensor.
func (m *Model) stored(name string) string {
	if o, ok := m.source.(openAI); ok {
		return o.stored(name)
	}
	return name
}

// loadScale reads the logit scale. The exponential is rounded to float32, as
// PyTorch has it, and to be the same number on every machine.
func (m *Model) loadScale() error {
	ln := m.Config.LogitScaleInit
	if info, ok := m.weights.Info(logitScale); ok {
		v, err := m.weights.Tensor(logitScale, info.Shape...)
		if err != nil {
			return err
		}
		if len(v) != 1 || math.Abs(float64(v[0])) > 20 {
			return fmt.Errorf("%w: tensor %q is %v, want one number from -20 to 20", ErrWeights, logitScale, v)
		}
		ln = float64(v[0])
	}
	m.LogitScale = float64(float32(math.Exp(ln)))
	return nil
}

func (m *Model) loadPreprocess(fsys fs.FS, defaults Preprocess) error {
	const name = "preprocessor_config.json"
	m.Preprocess = defaults
	if m.image() == 0 { // a text tower in OpenAI's layout
		return nil
	}
	data, err := readFile(fsys, name, maxIndex)
	if errors.Is(err, fs.ErrNotExist) {
		return m.Preprocess.Validate(m.image())
	}
	if err == nil {
		m.Preprocess, err = ParsePreprocess(data, m.image())
	}
	return err
}

func (m *Model) loadTokenizer(fsys fs.FS) error {
	if _, ok := m.source.Info(textEmbedding); !ok {
		return nil
	}
	t, err := LoadTokenizer(fsys)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	c := m.Config.Text
	if t.Size() > c.Vocab || t.SOS != c.SOS || t.EOT != c.EOT {
		return fmt.Errorf("%w: %d tokens with SOS %d and EOT %d, config.json says %d, %d and %d",
			ErrTokenizer, t.Size(), t.SOS, t.EOT, c.Vocab, c.SOS, c.EOT)
	}
	m.Tokenizer = t
	return nil
}

func (m *Model) digest() (string, error) {
	h := sha256.New()
	header, err := json.Marshal(struct {
		Format     string
		Config     Config
		Preprocess Preprocess
	}{"dpfpl clip 1", m.Config, m.Preprocess})
	if err != nil {
		panic(err) // plain data, validated to be finite
	}
	h.Write(header)
	if err := m.weights.digest(h); err != nil {
		return "", err
	}
	if m.Tokenizer != nil {
		m.Tokenizer.digest(h)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// digest feeds h with the vocabulary and the merges, in order.
func (t *Tokenizer) digest(h hash.Hash) {
	for _, id := range slices.Sorted(maps.Keys(t.names)) {
		fmt.Fprintf(h, "%d %q\n", id, t.names[id])
	}
	ranked := slices.SortedFunc(maps.Keys(t.pairs), func(a, b pair) int { return t.pairs[a].rank - t.pairs[b].rank })
	for _, p := range ranked {
		fmt.Fprintf(h, "%d %d\n", p.left, p.right)
	}
}

// Close closes the weights' files.
func (m *Model) Close() error { return m.weights.Close() }

// Tokens returns the token ids of a class name or other text and EOT, without
// SOS. Errors: fs.ErrNotExist without a vocabulary, those of
// Tokenizer.Encode, ErrSpecial, and ErrTooLong if SOS and the tokens exceed
// the model's positions.
func (m *Model) Tokens(text string) ([]int, error) {
	if m.Tokenizer == nil {
		return nil, fmt.Errorf("clip: the model folder has no vocabulary: %w", fs.ErrNotExist)
	}
	ids, err := m.Tokenizer.Encode(text)
	if err != nil {
		return nil, err
	}
	if slices.Contains(ids, m.Tokenizer.SOS) || slices.Contains(ids, m.Tokenizer.EOT) {
		return nil, fmt.Errorf("%w: %q", ErrSpecial, text)
	}
	if n := len(ids) + 2; n > m.Config.Text.Positions {
		return nil, fmt.Errorf("%w: %.40q takes %d with SOS and EOT, the model has %d positions", ErrTooLong, text, n, m.Config.Text.Positions)
	}
	return append(ids, m.Tokenizer.EOT), nil
}
