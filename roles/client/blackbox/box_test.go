package blackbox

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"testing"

	"pgregory.net/rapid"
)

func testKey(fill byte) []byte { return bytes.Repeat([]byte{fill}, KeySize) }

// write makes a black box of records.
func write(t testing.TB, path string, records ...Record) {
	t.Helper()
	b, err := Open(path, testKey(1))
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range records {
		if err := b.Append(r); err != nil {
			t.Fatal(err)
		}
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
}

func sample(k uint64) Record {
	return Record{Run: "run-1", K: k, Base: 7, Data: [32]byte{1}, Update: [32]byte{2}, Batch: []bool{true, false, true, true, false, false, false, false, true},
		Norm: 0.25, State: []byte("the personal prompt")}
}

// TestRoundTrip: whatever is appended, in whatever portions, is read back.
func TestRoundTrip(t *testing.T) {
	dir := t.TempDir()
	n := 0
	rapid.Check(t, func(t *rapid.T) {
		n++
		path := filepath.Join(dir, string(rune('a'+n%26))+rapid.StringMatching(`[a-z]{8}`).Draw(t, "name"))
		os.Remove(path)
		var all []Record
		for range rapid.IntRange(1, 3).Draw(t, "openings") {
			b, err := Open(path, testKey(1))
			if err != nil {
				t.Fatal(err)
			}
			for range rapid.IntRange(0, 3).Draw(t, "records") {
				r := Record{
					Run: rapid.StringMatching(`[A-Za-z0-9_-]{1,64}`).Draw(t, "run"), K: rapid.Uint64().Draw(t, "k"), Base: rapid.Uint64().Draw(t, "base"),
					Batch: rapid.SliceOfN(rapid.Bool(), 1, 40).Draw(t, "batch"), Norm: rapid.Float64().Draw(t, "norm"),
					State: rapid.SliceOfN(rapid.Byte(), 1, 50).Draw(t, "state"),
				}
				if err := b.Append(r); err != nil {
					t.Fatal(err)
				}
				all = append(all, r)
			}
			if err := b.Close(); err != nil {
				t.Fatal(err)
			}
		}
		got, err := Read(path, testKey(1))
		if err != nil || !reflect.DeepEqual(got, all) {
			t.Fatalf("read %+v, %v; wrote %+v", got, err, all)
		}
	})
}

// TestSecret: neither the personal prompt nor the batch can be seen in the file, whose size does not depend on
// the batch.
func TestSecret(t *testing.T) {
	full, empty := filepath.Join(t.TempDir(), "full"), filepath.Join(t.TempDir(), "empty")
	a, b := sample(1), sample(1)
	for i := range a.Batch {
		a.Batch[i], b.Batch[i] = true, false
	}
	write(t, full, a)
	write(t, empty, b)
	x, _ := os.ReadFile(full)
	y, _ := os.ReadFile(empty)
	if len(x) != len(y) || len(x) == 0 {
		t.Errorf("%d bytes with all examples, %d with none", len(x), len(y))
	}
	if bytes.Contains(x, a.State) {
		t.Error("the personal prompt is in the file")
	}
	info, err := os.Stat(full)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	if _, err := Read(full, testKey(2)); !errors.Is(err, ErrDamaged) {
		t.Errorf("with another key: %v", err)
	}
	if _, err := Open(full, testKey(2)); !errors.Is(err, ErrDamaged) {
		t.Errorf("appending with another key: %v", err)
	}
	if again, _ := os.ReadFile(full); !bytes.Equal(again, x) {
		t.Error("another key's Open changed the file")
	}
}

// TestDamage: every changed byte is found or, in a length, makes the rest look cut short; a cut file yields what
// is whole and can be appended to.
func TestDamage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "box")
	write(t, path, sample(1), sample(2))
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	second := len(magic) + (len(whole)-len(magic))/2
	for i := range whole {
		bad := bytes.Clone(whole)
		bad[i] ^= 0x40
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := Read(path, testKey(1))
		if err == nil && len(got) == 2 || err != nil && !errors.Is(err, ErrDamaged) {
			t.Fatalf("byte %d: %d records, %v", i, len(got), err)
		}
	}
	for n := len(magic); n < len(whole); n++ {
		if err := os.WriteFile(path, whole[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		want := 0
		if n >= second {
			want = 1
		}
		if got, err := Read(path, testKey(1)); err != nil || len(got) != want {
			t.Fatalf("cut to %d bytes: %d records, %v", n, len(got), err)
		}
	}
	write(t, path, sample(3)) // after the second record was cut by a byte
	if got, err := Read(path, testKey(1)); err != nil || len(got) != 2 || got[1].K != 3 {
		t.Errorf("after appending: %v, %v", got, err)
	}
}

func TestReadKey(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	for text, good := range map[string]bool{
		"00112233445566778899aabbccddeeff00112233445566778899AABBCCDDEEFF\n": true,
		"00112233445566778899aabbccddeeff":                                   false,
		"":                                                                   false,
		"no key":                                                             false,
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		key, err := ReadKey(path)
		if good && (err != nil || len(key) != KeySize) || !good && !errors.Is(err, ErrKey) {
			t.Errorf("%q: %x, %v", text, key, err)
		}
	}
	if _, err := Open(filepath.Join(t.TempDir(), "box"), []byte("short")); !errors.Is(err, ErrKey) {
		t.Errorf("short key: %v", err)
	}
	if err := (&Box{}).Append(Record{}); !errors.Is(err, ErrRecord) {
		t.Errorf("no run: %v", err)
	}
}

func FuzzScan(f *testing.F) {
	path := filepath.Join(f.TempDir(), "box")
	write(f, path, sample(1))
	whole, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Add(whole[:len(whole)-3])
	f.Add([]byte(magic + "\xff\xff\xff\x7f"))
	f.Add([]byte(magic + "\x01\x00\x00\x00\xff"))
	seal, err := newSealer(testKey(1))
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		size, err := scan(b, seal, func(r Record) {
			if len(r.Batch)/8 > len(b) {
				t.Fatalf("%d examples out of %d bytes", len(r.Batch), len(b))
			}
		})
		if err == nil && (size < int64(len(magic)) || size > int64(len(b))) {
			t.Fatalf("size %d of %d", size, len(b))
		}
	})
}

func FuzzParse(f *testing.F) {
	f.Add(sample(1).plain())
	f.Add(sample(1).plain()[:fixed])
	f.Add([]byte{1})
	f.Fuzz(func(t *testing.T, b []byte) {
		r, ok := parse(b)
		if !ok {
			return
		}
		if again, ok := parse(r.plain()); !ok || again.K != r.K || !reflect.DeepEqual(again.Batch, r.Batch) || !bytes.Equal(again.State, r.State) {
			t.Fatalf("%+v became %+v", r, again)
		}
	})
}
