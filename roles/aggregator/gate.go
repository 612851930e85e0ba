package aggregator

import (
	"errors"
	"fmt"

	"dpfpl/schemas"
)

// gate judges messages by themselves: all that depends on the message and the plan but not on what
// came before. Safe for concurrent use.
type gate struct {
	plan *schemas.Plan
	keys map[string]string // public key by member id
	step float64           // the lattice step that all clients share
}

func newGate(p *schemas.Plan) gate {
	g := gate{plan: p, keys: make(map[string]string, len(p.Members)), step: latticeStep(p.Privacy)}
	for _, m := range p.Members {
		g.keys[m.ID] = m.Key
	}
	return g
}

// latticeStep is the value of one integer unit, as mathx/dp chooses it for the global prompt.
func latticeStep(p schemas.PrivacyPlan) float64 {
	if p.Noise == schemas.NoiseNone {
		return p.ClipG / 65536
	}
	return float64(p.ZG*p.ClipG) / 65536
}

// check returns the digest of the sealed bytes, and nil or a *Refusal. A panic while judging is a refusal,
// too: whatever a client managed to put into a message, the log goes on.
func (g gate) check(m schemas.Message) (digest [32]byte, err error) {
	sealed := schemas.Hash(m.Raw)
	defer func() {
		if p := recover(); p != nil {
			err = refuse(schemas.ReasonDecode, "panic: %v", p)
		}
	}()
	digest = sealed.Digest()
	if r := g.judge(m, sealed); r != nil {
		err = r
	}
	return digest, err
}

func (g gate) judge(m schemas.Message, sealed schemas.Hashed) *Refusal {
	switch {
	case m.Err != nil:
		return unreadable(m.Err)
	case m.Body == nil:
		return refuse(schemas.ReasonDecode, "no message")
	}
	kind, run, client, n, err := schemas.ParseSubject(m.Subject)
	switch {
	case err != nil:
		return refuse(schemas.ReasonSender, "subject: %v", err)
	case run != g.plan.Run || m.Body.Head().Run != run:
		return refuse(schemas.ReasonSender, "message of run %q on subject %s in the log of run %q", m.Body.Head().Run, m.Subject, g.plan.Run)
	case kind != m.Body.Kind():
		return refuse(schemas.ReasonSender, "%v message on subject %s", m.Body.Kind(), m.Subject)
	}
	switch b := m.Body.(type) {
	case *schemas.Control:
		return g.judgeControl(b, sealed, n)
	case *schemas.Update:
		return g.judgeUpdate(b, sealed, client, n)
	}
	return refuse(schemas.ReasonSender, "no place in the log for a %v message", m.Body.Kind())
}

func unreadable(err error) *Refusal {
	switch {
	case errors.Is(err, schemas.ErrVersion):
		return refuse(schemas.ReasonVersion, "%v", err)
	case errors.Is(err, schemas.ErrSignature):
		return refuse(schemas.ReasonSignature, "%v", err)
	}
	return refuse(schemas.ReasonDecode, "%v", err)
}

// judgeControl accepts what the aggregator signed, and a stop that the operator signed.
func (g gate) judgeControl(c *schemas.Control, sealed schemas.Hashed, n uint64) *Refusal {
	if c.N != n {
		return refuse(schemas.ReasonSender, "control %d on the subject of control %d", c.N, n)
	}
	err := sealed.Verify(g.plan.Aggregator)
	if err != nil && c.Event == schemas.EventStop {
		err = sealed.Verify(g.plan.Operator)
	}
	if err != nil {
		return refuse(schemas.ReasonSignature, "control %d: %v", n, err)
	}
	return nil
}

func (g gate) judgeUpdate(u *schemas.Update, sealed schemas.Hashed, client string, k uint64) *Refusal {
	key, member := g.keys[client]
	switch {
	case !member:
		return refuse(schemas.ReasonSender, "%q is not a member", client)
	case u.Sender != client || u.K != k:
		return refuse(schemas.ReasonSender, "update %d of %q on the subject of update %d of %q", u.K, u.Sender, k, client)
	}
	if err := sealed.Verify(key); err != nil {
		return refuse(schemas.ReasonSignature, "%v", err)
	}
	refusal := g.judgeContent(u)
	if refusal != nil {
		refusal.authentic = true
	}
	return refusal
}

// judgeContent judges an update that its member signed.
func (g gate) judgeContent(u *schemas.Update) *Refusal {
	if u.K > uint64(g.plan.Updates) {
		return refuse(schemas.ReasonMechanism, "update %d spends more than the plan's %d", u.K, g.plan.Updates)
	}
	if err := g.fits(u.Sum); err != nil {
		return refuse(schemas.ReasonShape, "%v", err)
	}
	if err := g.protects(u.Mechanism); err != nil {
		return refuse(schemas.ReasonMechanism, "%v", err)
	}
	return nil
}

// fits compares a lattice vector, whose length schemas.Open has compared with its shape, with the plan's.
func (g gate) fits(l schemas.Lattice) error {
	switch p := g.plan.Prompt; {
	case l.Rows != p.Context || l.Cols != p.Width:
		return fmt.Errorf("%d×%d, want %d×%d", l.Rows, l.Cols, p.Context, p.Width)
	case l.Step != g.step:
		return fmt.Errorf("lattice step %v, want %v", l.Step, g.step)
	}
	return nil
}

// protects compares the mechanism that a client ran with the plan's; a stronger one is welcome.
func (g gate) protects(m schemas.Mechanism) error {
	p := g.plan.Privacy
	switch {
	case m.Noise != p.Noise:
		return fmt.Errorf("noise %q, want %q", m.Noise, p.Noise)
	case m.Adjacency != p.Adjacency:
		return fmt.Errorf("adjacency %q, want %q", m.Adjacency, p.Adjacency)
	case !(m.Rate <= p.Rate):
		return fmt.Errorf("sampling rate %v, want at most %v", m.Rate, p.Rate)
	case p.Noise == schemas.NoiseNone:
		return nil
	case !(m.ZU >= p.ZU && m.ZV >= p.ZV && m.ZG >= p.ZG):
		return fmt.Errorf("noise multipliers %v, %v, %v, want at least %v, %v, %v", m.ZU, m.ZV, m.ZG, p.ZU, p.ZV, p.ZG)
	}
	return nil
}
