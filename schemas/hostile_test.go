package schemas_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"runtime"
	"strings"
	"testing"

	"github.com/nats-io/nkeys"
	"github.com/vmihailenco/msgpack/v5"
	"pgregory.net/rapid"

	"dpfpl/schemas"
)

// allocated returns the bytes that f allocates: the least of three times if they are many, since the runtime
// allocates for itself at times, and the more the more processors there are.
func allocated(f func()) uint64 {
	least := uint64(math.MaxUint64)
	for try := 0; try < 3 && least > 8<<10; try++ {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		f()
		runtime.ReadMemStats(&after)
		least = min(least, after.TotalAlloc-before.TotalAlloc)
	}
	return least
}

// budget is what Open may allocate for n bytes: a decoder's fixed cost, and a small multiple of the input.
func budget(n int) uint64 { return 32<<10 + 8*uint64(n) }

// payload cuts the msgpack map out of sealed bytes; envelope puts one back.
func payload(raw []byte) []byte { return raw[2 : len(raw)-64] }

func envelope(k schemas.Kind, payload []byte) []byte {
	raw := append([]byte{schemas.Version, byte(k)}, payload...)
	return append(raw, make([]byte, 64)...)
}

// TestHostileLengths replaces, at every offset of every golden message, what stands there by a header that
// claims up to 4 GiB. Nothing may be allocated for the claim.
func TestHostileLengths(t *testing.T) {
	claims := [][]byte{
		{0xdd, 0xff, 0xff, 0xff, 0xff}, {0xdd, 0x01, 0, 0, 0}, {0xdc, 0xff, 0xff}, // lists
		{0xdf, 0xff, 0xff, 0xff, 0xff}, {0xdf, 0x01, 0, 0, 0}, {0xde, 0xff, 0xff}, // maps
		{0xc6, 0xff, 0xff, 0xff, 0xff}, {0xc6, 0x01, 0, 0, 0}, {0xc5, 0xff, 0xff}, // bytes
		{0xdb, 0xff, 0xff, 0xff, 0xff}, {0xda, 0xff, 0xff}, {0xc9, 0xff, 0xff, 0xff, 0xff, 1}, // text, extension
	}
	for _, s := range samples(t) {
		key, _ := testKey(t, s.key)
		raw, err := schemas.Seal(s.body, key)
		if err != nil {
			t.Fatal(err)
		}
		for at := range payload(raw) {
			for _, claim := range claims {
				hostile := append(bytes.Clone(raw[:2+at]), claim...)
				hostile = append(hostile, make([]byte, 64)...)
				var err error
				if n := allocated(func() { _, err = schemas.Open(hostile) }); n > budget(len(hostile)) {
					t.Fatalf("%v/%s: claim %x at %d: %d bytes allocated for %d", s.body.Kind(), s.name, claim, at, n, len(hostile))
				}
				if err != nil && !errors.Is(err, schemas.ErrInvalid) { // nil: the claim became data
					t.Fatalf("%v/%s: claim %x at %d: %v", s.body.Kind(), s.name, claim, at, err)
				}
			}
		}
	}
}

// TestManySmallEntries sends lists whose entries are as small as possible, the classic way to turn few
// bytes into much memory.
func TestManySmallEntries(t *testing.T) {
	key, _ := testKey(t, 2)
	raw, err := schemas.Seal(&schemas.Model{Header: head("aggregator"), Params: schemas.NewParams(1, 1, []float32{0})}, key)
	if err != nil {
		t.Fatal(err)
	}
	at := bytes.Index(raw, []byte("folded")) + len("folded")
	const n = 1 << 20
	hostile := append(bytes.Clone(raw[:at]), 0xdd)
	hostile = binary.BigEndian.AppendUint32(hostile, n)
	for _, entry := range []byte{0xc0, 0x80, 0x00} { // nil, empty map, zero
		hostile := append(bytes.Clone(hostile), bytes.Repeat([]byte{entry}, n)...)
		hostile = append(hostile, make([]byte, 64)...)
		var err error
		if got := allocated(func() { _, err = schemas.Open(hostile) }); got > 32<<10 {
			t.Errorf("entries 0x%x: %d bytes allocated", entry, got)
		}
		if !errors.Is(err, schemas.ErrEncoding) {
			t.Errorf("entries 0x%x: %v", entry, err)
		}
	}
}

// TestRefused has one case for each way in which the msgpack library would let bad bytes through.
func TestRefused(t *testing.T) {
	key, _ := testKey(t, 3)
	body := &schemas.Presence{Header: head("anna"), State: schemas.StateJoin, Published: 2}
	raw, err := schemas.Seal(body, key)
	if err != nil {
		t.Fatal(err)
	}
	edit := func(old, new string) []byte {
		if n := bytes.Count(raw, []byte(old)); n != 1 {
			t.Fatalf("%q occurs %d times", old, n)
		}
		return bytes.Replace(raw, []byte(old), []byte(new), 1)
	}
	nan := binary.BigEndian.AppendUint64([]byte{0xcb}, math.Float64bits(math.NaN()))
	for _, c := range []struct {
		name string
		raw  []byte
		want error
	}{
		{"empty", nil, schemas.ErrEncoding},
		{"no payload", envelope(schemas.KindPresence, nil), schemas.ErrEncoding},
		{"tick", envelope(schemas.KindTick, payload(raw)), schemas.ErrEncoding},
		{"other kind", envelope(schemas.KindNote, payload(raw)), schemas.ErrEncoding},
		{"next version", append([]byte{2}, raw[1:]...), schemas.ErrVersion},
		{"version in header", edit("\xa1v\x01", "\xa1v\x02"), schemas.ErrVersion},
		{"cut short", envelope(schemas.KindPresence, payload(raw)[:20]), schemas.ErrEncoding},
		{"trailing byte", envelope(schemas.KindPresence, append(payload(raw)[:len(payload(raw)):len(payload(raw))], 0xc0)), schemas.ErrEncoding},
		{"unknown field", edit("\xa5state", "\xa5stats"), schemas.ErrEncoding},
		{"repeated key", edit("\xa9published\x02", "\xa7version\x02"), schemas.ErrEncoding},
		{"negative into unsigned", edit("published\x02", "published\xff"), schemas.ErrEncoding},
		{"negative, wide", edit("published\x02", "published\xd3\xff\xff\xff\xff\xff\xff\xff\xff"), schemas.ErrEncoding},
		{"overflow", edit("\xa1v\x01", "\xa1v\xce\x00\x01\x00\x01"), schemas.ErrEncoding},
		{"longer form than needed", edit("published\x02", "published\xcc\x02"), schemas.ErrEncoding},
		{"longer text form than needed", edit("\xa4join", "\xd9\x04join"), schemas.ErrEncoding},
		{"number for text", edit("\xa4join", "\x04"), schemas.ErrEncoding},
		{"float for integer", edit("published\x02", "published"+string(nan)), schemas.ErrEncoding},
		{"nil for text", edit("\xa4join", "\xc0"), schemas.ErrEncoding},
		{"bytes for text", edit("\xa4join", "\xc4\x04join"), schemas.ErrEncoding},
		{"not UTF-8", edit("\xa4join", "\xa4jo\xff\xfe"), schemas.ErrEncoding},
		{"unknown state", edit("\xa4join", "\xa4jane"), schemas.ErrInvalid},
	} {
		if _, err := schemas.Open(c.raw); !errors.Is(err, c.want) {
			t.Errorf("%s: error %v, want %v", c.name, err, c.want)
		}
	}

	update := &schemas.Update{Header: head("anna"), K: 1, Sum: schemas.NewLattice(1, 1, 1, []int32{1}), Mechanism: schemas.Mechanism{Noise: "none"}}
	if raw, err = schemas.Seal(update, key); err != nil {
		t.Fatal(err)
	}
	one := binary.BigEndian.AppendUint64([]byte("step\xcb"), math.Float64bits(1))
	if _, err := schemas.Open(edit(string(one), "step"+string(nan))); !errors.Is(err, schemas.ErrNotFinite) {
		t.Errorf("NaN step: %v", err)
	}
	if _, err := schemas.Open(edit("rows\x01", "rows\x02")); !errors.Is(err, schemas.ErrShape) {
		t.Errorf("rows without data: %v", err)
	}
}

// TestWalkAgreesWithLibrary checks, with msgpack's own generic decoder, that what we write is plain
// msgpack with the documented keys.
func TestWalkAgreesWithLibrary(t *testing.T) {
	for _, s := range samples(t) {
		key, _ := testKey(t, s.key)
		raw, err := schemas.Seal(s.body, key)
		if err != nil {
			t.Fatal(err)
		}
		var generic map[string]any
		if err := msgpack.Unmarshal(payload(raw), &generic); err != nil {
			t.Fatal(err)
		}
		if generic["run"] != "run-1" || generic["from"] != s.body.Head().Sender {
			t.Errorf("%v/%s: header reads %v %v", s.body.Kind(), s.name, generic["run"], generic["from"])
		}
	}
}

// TestSignature changes every byte of a message in turn, and tries keys that are not the signer's.
func TestSignature(t *testing.T) {
	key, public := testKey(t, 3)
	_, other := testKey(t, 4)
	raw, err := schemas.Seal(&schemas.Presence{Header: head("anna"), State: schemas.StateJoin}, key)
	if err != nil {
		t.Fatal(err)
	}
	if err := schemas.Verify(raw, public); err != nil {
		t.Fatal(err)
	}
	for i := range raw {
		bad := bytes.Clone(raw)
		bad[i] ^= 1
		if err := schemas.Verify(bad, public); !errors.Is(err, schemas.ErrSignature) {
			t.Errorf("byte %d changed: %v", i, err)
		}
	}
	for _, k := range []string{other, "", "UAAA", "not a key"} {
		if err := schemas.Verify(raw, k); !errors.Is(err, schemas.ErrSignature) {
			t.Errorf("key %q: %v", k, err)
		}
	}
	if err := schemas.Verify(raw[:10], public); !errors.Is(err, schemas.ErrSignature) {
		t.Errorf("cut: %v", err)
	}
}

// TestPrepare: a prepared key makes the same signatures.
func TestPrepare(t *testing.T) {
	key, public := testKey(t, 3)
	body := &schemas.Presence{Header: head("anna"), State: schemas.StateJoin}
	want, err := schemas.Seal(body, key)
	if err != nil {
		t.Fatal(err)
	}
	got, err := schemas.Seal(body, schemas.Prepare(schemas.Prepare(key)))
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%x, %v; want %x", got, err, want)
	}
	verifier, err := nkeys.FromPublicKey(public)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := schemas.Seal(body, schemas.Prepare(verifier)); err == nil {
		t.Error("a public key signed")
	}
}

// TestSealVersion shows that Seal fills in the wire version and refuses a foreign one.
func TestSealVersion(t *testing.T) {
	key, _ := testKey(t, 3)
	p := &schemas.Presence{Header: schemas.Header{Run: "r", Sender: "anna"}, State: schemas.StateJoin}
	if _, err := schemas.Seal(p, key); err != nil || p.Header.Version != schemas.Version {
		t.Errorf("version %d, error %v", p.Header.Version, err)
	}
	p.Header.Version = 9
	if _, err := schemas.Seal(p, key); !errors.Is(err, schemas.ErrVersion) {
		t.Errorf("version 9: %v", err)
	}
	if _, err := schemas.Seal(&schemas.Tick{}, key); !errors.Is(err, schemas.ErrInvalid) {
		t.Errorf("tick: %v", err)
	}
}

// TestDeadQuotesAnything seals dead letters about input of any kind.
func TestDeadQuotesAnything(t *testing.T) {
	key, _ := testKey(t, 2)
	long := bytes.Repeat([]byte("é\xff"), 60_000)
	raw, err := schemas.Seal(&schemas.Dead{Header: head("aggregator"), Reason: schemas.ReasonDecode, Detail: string(long), Subject: "a\xffb", Raw: long}, key)
	if err != nil {
		t.Fatal(err)
	}
	body, err := schemas.Open(raw)
	if err != nil {
		t.Fatal(err)
	}
	if d := body.(*schemas.Dead); len(d.Raw) != schemas.MaxDeadRaw || len(d.Detail) > schemas.MaxDetail || d.Subject != "a�b" {
		t.Errorf("%d raw, %d detail, subject %q", len(d.Raw), len(d.Detail), d.Subject)
	}
}

// TestDeadQuotesLongText: foreign text is cut between characters, wherever the limit falls.
func TestDeadQuotesLongText(t *testing.T) {
	key, _ := testKey(t, 2)
	rapid.Check(t, func(t *rapid.T) {
		piece := rapid.SampledFrom([]string{"a", "é", "€", "😀", "\xff", "\xe2\x82"})
		text := strings.Join(rapid.SliceOfN(piece, schemas.MaxDetail/4-8, schemas.MaxDetail+8).Draw(t, "text"), "")
		raw, err := schemas.Seal(&schemas.Dead{Header: head("aggregator"), Reason: schemas.ReasonDecode, Detail: text, Subject: text}, key)
		if err != nil {
			t.Fatal(err)
		}
		body, err := schemas.Open(raw)
		if err != nil {
			t.Fatal(err)
		}
		d := body.(*schemas.Dead)
		if whole := strings.ToValidUTF8(text, "�"); !strings.HasPrefix(whole, d.Detail) || d.Subject != d.Detail || len(d.Detail) > schemas.MaxDetail || len(d.Detail) < min(len(whole), schemas.MaxDetail-3) {
			t.Fatalf("%d bytes of %d", len(d.Detail), len(whole))
		}
	})
}
