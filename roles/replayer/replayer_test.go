package replayer

import (
	"bytes"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"dpfpl/schemas"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestAReplayAgrees(t *testing.T) {
	r := newRecord(t, testPlan(), 7)
	result, err := Replay(r.source(nil), newSimple, 0)
	if err != nil || result.Divergence != nil {
		t.Fatalf("%v, %v", result.Divergence, err)
	}
	if want := (Tally{Messages: 7, Accepted: 7, Versions: 3}); result.Tally != want || result.Agreed != 3 || result.Last != 7 || result.Beyond != 0 {
		t.Errorf("%+v", result)
	}
	result, err = Replay(r.source(nil), newSimple, 2)
	if err != nil || result.Agreed != 2 || result.Last != 4 {
		t.Errorf("until version 2: %+v, %v", result, err)
	}
	result, err = Replay(r[:r.model(3)].source(nil), newSimple, 0)
	if err != nil || result.Agreed != 2 || result.Beyond != 1 {
		t.Errorf("a log that is ahead of its models: %+v, %v", result, err)
	}
}

func TestASourceThatBreaksOffIsReported(t *testing.T) {
	r := newRecord(t, testPlan(), 7)
	bad := errors.New("bad sector")
	result, err := Replay(r[:r.at(6)].source(bad), newSimple, 0)
	if err != bad || result.Agreed != 2 || result.Last != 5 {
		t.Errorf("%+v, %v", result, err)
	}
	table, err := WhatIf(r[:r.at(6)].source(bad), newSimple, Change{Without: "anna"}, 0, nil)
	if err != bad || len(table.Rows) != 2 {
		t.Errorf("%+v, %v", table, err)
	}
	if list, err := Top(r[:r.at(6)].source(bad)); err != bad || len(list) != 3 {
		t.Errorf("%+v, %v", list, err)
	}
	if pairs, err := Diff(r.source(nil), r[:r.at(6)].source(bad)); err != bad || len(pairs) != 3 {
		t.Errorf("%+v, %v", pairs, err)
	}
}

// TestDivergencesAreNamed does to a record what an accident or a cheat may do, and demands the place.
func TestDivergencesAreNamed(t *testing.T) {
	resign := func(m schemas.Message, change func(*schemas.Model)) schemas.Message {
		b, err := schemas.Open(m.Raw)
		if err != nil {
			t.Fatal(err)
		}
		change(b.(*schemas.Model))
		return sealed(b, "aggregator", m.Seq)
	}
	for name, c := range map[string]struct {
		do      func(record) record
		version uint64
		seq     uint64
		client  string
		says    string
	}{
		"flipped bit": {func(r record) record {
			i := r.at(4)
			r[i].Raw = bytes.Clone(r[i].Raw)
			r[i].Raw[len(r[i].Raw)-70] ^= 1
			return r
		}, 2, 4, "anna", "the record folds in update 2, the replay does not: refused: signature"},
		"removed update": {func(r record) record { return slices.Delete(r, r.at(3), r.at(3)+1) },
			2, 3, "cleo", "it is not in the log; no message from sequence 3 to 3"},
		"doubled update": {func(r record) record {
			m := r[r.at(3)]
			return slices.Insert(r, r.at(3)+1, m)
		}, 2, 3, "cleo", "it comes after sequence 3"},
		"doubled update under another sequence": {func(r record) record {
			m := r[r.at(3)]
			r = slices.Insert(r, r.at(3)+1, m)
			for i := r.at(3) + 1; i < len(r); i++ {
				if strings.Contains(r[i].Subject, ".update.") {
					r[i].Seq++
				}
			}
			return r
		}, 2, 4, "cleo", "update.cleo.1 is there twice, first at sequence 3"},
		"swapped pair": {func(r record) record {
			i, j := r.at(3), r.at(4)
			r[i], r[j] = r[j], r[i]
			return r
		}, 2, 3, "cleo", "it comes after sequence 4"},
		"swapped pair, sequences mended": {func(r record) record {
			i, j := r.at(3), r.at(4)
			r[i], r[j] = r[j], r[i]
			r[i].Seq, r[j].Seq = 3, 4
			return r
		}, 2, 3, "anna", "the replay folds in update 2"},
		"removed refusal": {func(record) record {
			r := newRecord(t, testPlan(), 7, 5)
			return slices.Delete(r, r.at(6), r.at(6)+1)
		}, 3, 7, "", "the log up to sequence 7 is not the one that the aggregator read; no message from sequence 6 to 6"},
		"other parameters": {func(r record) record {
			r[r.model(2)] = resign(r[r.model(2)], func(m *schemas.Model) { m.Params = schemas.NewParams(1, 2, []float32{10, -41}) })
			return r
		}, 2, 4, "", "of the same updates the replay makes other parameters: number 1 is -13.333334, recorded -41"},
		"claimed contribution": {func(r record) record {
			r[r.model(2)] = resign(r[r.model(2)], func(m *schemas.Model) { m.Folded[1].Weight = 7 })
			return r
		}, 2, 4, "anna", "weight 65536, the record does not"},
		"left-out contribution": {func(r record) record {
			r[r.model(2)] = resign(r[r.model(2)], func(m *schemas.Model) { m.Folded = m.Folded[:1] })
			return r
		}, 2, 4, "anna", "the replay folds in update 2"},
		"final": {func(r record) record {
			r[r.model(2)] = resign(r[r.model(2)], func(m *schemas.Model) { m.Final = true })
			return r
		}, 2, 4, "", "final is false in the replay"},
		"another's model": {func(r record) record {
			b, _ := schemas.Open(r[r.model(2)].Raw)
			r[r.model(2)] = sealed(b, "anna", 6)
			return r
		}, 2, 4, "", "signature"},
		"no descent": {func(r record) record {
			r[r.model(2)] = resign(r[r.model(2)], func(m *schemas.Model) { m.Parent[3]++ })
			return r
		}, 2, 4, "", "does not descend"},
		"removed version": {func(r record) record { return slices.Delete(r, r.model(2), r.model(2)+2) },
			2, 6, "", "the recorded model does not descend"},
		"unreadable model": {func(r record) record { r[r.model(2)].Raw = nil; return r }, 2, 4, "", "unreadable record"},
	} {
		result, err := Replay(c.do(newRecord(t, testPlan(), 7)).source(nil), newSimple, 0)
		d := result.Divergence
		if err != nil || d == nil {
			t.Errorf("%s: agrees up to version %d, %v", name, result.Agreed, err)
			continue
		}
		if d.Version != c.version || d.Seq != c.seq || d.Client != c.client || !strings.Contains(d.What, c.says) {
			t.Errorf("%s: %v; want version %d, sequence %d, client %q: %s", name, d, c.version, c.seq, c.client, c.says)
		}
	}
}

func TestSourcesThatAreNoRun(t *testing.T) {
	r := newRecord(t, testPlan(), 3)
	forged := slices.Clone(r)
	p, _ := schemas.Open(r[0].Raw)
	forged[0] = sealed(p, "anna", 1)
	broken := slices.Clone(r)
	broken[1].Raw = []byte("nothing")
	for name, src := range map[string]record{
		"empty":           nil,
		"only a plan":     r[:1],
		"no plan":         r[1:],
		"no model":        append(slices.Clone(r[:1]), r[3:]...),
		"log first":       append(record{r[0], r[r.at(1)]}, r[1:]...),
		"forged plan":     forged,
		"unreadable":      broken,
		"model 1 instead": append(record{r[0]}, r[r.model(1):]...),
	} {
		if result, err := Replay(src.source(nil), newSimple, 0); !errors.Is(err, ErrSource) {
			t.Errorf("%s: %+v, %v", name, result, err)
		}
	}
}

func TestWhatIf(t *testing.T) {
	r := newRecord(t, testPlan(), 6)
	// Recorded: (9,-12)/3, then (9,-12)+(12,-16) = (21,-28)/3 more, then (33,-44)/3 more.
	// Without bert the members are two and the updates 1, 3, 4, 6: one version after the third.
	got, err := WhatIf(r.source(nil), newSimple, Change{Without: "bert"}, 0,
		func(*schemas.Plan) (func([]float32) float64, error) {
			return func(v []float32) float64 { return float64(v[0]) }, nil
		})
	if err != nil {
		t.Fatal(err)
	}
	want := []Row{
		{Version: 1, Seq: 2, Other: 0, Norm: 5, Difference: 5, Score: 0, Recorded: 3},
		{Version: 2, Seq: 4, Other: 1, Norm: 50. / 3, Difference: 50./3 - 10, Score: 6, Recorded: 10},
		{Version: 3, Seq: 6, Other: 2, Norm: 35, Difference: 0, Score: 21, Recorded: 21},
	}
	for i, row := range got.Rows {
		if i >= len(want) || row.Version != want[i].Version || row.Seq != want[i].Seq || row.Other != want[i].Other ||
			math.Abs(row.Norm-want[i].Norm) > 1e-5 || math.Abs(row.Difference-want[i].Difference) > 1e-5 || row.Score != want[i].Score || row.Recorded != want[i].Recorded {
			t.Errorf("row %d: %+v", i, row)
		}
	}
	if len(got.Rows) != 3 || !strings.Contains(got.Privacy, "costs no privacy") {
		t.Errorf("%+v", got)
	}
	only, err := WhatIf(r.source(nil), newSimple, Change{Only: "cleo"}, 2, nil)
	if err != nil || len(only.Rows) != 2 || only.Accepted != 1 || !math.IsNaN(only.Rows[0].Score) {
		t.Errorf("only cleo, until version 2: %+v, %v", only, err)
	}
	rule := schemas.RulePlan{Name: "fedbuff", Buffer: 1}
	async, err := WhatIf(r.source(nil), newSimple, Change{Rule: &rule}, 0, nil)
	// Every second update is on a base that is now one version old, and this rule takes none.
	if err != nil || async.Accepted != 3 || async.Stale != 3 || async.Versions != 3 {
		t.Errorf("one by one: %+v, %v", async, err)
	}
}

func TestWhatIfRefuses(t *testing.T) {
	r := newRecord(t, testPlan(), 3)
	p := testPlan()
	p.Members, p.Rule.Buffer = p.Members[:1], 1
	alone := append(record{sealed(p, "operator", 1)}, r[1:]...)
	for name, c := range map[string]struct {
		src    record
		change Change
	}{
		"nothing":   {r, Change{}},
		"both":      {r, Change{Without: "anna", Only: "bert"}},
		"stranger":  {r, Change{Without: "mallory"}},
		"strangers": {r, Change{Only: "mallory"}},
		"nobody":    {alone, Change{Without: "anna"}},
		"bad rule":  {r, Change{Rule: &schemas.RulePlan{Name: "fedbuff"}}},
	} {
		if _, err := WhatIf(c.src.source(nil), newSimple, c.change, 0, nil); !errors.Is(err, ErrChange) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A what-if says what its run promised.
func TestWhatIfTellsThePrivacy(t *testing.T) {
	for want, change := range map[string]func(*schemas.Plan){
		"This costs no privacy":            func(*schemas.Plan) {},
		"its updates carry no noise":       func(p *schemas.Plan) { p.Privacy.Noise = schemas.NoiseNone },
		"clipped the gradients of batches": func(p *schemas.Plan) { p.Method.Mode = "paper" },
	} {
		p := testPlan()
		change(p)
		if got := privacy(p); !strings.Contains(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestBlame(t *testing.T) {
	r := newRecord(t, testPlan(), 7)
	got, err := Blame(r.source(nil), 2)
	if err != nil || len(got) != 2 {
		t.Fatalf("%+v, %v", got, err)
	}
	// Updates 3 and 4 are 3·(3,-4) and 4·(3,-4); B̄ = 2.
	for i, want := range []Contribution{
		{schemas.Folded{Client: "cleo", K: 1, Seq: 3, Weight: 65536}, 7.5, 3. / 7},
		{schemas.Folded{Client: "anna", K: 2, Seq: 4, Weight: 65536}, 10, 4. / 7},
	} {
		if got[i].Folded != want.Folded || math.Abs(got[i].Norm-want.Norm) > 1e-12 || math.Abs(got[i].Share-want.Share) > 1e-12 {
			t.Errorf("%+v, want %+v", got[i], want)
		}
	}
	if _, err := Blame(r.source(nil), 9); !errors.Is(err, ErrVersion) {
		t.Errorf("version 9: %v", err)
	}
	if _, err := Blame(slices.Delete(slices.Clone(r), r.at(3), r.at(3)+1).source(nil), 3); !errors.Is(err, ErrSource) {
		t.Errorf("without an update: %v", err)
	}
}

func TestTop(t *testing.T) {
	got, err := Top(newRecord(t, testPlan(), 7).source(nil))
	if err != nil || len(got) != 3 {
		t.Fatalf("%+v, %v", got, err)
	}
	// Norm of update i: 5i/2. cleo gave 3 and 6, bert 2 and 5, anna 1 and 4.
	for i, want := range []Pull{
		{"cleo", 2, 1, 22.5, 15, 3, (3./7 + 6./11) / 2},
		{"bert", 2, 1, 17.5, 12.5, 3, (2./3 + 5./11) / 2},
		{"anna", 2, 1, 12.5, 10, 2, (1./3 + 4./7) / 2},
	} {
		g := got[i]
		if g.Client != want.Client || g.Updates != want.Updates || g.Weight != 1 || math.Abs(g.Total-want.Total) > 1e-12 ||
			g.Largest != want.Largest || g.Version != want.Version || math.Abs(g.Share-want.Share) > 1e-12 {
			t.Errorf("%+v, want %+v", g, want)
		}
	}
}

func TestDiff(t *testing.T) {
	p := testPlan()
	a := newRecord(t, p, 7)
	q := testPlan()
	q.Rule.Buffer = 3
	b := newRecord(t, q, 7)
	got, err := Diff(a.source(nil), b.source(nil))
	if err != nil || len(got) != 3 {
		t.Fatalf("%+v, %v", got, err)
	}
	// Version 1: (3,-4) of two updates and (6,-8) of three.
	if p := got[1]; p.Version != 1 || p.Norms != [2]float64{5, 10} || p.Difference != 5 || p.Folded != [2]int{2, 3} || p.Same {
		t.Errorf("%+v", p)
	}
	same, err := Diff(a.source(nil), a.source(nil))
	if err != nil || len(same) != 4 || !same[3].Same || same[3].Difference != 0 {
		t.Errorf("%+v, %v", same, err)
	}
}
