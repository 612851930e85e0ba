package schemas_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"dpfpl/schemas"
)

// TestSubjects takes the subject of every sample apart again.
func TestSubjects(t *testing.T) {
	for _, s := range samples(t) {
		kind, run, client, _, err := schemas.ParseSubject(schemas.Subject(s.body))
		if err != nil {
			t.Fatal(err)
		}
		if kind != s.body.Kind() || run != "run-1" {
			t.Errorf("%q reads as %v of %q", schemas.Subject(s.body), kind, run)
		}
		if kind == schemas.KindUpdate && client != s.body.Head().Sender {
			t.Errorf("client %q", client)
		}
	}
	for _, k := range []schemas.Kind{schemas.KindPlan, schemas.KindModel} {
		if kind, run, _, _, err := schemas.ParseSubject(schemas.Broadcast("r", k)); kind != k || run != "r" || err != nil {
			t.Errorf("broadcast of %v reads as %v of %q, %v", k, kind, run, err)
		}
	}
}

// TestBadSubjects refuses what no message of ours is stored at.
func TestBadSubjects(t *testing.T) {
	for _, s := range []string{
		"", "dpfpl.v1", "dpfpl.v2.r.plan", "dpfpl.v1.r", "dpfpl.v1.r.", "dpfpl.v1..plan", "dpfpl.v1.a b.plan",
		"dpfpl.v1.r.plan.x", "dpfpl.v1.r.pub.checkpoint", "dpfpl.v1.r.update.anna", "dpfpl.v1.r.update.anna.0",
		"dpfpl.v1.r.update.anna.-1", "dpfpl.v1.r.update.anna.01", "dpfpl.v1.r.update.*.1", "dpfpl.v1.r.update..1",
		"dpfpl.v1.r.update.an na.1", "dpfpl.v1.r.control.x", "dpfpl.v1.r.control.99999999999999999999",
		"dpfpl.v1.r.dead.whatever", "dpfpl.v1.r.presence.", "dpfpl.v1.r.tick",
		"dpfpl.v1." + strings.Repeat("x", 65) + ".plan",
	} {
		if _, _, _, _, err := schemas.ParseSubject(s); !errors.Is(err, schemas.ErrSubject) {
			t.Errorf("%q: %v", s, err)
		}
	}
}

// TestCatalogueCoversKinds fails when a kind is missing from the catalogue or its pattern is not the
// subject that Subject makes.
func TestCatalogueCoversKinds(t *testing.T) {
	seen := map[schemas.Kind]schemas.Entry{}
	for _, e := range schemas.Catalogue() {
		seen[e.Kind] = e
	}
	for _, s := range samples(t) {
		e, ok := seen[s.body.Kind()]
		if !ok {
			t.Errorf("%v is not in the catalogue", s.body.Kind())
			continue
		}
		pattern := strings.Split(e.Subject, ".")
		subject := strings.Split(strings.TrimPrefix(schemas.Subject(s.body), schemas.Prefix+"run-1."), ".")
		if len(pattern) != len(subject) || pattern[0] != subject[0] {
			t.Errorf("pattern %q, subject %q", e.Subject, schemas.Subject(s.body))
		}
	}
	if len(seen) != 8 {
		t.Errorf("%d kinds", len(seen))
	}
}

// ExampleSubject shows that the subject is an update's identity.
func ExampleSubject() {
	u := &schemas.Update{Header: schemas.Header{Run: "emoji", Sender: "client-03"}, K: 12}
	fmt.Println(schemas.Subject(u))
	// Output: dpfpl.v1.emoji.update.client-03.12
}
