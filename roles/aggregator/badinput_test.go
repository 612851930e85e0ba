package aggregator

import (
	"strings"
	"testing"

	"dpfpl/roles/roletest"
	"dpfpl/schemas"
)

// TestBadInput: whatever a client got into the log, it has one outcome, the operator can read what it was, and the
// run goes on. ARCHITECTURE.md lists what else can be wrong, and where that is tested.
func TestBadInput(t *testing.T) {
	for _, c := range []struct {
		name, client, signer string
		base                 uint64
		change               func(raw []byte)
		reason               schemas.Reason
		text                 string
		noted                bool // the client hears of it
	}{
		{name: "wrong version", change: func(raw []byte) { raw[0]++ }, reason: schemas.ReasonVersion, text: "wire version: 2, this software speaks 1", noted: true},
		{name: "wrong signature", signer: "mallory", reason: schemas.ReasonSignature, text: "signature does not match: not signed by U", noted: true},
		{name: "cut short", change: func(raw []byte) { raw[len(raw)/2]++ }, reason: schemas.ReasonSignature, text: "signature does not match", noted: true},
		{name: "client id outside its pattern", client: "an!na", reason: schemas.ReasonSender, text: `subject: `},
		{name: "client id too long", client: strings.Repeat("a", schemas.MaxName+1), reason: schemas.ReasonSender, text: `subject: `},
		{name: "no member", client: "mallory", reason: schemas.ReasonSender, text: `"mallory" is not a member`},
		{name: "update from the future", base: 7, reason: schemas.ReasonFuture, text: "base 7, the newest version is 0", noted: true},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t, roletest.Plan("anna", "bert"))
			u := testUpdate(w.plan, "anna", 1, c.base, 1, 1)
			key, _ := roletest.Key("anna")
			if c.signer != "" {
				key, _ = roletest.Key(c.signer)
			}
			subject := schemas.Subject(u)
			if c.client != "" {
				subject = strings.Replace(subject, "anna", c.client, 1)
				if c.client == "mallory" {
					u.Sender = c.client
					key, _ = roletest.Key(c.client)
				}
			}
			raw := w.seal(u, key)
			if c.change != nil {
				c.change(raw)
			}
			var dead *schemas.Dead
			noted := false
			for _, m := range w.store(subject, raw) {
				switch b := m.Body.(type) {
				case *schemas.Dead:
					dead = b
				case *schemas.Note:
					noted = b.Client == "anna" && b.Verdict == schemas.VerdictRefused && b.Reason == c.reason
				default:
					t.Errorf("it leads to a %v", b.Kind())
				}
			}
			if dead == nil || dead.Reason != c.reason || !strings.Contains(dead.Detail, c.text) || dead.Subject != subject || noted != c.noted {
				t.Fatalf("dead letter %+v, noted %v", dead, noted)
			}
			if n := w.send(testUpdate(w.plan, "anna", 2, 0, 1, 1), "anna")[0].Body.(*schemas.Note); n.Verdict != schemas.VerdictAccepted {
				t.Errorf("the next update is %s %s", n.Verdict, n.Reason)
			}
			w.send(testUpdate(w.plan, "bert", 1, 0, 1, 1), "bert")
			if len(w.models) != 2 {
				t.Errorf("%d versions", len(w.models))
			}
		})
	}
}
