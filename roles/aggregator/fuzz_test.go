package aggregator

import (
	"testing"

	"dpfpl/roles/roletest"
	"dpfpl/schemas"
)

// FuzzStep stores any bytes on any subject: the aggregator neither fails nor panics, says what became of
// them, and goes on with the next honest update.
func FuzzStep(f *testing.F) {
	p := roletest.Plan("anna", "bert")
	p.Rule = schemas.RulePlan{Name: "fedbuff", Buffer: 2, MaxStaleness: 1}
	w := newWorld(f, p)
	add := func(b schemas.Body, signer string) {
		key, _ := roletest.Key(signer)
		f.Add(schemas.Subject(b), w.seal(b, key))
	}
	add(testUpdate(p, "anna", 1, 0, 5, 5), "anna")
	add(testUpdate(p, "anna", 1, 7, 5, 5), "anna")
	add(testUpdate(p, "anna", 1, 0, 5, 5), "bert")
	add(testUpdate(p, "mallory", 1, 0, 5, 5), "mallory")
	add(&schemas.Control{Header: schemas.Header{Run: p.Run, Sender: Name}, N: 1, Event: schemas.EventDeadline, Version: 1}, Name)
	add(&schemas.Control{Header: schemas.Header{Run: p.Run, Sender: Name}, N: 1, Event: schemas.EventEvict, Client: "nobody"}, Name)
	add(&schemas.Presence{Header: schemas.Header{Run: p.Run, Sender: "anna"}, State: schemas.StateLeave}, "anna")
	add(p, "operator")
	f.Add("dpfpl.v1.run.update.anna.1", []byte{1, 2})
	f.Add("dpfpl.v1.run.update.anna.18446744073709551615", w.model.Raw)
	f.Add("", []byte(nil))
	f.Fuzz(func(t *testing.T, subject string, raw []byte) {
		w := newWorld(t, p)
		out := w.store(subject, raw)
		_, err := schemas.Open(raw)
		if err != nil && len(out) == 0 {
			t.Fatal("not a word about unreadable bytes")
		}
		for _, m := range out {
			if _, err := schemas.Open(m.Raw); err != nil {
				t.Fatalf("said something that cannot be sent: %v", err)
			}
		}
		if w.aggregate.fold.Final() {
			return // only the run's own keys can stop it, and the fuzzer has none
		}
		out = w.send(testUpdate(p, "bert", 2, 0, 1, 1), "bert")
		if len(out) == 0 || out[0].Body.(*schemas.Note).Verdict != schemas.VerdictAccepted {
			t.Fatalf("an honest update afterwards: %v", out)
		}
	})
}
