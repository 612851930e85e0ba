package aggregator

import (
	"slices"
	"strings"
	"testing"

	"dpfpl/roles/roletest"
	"dpfpl/schemas"
)

// TestOneUpdateOfAMemberInAVersion: its first update is late, so that its second answers another base; both in
// one buffer would double its weight.
func TestOneUpdateOfAMemberInAVersion(t *testing.T) {
	p := roletest.Plan("anna", "bert", "cleo")
	p.Rule = schemas.RulePlan{Name: "fedbuff", Buffer: 2, MaxStaleness: 3}
	w := newWorld(t, p)
	w.send(testUpdate(p, "bert", 1, 0, 1, 1), "bert")
	w.send(testUpdate(p, "cleo", 1, 0, 1, 1), "cleo")
	w.send(testUpdate(p, "anna", 1, 0, 1, 1), "anna")
	for _, m := range w.send(testUpdate(p, "anna", 2, 1, 1, 1), "anna") {
		if n, ok := m.Body.(*schemas.Note); ok && (n.Verdict != schemas.VerdictRefused || n.Reason != schemas.ReasonRepeat) {
			t.Errorf("the second update is %s %s", n.Verdict, n.Reason)
		}
	}
	w.send(testUpdate(p, "bert", 2, 1, 1, 1), "bert")
	var from []string
	for _, f := range w.models[2].Body.(*schemas.Model).Folded {
		from = append(from, f.Client)
	}
	if want := []string{"anna", "bert"}; !slices.Equal(from, want) {
		t.Errorf("version 2 is of %v, want %v", from, want)
	}
}

// TestAVersionGivenUpLeavesNothing: what it had collected is not in the next one.
func TestAVersionGivenUpLeavesNothing(t *testing.T) {
	p := roletest.Plan("anna", "bert")
	p.Rule.Quorum = 2
	w := newWorld(t, p)
	w.send(testUpdate(p, "anna", 1, 0, 1000, 0), "anna")
	weak := testUpdate(p, "bert", 1, 0, 1000, 0)
	weak.Mechanism.ZG /= 2
	w.send(weak, "bert") // that was bert's answer to version 0: no quorum any more
	w.send(testUpdate(p, "anna", 2, 1, -65536, 0), "anna")
	w.send(testUpdate(p, "bert", 2, 1, -65536, 0), "bert")
	if got := w.models[1].Body.(*schemas.Model).Params.Floats(nil); !slices.Equal(got, []float32{0, 0}) {
		t.Errorf("the version that was given up is %v", got)
	}
	mean := float32(65536 * latticeStep(p.Privacy))
	if got := w.models[2].Body.(*schemas.Model).Params.Floats(nil); !slices.Equal(got, []float32{mean, 0}) {
		t.Errorf("version 2 is %v, want %v", got, []float32{mean, 0})
	}
}

// TestATrimmedVersionKeepsAValue: with one dropped at each end two updates say nothing, whatever the quorum of a
// plan that only a what-if has made.
func TestATrimmedVersionKeepsAValue(t *testing.T) {
	p := roletest.Plan("anna", "bert", "cleo")
	p.Rule = schemas.RulePlan{Name: "trimmed", Trim: 1, Quorum: 3}
	w := newWorld(t, p)
	w.send(testUpdate(p, "anna", 1, 0, 1, 1), "anna")
	w.send(testUpdate(p, "bert", 1, 0, 1, 1), "bert")
	w.send(&schemas.Control{Header: schemas.Header{Run: p.Run, Sender: Name}, N: 1, Event: schemas.EventDeadline, Version: 1}, Name)
	w.send(testUpdate(p, "cleo", 1, 0, 1, 1), "cleo")
	whatIf := *p
	whatIf.Rule.Quorum = 1
	f, err := NewFold(&whatIf, w.initial)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []uint64{0, 0, 0, 1} {
		if f.Apply(w.log[i], f.Check(w.log[i])); f.Version() != want {
			t.Errorf("version %d after %d messages, want %d", f.Version(), i+1, want)
		}
	}
}

// TestAnEarlierNumberIsARepetition: a member counts upwards, whatever base it names.
func TestAnEarlierNumberIsARepetition(t *testing.T) {
	p := roletest.Plan("anna", "bert")
	w := newWorld(t, p)
	w.send(testUpdate(p, "anna", 2, 0, 1, 1), "anna")
	w.send(testUpdate(p, "bert", 1, 0, 1, 1), "bert")
	out := w.send(testUpdate(p, "anna", 1, 1, 1, 1), "anna")
	if n := out[0].Body.(*schemas.Note); n.Verdict != schemas.VerdictRefused || n.Reason != schemas.ReasonRepeat {
		t.Errorf("update 1 after update 2 is %s %s", n.Verdict, n.Reason)
	}
}

// TestTheChainIsOverTheLog: a checkpoint vouches for every message up to its place.
func TestTheChainIsOverTheLog(t *testing.T) {
	p := roletest.Plan("anna", "bert")
	w := newWorld(t, p)
	w.store("dpfpl.v1.run.update.anna.1", []byte("no message"))
	w.send(testUpdate(p, "anna", 2, 0, 1, 1), "anna")
	w.send(testUpdate(p, "bert", 1, 0, 1, 1), "bert")
	var chain [32]byte
	for _, m := range w.log {
		chain = schemas.Chain(chain, schemas.Digest(m.Raw))
	}
	if c := w.checkpoint.Body.(*schemas.Checkpoint); c.Version != 1 || c.Chain != chain {
		t.Errorf("checkpoint %d is at %x, the log at %x", c.Version, c.Chain, chain)
	}
}

// TestTheFoldReadsAMessageOnce: by itself, without the role around it.
func TestTheFoldReadsAMessageOnce(t *testing.T) {
	p := roletest.Plan("anna", "bert")
	p.Versions = 1
	w := newWorld(t, p)
	w.send(testUpdate(p, "anna", 1, 0, 1, 1), "anna")
	w.send(testUpdate(p, "bert", 1, 0, 1, 1), "bert")
	w.send(testUpdate(p, "bert", 2, 1, 1, 1), "bert") // after the end
	f, err := NewFold(p, w.initial)
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []int{1, 2, 0} { // a note; a note and the model; nothing
		m := w.log[i]
		if got := len(f.Apply(m, f.Check(m))); got != want {
			t.Errorf("message %d has %d consequences, want %d", m.Seq, got, want)
		}
		if again := f.Apply(m, f.Check(m)); len(again) != 0 {
			t.Errorf("message %d, once more, has %d consequences", m.Seq, len(again))
		}
	}
}

// TestAnUpdateFromTheFutureAnswersNoVersion: the member's next one, for the newest version, counts.
func TestAnUpdateFromTheFutureAnswersNoVersion(t *testing.T) {
	p := roletest.Plan("anna", "bert")
	w := newWorld(t, p)
	w.send(testUpdate(p, "anna", 1, 0, 1, 1), "anna")
	w.send(testUpdate(p, "bert", 1, 0, 1, 1), "bert")
	w.send(testUpdate(p, "anna", 2, 7, 1, 1), "anna")
	out := w.send(testUpdate(p, "anna", 3, 1, 1, 1), "anna")
	if n := out[0].Body.(*schemas.Note); n.Verdict != schemas.VerdictAccepted {
		t.Errorf("update 3 is %s %s", n.Verdict, n.Reason)
	}
}

// TestAFirstUpdateFromTheFutureAnswersNoVersion: nor does it then, and a checkpoint remembers. It is spent, and what
// the member sends next counts once.
func TestAFirstUpdateFromTheFutureAnswersNoVersion(t *testing.T) {
	for _, restart := range []bool{false, true} {
		p := roletest.Plan("anna", "bert", "cleo")
		p.Rule = schemas.RulePlan{Name: "fedbuff", Buffer: 2, MaxStaleness: 3}
		w := newWorld(t, p)
		w.send(testUpdate(p, "anna", 1, 7, 1, 1), "anna")
		w.send(testUpdate(p, "bert", 1, 0, 1, 1), "bert")
		w.send(testUpdate(p, "cleo", 1, 0, 1, 1), "cleo")
		if got, want := line(w.checkpoint), "anna(k 1, 0 accepted, 0 stale, 1 refused)"; !strings.Contains(got, want) {
			t.Errorf("%s: want %s", got, want)
		}
		if restart {
			w.restart()
		}
		for _, c := range []struct {
			k       uint64
			verdict schemas.Verdict
			reason  schemas.Reason
		}{{2, schemas.VerdictAccepted, ""}, {3, schemas.VerdictRefused, schemas.ReasonRepeat}} {
			if n := w.send(testUpdate(p, "anna", c.k, 0, 1, 1), "anna")[0].Body.(*schemas.Note); n.Verdict != c.verdict || n.Reason != c.reason {
				t.Errorf("restart %v: update %d on base 0 is %s %s, want %s %s", restart, c.k, n.Verdict, n.Reason, c.verdict, c.reason)
			}
		}
		w.send(testUpdate(p, "bert", 2, 1, 1, 1), "bert")
		if got, want := line(w.models[len(w.models)-1]), " of anna/2(stale 1, weight 46341) bert/2"; !strings.HasSuffix(got, want) {
			t.Errorf("restart %v: %s, want%s", restart, got, want)
		}
	}
}

// TestARoundWaitsForWhoNamedTheFuture: its answer is still to come.
func TestARoundWaitsForWhoNamedTheFuture(t *testing.T) {
	w := newWorld(t, roletest.Plan("anna", "bert"))
	w.send(testUpdate(w.plan, "anna", 1, 7, 1, 1), "anna")
	w.send(testUpdate(w.plan, "bert", 1, 0, 1, 1), "bert")
	if len(w.models) != 1 {
		t.Fatal("the round ended without anna")
	}
	w.send(testUpdate(w.plan, "anna", 2, 0, 1, 1), "anna")
	if folded := w.models[len(w.models)-1].Body.(*schemas.Model).Folded; len(folded) != 2 {
		t.Errorf("version 1 is of %v", folded)
	}
}
