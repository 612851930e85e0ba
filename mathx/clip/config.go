package clip

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
)

// ErrConfig is wrapped by every error about the content of config.json or
// preprocessor_config.json.
var ErrConfig = errors.New("clip: bad configuration")

// Activations that a tower's MLP may use, by their Hugging Face names.
const (
	QuickGELU = "quick_gelu" // x·σ(1.702x), OpenAI's checkpoints
	GELU      = "gelu"       // x·Φ(x), several OpenCLIP checkpoints
)

// Config describes a CLIP model as config.json does. Whether a tower is
// loaded is decided by the weights, not here: HF leaves out what is default.
type Config struct {
	Text   TextConfig
	Vision VisionConfig
	ResNet ResNetConfig `json:",omitzero"` // only in OpenAI's layout
	// LogitScaleInit is ln of the logit scale of a checkpoint without one.
	LogitScaleInit float64
}

// TextConfig is the shape of a text transformer.
type TextConfig struct {
	Width      int     // d, hidden_size
	Layers     int     // num_hidden_layers
	Heads      int     // num_attention_heads, divides Width
	Hidden     int     // intermediate_size of the MLP
	Positions  int     // max_position_embeddings, SOS and EOT included
	Vocab      int     // vocab_size
	Dim        int     // e, projection_dim
	Activation string  // QuickGELU or GELU
	Eps        float64 // layer_norm_eps
	SOS, EOT   int     // token ids
}

// VisionConfig is the shape of a vision transformer.
type VisionConfig struct {
	Width      int     // hidden_size
	Layers     int     // num_hidden_layers
	Heads      int     // num_attention_heads, divides Width
	Hidden     int     // intermediate_size of the MLP
	Image      int     // image_size, side in pixels
	Patch      int     // patch_size, side in pixels, divides Image
	Dim        int     // e, projection_dim
	Activation string  // QuickGELU or GELU
	Eps        float64 // layer_norm_eps
	// Stem, if not empty, replaces the patch embedding by convolutions, each
	// followed by ReLU. It is this project's extension of the HF layout.
	Stem []StemLayer `json:",omitempty"`
}

// StemLayer is one square convolution of a convolutional stem.
type StemLayer struct {
	Out     int `json:"out"` // output channels
	Kernel  int `json:"kernel"`
	Stride  int `json:"stride"`
	Padding int `json:"padding"`
}

// Grid is the number of patches along a side of the image.
func (c VisionConfig) Grid() int { return c.Image / c.Patch }

// defaultLogitScale is ln(1/0.07), rounded as HF has it.
const defaultLogitScale = 2.6592

// Bounds on what a configuration may ask for: several times the largest CLIP
// published, so that a hostile file cannot make us allocate without limit.
const (
	maxWidth     = 1 << 13
	maxHidden    = 1 << 15
	maxLayers    = 1 << 7
	maxHeads     = 1 << 7
	maxPositions = 1 << 12
	maxVocab     = 1 << 20
	maxImage     = 1 << 11
	maxGrid      = 48 // patches a side; attention takes the fourth power
	maxStem      = 16
)

// configFile holds the keys of config.json that are used. A tower may lie at
// the top level (CLIPTextModel, CLIPVisionModel) or under its own key.
type configFile struct {
	ModelType        string          `json:"model_type"`
	TextConfig       json.RawMessage `json:"text_config"`
	TextConfigDict   json.RawMessage `json:"text_config_dict"`
	VisionConfig     json.RawMessage `json:"vision_config"`
	VisionConfigDict json.RawMessage `json:"vision_config_dict"`
	ProjectionDim    *int            `json:"projection_dim"`
	LogitScaleInit   *float64        `json:"logit_scale_init_value"`
}

type textFile struct {
	HiddenSize    int     `json:"hidden_size"`
	Layers        int     `json:"num_hidden_layers"`
	Heads         int     `json:"num_attention_heads"`
	Intermediate  int     `json:"intermediate_size"`
	Positions     int     `json:"max_position_embeddings"`
	Vocab         int     `json:"vocab_size"`
	ProjectionDim int     `json:"projection_dim"`
	Activation    string  `json:"hidden_act"`
	Eps           float64 `json:"layer_norm_eps"`
	BOS           int     `json:"bos_token_id"`
	EOS           int     `json:"eos_token_id"`
}

type visionFile struct {
	HiddenSize    int         `json:"hidden_size"`
	Layers        int         `json:"num_hidden_layers"`
	Heads         int         `json:"num_attention_heads"`
	Intermediate  int         `json:"intermediate_size"`
	Image         int         `json:"image_size"`
	Patch         int         `json:"patch_size"`
	Channels      int         `json:"num_channels"`
	ProjectionDim int         `json:"projection_dim"`
	Activation    string      `json:"hidden_act"`
	Eps           float64     `json:"layer_norm_eps"`
	Stem          []StemLayer `json:"stem"`
}

// legacyEOS is the eos_token_id in the config.json of OpenAI's first
// uploads. HF reads it as "the highest id of the prompt", which is EOT, the
// last of the vocabulary.
const legacyEOS = 2

// ParseConfig reads the text of a config.json. Missing keys have the defaults
// of Hugging Face's CLIPConfig. It returns an error wrapping ErrConfig that
// lists every value out of bounds.
func ParseConfig(data []byte) (Config, error) {
	var f configFile
	if err := json.Unmarshal(data, &f); err != nil {
		return Config{}, fmt.Errorf("%w: config.json: %v", ErrConfig, err)
	}
	text := textFile{HiddenSize: 512, Layers: 12, Heads: 8, Intermediate: 2048, Positions: 77,
		Vocab: 49408, ProjectionDim: 512, Activation: QuickGELU, Eps: 1e-5, BOS: -1, EOS: legacyEOS}
	vision := visionFile{HiddenSize: 768, Layers: 12, Heads: 12, Intermediate: 3072, Image: 224,
		Patch: 32, Channels: 3, ProjectionDim: 512, Activation: QuickGELU, Eps: 1e-5}
	textParts := []json.RawMessage{f.TextConfig, f.TextConfigDict}
	visionParts := []json.RawMessage{f.VisionConfig, f.VisionConfigDict}
	switch f.ModelType {
	case "clip_text_model":
		textParts = append([]json.RawMessage{data}, textParts...)
	case "clip_vision_model":
		visionParts = append([]json.RawMessage{data}, visionParts...)
	case "", "clip":
	default:
		return Config{}, fmt.Errorf("%w: config.json: model_type %q is not CLIP", ErrConfig, f.ModelType)
	}
	if err := errors.Join(overlay("text_config", &text, textParts), overlay("vision_config", &vision, visionParts)); err != nil {
		return Config{}, err
	}
	if f.ProjectionDim != nil {
		text.ProjectionDim, vision.ProjectionDim = *f.ProjectionDim, *f.ProjectionDim
	}
	c := Config{Text: text.config(), Vision: vision.config(), LogitScaleInit: defaultLogitScale}
	if f.LogitScaleInit != nil {
		c.LogitScaleInit = *f.LogitScaleInit
	}
	if vision.Channels != 3 {
		return Config{}, fmt.Errorf("%w: vision_config.num_channels is %d, want 3", ErrConfig, vision.Channels)
	}
	return c, c.Validate()
}

// overlay decodes each part over the one before; null and absent parts change nothing.
func overlay(name string, dst any, parts []json.RawMessage) error {
	for _, part := range parts {
		if len(part) == 0 {
			continue
		}
		if err := json.Unmarshal(part, dst); err != nil {
			return fmt.Errorf("%w: config.json: %s: %v", ErrConfig, name, err)
		}
	}
	return nil
}

func (f textFile) config() TextConfig {
	if f.EOS == legacyEOS {
		f.BOS, f.EOS = f.Vocab-2, f.Vocab-1
	}
	if f.BOS < 0 {
		f.BOS = f.Vocab - 2
	}
	return TextConfig{Width: f.HiddenSize, Layers: f.Layers, Heads: f.Heads, Hidden: f.Intermediate,
		Positions: f.Positions, Vocab: f.Vocab, Dim: f.ProjectionDim, Activation: f.Activation, Eps: f.Eps,
		SOS: f.BOS, EOT: f.EOS}
}

func (f visionFile) config() VisionConfig {
	return VisionConfig{Width: f.HiddenSize, Layers: f.Layers, Heads: f.Heads, Hidden: f.Intermediate,
		Image: f.Image, Patch: f.Patch, Dim: f.ProjectionDim, Activation: f.Activation, Eps: f.Eps, Stem: f.Stem}
}

// Validate reports every value out of bounds at once, wrapping ErrConfig.
func (c Config) Validate() error {
	var scale error
	if !(c.LogitScaleInit >= -20 && c.LogitScaleInit <= 20) {
		scale = fmt.Errorf("%w: logit_scale_init_value is %v, want -20 to 20", ErrConfig, c.LogitScaleInit)
	}
	return errors.Join(c.Text.Validate(), c.Vision.Validate(), scale)
}

// Validate reports every value out of bounds at once, wrapping ErrConfig.
func (c TextConfig) Validate() error {
	b := bounds{prefix: "text_config"}
	b.tower(c.Width, c.Layers, c.Heads, c.Hidden, c.Dim, c.Activation, c.Eps)
	b.within("max_position_embeddings", c.Positions, 2, maxPositions)
	b.within("vocab_size", c.Vocab, 2, maxVocab)
	b.within("bos_token_id", c.SOS, 0, c.Vocab-1)
	b.within("eos_token_id", c.EOT, 0, c.Vocab-1)
	if c.SOS == c.EOT {
		b.fail("bos_token_id and eos_token_id are both %d", c.SOS)
	}
	return errors.Join(b.errs...)
}

// Validate reports every value out of bounds at once, wrapping ErrConfig.
func (c VisionConfig) Validate() error {
	b := bounds{prefix: "vision_config"}
	b.tower(c.Width, c.Layers, c.Heads, c.Hidden, c.Dim, c.Activation, c.Eps)
	b.within("image_size", c.Image, 1, maxImage)
	b.within("patch_size", c.Patch, 1, c.Image)
	if c.Patch > 0 && c.Image%c.Patch != 0 {
		b.fail("patch_size %d does not divide image_size %d", c.Patch, c.Image)
	}
	if c.Patch > 0 {
		b.within("image_size/patch_size", c.Grid(), 1, maxGrid)
	}
	if len(b.errs) == 0 && len(c.Stem) > 0 {
		b.stem(c)
	}
	return errors.Join(b.errs...)
}

// bounds collects what is wrong with one part of a configuration.
type bounds struct {
	prefix string
	errs   []error
}

func (b *bounds) fail(format string, args ...any) {
	b.errs = append(b.errs, fmt.Errorf("%w: %s: %s", ErrConfig, b.prefix, fmt.Sprintf(format, args...)))
}

func (b *bounds) within(name string, v, lo, hi int) {
	if v < lo || v > hi {
		b.fail("%s is %d, want %d to %d", name, v, lo, hi)
	}
}

func (b *bounds) tower(width, layers, heads, hidden, dim int, activation string, eps float64) {
	b.within("hidden_size", width, 1, maxWidth)
	b.within("num_hidden_layers", layers, 1, maxLayers)
	b.within("num_attention_heads", heads, 1, maxHeads)
	b.within("intermediate_size", hidden, 1, maxHidden)
	b.within("projection_dim", dim, 1, maxWidth)
	if heads > 0 && width%heads != 0 {
		b.fail("num_attention_heads %d does not divide hidden_size %d", heads, width)
	}
	if activation != QuickGELU && activation != GELU {
		b.fail("hidden_act is %q, want %q or %q", activation, QuickGELU, GELU)
	}
	if !(eps > 0 && eps <= 1) || math.IsInf(eps, 0) {
		b.fail("layer_norm_eps is %v, want a small positive number", eps)
	}
}

// stem checks that the convolutions turn the image into Grid×Grid tokens of Width.
func (b *bounds) stem(c VisionConfig) {
	if len(c.Stem) > maxStem {
		b.fail("stem has %d layers, at most %d", len(c.Stem), maxStem)
		return
	}
	side, stride := c.Image, 1
	for i, l := range c.Stem {
		if l.Out < 1 || l.Out > maxWidth || l.Kernel < 1 || l.Kernel > 31 || l.Stride < 1 || l.Stride > c.Image ||
			l.Padding < 0 || l.Padding >= l.Kernel || side+2*l.Padding < l.Kernel {
			b.fail("stem[%d] %+v does not fit a side of %d", i, l, side)
			return
		}
		side = (side+2*l.Padding-l.Kernel)/l.Stride + 1
		stride *= l.Stride
		if stride > c.Image {
			b.fail("stem[%d]: strides multiply to more than image_size", i)
			return
		}
	}
	if out := c.Stem[len(c.Stem)-1].Out; out != c.Width {
		b.fail("the last stem layer has %d outputs, want hidden_size %d", out, c.Width)
	}
	if stride != c.Patch || side != c.Grid() {
		b.fail("stem gives a grid of %d with stride %d, want %d with patch_size %d", side, stride, c.Grid(), c.Patch)
	}
}
