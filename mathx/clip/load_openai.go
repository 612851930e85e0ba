package clip

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"slices"
	"strings"
)

// OpenAI's own checkpoints, and OpenCLIP's, name their tensors otherwise than
// Hugging Face, keep query, key and value in one matrix and store projections
// transposed. Their shapes tell the whole configuration but the activation,
// which open_clip_config.json may give.

// openAINames turns Hugging Face names into OpenAI's.
var openAINames = strings.NewReplacer(
	textEmbedding, "token_embedding.weight",
	"text_model.embeddings.position_embedding.weight", "positional_embedding",
	"text_model.final_layer_norm.", "ln_final.",
	"text_projection.weight", "text_projection",
	"text_model.encoder.layers.", "transformer.resblocks.",
	visionEmbedding, "visual.class_embedding",
	"vision_model.embeddings.position_embedding.weight", "visual.positional_embedding",
	"vision_model.embeddings.patch_embedding.weight", "visual.conv1.weight",
	"vision_model.pre_layrnorm.", "visual.ln_pre.",
	"vision_model.post_layernorm.", "visual.ln_post.",
	"visual_projection.weight", "visual.proj",
	"vision_model.encoder.layers.", "visual.transformer.resblocks.",
	".layer_norm1.", ".ln_1.",
	".layer_norm2.", ".ln_2.",
	".mlp.fc1.", ".mlp.c_fc.",
	".mlp.fc2.", ".mlp.c_proj.",
	".self_attn.out_proj.", ".attn.out_proj.",
	".self_attn.q_proj.", ".attn.in_proj_",
	".self_attn.k_proj.", ".attn.in_proj_",
	".self_attn.v_proj.", ".attn.in_proj_",
)

// openAI gives an OpenAI checkpoint's weights by their Hugging Face names.
type openAI struct{ *Checkpoint }

func (o openAI) stored(name string) string { return openAINames.Replace(name) }

// Tensor implements Tensors.
func (o openAI) Tensor(name string, shape ...int) ([]float32, error) {
	stored := o.stored(name)
	if name == "text_projection.weight" || name == "visual_projection.weight" {
		return o.transposed(stored, shape[0], shape[1])
	}
	part := slices.IndexFunc([]string{".q_proj.", ".k_proj.", ".v_proj."}, func(s string) bool { return strings.Contains(name, s) })
	if part < 0 || stored == name {
		return o.Checkpoint.Tensor(stored, shape...)
	}
	shape = slices.Clone(shape)
	shape[0] *= 3
	all, err := o.Checkpoint.Tensor(stored, shape...)
	if err != nil {
		return nil, err
	}
	third := len(all) / 3
	return all[part*third : (part+1)*third : (part+1)*third], nil
}

// transposed reads a cols×rows matrix as rows×cols.
func (o openAI) transposed(stored string, rows, cols int) ([]float32, error) {
	t, err := o.Checkpoint.Tensor(stored, cols, rows)
	if err != nil {
		return nil, err
	}
	out := make([]float32, len(t))
	for i := range cols {
		for j := range rows {
			out[j*cols+i] = t[i*rows+j]
		}
	}
	return out, nil
}

// Row implements RowReader.
func (o openAI) Row(dst []float32, name string, row, rows int) error {
	return o.Checkpoint.Row(dst, o.stored(name), row, rows)
}

// Info is Checkpoint's.
func (o openAI) Info(name string) (TensorInfo, bool) { return o.Checkpoint.Info(o.stored(name)) }

// isOpenAI tells by the names that every such checkpoint has.
func isOpenAI(c *Checkpoint) bool {
	_, text := c.Info("token_embedding.weight")
	_, vision := c.Info("visual.conv1.weight")
	return text || vision
}

// openCLIPFile holds the keys of open_clip_config.json that the tensors do not tell.
type openCLIPFile struct {
	Model struct {
		QuickGELU bool `json:"quick_gelu"`
		Text      struct {
			Heads int `json:"heads"`
		} `json:"text_cfg"`
		Vision struct {
			HeadWidth int `json:"head_width"`
		} `json:"vision_cfg"`
	} `json:"model_cfg"`
	Preprocess struct {
		Mean []float64 `json:"mean"`
		Std  []float64 `json:"std"`
	} `json:"preprocess_cfg"`
}

// readOpenCLIP reads open_clip_config.json; without one the model is OpenAI's own.
func readOpenCLIP(fsys fs.FS) (openCLIPFile, error) {
	const name = "open_clip_config.json"
	var f openCLIPFile
	f.Model.QuickGELU = true
	data, err := readFile(fsys, name, maxIndex)
	if errors.Is(err, fs.ErrNotExist) {
		return f, nil
	}
	if err != nil {
		return f, err
	}
	f.Model.QuickGELU = false
	if err := json.Unmarshal(data, &f); err != nil {
		return f, fmt.Errorf("%w: %s: %v", ErrConfig, name, err)
	}
	return f, nil
}

// openAIConfig reads the configuration off the tensors' shapes.
func openAIConfig(c *Checkpoint, f openCLIPFile) (Config, error) {
	s := shapes{c: c}
	config := Config{LogitScaleInit: defaultLogitScale}
	activation := GELU
	if f.Model.QuickGELU {
		activation = QuickGELU
	}
	if _, ok := c.Info("token_embedding.weight"); ok {
		config.Text = s.text(activation, f.Model.Text.Heads)
	}
	if _, ok := c.Info("visual.class_embedding"); ok {
		config.Vision = s.vision(activation, f.Model.Vision.HeadWidth)
	}
	if _, ok := c.Info(resNetPool); ok {
		config.ResNet = s.resNet()
	}
	return config, errors.Join(s.errs...)
}

// headWidth is the width of an attention head in OpenAI's models.
const headWidth = 64

// shapes reads dimensions and collects what is missing.
type shapes struct {
	c    *Checkpoint
	errs []error
}

// dims is the shape of a tensor that must have the given rank; zeros if it has not.
func (s *shapes) dims(name string, rank int) []int {
	info, ok := s.c.Info(name)
	if !ok || len(info.Shape) != rank {
		s.errs = append(s.errs, fmt.Errorf("%w: tensor %q has shape %v, want %d dimensions", ErrWeights, name, info.Shape, rank))
		return make([]int, rank)
	}
	return info.Shape
}

// count is how many n from 0 on have a tensor of that name.
func (s *shapes) count(format string) int {
	for n := 0; ; n++ {
		if _, ok := s.c.Info(fmt.Sprintf(format, n)); !ok {
			return n
		}
	}
}

func (s *shapes) text(activation string, heads int) TextConfig {
	tokens, projection := s.dims("token_embedding.weight", 2), s.dims("text_projection", 2)
	if heads == 0 {
		heads = tokens[1] / headWidth
	}
	return TextConfig{Vocab: tokens[0], Width: tokens[1], Heads: heads, Dim: projection[1],
		Positions:  s.dims("positional_embedding", 2)[0],
		Layers:     s.count("transformer.resblocks.%d.ln_1.weight"),
		Hidden:     s.dims("transformer.resblocks.0.mlp.c_fc.weight", 2)[0],
		Activation: activation, Eps: 1e-5, SOS: tokens[0] - 2, EOT: tokens[0] - 1}
}

func (s *shapes) vision(activation string, head int) VisionConfig {
	patch, projection := s.dims("visual.conv1.weight", 4), s.dims("visual.proj", 2)
	if head == 0 {
		head = headWidth
	}
	return VisionConfig{Width: patch[0], Patch: patch[3], Heads: patch[0] / head, Dim: projection[1],
		Image:      patch[3] * s.grid("visual.positional_embedding"),
		Layers:     s.count("visual.transformer.resblocks.%d.ln_1.weight"),
		Hidden:     s.dims("visual.transformer.resblocks.0.mlp.c_fc.weight", 2)[0],
		Activation: activation, Eps: 1e-5}
}

// resNetPool is the tensor by which a ResNet is recognised.
const resNetPool = "visual.attnpool.positional_embedding"

func (s *shapes) resNet() ResNetConfig {
	c := ResNetConfig{Width: s.dims("visual.conv3.weight", 4)[0], Image: 32 * s.grid(resNetPool),
		Dim: s.dims("visual.attnpool.c_proj.weight", 2)[0]}
	for i := range c.Layers {
		c.Layers[i] = s.count(fmt.Sprintf("visual.layer%d.%%d.conv1.weight", i+1))
	}
	return c
}

// grid is the side of the square that position embeddings cover, beside one
// for the whole image.
func (s *shapes) grid(name string) int {
	n := s.dims(name, 2)[0]
	side := int(math.Round(math.Sqrt(float64(max(n-1, 0)))))
	if side*side+1 != n {
		s.errs = append(s.errs, fmt.Errorf("%w: tensor %q has %d rows, want one more than a square", ErrWeights, name, n))
	}
	return side
}
