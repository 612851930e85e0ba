package clip

import (
	"errors"
	"fmt"

	"dpfpl/mathx/clip/internal/kernel"
)

// ErrPrompt is wrapped by errors about the token ids or the context length given to
// Text.NewEncoder.
var ErrPrompt = errors.New("clip: bad prompt")

// Text is CLIP's causal text transformer with frozen weights. It is read-only: any number
// of encoders in any number of goroutines share one.
type Text struct {
	tower
	cfg        TextConfig
	tokens     embedding
	positions  matrix // Positions×d
	projection dense  // final layer norm's gain and shift, then the projection: d → e
	workspaces workspaces
}

// NewText reads a text transformer under its Hugging Face names (text_model.…,
// text_projection.weight) and packs it for this CPU. It keeps no raw weights but the token
// embedding, and that only if t is not a RowReader. Errors are those of cfg.Validate and t.
func NewText(cfg TextConfig, t Tensors) (*Text, error) { return newText(cfg, t, kernel.Best()) }

func newText(cfg TextConfig, t Tensors, engine kernel.Engine) (*Text, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	const prefix = "text_model."
	r := &reader{Tensors: t, engine: engine}
	d := cfg.Width
	x := &Text{cfg: cfg, tokens: r.embedding(prefix+"embeddings.token_embedding.weight", cfg.Vocab, d)}
	x.positions = matrix{Rows: cfg.Positions, Cols: d, Stride: d,
		Data: r.tensor(prefix+"embeddings.position_embedding.weight", cfg.Positions, d)}
	x.tower = r.tower(prefix, d, cfg.Layers, cfg.Heads, cfg.Hidden, cfg.Eps, cfg.Activation, true)
	final := r.norm(prefix+"final_layer_norm", d)
	x.projection = r.dense(r.projection("text_projection", d, cfg.Dim).afterNorm(final), true)
	if r.err != nil {
		return nil, fmt.Errorf("text tower: %w", r.err)
	}
	return x, nil
}

// Config returns the tower's shape.
func (t *Text) Config() TextConfig { return t.cfg }

// Bytes is the memory that the packed weights hold.
func (t *Text) Bytes() int { return t.bytes() + t.projection.w.Bytes() + 4*len(t.tokens.table) }

// An embedding looks rows up in a table, in memory or in the checkpoint.
type embedding struct {
	name  string
	rows  int
	table []float32 // rows×d, or nil to ask lazy
	lazy  RowReader
}

func (r *reader) embedding(name string, rows, width int) embedding {
	if lazy, ok := r.Tensors.(RowReader); ok {
		if err := lazy.Row(make([]float32, width), name, 0, rows); err != nil && r.err == nil {
			r.err = err
		}
		return embedding{name: name, rows: rows, lazy: lazy}
	}
	return embedding{name: name, rows: rows, table: r.tensor(name, rows, width)}
}

// read overwrites dst with row i.
func (e embedding) read(dst []float32, i int) error {
	if e.table == nil {
		return e.lazy.Row(dst, e.name, i, e.rows)
	}
	copy(dst, e.table[i*len(dst):])
	return nil
}
