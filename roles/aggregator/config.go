package aggregator

import (
	"fmt"
	"time"

	"github.com/nats-io/nkeys"

	"dpfpl/schemas"
)

// Config is what an aggregator needs to exist.
type Config struct {
	Plan    *schemas.Plan
	Initial []float32     // version 0 of the global prompt, l×d row-major
	Key     nkeys.KeyPair // its public half is the plan's Aggregator

	// Patience is how long after the last update the run is stopped because nothing comes any more; it
	// does not begin before the first update. 0 means ten times the longer of the plan's deadline and
	// silence, and so never for a plan that has neither; a negative value means never.
	Patience time.Duration

	Events Events
}

// Events are told what happens, as it happens. All are optional, and called from Step and Restore.
type Events struct {
	OnVersion func(*schemas.Model)   // a version is complete
	OnVerdict func(*schemas.Note)    // an update of a member was judged
	OnDead    func(*schemas.Dead)    // a message was refused
	OnControl func(*schemas.Control) // a control message came back from the log
}

func (c Config) validate() error {
	switch {
	case c.Plan == nil:
		return fmt.Errorf("%w: there is none", ErrPlan)
	case c.Key == nil:
		return fmt.Errorf("%w: no key to sign with", ErrPlan)
	}
	if err := c.Plan.Validate(); err != nil {
		return fmt.Errorf("%w: %w", ErrPlan, err)
	}
	public, err := c.Key.PublicKey()
	if err != nil {
		return fmt.Errorf("%w: key: %v", ErrPlan, err)
	}
	if public != c.Plan.Aggregator {
		return fmt.Errorf("%w: aggregator: the plan names %s, the key is that of %s", ErrPlan, c.Plan.Aggregator, public)
	}
	return nil
}

func (c Config) patience() time.Duration {
	if c.Patience != 0 {
		return c.Patience
	}
	return 10 * max(c.Plan.Rule.Deadline, c.Plan.Presence.Silence)
}
