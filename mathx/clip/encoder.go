package clip

import (
	"dpfpl/mathx/clip/internal/kernel"
	"fmt"
)

// An Encoder evaluates the text tower for a fixed list of classes behind a context of
// learnable vectors, and pulls gradients back to the context. It is exactly the function
// of the padded prompts [SOS, context, name, EOT, 0, 0, …], for less work:
//
//   - SOS and the context, the same for all classes, are evaluated once (rows 0 to l);
//   - names that begin alike share the rows of their common tokens;
//   - nothing behind EOT is evaluated, and of the last layer's queries, output and MLP
//     only the rows of EOT;
//   - the first layer's queries, keys and values of the name tokens do not depend on the
//     context and are computed once;
//   - there are no gradients for weights, for SOS, or for tokens in the first layer.
//
// An encoder serves one goroutine at a time. What Forward leaves for Pull lies in a
// workspace, 16 MiB for 10 classes of CLIP ViT-B, that the encoder borrows from its tower;
// Release gives it back. It holds nothing of the context between one Forward and the next,
// so several clients may take turns.
type Encoder struct {
	*plan
	*workspace
	features matrix // C×e
}

// A plan is what an encoder knows before it sees a context. It never changes.
type plan struct {
	text    *Text
	context int // l
	tree    *suffixTree
	chain   []int32 // node i attends to the nodes chain[start[i]:start[i+1]]
	start   []int32
	ld      int       // columns of a row of attention: prefix keys, then the chain, padded
	sos     []float32 // SOS with its position
	static  matrix    // nodes×d: the name tokens with their positions
}

// NewEncoder makes an encoder for classes, each the token ids of its text and EOT without
// SOS, behind l = context vectors; l may be 0. Errors wrap ErrPrompt, or are the
// checkpoint's when token embeddings are read from it.
func (t *Text) NewEncoder(classes [][]int, context int) (*Encoder, error) {
	if context < 0 || context > t.cfg.Positions-2 {
		return nil, fmt.Errorf("%w: context of %d vectors, the tower has %d positions", ErrPrompt, context, t.cfg.Positions)
	}
	if len(classes) == 0 {
		return nil, fmt.Errorf("%w: no classes", ErrPrompt)
	}
	tree, err := newSuffixTree(classes, t.cfg.Vocab, t.cfg.EOT, t.cfg.Positions-1-context)
	if err != nil {
		return nil, err
	}
	return t.newEncoder(tree, context)
}

func (t *Text) newEncoder(tree *suffixTree, context int) (*Encoder, error) {
	p := &plan{text: t, context: context, tree: tree}
	var longest int
	p.chain, p.start, longest = tree.chains()
	p.ld = kernel.Pad(p.prefix() + longest)
	if err := p.embed(); err != nil {
		return nil, err
	}
	return &Encoder{plan: p, features: newMatrix(len(tree.leaf), t.cfg.Dim)}, nil
}

// Shape returns the number of classes C, the context length l, and the widths d of a
// context vector and e of a feature.
func (e *Encoder) Shape() (classes, context, width, dim int) {
	return len(e.tree.leaf), e.context, e.text.width, e.text.cfg.Dim
}

// Rows returns how many token rows the encoder evaluates, against the classes times
// positions of padded prompts.
func (e *Encoder) Rows() int { return e.rows() }

func (p *plan) prefix() int { return p.context + 1 }
func (p *plan) rows() int   { return p.prefix() + len(p.tree.token) }

// embed fills in what never changes: the embeddings of SOS and of the name tokens, with
// their positions.
func (p *plan) embed() error {
	t := p.text
	p.static, p.sos = newMatrix(len(p.tree.token), t.width), make([]float32, t.width)
	for i, id := range p.tree.token {
		if err := t.tokens.read(row(p.static, i), id); err != nil {
			return err
		}
		add(row(p.static, i), row(t.positions, p.prefix()+int(p.tree.depth[i])))
	}
	if err := t.tokens.read(p.sos, t.cfg.SOS); err != nil {
		return err
	}
	add(p.sos, row(t.positions, 0))
	return nil
}

func add(dst, src []float32) {
	for i, v := range src {
		dst[i] += v
	}
}
