package audit

import "dpfpl/mathx/prompt"

// Gradient is what one scripted record pulls back: size along one axis of the l×d context, 0 elsewhere.
type Gradient struct {
	Axis int
	Size float64
}

// Tower is a text tower with two classes whose features do not depend on the context, so that every
// record's softmax residual is (-1/2, 1/2) at any prompt, and whose pull-back is scripted: record i, made by
// Records, has the gradient script[i]. It is linear in the cotangent like any vector-Jacobian product, so
// the gradient of a batch's mean is the mean of its records' gradients.
type Tower struct {
	l, d     int
	script   []Gradient
	features []float32
}

var _ prompt.TextEncoder = (*Tower)(nil)

// LogitScale is the logit scale at which a record's gradient is the scripted one.
const LogitScale = 1

// NewTower returns a tower for contexts of l×d.
func NewTower(l, d int, script []Gradient) *Tower {
	return &Tower{l, d, script, make([]float32, 2*len(script))}
}

// Shape returns 2 classes, l, d, and a feature dimension for each scripted record.
func (t *Tower) Shape() (classes, context, width, dim int) { return 2, t.l, t.d, len(t.script) }

// Forward returns zeros: all logits are equal.
func (t *Tower) Forward([]float32) []float32 { return t.features }

// Pull writes the sum of the scripted gradients, weighted by twice the second class's cotangent.
func (t *Tower) Pull(dst, cot []float32) {
	clear(dst)
	for i, w := range cot[len(t.script):] {
		if w != 0 {
			dst[t.script[i].Axis] += float32(2 * float64(w) * t.script[i].Size)
		}
	}
}

// Records returns the scripted records. Record i has the i-th unit vector as its feature; all share one array.
func (t *Tower) Records() []prompt.Example {
	n := len(t.script)
	line := make([]float32, 2*n)
	line[n] = 1
	records := make([]prompt.Example, n)
	for i := range records {
		records[i].Feature = line[n-i : 2*n-i]
	}
	return records
}
