package clip

import (
	"math"

	"gonum.org/v1/gonum/blas"
)

// Forward evaluates the text tower. ctx is l×d row-major; the result is C×e row-major with
// rows of unit norm, valid until the next Forward on this encoder.
func (e *Encoder) Forward(ctx []float32) []float32 {
	t, p := e.text, e.prefix()
	if len(ctx) != e.context*t.width {
		panic("clip: context does not have l·d values")
	}
	if e.workspace == nil {
		e.borrow()
	}
	copy(row(e.x, 0), e.sos)
	for i := range e.context {
		copy(row(e.x, i+1), ctx[i*t.width:(i+1)*t.width])
		add(row(e.x, i+1), row(t.positions, i+1))
	}
	copy(rows(e.x, p, e.rows()).Data, e.static.Data)
	for i := range t.blocks {
		to := e.rows()
		if i == 0 {
			to = p // prepare did the rest
		}
		e.attend(i, 0, to)
		e.layer(i)
	}
	e.finish()
	return e.features.Data
}

// attend standardises rows from to to of the residual stream and projects them to keys
// and values and, but for the last layer, queries.
func (e *Encoder) attend(i, from, to int) {
	t, b, tr := e.text, &e.text.blocks[i], &e.layers[i]
	for r := from; r < to; r++ {
		tr.rstd1[r] = t.engine.Standardise(row(tr.y1, r), row(e.x, r), t.eps)
	}
	y := rows(tr.y1, from, to)
	b.keyValue.apply(rows(tr.kv, from, to), y)
	if !tr.leaves {
		b.query.apply(rows(tr.q, from, to), y)
	}
}

// queryLeaves projects the leaves to queries.
func (e *Encoder) queryLeaves(i int) {
	tr := &e.layers[i]
	for j, leaf := range e.tree.leaves {
		copy(row(e.last.in, j), row(tr.y1, e.prefix()+int(leaf)))
	}
	e.text.blocks[i].query.apply(tr.q, e.last.in)
}

// layer finishes layer i behind attend: attention, output and MLP, added to the residual
// stream; in the last layer to the leaves' part of it.
func (e *Encoder) layer(i int) {
	t, b, tr := e.text, &e.text.blocks[i], &e.layers[i]
	x := e.x
	if tr.leaves {
		if i > 0 {
			e.queryLeaves(i)
		}
		x = e.last.x
		for j, leaf := range e.tree.leaves {
			copy(row(x, j), row(e.x, e.prefix()+int(leaf)))
		}
	}
	o, h := rows(e.attended, 0, x.Rows), rows(e.hidden, 0, x.Rows)
	e.attention(tr, o)
	t.add(x, o, b.output)
	for r := range x.Rows {
		tr.rstd2[r] = t.engine.Standardise(row(tr.y2, r), row(x, r), t.eps)
	}
	b.up.apply(h, tr.y2)
	t.activate(h.Data, tr.slope.Data)
	t.add(x, h, b.down)
}

// attention sets o to the queries' attention over the prefix, as matrix products, and over
// their chains, key by key.
func (e *Encoder) attention(tr *trace, o matrix) {
	t, p := e.text, e.prefix()
	head, size := t.head(), tr.q.Rows*e.ld
	transpose(tr.keysT, cols(rows(tr.kv, 0, p), 0, t.width))
	transpose(tr.valsT, cols(rows(tr.kv, 0, p), t.width, 2*t.width))
	for h := range t.heads {
		from, to := h*head, (h+1)*head
		t.engine.Gemm(blas.NoTrans, cols(tr.q, from, to), rows(tr.keysT, from, to), 0, e.scores(tr.prob[h*size:], tr.q.Rows, tr.keysT.Cols))
	}
	for i := range tr.q.Rows {
		chain, keys := e.chainOf(tr, i)
		for j, node := range chain {
			t.engine.DotHeads(tr.prob[i*e.ld+p+j:], size, row(tr.q, i), e.key(tr, node), head)
		}
		for h := range t.heads {
			setAll(tr.prob[h*size+i*e.ld+keys:h*size+(i+1)*e.ld], float32(math.Inf(-1)))
		}
	}
	t.engine.Softmax(tr.prob, e.ld, e.ld)
	for h := range t.heads {
		from, to := h*head, (h+1)*head
		t.engine.Gemm(blas.NoTrans, e.scores(tr.prob[h*size:], tr.q.Rows, p), cols(rows(tr.kv, 0, p), t.width+from, t.width+to), 0, cols(o, from, to))
	}
	for i := range tr.q.Rows {
		chain, _ := e.chainOf(tr, i)
		for j, node := range chain {
			t.engine.AxpyHeads(row(o, i), e.value(tr, node), tr.prob[i*e.ld+p+j:], size, head)
		}
	}
}

// chainOf returns the nodes that query i attends to behind the prefix and the number of
// its keys in all. A query in the prefix has no chain and sees the prefix up to itself.
func (e *Encoder) chainOf(tr *trace, i int) (chain []int32, keys int) {
	node := i - e.prefix()
	if tr.leaves {
		node = int(e.tree.leaves[i])
	}
	if node < 0 {
		return nil, i + 1
	}
	chain = e.chain[e.start[node]:e.start[node+1]]
	return chain, e.prefix() + len(chain)
}

func (e *Encoder) key(tr *trace, node int32) []float32 {
	return row(tr.kv, e.prefix()+int(node))[:e.text.width]
}

func (e *Encoder) value(tr *trace, node int32) []float32 {
	return row(tr.kv, e.prefix()+int(node))[e.text.width:]
}

// scores is the view of one head's first n columns of attention.
func (e *Encoder) scores(data []float32, queries, n int) matrix {
	return cols(matrix{Rows: queries, Cols: e.ld, Stride: e.ld, Data: data}, 0, n)
}

// finish turns the leaves' residual stream into unit features.
func (e *Encoder) finish() {
	t, f := e.text, &e.last
	for i := range f.x.Rows {
		f.rstd[i] = t.engine.Standardise(row(f.y, i), row(f.x, i), t.eps)
	}
	t.projection.apply(f.features, f.y)
	for i := range f.invNorm {
		f.invNorm[i] = normalise(row(f.features, i))
	}
	for c, i := range e.tree.slot {
		copy(row(e.features, c), row(f.features, int(i)))
	}
}

// normalise scales x to unit norm and returns the factor.
func normalise(x []float32) float64 {
	var sq float64
	for _, v := range x {
		sq += float64(v) * float64(v)
	}
	inv := 1 / math.Sqrt(sq)
	for i, v := range x {
		x[i] = float32(float64(v) * inv)
	}
	return inv
}

// transpose sets the first a.Rows columns of dst to aᵀ.
func transpose(dst, a matrix) {
	for i := range a.Rows {
		for j, v := range row(a, i) {
			dst.Data[j*dst.Stride+i] = v
		}
	}
}

func setAll(x []float32, v float32) {
	for i := range x {
		x[i] = v
	}
}
