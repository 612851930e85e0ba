package prompt

import (
	"errors"
	"math"

	"dpfpl/mathx/dp"
)

// Config fixes a method and its mechanism.
type Config struct {
	Method string // one of Methods
	Mode   string // Corrected or Paper
	Rank   int    // k, for the methods with factors
	// LeftOnly releases no gradient of v: l·k noised numbers in place of k(l+d).
	LeftOnly bool

	LocalRate float64 // eta_L, step of the local prompt on the mean gradient
	Momentum  float64

	Batch float64 // B̄, the public divisor of a sum over a batch; 1 in paper mode
	Clip  Norms   // clip norms of one example's gradients
	Z     Norms   // noise multipliers, sigma over clip; all 0 when unprotected
	// Unprotected adds no noise: epsilon is infinite.
	Unprotected bool

	// Prune is the share of the absolute softmax residual |p - y| (always below 2)
	// that may be left out by dropping classes, smallest first, from an example's
	// gradient. With G_c the gradient of class c's logit the error is at most
	// Prune·|p-y|·max|G_c|. 0 is exact. It depends on the example itself only and
	// comes before the clip, so no guarantee changes; the time that a step takes depends
	// on the data a little more.
	Prune float64
	// NoiseOnly releases noise and no data: the control of an experiment.
	NoiseOnly bool
}

// The methods; see the package comment.
const (
	PromptFL = "promptfl"
	FedOTP   = "fedotp"
	FedPGP   = "fedpgp"
	DPLoRA   = "dplora"
	DPFPL    = "dpfpl"
)

// Methods lists the known methods.
func Methods() []string { return []string{DPFPL, PromptFL, FedOTP, FedPGP, DPLoRA} }

// The modes.
const (
	// Corrected clips every example's gradient: the guarantee is the accountant's.
	Corrected = "corrected"
	// Paper clips the gradient of the batch mean, as the authors' code does. No
	// guarantee can be stated.
	Paper = "paper"
)

// Norms is one number for each released group.
type Norms struct {
	U, V float64 // the local factors; U alone for fedotp's full-rank local gradient
	G    float64 // the global prompt
}

// Validate reports all fields outside their domain, each as an ErrInvalid that names it.
func (c *Config) Validate() error {
	var errs []error
	check := func(ok bool, field string, value any, want string) {
		if !ok {
			errs = append(errs, invalid(field, value, want))
		}
	}
	known := false
	for _, m := range Methods() {
		known = known || m == c.Method
	}
	check(known, "Method", c.Method, "dpfpl, promptfl, fedotp, fedpgp or dplora")
	check(c.Mode == Corrected || c.Mode == Paper, "Mode", c.Mode, "corrected or paper")
	check(!known || !c.factored() || c.Rank >= 1, "Rank", c.Rank, "at least 1")
	check(!c.LeftOnly || c.factored(), "LeftOnly", c.LeftOnly, "false for a method without factors")
	check(c.LocalRate >= 0 && finite(c.LocalRate), "LocalRate", c.LocalRate, "a finite number of at least 0")
	check(c.Momentum >= 0 && c.Momentum < 1, "Momentum", c.Momentum, "in [0, 1)")
	check(c.Batch > 0 && finite(c.Batch), "Batch", c.Batch, "a finite number > 0")
	check(c.Mode != Paper || c.Batch == 1, "Batch", c.Batch, "1 in paper mode, whose release is a mean already")
	check(c.Prune >= 0 && c.Prune < 1, "Prune", c.Prune, "in [0, 1)")
	return errors.Join(errs...)
}

func (c *Config) factored() bool {
	return c.Method == DPFPL || c.Method == DPLoRA || c.Method == FedPGP
}

// Groups returns the groups that a step of this configuration releases for prompts
// of l×d, the global prompt's last.
func (c *Config) Groups(l, d int) []dp.Group {
	var groups []dp.Group
	switch {
	case c.factored():
		groups = append(groups, dp.Group{Name: "u", Dim: l * c.Rank, Clip: c.Clip.U, Z: c.Z.U})
		if !c.LeftOnly {
			groups = append(groups, dp.Group{Name: "v", Dim: c.Rank * d, Clip: c.Clip.V, Z: c.Z.V})
		}
	case c.Method == FedOTP:
		groups = append(groups, dp.Group{Name: "local", Dim: l * d, Clip: c.Clip.U, Z: c.Z.U})
	}
	return append(groups, dp.Group{Name: "global", Dim: l * d, Clip: c.Clip.G, Z: c.Z.G})
}

func finite(x float64) bool { return !math.IsNaN(x) && !math.IsInf(x, 0) }
