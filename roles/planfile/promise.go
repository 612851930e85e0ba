package planfile

import (
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	"github.com/nats-io/nkeys"

	"dpfpl/mathx/dp"
	"dpfpl/mathx/prompt"
	"dpfpl/schemas"
)

// ErrContradiction reports a plan whose parts do not go together; the message names the fields.
var ErrContradiction = errors.New("planfile: contradiction")

// Promise is what a plan means for those who take part.
type Promise struct {
	Plan      *schemas.Plan
	Statement dp.Statement // of one record, after all N updates

	// Bytes of one message, and of one client's over the whole run, at most. NATS adds some 100 a message.
	Update, Model int
	Up, Down      int64

	Step     time.Duration // assumed for one step of one client
	Expected time.Duration // of the run, if every client is there all the time
	Longest  time.Duration // if every version waits for its deadline; 0 without one
	Doubts   []string      // what is allowed and probably not meant
}

// Examine works out what a plan promises, for clients that take about step for a step. Errors:
// schemas.ErrInvalid and ErrContradiction.
func Examine(p *schemas.Plan, step time.Duration) (*Promise, error) {
	if err := p.Validate(); err != nil {
		return nil, err
	}
	promise := &Promise{Plan: p, Step: step}
	if err := errors.Join(promise.account(), promise.reach()); err != nil {
		return nil, err
	}
	promise.last()
	promise.doubt()
	return promise, promise.measure()
}

// protects reports whether the plan's mechanism has an epsilon at all.
func protects(p *schemas.Plan) bool {
	return p.Privacy.Noise == schemas.NoiseClient && p.Method.Mode == prompt.Corrected
}

// Mechanism returns what one update of a plan costs a record: its step and the adjacency to account it under.
// guaranteed is false for a plan whose updates have no epsilon. Errors: ErrContradiction, schemas.ErrInvalid.
func Mechanism(p *schemas.Plan) (step dp.Step, adjacency dp.Adjacency, guaranteed bool, err error) {
	if err := p.Validate(); err != nil {
		return step, adjacency, false, err
	}
	if !protects(p) {
		return step, adjacency, false, nil
	}
	if adjacency, err = dp.ParseAdjacency(p.Privacy.Adjacency); err != nil {
		return step, adjacency, false, err
	}
	config := learning(p.Method, p.Privacy)
	step, err = dp.NewStep(p.Privacy.Rate, config.Groups(int(p.Prompt.Context), int(p.Prompt.Width))...)
	if err != nil {
		return step, adjacency, false, fmt.Errorf("%w: privacy: %w", ErrContradiction, err)
	}
	return step, adjacency, true, nil
}

// account compares the noise with the budget.
func (m *Promise) account() error {
	p, v := m.Plan, m.Plan.Privacy
	config := learning(p.Method, v)
	groups := config.Groups(int(p.Prompt.Context), int(p.Prompt.Width))
	claim := dp.Claim{
		Protected: "every client", Adversary: "the aggregator, the operator, the broker, the other clients and every later reader of the log, all together",
		Groups: groups, BatchClipped: p.Method.Mode == prompt.Paper, Unprotected: v.Noise == schemas.NoiseNone,
	}
	if !protects(p) {
		m.Statement = dp.Statement{Claim: claim, Delta: v.Delta, Renyi: dp.Renyi{Epsilon: math.Inf(1)}, PLD: math.Inf(1)}
		return nil
	}
	have := prompt.Multipliers(groups)
	for _, z := range []struct {
		field       string
		asked, have float64
	}{{"z_u", v.ZU, have.U}, {"z_v", v.ZV, have.V}, {"z_g", v.ZG, have.G}} {
		if z.asked > z.have {
			return fmt.Errorf("%w: privacy.%s: %v, but %s releases no such gradient", ErrContradiction, z.field, z.asked, p.Method.Name)
		}
	}
	step, adjacency, _, err := Mechanism(p)
	if err != nil {
		return err
	}
	account, err := dp.NewAccount(adjacency)
	if err != nil {
		return err
	}
	if err := account.Spend(step, uint64(p.Updates)); err != nil {
		return fmt.Errorf("%w: privacy: %w", ErrContradiction, err)
	}
	if m.Statement, err = account.Statement(v.Delta, claim); err != nil {
		return fmt.Errorf("%w: privacy.delta: %w", ErrContradiction, err)
	}
	if cost := m.Statement.Renyi.Epsilon; cost > v.Epsilon {
		return fmt.Errorf("%w: privacy.epsilon: %v is promised, but updates: %d at rate: %v and joint noise %.4g cost %.4g",
			ErrContradiction, v.Epsilon, p.Updates, v.Rate, step.Z, cost)
	}
	return nil
}

// reach refuses a run that cannot get to its last version.
func (m *Promise) reach() error {
	p := m.Plan
	need := max(1, uint64(p.Rule.Quorum))
	switch {
	case p.Rule.Name == "fedbuff" && p.Rule.Deadline == 0:
		need = uint64(p.Rule.Buffer)
	case p.Rule.Name == "trimmed":
		need = max(need, 2*uint64(p.Rule.Trim)+1)
	case p.Rule.Name == "fedasync":
		need = 1
	}
	all := uint64(len(p.Members)) * uint64(p.Updates)
	if all < need*uint64(p.Versions) {
		return fmt.Errorf("%w: versions: %d of at least %d updates each, but %d members with updates: %d make %d in all",
			ErrContradiction, p.Versions, need, len(p.Members), p.Updates, all)
	}
	return nil
}

// last estimates how long the run takes.
func (m *Promise) last() {
	p := m.Plan
	share := 1.0 // of a step, for one version
	switch p.Rule.Name {
	case "fedbuff":
		share = float64(p.Rule.Buffer) / float64(len(p.Members))
	case "fedasync":
		share = 1 / float64(len(p.Members))
	}
	version := time.Duration(math.Round(share * float64(m.Step)))
	if p.Rule.Deadline > 0 {
		version = min(version, p.Rule.Deadline)
	}
	m.Expected, m.Longest = times(p.Versions, version), times(p.Versions, p.Rule.Deadline)
}

// times is n times d, or the longest duration there is.
func times(n uint32, d time.Duration) time.Duration {
	if n > 0 && d > math.MaxInt64/time.Duration(n) {
		return math.MaxInt64
	}
	return time.Duration(n) * d
}

// doubt lists what is allowed and probably not meant.
func (m *Promise) doubt() {
	p := m.Plan
	m.Doubts = append(m.Doubts, m.Statement.Warnings...)
	add := func(bad bool, format string, args ...any) {
		if bad {
			m.Doubts = append(m.Doubts, fmt.Sprintf(format, args...))
		}
	}
	add(p.Updates > p.Versions, "updates: %d, but a client answers each of the %d versions at most once: the noise pays for steps that cannot happen", p.Updates, p.Versions)
	waits := p.Rule.Name != "fedbuff" && p.Rule.Name != "fedasync"
	add(waits && p.Updates < p.Versions, "updates: %d, but %s asks every client for all %d versions: the later ones have nobody", p.Updates, p.Rule.Name, p.Versions)
	add(waits && p.Rule.Deadline == 0 && p.Presence.Silence == 0, "rule.deadline and presence.silence are 0: one client that vanishes stops the run")
	add(p.Rule.Deadline > 0 && p.Rule.Deadline < m.Step, "rule.deadline: %v is shorter than a client's step of %v", p.Rule.Deadline, m.Step)
}

// measure seals the largest messages of the run to see how long they are.
func (m *Promise) measure() error {
	p := m.Plan
	l, d := int(p.Prompt.Context), int(p.Prompt.Width)
	key, err := nkeys.CreateUser()
	if err != nil {
		return err
	}
	head := schemas.Header{Version: schemas.Version, Run: p.Run}
	update := &schemas.Update{
		Header: head, K: uint64(p.Updates), Base: uint64(p.Versions),
		Sum: schemas.NewLattice(l, d, p.Privacy.ClipG/65536, make([]int32, l*d)),
		Mechanism: schemas.Mechanism{
			Noise: p.Privacy.Noise, Adjacency: p.Privacy.Adjacency, Rate: p.Privacy.Rate,
			ZU: p.Privacy.ZU, ZV: p.Privacy.ZV, ZG: p.Privacy.ZG, Z: math.Min(p.Privacy.ZG, 1),
		},
	}
	model := &schemas.Model{Header: head, Version: uint64(p.Versions), Params: schemas.NewParams(l, d, make([]float32, l*d)), Applied: math.MaxUint32}
	model.Sender, model.Parent[0] = "aggregator", 1
	for i, member := range p.Members {
		if len(member.ID) > len(update.Sender) {
			update.Sender = member.ID
		}
		if p.Rule.Name != "fedasync" && (p.Rule.Name != "fedbuff" || i < int(p.Rule.Buffer)) || i == 0 {
			model.Folded = append(model.Folded, schemas.Folded{Client: member.ID, K: uint64(p.Updates), Seq: math.MaxUint32 - uint64(len(p.Members)-i), Staleness: p.Rule.MaxStaleness, Weight: 65536})
		}
	}
	for _, one := range []struct {
		body  schemas.Body
		bytes *int
	}{{update, &m.Update}, {model, &m.Model}} {
		raw, err := schemas.Seal(one.body, key)
		if err != nil {
			return fmt.Errorf("size of a %v: %w", one.body.Kind(), err)
		}
		*one.bytes = len(raw)
	}
	m.Up, m.Down = int64(m.Update)*int64(p.Updates), int64(m.Model)*(int64(p.Versions)+1)
	return nil
}

// Write says it in words.
func (m *Promise) Write(w io.Writer) error {
	p := m.Plan
	out := &lines{w: w}
	out.say("Run %s: %d clients learn %d×%d numbers by %s for %d classes; %s, %d versions.",
		p.Run, len(p.Members), p.Prompt.Context, p.Prompt.Width, p.Method.Name, len(p.Classes), p.Rule.Name, p.Versions)
	out.say("")
	if protects(p) {
		out.say("%s", m.Statement)
		out.say("ε is %.4g of the %v promised (RDP; PLD %.4g), whatever else the others know or do. A client counts its own runs", m.Statement.Renyi.Epsilon, p.Privacy.Epsilon, m.Statement.PLD)
		out.say("together in its ledger; a person with several records at a client is protected less than one record is.")
	} else {
		out.say("NOTHING IS PROTECTED: privacy.noise is %s, method.mode %s. Whoever reads a message may learn what a record holds.", p.Privacy.Noise, p.Method.Mode)
	}
	out.say("")
	out.say("Each client sends at most %d updates of %s, %s in all, and reads at most %d versions of %s, %s in all.",
		p.Updates, size(int64(m.Update)), size(m.Up), p.Versions+1, size(int64(m.Model)), size(m.Down))
	out.say("With %v a step the run takes about %v if every client is there all the time.", m.Step, m.Expected.Round(time.Second))
	if m.Longest > 0 {
		out.say("If every version waits for its deadline of %v: %v.", p.Rule.Deadline, m.Longest)
	} else {
		out.say("Without a deadline it may take for ever.")
	}
	for _, d := range m.Doubts {
		out.say("Doubtful: %s.", d)
	}
	return out.err
}

// lines writes lines until one fails.
type lines struct {
	w   io.Writer
	err error
}

func (l *lines) say(format string, args ...any) {
	if l.err == nil {
		_, l.err = fmt.Fprintf(l.w, format+"\n", args...)
	}
}

// size renders bytes.
func size(n int64) string {
	switch {
	case n < 1<<10:
		return fmt.Sprintf("%d B", n)
	case n < 1<<20:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	}
	return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
}
