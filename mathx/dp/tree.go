package dp

import "math"

// Tree is correlated noise at an aggregator: every complete dyadic block of the steps
// carries one noisy sum, and a prefix is released as a few of them (Kairouz et al. 2021,
// arXiv 2103.00039). It protects without any sampling, as long as a unit takes part only
// so often, which the aggregator must enforce: the limits are the guarantee.
type Tree struct {
	Steps          int // leaves of the tree
	Participations int // of one unit, at most
	Separation     int // steps between two participations of one unit, at least
}

func (t Tree) validate() error {
	switch {
	case t.Steps < 1 || t.Steps > 1<<20:
		return invalid("Steps", t.Steps, "1 to 2^20")
	case t.Participations < 1 || t.Participations > t.Steps:
		return invalid("Participations", t.Participations, "1 to Steps")
	case t.Separation < 0 || t.Separation >= t.Steps:
		return invalid("Separation", t.Separation, "0 to Steps - 1")
	}
	return nil
}

// Step returns what a whole tree costs whose nodes carry noise of z times the clip norm
// of one participation: one release without sampling, of the tree's sensitivity.
func (t Tree) Step(z float64) (Step, error) {
	square, err := t.SquaredSensitivity()
	if err != nil {
		return Step{}, err
	}
	s := Step{Q: 1, Z: z / math.Sqrt(float64(square))}
	return s, s.validate()
}

// SquaredSensitivity returns, over all allowed patterns of participation, the largest
// sum over the tree's nodes of the squared number of participations below. Its time is
// Steps' logarithm times the square of the participations and the cube of the separation.
func (t Tree) SquaredSensitivity() (int, error) {
	if err := t.validate(); err != nil {
		return 0, err
	}
	var forest *subtree
	for left := t.Steps; left > 0; {
		size := 1
		for 2*size <= left {
			size *= 2
		}
		tree := t.complete(size)
		if forest == nil {
			forest = tree
		} else {
			forest = t.join(forest, tree, false)
		}
		left -= size
	}
	return forest.most(0, 0), nil
}

// subtree knows the largest sums over a run of steps: best[c][a][b] with c participations
// of which the first has at least a free steps before it and the last b after it; negative
// if there is no such pattern.
type subtree struct {
	size int
	best [][][]int
}

func (s *subtree) at(c, a, b int) int {
	if c >= len(s.best) {
		return -1
	}
	return s.best[c][max(a, 0)][max(b, 0)]
}

// most is the largest sum with any number of participations.
func (s *subtree) most(a, b int) int {
	most := 0
	for c := range s.best {
		most = max(most, s.at(c, a, b))
	}
	return most
}

// complete returns the complete tree over size steps, a power of two.
func (t Tree) complete(size int) *subtree {
	if size == 1 {
		leaf := t.empty(1)
		leaf.best[1][0][0] = 1
		return leaf
	}
	half := t.complete(size / 2)
	return t.join(half, half, true)
}

// empty returns a subtree without a possible pattern.
func (t Tree) empty(size int) *subtree {
	s := &subtree{size: size, best: make([][][]int, min(t.Participations, (size+t.Separation)/(t.Separation+1))+1)}
	for c := range s.best {
		s.best[c] = make([][]int, t.Separation+1)
		for a := range s.best[c] {
			s.best[c][a] = make([]int, t.Separation+1)
			for b := range s.best[c][a] {
				s.best[c][a][b] = -1
			}
		}
	}
	return s
}

// join puts two runs of steps side by side, under a node of their own if root.
func (t Tree) join(left, right *subtree, root bool) *subtree {
	s := t.empty(left.size + right.size)
	for c := 1; c < len(s.best); c++ {
		node := 0
		if root {
			node = c * c
		}
		for a := range s.best[c] {
			for b := range s.best[c][a] {
				most := max(left.at(c, a, b-right.size), right.at(c, a-left.size, b))
				for cl := 1; cl < c; cl++ {
					for gap := range t.Separation + 1 { // free steps on the left of the seam
						l, r := left.at(cl, a, gap), right.at(c-cl, t.Separation-gap, b)
						if l >= 0 && r >= 0 {
							most = max(most, l+r)
						}
					}
				}
				if most >= 0 {
					s.best[c][a][b] = most + node
				}
			}
		}
	}
	return s
}
