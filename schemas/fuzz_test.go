package schemas_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"dpfpl/schemas"
)

// seedGoldens gives the fuzzer every golden message, whole and cut.
func seedGoldens(f *testing.F, kind schemas.Kind) {
	f.Helper()
	files, err := filepath.Glob(filepath.Join("testdata", kind.String(), "*.msgpack"))
	if err != nil || len(files) == 0 {
		f.Fatalf("no golden files of %v: %v", kind, err)
	}
	for _, path := range files {
		raw, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(payload(raw))
		f.Add(payload(raw)[:len(payload(raw))/2])
	}
	for _, nasty := range []string{"", "\xc0", "\x80", "\xdf\xff\xff\xff\xff", "\x81\xa1v\xff", "\x82\xa1v\x01\xa1v\x01"} {
		f.Add([]byte(nasty))
	}
}

// fuzzKind fuzzes the decoder of one kind: it never panics, never allocates more than a small multiple of
// its input, refuses with ErrInvalid only, and what it accepts seals again to the same bytes.
func fuzzKind(f *testing.F, kind schemas.Kind) {
	seedGoldens(f, kind)
	key, _ := testKey(f, 1)
	f.Fuzz(func(t *testing.T, p []byte) {
		raw := envelope(kind, p)
		var body schemas.Body
		var err error
		if n := allocated(func() { body, err = schemas.Open(raw) }); n > 1<<20+64*uint64(len(raw)) {
			t.Fatalf("%d bytes allocated for %d", n, len(raw)) // loose: other goroutines of the fuzzer count too
		}
		if err != nil {
			if !errors.Is(err, schemas.ErrInvalid) {
				t.Fatalf("error outside ErrInvalid: %v", err)
			}
			return
		}
		again, err := schemas.Seal(body, key)
		if err != nil {
			t.Fatalf("accepted but not sealed again: %v", err)
		}
		if !bytes.Equal(again[:len(again)-64], raw[:len(raw)-64]) {
			t.Fatalf("sealed again\n%x\nwas\n%x", again[:len(again)-64], raw[:len(raw)-64])
		}
		if s := schemas.Subject(body); strings.ContainsAny(s, " *>") {
			t.Fatalf("subject %q", s)
		}
	})
}

func FuzzPlan(f *testing.F)       { fuzzKind(f, schemas.KindPlan) }
func FuzzUpdate(f *testing.F)     { fuzzKind(f, schemas.KindUpdate) }
func FuzzControl(f *testing.F)    { fuzzKind(f, schemas.KindControl) }
func FuzzModel(f *testing.F)      { fuzzKind(f, schemas.KindModel) }
func FuzzCheckpoint(f *testing.F) { fuzzKind(f, schemas.KindCheckpoint) }
func FuzzPresence(f *testing.F)   { fuzzKind(f, schemas.KindPresence) }
func FuzzNote(f *testing.F)       { fuzzKind(f, schemas.KindNote) }
func FuzzDead(f *testing.F)       { fuzzKind(f, schemas.KindDead) }

// FuzzOpen fuzzes the envelope itself.
func FuzzOpen(f *testing.F) {
	for _, s := range samples(f) {
		key, _ := testKey(f, s.key)
		raw, err := schemas.Seal(s.body, key)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		if _, err := schemas.Open(raw); err != nil && !errors.Is(err, schemas.ErrInvalid) {
			t.Fatal(err)
		}
	})
}

// FuzzParseSubject holds the parser against the names it accepts.
func FuzzParseSubject(f *testing.F) {
	for _, s := range samples(f) {
		f.Add(schemas.Subject(s.body))
	}
	f.Add("dpfpl.v1.r.update..1")
	f.Add("dpfpl.v1.r.update.a.01")
	f.Add("dpfpl.v1.r.update.a.+1")
	f.Fuzz(func(t *testing.T, s string) {
		kind, run, client, n, err := schemas.ParseSubject(s)
		if err != nil {
			if !errors.Is(err, schemas.ErrSubject) {
				t.Fatal(err)
			}
			return
		}
		if !schemas.ValidName(run) || client != "" && !schemas.ValidName(client) {
			t.Fatalf("run %q, client %q", run, client)
		}
		if kind == schemas.KindUpdate && schemas.UpdateSubject(run, client, n) != s {
			t.Fatalf("%q reads as update %d of %q", s, n, client)
		}
	})
}
