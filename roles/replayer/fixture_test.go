package replayer

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"dpfpl/roles/roletest"
	"dpfpl/schemas"
)

// simple is a fold that a reader checks in the head: as many updates as the plan's buffer make a version,
// whose parameters are those before plus the sum of the updates, divided by the members. It refuses what
// is not signed, and a stale update if it is older than the rule allows.
type simple struct {
	plan    *schemas.Plan
	version uint64
	params  []float32
	folded  []schemas.Folded
}

func newSimple(p *schemas.Plan, initial []float32) (Fold, error) {
	if p.Rule.Buffer == 0 {
		return nil, fmt.Errorf("simple: no buffer")
	}
	return &simple{plan: p, params: append([]float32(nil), initial...)}, nil
}

func (f *simple) Examine(m schemas.Message) ([32]byte, error) {
	return schemas.Digest(m.Raw), f.check(m)
}

func (f *simple) check(m schemas.Message) error {
	if u, ok := m.Body.(*schemas.Update); ok {
		for _, member := range f.plan.Members {
			if member.ID == u.Sender {
				return schemas.Verify(m.Raw, member.Key)
			}
		}
		return fmt.Errorf("no member")
	}
	return m.Err
}

func (f *simple) Apply(m schemas.Message, checked error) []schemas.Body {
	u, ok := m.Body.(*schemas.Update)
	if checked != nil {
		return []schemas.Body{&schemas.Dead{Reason: schemas.ReasonSignature, Detail: checked.Error()}}
	}
	if !ok {
		return nil
	}
	if u.Base > f.version || f.version-u.Base > uint64(f.plan.Rule.MaxStaleness) {
		return []schemas.Body{&schemas.Note{Verdict: schemas.VerdictStale, Reason: schemas.ReasonStale}}
	}
	f.folded = append(f.folded, schemas.Folded{Client: u.Sender, K: u.K, Seq: m.Seq, Staleness: uint32(f.version - u.Base), Weight: 65536})
	for j, x := range u.Sum.Ints(nil) {
		f.params[j] += float32(x) / float32(len(f.plan.Members))
	}
	out := []schemas.Body{&schemas.Note{Verdict: schemas.VerdictAccepted}}
	if len(f.folded) == int(f.plan.Rule.Buffer) {
		f.version++
		out = append(out, &schemas.Model{
			Header: schemas.Header{Run: "run", Sender: "aggregator"}, Version: f.version,
			Params: schemas.NewParams(1, 2, f.params), Folded: f.folded, Applied: m.Seq,
		})
		f.folded = nil
	}
	return out
}

// record is a run of anna, bert and cleo that a simple fold made, in file order.
type record []schemas.Message

func sealed(b schemas.Body, signer string, seq uint64) schemas.Message {
	key, _ := roletest.Key(signer)
	raw, err := schemas.Seal(b, key)
	if err != nil {
		panic(err)
	}
	return schemas.Message{Raw: raw, Subject: schemas.Subject(b), Seq: seq, Time: time.Unix(1, int64(seq))}
}

func testPlan() *schemas.Plan {
	p := roletest.Plan("anna", "bert", "cleo")
	p.Rule = schemas.RulePlan{Name: "fedbuff", Buffer: 2, MaxStaleness: 1}
	p.Privacy.Batch, p.Privacy.ClipG = 2, 65536
	p.Versions, p.Updates = 99, 99
	return p
}

// newRecord plays n updates, in turn by anna, bert and cleo, update i of (3i, -4i). Before the update whose
// index is junk there is a log message that is none.
func newRecord(t testing.TB, p *schemas.Plan, n int, junk ...int) record {
	t.Helper()
	fold, err := newSimple(p, []float32{0, 0})
	if err != nil {
		t.Fatal(err)
	}
	r := record{sealed(p, "operator", 1)}
	var chain, parent [32]byte
	state, seq := uint64(1), uint64(0)
	store := func(m schemas.Message) schemas.Message {
		seq++
		m.Seq = seq
		r = append(r, m)
		chain = schemas.Chain(chain, schemas.Digest(m.Raw))
		return m
	}
	publish := func(m *schemas.Model) {
		m.Parent = parent
		r = append(r, sealed(m, "aggregator", state+1))
		parent = schemas.Digest(r[len(r)-1].Raw)
		c := &schemas.Checkpoint{Header: m.Header, Version: m.Version, Model: parent, Applied: m.Applied, AppliedTime: int64(m.Applied), Chain: chain}
		r = append(r, sealed(c, "aggregator", state+2))
		state += 2
	}
	publish(&schemas.Model{Header: schemas.Header{Run: "run", Sender: "aggregator"}, Params: schemas.NewParams(1, 2, []float32{0, 0})})
	for i := range n {
		if slices.Contains(junk, i) {
			store(schemas.Message{Raw: []byte("junk"), Subject: "dpfpl.v1.run.update.anna.99"})
		}
		id := p.Members[i%3].ID
		u := &schemas.Update{
			Header: schemas.Header{Run: "run", Sender: id}, K: uint64(i/3 + 1), Base: fold.(*simple).version,
			Sum:       schemas.NewLattice(1, 2, 1, []int32{3 * int32(i+1), -4 * int32(i+1)}),
			Mechanism: schemas.Mechanism{Noise: "client", Adjacency: "zero-out", Rate: 0.1, ZG: 1, Z: 1},
		}
		m := store(sealed(u, id, 0))
		m.Body = u
		for _, b := range fold.Apply(m, nil) {
			if model, ok := b.(*schemas.Model); ok {
				publish(model)
			}
		}
	}
	return r
}

// at returns the place of the log message with a sequence.
func (r record) at(seq uint64) int {
	for i, m := range r {
		if strings.Contains(m.Subject, ".update.") && m.Seq == seq {
			return i
		}
	}
	panic("no such sequence")
}

// model returns the place of a version's model.
func (r record) model(version int) int {
	for i, m := range r {
		if strings.HasSuffix(m.Subject, ".model") {
			if version--; version < 0 {
				return i
			}
		}
	}
	panic("no such version")
}

func (r record) source(end error) Source {
	return func(yield func(schemas.Message, error) bool) {
		for _, m := range r {
			if !yield(m, nil) {
				return
			}
		}
		if end != nil {
			yield(schemas.Message{}, end)
		}
	}
}
