package client

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"

	"dpfpl/mathx/prompt"
	"dpfpl/roles/client/blackbox"
	"dpfpl/schemas"
)

// recall notes what step k is about to begin with; nil without a black box. It computes the step's gradients
// once more, so a step then takes twice as long.
func (c *Client) recall(k uint64, in []bool) (*blackbox.Record, error) {
	if c.cfg.BlackBox == nil {
		return nil, nil
	}
	state, err := c.learner.MarshalBinary()
	if err != nil {
		return nil, err
	}
	sum, err := Unnoised(c.cfg, state, in, c.global)
	if err != nil {
		return nil, err
	}
	square := 0.0
	for _, v := range sum {
		square += v * v
	}
	return &blackbox.Record{
		Run: c.cfg.Plan.Run, K: k, Base: c.newest.Version, Data: DataDigest(c.cfg.Data),
		Batch: in, Norm: math.Sqrt(square), State: state,
	}, nil
}

// remember adds what recall noted to the black box, once the update is sealed.
func (c *Client) remember(r *blackbox.Record, sealed []byte) error {
	if r == nil {
		return nil
	}
	r.Update = schemas.Digest(sealed)
	return c.cfg.BlackBox.Append(*r)
}

// Unnoised returns what a step sums up before the noise: the clipped gradients of the global prompt, l×d
// row-major, of the examples for which in is true. state is the learner's before the step. It uses Plan,
// Encoder, LogitScale, Data, Prune and NoiseOnly of the configuration. The result is as secret as the data,
// and is for debugging on the client's own machine. Errors: ErrState, and those of the learner.
func Unnoised(cfg Config, state []byte, in []bool, global []float32) ([]float64, error) {
	if len(in) != len(cfg.Data) {
		return nil, fmt.Errorf("%w: a batch out of %d examples, there are %d", ErrState, len(in), len(cfg.Data))
	}
	method := learning(&cfg)
	method.Unprotected, method.Z = true, prompt.Norms{}
	p := cfg.Plan.Prompt
	twin, err := prompt.NewLearner(method, int(p.Context), int(p.Width), p.Std, publicSource(cfg.Plan, cfg.ID)(0))
	if err != nil {
		return nil, err
	}
	if err := twin.UnmarshalBinary(state); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrState, err)
	}
	sum, err := twin.Step(cfg.Encoder, cfg.LogitScale, global, pick(cfg.Data, in), nil, publicSource(cfg.Plan, cfg.ID)(0))
	if err != nil {
		return nil, err
	}
	return sum.Float(nil, twin.GlobalGroup()), nil
}

// DataDigest names a client's examples, in their order: SHA-256 over labels and features.
func DataDigest(data []prompt.Example) (digest [32]byte) {
	h := sha256.New()
	var b []byte
	for _, x := range data {
		b = binary.LittleEndian.AppendUint64(b[:0], uint64(x.Label))
		for _, v := range x.Feature {
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
		}
		h.Write(b)
	}
	h.Sum(digest[:0])
	return digest
}
