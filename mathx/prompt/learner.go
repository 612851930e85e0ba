package prompt

import (
	"errors"
	"fmt"
	"math/rand/v2"

	"dpfpl/mathx/dp"
)

// Learner is one client's side of a method: its local prompt, the factors and the
// optimiser's memory, and the mechanism that every gradient must pass. It is not
// safe for concurrent use.
type Learner struct {
	cfg    Config
	l, d   int
	method method
	mech   *dp.Mechanism
	steps  uint64

	groups [][]float64 // one example's gradients, the global prompt's last
	global []float64   // = the last of groups
	ctx    []float32   // the personal prompt
	pull   []float32   // l×d
	cot    []float32   // C×e
}

// NewLearner returns a learner for prompts of l vectors of width d. Its local prompt
// (for fedpgp: both factors) starts as N(0, std²), std 0 being allowed, drawn from
// src as is the first sketch; src is public randomness. Errors: ErrInvalid naming the
// field, and those of [dp.NewMechanism].
func NewLearner(cfg Config, l, d int, std float64, src rand.Source) (*Learner, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	switch {
	case l < 1 || d < 1:
		return nil, invalid("shape", fmt.Sprintf("%d×%d", l, d), "at least 1×1")
	case cfg.factored() && cfg.Rank > min(l, d):
		return nil, invalid("Rank", cfg.Rank, fmt.Sprintf("at most %d, the smaller side of the prompt", min(l, d)))
	case std < 0 || !finite(std):
		return nil, invalid("std", std, "a finite number of at least 0")
	}
	mode := dp.Private
	if cfg.Unprotected {
		mode = dp.Unprotected
	}
	groups := cfg.Groups(l, d)
	mech, err := dp.NewMechanism(groups, mode)
	if err != nil {
		return nil, fmt.Errorf("prompt: %w", err)
	}
	s := &Learner{
		cfg: cfg, l: l, d: d, mech: mech,
		method: newMethod(&cfg, l, d, std, rand.New(src)),
		ctx:    make([]float32, l*d),
		pull:   make([]float32, l*d),
	}
	for _, g := range groups {
		s.groups = append(s.groups, make([]float64, g.Dim))
	}
	s.global = s.groups[len(s.groups)-1]
	return s, nil
}

// Steps returns the number of steps taken.
func (s *Learner) Steps() uint64 { return s.steps }

// GlobalGroup returns the index of the global prompt's group in a release: the part
// that goes on the wire.
func (s *Learner) GlobalGroup() int { return len(s.groups) - 1 }

// Groups returns the groups of a release with the noise multipliers to account for
// each, as the mechanism rounds them; 0 without noise.
func (s *Learner) Groups() []dp.Group { return s.mech.Groups() }

// Joint returns the noise multiplier to account for a whole step; 0 without noise.
func (s *Learner) Joint() float64 { return s.mech.Joint() }

// Context writes the personal prompt at a global one, both l×d, to dst and returns
// it; a nil dst is allocated. It stays on the client.
func (s *Learner) Context(dst, global []float32) []float32 {
	if dst == nil {
		dst = make([]float32, len(global))
	}
	local := s.method.local()
	if local == nil {
		copy(dst, global)
		return dst
	}
	for i, g := range global {
		dst[i] = float32(float64(g) + local[i])
	}
	return dst
}

// Step takes one batch to one release and moves the local prompt by it. enc must have
// the learner's l and d, global is l×d. noise is secret and used once; public is fresh
// randomness that anyone may know. Errors: ErrInvalid for a wrong shape, label or
// logit scale, and dp.ErrOverflow for a batch too large for the mechanism. After an
// error nothing has been released and the learner is unchanged.
func (s *Learner) Step(enc TextEncoder, logitScale float64, global []float32, batch []Example, noise, public rand.Source) (*dp.Noised, error) {
	if err := s.check(enc, logitScale, global, batch); err != nil {
		return nil, err
	}
	s.mech.Prepare(noise) // before the gradients: its duration depends on the noise
	if !s.cfg.NoiseOnly {
		if err := s.add(enc, logitScale, global, batch); err != nil {
			s.mech.Discard()
			return nil, fmt.Errorf("prompt: %w", err)
		}
	}
	n := s.mech.Release(nil)
	s.method.descend(n, stride{
		batch:    s.cfg.Batch,
		rate:     s.cfg.LocalRate,
		momentum: s.cfg.Momentum,
	}, rand.New(public))
	s.steps++
	return n, nil
}

// add takes the batch's gradients to the mechanism: one record an example, or in
// paper mode the mean of all as one record. An empty batch costs a forward pass like any
// other, so that the time tells no more about it.
func (s *Learner) add(enc TextEncoder, logitScale float64, global []float32, batch []Example) error {
	classes, _, _, e := enc.Shape()
	defer release(enc)
	features := enc.Forward(s.Context(s.ctx, global))
	r := newResidual(classes, logitScale, s.cfg.Prune)
	if len(s.cot) != classes*e {
		s.cot = make([]float32, classes*e)
	}
	clear(s.cot)
	for _, x := range batch {
		r.of(x, features)
		if s.cfg.Mode == Paper {
			r.addTo(s.cot, 1/float64(len(batch)), x)
			continue
		}
		r.addTo(s.cot, 1, x)
		if err := s.record(enc); err != nil {
			return err
		}
		clear(s.cot)
	}
	if s.cfg.Mode == Paper {
		return s.record(enc)
	}
	return nil
}

// record pulls the cotangent back to the context and adds that gradient, seen from
// every group, to the mechanism as one record.
func (s *Learner) record(enc TextEncoder) error {
	enc.Pull(s.pull, s.cot)
	widen(s.global, s.pull)
	s.method.project(s.groups[:len(s.groups)-1], s.global)
	return s.mech.Add(s.groups...)
}

func (s *Learner) check(enc TextEncoder, logitScale float64, global []float32, batch []Example) error {
	classes, l, d, e := enc.Shape()
	var errs []error
	if l != s.l || d != s.d {
		errs = append(errs, invalid("encoder's context", fmt.Sprintf("%d×%d", l, d), fmt.Sprintf("%d×%d", s.l, s.d)))
	}
	if len(global) != s.l*s.d {
		errs = append(errs, invalid("len(global)", len(global), fmt.Sprint(s.l*s.d)))
	}
	if !(logitScale > 0) || !finite(logitScale) {
		errs = append(errs, invalid("logitScale", logitScale, "a finite number > 0"))
	}
	for i, x := range batch {
		if len(x.Feature) != e {
			errs = append(errs, invalid(fmt.Sprintf("len(batch[%d].Feature)", i), len(x.Feature), fmt.Sprint(e)))
		}
		if x.Label < 0 || x.Label >= classes {
			errs = append(errs, invalid(fmt.Sprintf("batch[%d].Label", i), x.Label, fmt.Sprintf("0 to %d", classes-1)))
		}
	}
	return errors.Join(errs...)
}
