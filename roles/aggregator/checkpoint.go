package aggregator

import (
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"time"

	"dpfpl/schemas"
)

// checkpoint returns the fold's state, which between versions is all of it. model is the digest of the
// sealed model, chain that of the log so far.
func (f *Fold) checkpoint(model, chain [32]byte) *schemas.Checkpoint {
	c := &schemas.Checkpoint{
		Header:   f.header(),
		Version:  f.version,
		Model:    model,
		Applied:  f.applied,
		Chain:    chain,
		Controls: f.controls,
		Velocity: packFloats(f.optimizer.Velocity),
		Members:  f.members.records(),
		Final:    f.final,
	}
	if f.applied > 0 {
		c.AppliedTime = f.appliedTime.UnixNano()
	}
	return c
}

// restore puts a new fold where a checkpoint was taken. m is the model of the same version.
func (f *Fold) restore(c *schemas.Checkpoint, m *schemas.Model) error {
	switch {
	case c.Version != m.Version || c.Applied != m.Applied || c.Final != m.Final:
		return fmt.Errorf("checkpoint of version %d at sequence %d, model of version %d at sequence %d", c.Version, c.Applied, m.Version, m.Applied)
	case m.Params.Rows != f.plan.Prompt.Context || m.Params.Cols != f.plan.Prompt.Width:
		return fmt.Errorf("model of %d×%d, the plan has %d×%d", m.Params.Rows, m.Params.Cols, f.plan.Prompt.Context, f.plan.Prompt.Width)
	case len(c.Velocity) != 8*len(f.optimizer.Velocity):
		return fmt.Errorf("velocity of %d bytes, the plan has momentum %v on %d parameters", len(c.Velocity), f.optimizer.Momentum, len(f.params))
	}
	params := m.Params.Floats(nil)
	if c.Version == 0 && !slices.Equal(params, f.params) {
		return fmt.Errorf("version 0 is not the prompt that the plan starts from")
	}
	if err := f.members.restore(c.Members); err != nil {
		return err
	}
	f.params = params
	f.version, f.final = c.Version, c.Final
	f.optimizer.Velocity = unpackFloats(c.Velocity)
	f.applied, f.appliedTime = c.Applied, time.Unix(0, c.AppliedTime)
	f.controls = c.Controls
	return nil
}

func packFloats(v []float64) []byte {
	b := make([]byte, 0, 8*len(v))
	for _, x := range v {
		b = binary.LittleEndian.AppendUint64(b, math.Float64bits(x))
	}
	return b
}

// unpackFloats returns nil for no bytes.
func unpackFloats(b []byte) []float64 {
	var v []float64
	for i := 0; i+8 <= len(b); i += 8 {
		v = append(v, math.Float64frombits(binary.LittleEndian.Uint64(b[i:])))
	}
	return v
}
