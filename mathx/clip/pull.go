package clip

import (
	"slices"

	"gonum.org/v1/gonum/blas"
)

// backward is the workspace of Pull. Its matrices have room for all rows; a Pull uses the
// first ones, see selection.
type backward struct {
	g       matrix    // rows×d: gradient at the residual stream
	leaf    matrix    // leaves×d: the same behind the last layer
	dFeat   matrix    // leaves×e
	dOut    matrix    // rows×d: at the output of attention
	dProb   []float32 // heads×rows×ld: at the attention probabilities, then scores
	dQ, dKV matrix    // rows×d, rows×2d
	dY      matrix    // rows×d: at a standardised input
	dHidden matrix    // rows×hidden
	q       matrix    // rows×d: the queries at work, see gather
	prob    []float32 // heads×rows×ld: their attention
}

func newBackward(p *plan, w *workspace) backward {
	t, n, leaves := p.text, p.rows(), len(p.tree.leaves)
	d := t.width
	return backward{
		g: newMatrix(n, d), leaf: newMatrix(leaves, d), dFeat: newMatrix(leaves, t.cfg.Dim),
		dOut: w.attended, dProb: make([]float32, t.heads*n*p.ld),
		dQ: newMatrix(n, d), dKV: newMatrix(n, 2*d), dY: newMatrix(n, d), dHidden: w.hidden,
		q: newMatrix(n, d), prob: make([]float32, t.heads*n*p.ld),
	}
}

// Pull is the vector-Jacobian product at the last Forward: it overwrites dst, l×d, with
// d⟨cot, features⟩/d ctx; cot is C×e row-major. Classes whose row of cot is zero cost
// nothing. The features stay valid, so one Forward serves any number of Pulls: with one
// example's cotangent each, they are the per-example gradients of a batch.
func (e *Encoder) Pull(dst, cot []float32) {
	t := e.text
	if len(dst) != e.context*t.width || len(cot) != len(e.features.Data) {
		panic("clip: Pull wants l·d values of dst and C·e of cot")
	}
	if e.workspace == nil {
		panic("clip: Pull without Forward")
	}
	c := matrix{Rows: e.features.Rows, Cols: e.features.Cols, Stride: e.features.Cols, Data: cot}
	e.pull.choose(e, c)
	if len(e.pull.leaves) == 0 || e.context == 0 {
		clear(dst)
		return
	}
	e.pullFeatures(c)
	for i := len(t.blocks) - 1; i >= 0; i-- {
		e.pullLayer(i)
	}
	copy(dst, e.back.g.Data[:len(dst)])
}

// pullFeatures takes the cotangent of the features to the leaves' residual stream behind
// the last layer. With z the projection and f = z/|z|: dz = (df − f⟨f, df⟩)/|z|.
func (e *Encoder) pullFeatures(cot matrix) {
	t, s, f := e.text, &e.pull, &e.last
	n := len(s.leaves)
	dz, dy, g := rows(e.back.dFeat, 0, n), rows(e.back.dY, 0, n), rows(e.back.leaf, 0, n)
	e.gatherCotangent(dz, cot)
	for k, slot := range s.leaves {
		feature, d := row(f.features, int(slot)), row(dz, k)
		var dot float64
		for i, v := range feature {
			dot += float64(v) * float64(d[i])
		}
		for i, v := range feature {
			d[i] = float32((float64(d[i]) - float64(v)*dot) * f.invNorm[slot])
		}
	}
	t.projection.w.MulT(dy, dz, 0)
	clear(g.Data)
	for k, slot := range s.leaves {
		t.engine.StandardiseBack(row(g, k), row(dy, k), row(f.y, int(slot)), f.rstd[slot])
	}
}

// gatherCotangent sums the classes' cotangents at their leaves.
func (e *Encoder) gatherCotangent(dst, cot matrix) {
	s := &e.pull
	clear(dst.Data)
	for c, slot := range e.tree.slot {
		if !s.hit[slot] {
			continue
		}
		k, found := slices.BinarySearch(s.leaves, slot)
		if !found {
			panic("clip: selected leaf is missing") // choose lists every hit
		}
		add(row(dst, k), row(cot, c))
	}
}

// pullLayer takes the gradient from behind layer i to before it: from e.back.leaf to
// e.back.g in the last layer, else in place in e.back.g. In the first layer it stops at
// the context's rows.
func (e *Encoder) pullLayer(i int) {
	t, b, tr, s := e.text, &e.text.blocks[i], &e.layers[i], &e.pull
	all := e.context + len(s.nodes)
	g, runs := rows(e.back.g, 0, all), s.rowRuns
	if tr.leaves {
		g, runs = rows(e.back.leaf, 0, len(s.leaves)), s.leafRuns
	}
	e.pullMLP(b, tr, g, runs)
	b.output.w.MulT(rows(e.back.dOut, 0, g.Rows), g, 0)

	deep := i > 0 // gradients of name tokens are wanted
	into, queries := all, g.Rows
	if !deep {
		into, queries = e.context, e.context
		if tr.leaves {
			queries = 0
		}
	}
	dKV, dQ := rows(e.back.dKV, 0, into), rows(e.back.dQ, 0, queries)
	e.pullAttention(tr, runs, g.Rows, dQ, dKV, deep)

	dY := rows(e.back.dY, 0, into)
	b.keyValue.w.MulT(dY, dKV, 0)
	if tr.leaves {
		e.scatterLeaves(b, g, dQ, dY, deep)
	} else {
		b.query.w.MulT(dY, dQ, 1)
	}
	for _, r := range s.rowRuns {
		for k := r.compact; k < min(r.compact+r.n, into); k++ {
			from := r.trace + k - r.compact
			t.engine.StandardiseBack(row(e.back.g, k), row(dY, k), row(tr.y1, from), tr.rstd1[from])
		}
	}
}

// pullMLP adds to g the gradient through the MLP.
func (e *Encoder) pullMLP(b *block, tr *trace, g matrix, runs []run) {
	t := e.text
	dHidden, dY := rows(e.back.dHidden, 0, g.Rows), rows(e.back.dY, 0, g.Rows)
	b.down.w.MulT(dHidden, g, 0)
	for _, r := range runs {
		t.engine.Hadamard(rows(dHidden, r.compact, r.compact+r.n).Data, rows(tr.slope, r.trace, r.trace+r.n).Data)
	}
	b.up.w.MulT(dY, dHidden, 0)
	for _, r := range runs {
		for k := range r.n {
			t.engine.StandardiseBack(row(g, r.compact+k), row(dY, r.compact+k), row(tr.y2, r.trace+k), tr.rstd2[r.trace+k])
		}
	}
}

// scatterLeaves starts e.back.g before the last layer: the leaves' gradient on their rows,
// zero elsewhere; and adds to dY what comes by the leaves' queries. The leaves do not
// matter before the first layer (deep false).
func (e *Encoder) scatterLeaves(b *block, leaf, dQ, dY matrix, deep bool) {
	clear(rows(e.back.g, 0, dY.Rows).Data)
	if !deep {
		return
	}
	through := rows(e.back.dOut, 0, dQ.Rows)
	b.query.w.MulT(through, dQ, 0)
	for k, slot := range e.pull.leaves {
		at := int(e.pull.compact[e.tree.leaves[slot]])
		copy(row(e.back.g, at), row(leaf, k))
		add(row(dY, at), row(through, k))
	}
}

// pullAttention takes e.back.dOut, with one row for each of the n queries of runs, to
// gradients at the first dQ.Rows queries and at the keys and values of the context and,
// if deep, of the selected nodes.
func (e *Encoder) pullAttention(tr *trace, runs []run, n int, dQ, dKV matrix, deep bool) {
	t, p := e.text, e.prefix()
	head, size := t.head(), n*e.ld
	dOut, dProb := rows(e.back.dOut, 0, n), e.back.dProb[:t.heads*size]
	for h := range t.heads {
		from, to := h*head, (h+1)*head
		t.engine.Gemm(blas.NoTrans, cols(dOut, from, to), rows(tr.valsT, from, to), 0, e.scores(dProb[h*size:], n, tr.valsT.Cols))
	}
	e.pullChainScores(tr, runs, n)
	qs, prob := e.gather(tr, runs, n)
	t.engine.SoftmaxBack(dProb, prob, e.ld, e.ld)
	clear(dKV.Data)
	for h := range t.heads {
		from, to := h*head, (h+1)*head
		dS := dProb[h*size:]
		if dQ.Rows > 0 {
			t.engine.Gemm(blas.NoTrans, e.scores(dS, dQ.Rows, p), cols(rows(tr.kv, 0, p), from, to), 0, cols(dQ, from, to))
		}
		dK, dV := cols(rows(dKV, 0, e.context), from, to), cols(rows(dKV, 0, e.context), t.width+from, t.width+to)
		t.engine.Gemm(blas.Trans, cols(e.scores(dS, n, p), 1, p), cols(qs, from, to), 1, dK)
		t.engine.Gemm(blas.Trans, cols(e.scores(prob[h*size:], n, p), 1, p), cols(dOut, from, to), 1, dV)
	}
	if deep {
		e.pullChains(tr, runs, n, dQ, dKV)
	}
}

// gather returns the n queries of runs and their attention, heads×n×ld, as compact rows.
func (e *Encoder) gather(tr *trace, runs []run, n int) (q matrix, prob []float32) {
	q, prob = rows(e.back.q, 0, n), e.back.prob[:e.text.heads*n*e.ld]
	for _, r := range runs {
		copy(rows(q, r.compact, r.compact+r.n).Data, rows(tr.q, r.trace, r.trace+r.n).Data)
		for h := range e.text.heads {
			copy(prob[(h*n+r.compact)*e.ld:][:r.n*e.ld], tr.prob[(h*tr.q.Rows+r.trace)*e.ld:])
		}
	}
	return q, prob
}

// pullChainScores fills in dProb what the product with the prefix's values does not: the
// chain's columns, and zeros behind a row's last key.
func (e *Encoder) pullChainScores(tr *trace, runs []run, n int) {
	t, p := e.text, e.prefix()
	size := n * e.ld
	for _, r := range runs {
		for k := range r.n {
			at := (r.compact + k) * e.ld
			chain, keys := e.chainOf(tr, r.trace+k)
			for j, node := range chain {
				t.engine.DotHeads(e.back.dProb[at+p+j:], size, row(e.back.dOut, r.compact+k), e.value(tr, node), t.head())
			}
			for h := range t.heads {
				clear(e.back.dProb[h*size+at+keys : h*size+at+e.ld])
			}
		}
	}
}

// pullChains adds the gradients at queries, keys and values that come by the chains.
func (e *Encoder) pullChains(tr *trace, runs []run, n int, dQ, dKV matrix) {
	t, p := e.text, e.prefix()
	head, d := t.head(), t.width
	size, full := n*e.ld, tr.q.Rows*e.ld
	for _, r := range runs {
		for k := range r.n {
			from, to := r.trace+k, r.compact+k
			chain, _ := e.chainOf(tr, from)
			for j, node := range chain {
				dS, prob := e.back.dProb[to*e.ld+p+j:], tr.prob[from*e.ld+p+j:]
				kv := row(dKV, int(e.pull.compact[node]))
				t.engine.AxpyHeads(row(dQ, to), e.key(tr, node), dS, size, head)
				t.engine.AxpyHeads(kv[:d], row(tr.q, from), dS, size, head)
				t.engine.AxpyHeads(kv[d:], row(e.back.dOut, to), prob, full, head)
			}
		}
	}
}
