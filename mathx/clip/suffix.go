package clip

import "fmt"

// A suffixTree holds the tokens that follow the context, each class's name to EOT, with
// common beginnings stored once. In a causal transformer a token's state depends on what
// comes before it alone, so classes that begin alike share those rows exactly.
//
// Nodes are numbered in order of first appearance: a parent before its children, and the
// nodes that a class adds next to each other.
type suffixTree struct {
	token  []int   // node → token id
	parent []int32 // node → its predecessor, or -1 right behind the context
	depth  []int32 // node → number of predecessors in the tree
	leaf   []int32 // class → its last node
	leaves []int32 // the distinct leaves, ascending
	slot   []int32 // class → index in leaves
}

// newSuffixTree reads the token ids of the classes; only EOT may end one, and must.
func newSuffixTree(classes [][]int, vocab, eot, room int) (*suffixTree, error) {
	t := &suffixTree{}
	type edge struct {
		parent int32
		token  int
	}
	nodes := map[edge]int32{}
	for c, ids := range classes {
		if len(ids) > room {
			return nil, fmt.Errorf("%w: class %d has %d tokens, only %d fit behind the context", ErrPrompt, c, len(ids), room)
		}
		if len(ids) == 0 || ids[len(ids)-1] != eot {
			return nil, fmt.Errorf("%w: class %d does not end in EOT", ErrPrompt, c)
		}
		at := int32(-1)
		for i, id := range ids {
			if id < 0 || id >= vocab || id == eot && i+1 < len(ids) {
				return nil, fmt.Errorf("%w: class %d has token id %d at %d, vocabulary %d", ErrPrompt, c, id, i, vocab)
			}
			next, ok := nodes[edge{at, id}]
			if !ok {
				next = int32(len(t.token))
				nodes[edge{at, id}] = next
				t.token, t.parent, t.depth = append(t.token, id), append(t.parent, at), append(t.depth, int32(i))
				if id == eot {
					t.leaves = append(t.leaves, next)
				}
			}
			at = next
		}
		t.leaf = append(t.leaf, at)
	}
	t.index()
	return t, nil
}

// index numbers the leaves and points each class at its own.
func (t *suffixTree) index() {
	at := make([]int32, len(t.token))
	for i, leaf := range t.leaves {
		at[leaf] = int32(i)
	}
	for _, leaf := range t.leaf {
		t.slot = append(t.slot, at[leaf])
	}
}

// chains lists for every node the nodes on the way to it, itself last: node i's are
// chain[start[i]:start[i+1]].
func (t *suffixTree) chains() (chain, start []int32, longest int) {
	start = append(start, 0)
	for i := range t.token {
		n := int(t.depth[i]) + 1
		longest = max(longest, n)
		from := len(chain)
		chain = append(chain, make([]int32, n)...)
		for j, at := n-1, int32(i); j >= 0; j, at = j-1, t.parent[at] {
			chain[from+j] = at
		}
		start = append(start, int32(len(chain)))
	}
	return chain, start, longest
}
