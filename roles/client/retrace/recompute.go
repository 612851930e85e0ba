package retrace

import (
	"errors"
	"fmt"
	"math"

	"dpfpl/roles/client"
	"dpfpl/roles/client/blackbox"
	"dpfpl/schemas"
)

// ErrOther reports a record that is not of this update or not of these examples.
var ErrOther = errors.New("retrace: the black box tells of something else")

// Trace is a step computed again.
type Trace struct {
	Then, Now float64 // norm of the sum before the noise, as noted and as computed
	// Noise is the root mean square of what was published less what was computed, in units of the
	// mechanism's standard deviation: 1 with noise, 0 without.
	Noise float64
	// Excess is how far the sum of its squares is from what it should be, and Along how far its part in the
	// direction of the sum is from 0, both as normal variables of standard deviation 1; 0 without noise.
	Excess, Along float64
	noiseless     bool
}

// Allowances: another processor may round a gradient otherwise, and chance may take noise this far, each figure two times
// in 10⁹.
const (
	tolerance  = 1e-3
	deviations = 6
)

// Agrees reports whether the step is the one that was published.
func (t Trace) Agrees() bool {
	norm := math.Abs(t.Now-t.Then) <= tolerance*math.Max(t.Then, t.Now)
	if t.noiseless {
		return norm && t.Noise <= tolerance
	}
	return norm && math.Abs(t.Excess) <= deviations && math.Abs(t.Along) <= deviations
}

// Recompute computes the step of an update again. cfg needs Plan, Encoder, LogitScale, Data and, where the
// client had them, Prune and NoiseOnly; global is the prompt of the update's base. Errors: ErrOther, and those
// of client.Unnoised.
func Recompute(cfg client.Config, r blackbox.Record, global []float32, p Published) (Trace, error) {
	switch {
	case p.Update == nil || r.Update != p.Digest || r.Base != p.Update.Base:
		return Trace{}, fmt.Errorf("%w: update %d in the log is not the one of the record", ErrOther, p.K)
	case r.Data != client.DataDigest(cfg.Data):
		return Trace{}, fmt.Errorf("%w: update %d was made from other examples than these %d", ErrOther, p.K, len(cfg.Data))
	}
	sum, err := client.Unnoised(cfg, r.State, r.Batch, global)
	if err != nil {
		return Trace{}, fmt.Errorf("update %d: %w", p.K, err)
	}
	t := Trace{Then: r.Norm, noiseless: p.Update.Mechanism.Noise == schemas.NoiseNone}
	t.measure(sum, p.Update.Sum)
	return t, nil
}

// latticeScale is the standard deviation of the noise in lattice units (mathx/dp).
const latticeScale = 65536

func (t *Trace) measure(sum []float64, published schemas.Lattice) {
	sigma := latticeScale * published.Step
	var squares, along, norm float64
	for j, x := range published.Ints(nil) {
		noise := (float64(x)*published.Step - sum[j]) / sigma
		squares += noise * noise
		along += noise * sum[j]
		norm += sum[j] * sum[j]
	}
	n := float64(len(sum))
	t.Now, t.Noise = math.Sqrt(norm), math.Sqrt(squares/n)
	if t.noiseless {
		return
	}
	t.Excess = normal(squares, n)
	if norm > 0 {
		t.Along = along / t.Now
	}
}

// normal makes a normal variable of a sum of n squares of such, by the cube root of Wilson and Hilferty. The sum itself is
// skewed: of 1,536 it is six standard deviations too large ten times as often as a normal variable, of 32 five thousand times.
func normal(squares, n float64) float64 {
	variance := 2 / (9 * n)
	return (math.Cbrt(squares/n) - (1 - variance)) / math.Sqrt(variance)
}
