package schemas_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"dpfpl/schemas"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// TestGolden pins the bytes of every kind: a file once written must open for ever, and the same body must
// seal to the same bytes. The .json twin is for people reviewing a change.
func TestGolden(t *testing.T) {
	for _, s := range samples(t) {
		kind := s.body.Kind().String()
		t.Run(kind+"/"+s.name, func(t *testing.T) {
			key, public := testKey(t, s.key)
			raw, err := schemas.Seal(s.body, key)
			if err != nil {
				t.Fatal(err)
			}
			path := filepath.Join("testdata", kind, s.name)
			compare(t, path+".msgpack", raw)
			compare(t, path+".json", twin(t, s.body, raw, public))

			golden, err := os.ReadFile(path + ".msgpack")
			if err != nil {
				t.Fatal(err)
			}
			body, err := schemas.Open(golden)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(body, s.body) {
				t.Errorf("opened\n%+v\nwant\n%+v", body, s.body)
			}
			if err := schemas.Verify(golden, public); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestGoldenFilesHaveCases fails when a file is left behind by a case that is gone.
func TestGoldenFilesHaveCases(t *testing.T) {
	want := map[string]bool{}
	for _, s := range samples(t) {
		want[filepath.Join("testdata", s.body.Kind().String(), s.name)] = true
	}
	files, err := filepath.Glob("testdata/*/*.msgpack")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < len(want) {
		t.Errorf("%d golden files for %d cases", len(files), len(want))
	}
	for _, f := range files {
		if !want[strings.TrimSuffix(f, ".msgpack")] {
			t.Errorf("%s belongs to no case", f)
		}
	}
}

func compare(t *testing.T, path string, got []byte) {
	t.Helper()
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs; run with -update and review\ngot  %.600q\nwant %.600q", path, got, want)
	}
}

// twin renders a sealed message for reading.
func twin(t *testing.T, b schemas.Body, raw []byte, public string) []byte {
	t.Helper()
	digest := schemas.Digest(raw)
	out, err := json.MarshalIndent(map[string]any{
		"kind": b.Kind().String(), "subject": schemas.Subject(b), "bytes": len(raw),
		"digest": hex.EncodeToString(digest[:]), "signer": public,
		"body": readable(reflect.ValueOf(b).Elem()),
	}, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	return append(out, '\n')
}

// readable turns a body into what JSON shows well: wire names, and bytes in hex.
func readable(v reflect.Value) any {
	switch {
	case v.Kind() == reflect.Struct:
		m := map[string]any{}
		for i := range v.NumField() {
			f := v.Type().Field(i)
			name := f.Tag.Get("msgpack")
			if f.Anonymous {
				name = "header"
			}
			m[name] = readable(v.Field(i))
		}
		return m
	case v.Kind() == reflect.Array && v.Type().Elem().Kind() == reflect.Uint8:
		b := make([]byte, v.Len())
		reflect.Copy(reflect.ValueOf(b), v)
		return hex.EncodeToString(b)
	case v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Uint8:
		return hex.EncodeToString(v.Bytes())
	case v.Kind() == reflect.Slice:
		list := make([]any, v.Len())
		for i := range list {
			list[i] = readable(v.Index(i))
		}
		return list
	}
	return v.Interface()
}
