package clip

// A selection is the part of an encoder that one Pull works on: the classes whose
// cotangent is not zero, their leaves, and the nodes on the way to those. Backward
// matrices have a compact row for each context vector and then for each selected node.
type selection struct {
	leaves  []int32 // indices into tree.leaves, ascending
	nodes   []int32 // ascending
	compact []int32 // node → compact row, for selected nodes
	mark    []bool  // node → selected
	hit     []bool  // index in tree.leaves → selected

	rowRuns  []run // compact rows as runs of trace rows
	leafRuns []run // selected leaves as runs of tree.leaves
}

// A run is n rows that lie next to each other both in a trace and in a backward matrix.
type run struct{ trace, compact, n int }

func newSelection(p *plan) selection {
	nodes, leaves := len(p.tree.token), len(p.tree.leaves)
	return selection{
		leaves: make([]int32, 0, leaves), hit: make([]bool, leaves), leafRuns: make([]run, 0, leaves),
		nodes: make([]int32, 0, nodes), mark: make([]bool, nodes), compact: make([]int32, nodes),
		rowRuns: make([]run, 0, nodes+1),
	}
}

// choose selects the classes with a non-zero row of cot, C×e.
func (s *selection) choose(e *Encoder, cot matrix) {
	clear(s.hit)
	clear(s.mark)
	for c, slot := range e.tree.slot {
		if s.hit[slot] || zero(row(cot, c)) {
			continue
		}
		s.hit[slot] = true
		for at := e.tree.leaf[c]; at >= 0 && !s.mark[at]; at = e.tree.parent[at] {
			s.mark[at] = true
		}
	}
	s.leaves, s.leafRuns = s.leaves[:0], s.leafRuns[:0]
	for i, hit := range s.hit {
		if hit {
			s.leafRuns = extend(s.leafRuns, i, len(s.leaves))
			s.leaves = append(s.leaves, int32(i))
		}
	}
	s.nodes, s.rowRuns = s.nodes[:0], append(s.rowRuns[:0], run{trace: 1, compact: 0, n: e.context})
	for i, marked := range s.mark {
		if marked {
			s.compact[i] = int32(e.context + len(s.nodes))
			s.rowRuns = extend(s.rowRuns, e.prefix()+i, int(s.compact[i]))
			s.nodes = append(s.nodes, int32(i))
		}
	}
}

// extend appends a row, to the last run if it continues that.
func extend(runs []run, trace, compact int) []run {
	if n := len(runs); n > 0 && runs[n-1].trace+runs[n-1].n == trace {
		runs[n-1].n++
		return runs
	}
	return append(runs, run{trace, compact, 1})
}

func zero(x []float32) bool {
	for _, v := range x {
		if v != 0 {
			return false
		}
	}
	return true
}
