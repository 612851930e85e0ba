package dp

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
)

// Mode says whether a mechanism protects at all.
type Mode uint8

const (
	// Private adds noise. It is the zero value.
	Private Mode = iota
	// Unprotected clips and quantises and adds nothing: epsilon is infinite. It is
	// the control of an experiment.
	Unprotected
)

// Group describes one of the sums that a step releases.
type Group struct {
	Name string
	Dim  int     // number of coordinates
	Clip float64 // largest L2 norm of one record's gradient
	Z    float64 // noise multiplier, standard deviation over Clip; 0 exactly when unprotected
}

// Mechanism sums the clipped gradients of one client's batch and releases the
// sums with noise, one step at a time. It is not safe for concurrent use.
type Mechanism struct {
	groups   []Group
	lattices []lattice
	mode     Mode
	sums     [][]int64
	record   [][]int32 // scratch: the record being added
	prepared bool      // the sums already hold this step's noise
	records  int64     // added in this step
	most     int64     // that a step may add
	dropped  int       // non-finite ones, ever
	steps    uint64    // released, ever
}

// NewMechanism returns a mechanism for the groups. Errors: ErrInvalid for a field
// outside its domain and ErrOverflow for a noise multiplier or clip norm that the
// lattice cannot hold; both name the group and the field.
func NewMechanism(groups []Group, mode Mode) (*Mechanism, error) {
	if len(groups) == 0 {
		return nil, invalid("groups", "[]", "at least one")
	}
	if mode > Unprotected {
		return nil, invalid("mode", mode, "Private or Unprotected")
	}
	m := &Mechanism{groups: slices.Clone(groups), mode: mode, most: math.MaxInt64}
	for i, g := range groups {
		l, err := newLattice(g, mode)
		if err != nil {
			return nil, fmt.Errorf("groups[%d] %q: %w", i, g.Name, err)
		}
		m.lattices = append(m.lattices, l)
		m.sums = append(m.sums, make([]int64, l.dim))
		m.record = append(m.record, make([]int32, l.dim))
		m.most = min(m.most, room/l.limit)
	}
	return m, nil
}

// Add clips one record's gradients, one slice per group, and adds them to the
// sums of the step. A record with a NaN or an infinity anywhere counts as zero in
// every group (see [Mechanism.Dropped]). Errors: ErrShape, and ErrOverflow when
// the batch is so large that its sum could leave an int32; the step is then best
// ended with [Mechanism.Discard].
func (m *Mechanism) Add(record ...[]float64) error {
	if err := m.checkShape(record); err != nil {
		return err
	}
	if m.records == m.most {
		return fmt.Errorf("%w: batch of more than %d records", ErrOverflow, m.most)
	}
	m.records++
	for i, l := range m.lattices {
		if !l.quantise(m.record[i], record[i]) {
			m.dropped++
			return nil
		}
	}
	for i, t := range m.record {
		for j, v := range t {
			m.sums[i][j] += int64(v)
		}
	}
	return nil
}

func (m *Mechanism) checkShape(record [][]float64) error {
	if len(record) != len(m.lattices) {
		return fmt.Errorf("%w: record of %d groups, want %d", ErrShape, len(record), len(m.lattices))
	}
	for i, l := range m.lattices {
		if len(record[i]) != l.dim {
			return fmt.Errorf("%w: group %q of %d numbers, want %d", ErrShape, l.name, len(record[i]), l.dim)
		}
	}
	return nil
}

// Prepare draws the noise of the coming release now. The time that exact sampling
// takes is slightly correlated with the size of the noise; drawn before the
// gradients are computed, it cannot be told apart from their time. Optional:
// Release draws what Prepare did not.
func (m *Mechanism) Prepare(src rand.Source) {
	if m.prepared {
		return
	}
	m.prepared = true
	if m.mode == Unprotected {
		return
	}
	g := discreteGaussian{src, scale}
	for _, sum := range m.sums {
		for j := range sum {
			sum[j] += g.draw()
		}
	}
}

// Release returns the sums of the step with noise and begins the next step. A step
// without records releases pure noise: whether a batch was empty is secret. src is
// a [CryptoSource] outside tests, and may be nil after Prepare.
func (m *Mechanism) Release(src rand.Source) *Noised {
	m.Prepare(src)
	n := &Noised{ints: make([][]int32, len(m.sums)), lattices: m.lattices}
	for i, sum := range m.sums {
		n.ints[i] = make([]int32, len(sum))
		for j, v := range sum {
			n.ints[i][j] = int32(min(max(v, math.MinInt32), math.MaxInt32))
		}
	}
	m.Discard()
	m.steps++
	return n
}

// Discard drops the records and the noise of an unfinished step. Nothing of it may
// have been looked at.
func (m *Mechanism) Discard() {
	for _, sum := range m.sums {
		clear(sum)
	}
	m.records, m.prepared = 0, false
}

// Steps returns how many releases this mechanism made.
func (m *Mechanism) Steps() uint64 { return m.steps }

// Dropped returns how many records were replaced by zero for a NaN or an infinity.
// The count depends on private data and must stay on the client.
func (m *Mechanism) Dropped() int { return m.dropped }

// Groups returns the groups with the multipliers to account, for a ledger entry.
func (m *Mechanism) Groups() []Group {
	groups := slices.Clone(m.groups)
	for i := range groups {
		groups[i].Z = m.Multiplier(i)
	}
	return groups
}

// Multiplier returns the noise multiplier to account for a group: S/L, at least
// the Z asked for; 0 when unprotected.
func (m *Mechanism) Multiplier(group int) float64 {
	if m.mode == Unprotected {
		return 0
	}
	return scale / float64(m.lattices[group].limit)
}

// Joint returns the noise multiplier of all groups of a step together, the one to
// account: they come from the same batch, so they are one Gaussian release with
// 1/z^2 the sum of the 1/z_k^2. It is 0 when unprotected.
func (m *Mechanism) Joint() float64 {
	z := make([]float64, len(m.lattices))
	for i := range z {
		z[i] = m.Multiplier(i)
	}
	return Joint(z...)
}

// Joint combines the noise multipliers of releases made from one batch:
// (sum z_k^-2)^(-1/2). A multiplier of 0 (no noise) makes it 0.
func Joint(z ...float64) float64 {
	sum := 0.0
	for _, v := range z {
		sum += 1 / float64(v*v)
	}
	return 1 / math.Sqrt(sum)
}
