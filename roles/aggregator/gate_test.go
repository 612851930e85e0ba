package aggregator

import (
	"errors"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"dpfpl/mathx/dp"
	"dpfpl/roles/roletest"
	"dpfpl/schemas"
)

// gatePlan is a plan in which every number that the gate compares is another one.
func gatePlan() *schemas.Plan {
	p := roletest.Plan("anna", "bert")
	v := &p.Privacy
	v.ZU, v.ZV, v.ZG, v.ClipG, v.Rate = 1, 2, 4, 8, 0.25
	return p
}

func gateUpdate(p *schemas.Plan) *schemas.Update {
	u := testUpdate(p, "anna", 3, 0, 1, 2)
	u.Mechanism.ZU, u.Mechanism.ZV = p.Privacy.ZU, p.Privacy.ZV
	return u
}

// TestTheGateComparesEverything: each field of an update by itself decides, up to its last bit.
func TestTheGateComparesEverything(t *testing.T) {
	less := func(v float64) float64 { return math.Nextafter(v, 0) }
	more := func(v float64) float64 { return math.Nextafter(v, math.Inf(1)) }
	for _, c := range []struct {
		name   string
		change func(*schemas.Update)
		want   schemas.Reason
	}{
		{"as planned", func(*schemas.Update) {}, ""},
		{"stronger than planned", func(u *schemas.Update) {
			m := &u.Mechanism
			m.ZU, m.ZV, m.ZG, m.Rate = more(m.ZU), more(m.ZV), more(m.ZG), less(m.Rate)
		}, ""},
		{"the last update", func(u *schemas.Update) { u.K = 20 }, ""},
		{"one too many", func(u *schemas.Update) { u.K = 21 }, schemas.ReasonMechanism},
		{"no noise", func(u *schemas.Update) { u.Mechanism.Noise = schemas.NoiseNone }, schemas.ReasonMechanism},
		{"another adjacency", func(u *schemas.Update) { u.Mechanism.Adjacency = "replace-one" }, schemas.ReasonMechanism},
		{"a higher rate", func(u *schemas.Update) { u.Mechanism.Rate = more(u.Mechanism.Rate) }, schemas.ReasonMechanism},
		{"less noise on u", func(u *schemas.Update) { u.Mechanism.ZU = less(u.Mechanism.ZU) }, schemas.ReasonMechanism},
		{"less noise on v", func(u *schemas.Update) { u.Mechanism.ZV = less(u.Mechanism.ZV) }, schemas.ReasonMechanism},
		{"less noise on g", func(u *schemas.Update) { u.Mechanism.ZG = less(u.Mechanism.ZG) }, schemas.ReasonMechanism},
		{"a finer lattice", func(u *schemas.Update) { u.Sum.Step = less(u.Sum.Step) }, schemas.ReasonShape},
		{"a coarser lattice", func(u *schemas.Update) { u.Sum.Step = more(u.Sum.Step) }, schemas.ReasonShape},
		{"two rows", func(u *schemas.Update) { u.Sum = schemas.NewLattice(2, 2, u.Sum.Step, make([]int32, 4)) }, schemas.ReasonShape},
		{"three columns", func(u *schemas.Update) { u.Sum = schemas.NewLattice(1, 3, u.Sum.Step, make([]int32, 3)) }, schemas.ReasonShape},
	} {
		p := gatePlan()
		u := gateUpdate(p)
		c.change(u)
		refused(t, c.name, p, u, "anna", schemas.Subject(u), c.want)
	}
}

// TestTheGateComparesTheSubject: a message counts at the one place that it names, so that nobody can say one
// thing twice.
func TestTheGateComparesTheSubject(t *testing.T) {
	p := gatePlan()
	u, c := gateUpdate(p), &schemas.Control{
		Header: schemas.Header{Run: p.Run, Sender: Name}, N: 3, Event: schemas.EventDeadline, Version: 1,
	}
	stop := *c
	stop.Event = schemas.EventStop
	mine, its := schemas.Subject(u), schemas.Subject(c)
	elsewhere := func(subject string) string { return strings.Replace(subject, ".run.", ".other.", 1) }
	other := *u
	other.Run = "other"
	for _, test := range []struct {
		name    string
		body    schemas.Body
		signer  string
		subject string
		want    schemas.Reason
	}{
		{"an update in its place", u, "anna", mine, ""},
		{"an update at another number", u, "anna", strings.Replace(mine, ".3", ".4", 1), schemas.ReasonSender},
		{"an update at another member's", u, "anna", strings.Replace(mine, "anna", "bert", 1), schemas.ReasonSender},
		{"another run's update", &other, "anna", mine, schemas.ReasonSender},
		{"another run's update on its subject", &other, "anna", elsewhere(mine), schemas.ReasonSender},
		{"an update on another run's subject", u, "anna", elsewhere(mine), schemas.ReasonSender},
		{"an update where a control belongs", u, "anna", its, schemas.ReasonSender},
		{"a control in its place", c, Name, its, ""},
		{"a control at another number", c, Name, strings.Replace(its, ".3", ".4", 1), schemas.ReasonSender},
		{"a control where an update belongs", c, Name, mine, schemas.ReasonSender},
		{"a control that the operator signed", c, "operator", its, schemas.ReasonSignature},
		{"a stop that the operator signed", &stop, "operator", its, ""},
		{"a stop that a member signed", &stop, "anna", its, schemas.ReasonSignature},
	} {
		refused(t, test.name, p, test.body, test.signer, test.subject, test.want)
	}
}

// refused demands the gate's verdict on a body; no reason means that it passes.
func refused(t *testing.T, name string, p *schemas.Plan, b schemas.Body, signer, subject string, want schemas.Reason) {
	t.Helper()
	key, _ := roletest.Key(signer)
	raw, err := schemas.Seal(b, key)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	opened, err := schemas.Open(raw)
	_, verdict := newGate(p).check(schemas.Message{Body: opened, Err: err, Raw: raw, Subject: subject, Seq: 1})
	got := schemas.Reason("")
	if r, ok := errors.AsType[*Refusal](verdict); ok {
		got = r.Reason
	}
	if got != want {
		t.Errorf("%s: refused for %q, want %q (%v)", name, got, want, verdict)
	}
}

// TestLatticeStepIsTheMechanisms: what the fold multiplies by is what a client's integers are worth, to the
// last bit.
func TestLatticeStepIsTheMechanisms(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := schemas.PrivacyPlan{Noise: schemas.NoiseClient}
		p.ClipG, p.ZG = rapid.Float64Range(1e-6, 1e6).Draw(t, "clip"), rapid.Float64Range(1e-3, 1e4).Draw(t, "z")
		mode := dp.Private
		if rapid.Bool().Draw(t, "unprotected") {
			p.Noise, p.ZG, mode = schemas.NoiseNone, 0, dp.Unprotected
		}
		m, err := dp.NewMechanism([]dp.Group{{Name: "global", Dim: 1, Clip: p.ClipG, Z: p.ZG}}, mode)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := latticeStep(p), m.Release(rand.NewPCG(1, 2)).Step(0); got != want {
			t.Fatalf("step %v, the mechanism's is %v", got, want)
		}
	})
}
