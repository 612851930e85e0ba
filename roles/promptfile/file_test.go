package promptfile

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nkeys"
	"pgregory.net/rapid"
)

var update = flag.Bool("update", false, "rewrite testdata/ours.safetensors")

func testKey(t testing.TB) nkeys.KeyPair {
	t.Helper()
	seed := make([]byte, 32)
	for i := range seed {
		seed[i] = byte(i)
	}
	key, err := nkeys.FromRawSeed(nkeys.PrefixByteUser, seed)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func hexOf(s string) string {
	digest := sha256.Sum256([]byte(s))
	return hex.EncodeToString(digest[:])
}

// sample is what testbed/reference/prompt_vectors.py makes.
func sample() *File {
	f := &File{
		Run: "clinics", Client: "north", Plan: hexOf("plan"), Version: 60, Backbone: hexOf("backbone"),
		Classes: []string{"red heart", `<café> & "co"`, "tree"}, Ending: ".", Method: "dpfpl", Rank: 8,
		Privacy: Privacy{
			Protected: true, RDP: 7.25, PLD: 6.5, AllRDP: 7.5, AllPLD: math.NaN(), Delta: 1e-5, Adjacency: "zero-out", Steps: 45,
			Statement: "Each record is protected.\nTruly.\n",
		},
		Rows: 3, Width: 4, Time: time.Date(2026, 11, 25, 1, 2, 3, 0, time.UTC),
	}
	for i := range 12 {
		f.Context = append(f.Context, (float32(i)-5)/8)
	}
	return f
}

func seal(t testing.TB, f *File) []byte {
	t.Helper()
	raw, err := f.Seal(testKey(t))
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func read(t testing.TB, name string) []byte {
	t.Helper()
	raw, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// TestPythonsFile: what the safetensors library and PyNaCl made reads as what it is, and ours differs from it in
// the order of the header at most. Of ours, testdata/ours.safetensors, the script's "read" was run by hand.
func TestPythonsFile(t *testing.T) {
	theirs, want := read(t, "python.safetensors"), sample()
	got, err := Open(theirs)
	if err != nil {
		t.Fatal(err)
	}
	ours := seal(t, want)
	if fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", want) { // NaN
		t.Errorf("%+v, want %+v", got, want)
	}
	if *update {
		if err := os.WriteFile("testdata/ours.safetensors", ours, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(ours, read(t, "ours.safetensors")) {
		t.Error("the same file has other bytes than it had")
	}
	if len(ours) != len(theirs) {
		t.Errorf("%d bytes, the library's are %d", len(ours), len(theirs))
	}
	if n := binary.LittleEndian.Uint64(ours); n%8 != 0 || ours[8] != '{' || bytes.TrimRight(ours[8:8+n], " ")[len(bytes.TrimRight(ours[8:8+n], " "))-1] != '}' {
		t.Error("a header that other readers may refuse")
	}
}

func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := sample()
		f.Rows, f.Width = rapid.IntRange(1, 5).Draw(t, "rows"), rapid.IntRange(1, 5).Draw(t, "width")
		f.Context = rapid.SliceOfN(rapid.Float32Range(-maxValue, maxValue), f.Rows*f.Width, f.Rows*f.Width).Draw(t, "context")
		f.Classes = rapid.SliceOfNDistinct(rapid.StringMatching(`[a-zé<>&"\\/🙂 ]{0,9}[a-z]`), 2, 6, rapid.ID).Draw(t, "classes")
		f.Version = rapid.Uint64Range(0, math.MaxInt64).Draw(t, "version")
		f.Privacy.RDP = rapid.Float64Range(0, 100).Draw(t, "epsilon")
		f.Privacy.AllRDP = f.Privacy.RDP + 1
		f.Time = time.Unix(rapid.Int64Range(1e9, 1e11).Draw(t, "time"), 0).UTC()
		key, err := nkeys.CreateUser()
		if err != nil {
			t.Fatal(err)
		}
		raw, err := f.Seal(key)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Open(raw)
		if err != nil {
			t.Fatal(err)
		}
		f.Privacy.AllPLD, got.Privacy.AllPLD = 0, 0 // NaN
		if !reflect.DeepEqual(f, got) {
			t.Fatalf("%+v, want %+v", got, f)
		}
	})
}

// TestEveryByteCounts: no byte of a file can change without notice.
func TestEveryByteCounts(t *testing.T) {
	raw := seal(t, sample())
	for i := range raw {
		for _, bit := range []byte{1, 0x20, 0x80} {
			raw[i] ^= bit
			if f, err := Open(raw); err == nil || f != nil {
				t.Errorf("byte %d (%q) with bit %x", i, raw[max(0, i-20):min(len(raw), i+5)], bit)
			}
			raw[i] ^= bit
		}
	}
	for i := range raw {
		if _, err := Open(raw[:i]); err == nil {
			t.Errorf("cut to %d bytes", i)
		}
	}
}

// forge signs a file with changed metadata, as somebody with the key could.
func forge(t testing.TB, change func(meta map[string]string)) []byte {
	t.Helper()
	f := sample()
	key := testKey(t)
	f.Signer, _ = key.PublicKey()
	meta := f.metadata()
	change(meta)
	signature, err := key.Sign(signed(meta, f.Rows, f.Width, f.tensor()))
	if err != nil {
		t.Fatal(err)
	}
	if _, given := meta[keySignature]; !given {
		meta[keySignature] = hex.EncodeToString(signature)
	}
	header, err := f.header(meta, len(f.tensor()))
	if err != nil {
		t.Fatal(err)
	}
	raw := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	return append(append(raw, header...), f.tensor()...)
}

// TestOpenRefuses: files that are well signed and still none.
func TestOpenRefuses(t *testing.T) {
	if _, err := Open(forge(t, func(map[string]string) {})); err != nil {
		t.Fatalf("the forger's own control: %v", err)
	}
	for key, values := range map[string][]string{
		"format":               {"", "dpfpl prompt 2"},
		"run":                  {"", "a.b", strings.Repeat("a", 65)},
		"client":               {"../x"},
		"plan":                 {"", strings.Repeat("A", 64)},
		"backbone":             {"00"},
		"classes":              {"", "{}", `["a"]`, `["a","a"]`, `["a",""]`, `["a","b\u001b[2J"]`, `["a","b\u2067"]`, `["a", "b"]`, `["a",1]`},
		"ending":               {"\x1b[2J", "\n", strings.Repeat("x", 257), "a\u202eb"},
		"position":             {"", "end"},
		"method":               {"magic"},
		"rank":                 {"-1", "08", "65", "99999999999999999999"},
		"model_version":        {"", "-1", "1e3", "+1", "18446744073709551615"},
		"protection":           {"", "none", "other"},
		"epsilon_rdp":          {"", "-1", "NaN", "inf", "infinity", "unknown", "8", "7.250"},
		"epsilon_pld":          {"infinity", "-1", "1e999"},
		"epsilon_rdp_all_runs": {"7", "infinity"},
		"delta":                {"0", "1", "unknown", "0.00001"},
		"adjacency":            {"", "both"},
		"unit":                 {"client"},
		"steps":                {"-5", ""},
		"statement":            {"\x1b]0;", strings.Repeat("x", 5000), "\r"},
		"signer":               {"", "UABC"},
		"time":                 {"", "2026-11-25T01:02:03+01:00", "2026-11-25T01:02:03.5Z", "1970-01-01T00:00:00Z"},
		"signature":            {"", "zz", strings.Repeat("0", 128), strings.Repeat("0", 126)},
	} {
		for _, v := range values {
			f, err := Open(forge(t, func(m map[string]string) { m[key] = v }))
			if f != nil || !errors.Is(err, ErrFile) && !errors.Is(err, ErrSignature) {
				t.Errorf("%s = %.40q: %v", key, v, err)
			}
		}
		if _, err := Open(forge(t, func(m map[string]string) { delete(m, key) })); key != keySignature && !errors.Is(err, ErrFile) {
			t.Errorf("without %s: %v", key, err)
		}
	}
	if _, err := Open(forge(t, func(m map[string]string) { m["more"] = "x" })); !errors.Is(err, ErrFile) {
		t.Errorf("one entry more: %v", err)
	}
	if _, err := Open(forge(t, func(m map[string]string) { m[keySignature] = strings.ToUpper(hexOf("") + hexOf("")) })); !errors.Is(err, ErrSignature) && !errors.Is(err, ErrFile) {
		t.Errorf("upper case: %v", err)
	}
}

// file joins a header with data.
func file(header string, data []byte) []byte {
	return append(append(binary.LittleEndian.AppendUint64(nil, uint64(len(header))), header...), data...)
}

func hostile() map[string][]byte {
	tensor := func(name, dtype, shape string, size int) []byte {
		return file(fmt.Sprintf(`{%q:{"dtype":%q,"shape":%s,"data_offsets":[0,%d]}}`, name, dtype, shape, size), make([]byte, size))
	}
	nan := tensor("context", "F32", "[1,1]", 4)
	binary.LittleEndian.PutUint32(nan[len(nan)-4:], math.Float32bits(float32(math.NaN())))
	return map[string][]byte{
		"empty": nil, "short": []byte("1234567"), "huge claim": binary.LittleEndian.AppendUint64(nil, math.MaxUint64),
		"a header of 16 MiB": binary.LittleEndian.AppendUint64(nil, 16<<20), "no JSON": file("hello", nil), "no tensor": file("{}", nil),
		"other tensor": tensor("local", "F32", "[1,1]", 4), "other type": tensor("context", "F64", "[1,1]", 8), "half": tensor("context", "F16", "[1,2]", 4),
		"one dimension": tensor("context", "F32", "[4]", 16), "no row": tensor("context", "F32", "[0,4]", 0), "many rows": tensor("context", "F32", "[65,1]", 260),
		"wide": tensor("context", "F32", "[1,131073]", 4*131073), "not finite": nan, "no metadata": tensor("context", "F32", "[1,1]", 4),
		"two tensors": file(`{"context":{"dtype":"F32","shape":[1,1],"data_offsets":[0,4]},"local":{"dtype":"F32","shape":[1,1],"data_offsets":[4,8]}}`, make([]byte, 8)),
		"large":       make([]byte, MaxSize+1),
		"deep":        file(`{"__metadata__":`+strings.Repeat("[", 10000), nil),
		"large claim": file(`{"context":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0]}}`, nil),
	}
}

func TestHostileFiles(t *testing.T) {
	for name, raw := range hostile() {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		f, err := Open(raw)
		runtime.ReadMemStats(&after)
		if f != nil || !errors.Is(err, ErrFile) {
			t.Errorf("%s: %v", name, err)
		}
		if spent := after.TotalAlloc - before.TotalAlloc; spent > uint64(8*len(raw)+1<<20) {
			t.Errorf("%s: %d bytes for a file of %d", name, spent, len(raw))
		}
	}
}

// TestNoStowaway: the signature is over the one tensor, so a second one must not be there.
func TestNoStowaway(t *testing.T) {
	raw := seal(t, sample())
	n := binary.LittleEndian.Uint64(raw)
	header := strings.TrimRight(string(raw[8:8+n]), " ")
	size := len(raw) - 8 - int(n)
	more := fmt.Sprintf(`%s,"local":{"dtype":"F32","shape":[1],"data_offsets":[%d,%d]}}`, strings.TrimSuffix(header, "}"), size, size+4)
	if f, err := Open(file(more, append(slices.Clone(raw[8+n:]), 0, 0, 0, 0))); f != nil || !errors.Is(err, ErrFile) || !strings.Contains(err.Error(), "want context alone") {
		t.Errorf("%v", err)
	}
	if _, err := Open(file(header, raw[8+n:])); err != nil {
		t.Errorf("the same without: %v", err)
	}
}

func TestSealRefuses(t *testing.T) {
	for name, change := range map[string]func(*File){
		"context":  func(f *File) { f.Context[3] = float32(math.Inf(1)) },
		"number 3": func(f *File) { f.Context[3] = 1e7 },
		"12":       func(f *File) { f.Width = 5 },
		"classes":  func(f *File) { f.Classes = f.Classes[:1] },
		"header": func(f *File) {
			f.Classes = slices.Clone(f.Classes)
			for i := range 5000 {
				f.Classes = append(f.Classes, fmt.Sprint(i, strings.Repeat("x", 240)))
			}
		},
		"epsilon":   func(f *File) { f.Privacy.RDP = math.Inf(1) },
		"adjacency": func(f *File) { f.Privacy.Adjacency = "" },
		"time":      func(f *File) { f.Time = f.Time.Add(1) },
	} {
		f := sample()
		change(f)
		if raw, err := f.Seal(testKey(t)); raw != nil || !errors.Is(err, ErrFile) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestWords(t *testing.T) {
	f := sample()
	raw := seal(t, f)
	for _, part := range []string{
		"Personal prompt of client north in run clinics, by dpfpl of rank 8.", "3 vectors of width 4", `red heart, <café> & "co", tree`,
		"Each record is protected.", "Over all runs on the same records: epsilon = 7.5000 by Rényi divergence, unknown", "signed by " + f.Signer,
	} {
		if !strings.Contains(f.Words(), part) {
			t.Errorf("%q is missing in:\n%s", part, f.Words())
		}
	}
	text, err := f.JSON(raw)
	if err != nil {
		t.Fatal(err)
	}
	var object struct {
		SHA256  string
		Shape   []int
		Epsilon float64 `json:"epsilon_rdp"`
		All     string  `json:"epsilon_pld_all_runs"`
		Classes []string
	}
	if err := json.Unmarshal(text, &object); err != nil || object.SHA256 != hexOf(string(raw)) || object.Epsilon != 7.25 || object.All != "unknown" || len(object.Classes) != 3 || object.Shape[1] != 4 {
		t.Errorf("%v: %s", err, text)
	}

	f.Privacy = Privacy{RDP: math.Inf(1), PLD: math.Inf(1), AllRDP: math.Inf(1), AllPLD: math.Inf(1), Delta: 1e-5, Adjacency: "zero-out", Statement: "None.\n"}
	if got, err := Open(seal(t, f)); err != nil || got.Privacy.Protected || !strings.Contains(got.Words(), "NOT PROTECTED") {
		t.Errorf("%v: %v", err, got)
	}
}

// FuzzOpen: no panic, and what opens is sealed to the same content.
func FuzzOpen(f *testing.F) {
	f.Add(seal(f, sample()))
	for _, name := range []string{"python.safetensors", "ours.safetensors"} {
		f.Add(read(f, name))
	}
	for name, raw := range hostile() {
		if len(raw) < 1<<16 {
			f.Add(raw)
		} else {
			f.Log("not a seed, too large:", name)
		}
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		p, err := Open(raw)
		if err != nil {
			if p != nil || !errors.Is(err, ErrFile) && !errors.Is(err, ErrSignature) {
				t.Fatalf("%v, %v", p, err)
			}
			return
		}
		again, err := p.header(p.metadata(), len(p.tensor()))
		if err != nil || len(again) == 0 {
			t.Fatalf("what opened cannot be written: %v", err)
		}
		p.Words()
	})
}
