package client

import (
	"errors"
	"math/rand/v2"
	"time"

	"dpfpl/mathx/dp"
	"dpfpl/mathx/prompt"
	"dpfpl/roles/client/blackbox"
	"dpfpl/roles/client/ledger"
	"dpfpl/schemas"

	"github.com/nats-io/nkeys"
)

// Config is one client. Fields without a stated default must be set.
type Config struct {
	ID   string        // the member's id
	Key  nkeys.KeyPair // the member's user nkey
	Plan *schemas.Plan // what the operator published; authenticity is the caller's affair

	Backbone   string             // hex digest of the frozen model held here
	Encoder    prompt.TextEncoder // its text tower, for the plan's classes in order; used by this client alone during a Step
	LogitScale float64            // its exponentiated logit scale
	Data       []prompt.Example   // the private records, read only; none is allowed

	// Rate is the client's own Poisson rate q, at most the plan's; 0 takes the plan's.
	Rate float64
	// Store is the ledger of the records in Data, with the client's own limits. The
	// client does not close it.
	Store *ledger.Ledger
	// AllowUnprotected admits plans without a guarantee: no noise, or the paper's mode.
	AllowUnprotected bool
	// BlackBox, if not nil, is given what each step began with, for debugging; read the risk in its package
	// first. The client does not close it.
	BlackBox *blackbox.Box
	// Hold keeps a finished update back until a tick this long after its step began, and the next step from
	// beginning before that. Set above the longest computation, it hides from the network how long the batch
	// took and so how large it was. 0 sends at once.
	Hold time.Duration
	// Prune drops classes from an example's gradient; see [prompt.Config].
	Prune float64
	// NoiseOnly ignores the data: the control of an experiment.
	NoiseOnly bool

	Modality string // "image" (default), "text" or "image+text"
	Software string // name and version, for presence

	// Noise returns the secret source of step k, used once for the batch and the noise;
	// nil means dp.CryptoSource. Anything else voids the guarantee.
	Noise func(k uint64) rand.Source
	// Public returns the public source of step k, 0 being the start; nil means one
	// derived from plan, client and k.
	Public func(k uint64) rand.Source

	Events Events
}

// Events are optional functions called from within Step (and OnSpent from New). What they
// carry is public or post-processing of what was released.
type Events struct {
	// OnModel: a new global prompt was taken up.
	OnModel func(version uint64, final bool)
	// OnStep: an update is durable.
	OnStep func(Step)
	// OnSpent: no further update will be made; the reason wraps ErrSpent.
	OnSpent func(reason error)
	// OnNote: the aggregator's verdict on one of this client's updates.
	OnNote func(*schemas.Note)
	// OnRefused: a message did not count; the error wraps ErrMessage.
	OnRefused func(kind schemas.Kind, err error)
}

// Step is what one update cost.
type Step struct {
	K    uint64 // number of the update
	Base uint64 // version of the global prompt it was made at
	// Epsilon of this run so far, by Rényi divergence at the plan's delta and adjacency;
	// +Inf without a guarantee.
	Epsilon float64
}

// check reports what is wrong with the configuration by itself.
func (c *Config) check() error {
	var errs []error
	must := func(ok bool, field, format string, args ...any) {
		if !ok {
			errs = append(errs, badConfig(field, format, args...))
		}
	}
	must(schemas.ValidName(c.ID), "ID", "%.80q is no name", c.ID)
	must(c.Key != nil, "Key", "missing")
	must(c.Plan != nil, "Plan", "missing")
	must(c.Encoder != nil, "Encoder", "missing")
	must(c.Store != nil, "Store", "missing")
	must(c.Hold >= 0, "Hold", "%v is negative", c.Hold)
	if c.Encoder != nil {
		classes, _, _, e := c.Encoder.Shape()
		for i, x := range c.Data {
			must(len(x.Feature) == e, "Data", "record %d has a feature of %d numbers, the encoder makes %d", i, len(x.Feature), e)
			must(x.Label >= 0 && x.Label < classes, "Data", "record %d has class %d of %d", i, x.Label, classes)
			if len(errs) > 0 {
				break
			}
		}
	}
	return errors.Join(errs...)
}

// fill sets the defaults that depend on the plan.
func (c *Config) fill() {
	if c.Rate == 0 {
		c.Rate = c.Plan.Privacy.Rate
	}
	if c.Modality == "" {
		c.Modality = "image"
	}
	if c.Noise == nil {
		c.Noise = func(uint64) rand.Source { return dp.CryptoSource() }
	}
	if c.Public == nil {
		c.Public = publicSource(c.Plan, c.ID)
	}
}
