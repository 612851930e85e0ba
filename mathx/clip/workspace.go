package clip

import (
	"slices"
	"sync"

	"dpfpl/mathx/clip/internal/kernel"
)

// A workspace is the memory of one evaluation: what Forward leaves for Pull, and scratch.
type workspace struct {
	holds    *plan // whose name tokens the first layer has, see prepare
	layers   []trace
	last     finish
	x        matrix // rows×d: residual stream
	attended matrix // rows×d
	hidden   matrix // rows×hidden
	back     backward
	pull     selection
	prune    *pruning
}

// A trace is what one layer's forward pass keeps for its backward pass. Rows are the
// prefix and then the nodes; queries are all rows, or in the last layer the leaves.
type trace struct {
	y1     matrix    // rows×d: standardised input of attention
	rstd1  []float32 // rows
	q      matrix    // queries×d
	kv     matrix    // rows×2d
	keysT  matrix    // d×prefix: the prefix's keys, transposed, columns padded with zeros
	valsT  matrix    // d×prefix: the prefix's values
	prob   []float32 // heads×queries×ld: attention probabilities
	y2     matrix    // queries×d: standardised input of the MLP
	rstd2  []float32 // queries
	slope  matrix    // queries×hidden: derivative of the activation
	leaves bool      // the last layer
}

// A finish is what happens at the leaves behind the last layer.
type finish struct {
	in, x    matrix    // leaves×d: input of the last layer's queries; residual stream
	y        matrix    // leaves×d: standardised
	rstd     []float32 // leaves
	features matrix    // leaves×e, unit norm
	invNorm  []float64 // leaves: 1/|projection|
}

// A shape decides the sizes of a workspace.
type shape struct{ context, nodes, leaves, classes, ld int }

func (p *plan) shape() shape {
	return shape{p.context, len(p.tree.token), len(p.tree.leaves), len(p.tree.leaf), p.ld}
}

// workspaces are those that no encoder of a tower has at the moment.
type workspaces struct {
	mu   sync.Mutex
	idle map[shape][]*workspace
}

// borrow gives the encoder a workspace.
func (e *Encoder) borrow() {
	w := e.text.workspaces.take(e.shape())
	if w == nil {
		w = newWorkspace(e.plan)
	}
	e.workspace = w
	if w.holds == nil || !w.holds.same(e.plan) {
		e.prepare()
	}
	w.holds = e.plan
}

// Release gives the encoder's workspace back to its tower, for the next Forward of any
// encoder with as many tokens. The features stay valid, Pull needs another Forward. It is
// worth while with many encoders that are not all at work: the tower has as many workspaces
// as were in use at the same time.
func (e *Encoder) Release() {
	if e.workspace != nil {
		e.text.workspaces.put(e.shape(), e.workspace)
		e.workspace = nil
	}
}

func (w *workspaces) take(s shape) *workspace {
	w.mu.Lock()
	defer w.mu.Unlock()
	idle := w.idle[s]
	if len(idle) == 0 {
		return nil
	}
	w.idle[s] = idle[:len(idle)-1]
	return idle[len(idle)-1]
}

func (w *workspaces) put(s shape, x *workspace) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.idle == nil {
		w.idle = make(map[shape][]*workspace)
	}
	w.idle[s] = append(w.idle[s], x)
}

// same reports whether plans of one shape have the same name tokens.
func (p *plan) same(q *plan) bool {
	return p == q || slices.Equal(p.tree.token, q.tree.token) && slices.Equal(p.tree.parent, q.tree.parent) &&
		slices.Equal(p.tree.leaves, q.tree.leaves)
}

// prepare computes the name tokens' part of the first layer's projections, which do not
// depend on the context. Forward leaves them as they are.
func (e *Encoder) prepare() {
	copy(rows(e.x, e.prefix(), e.rows()).Data, e.static.Data)
	e.attend(0, e.prefix(), e.rows())
	if e.layers[0].leaves {
		e.queryLeaves(0)
	}
}

func newWorkspace(p *plan) *workspace {
	t, n, leaves := p.text, p.rows(), len(p.tree.leaves)
	d, dim := t.width, t.cfg.Dim
	w := &workspace{x: newMatrix(n, d), attended: newMatrix(n, d), hidden: newMatrix(n, t.hidden)}
	for i := range t.blocks {
		queries, last := n, i == len(t.blocks)-1
		if last {
			queries = leaves
		}
		w.layers = append(w.layers, trace{
			y1: newMatrix(n, d), rstd1: make([]float32, n),
			q: newMatrix(queries, d), kv: newMatrix(n, 2*d),
			keysT: newMatrix(d, kernel.Pad(p.prefix())), valsT: newMatrix(d, kernel.Pad(p.prefix())),
			prob: make([]float32, t.heads*queries*p.ld),
			y2:   newMatrix(queries, d), rstd2: make([]float32, queries),
			slope: newMatrix(queries, t.hidden), leaves: last,
		})
	}
	w.last = finish{in: newMatrix(leaves, d), x: newMatrix(leaves, d), y: newMatrix(leaves, d),
		rstd: make([]float32, leaves), features: newMatrix(leaves, dim), invNorm: make([]float64, leaves)}
	w.back = newBackward(p, w)
	w.pull = newSelection(p)
	w.prune = newPruning(p)
	return w
}
