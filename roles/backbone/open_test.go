package backbone

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"dpfpl/mathx/clip"
)

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	write := func(name, text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write(file, "x")
	write(filepath.Join(dir, "config only", "config.json"), `{}`)
	write(filepath.Join(dir, "damaged", "config.json"), `{}`)
	write(filepath.Join(dir, "damaged", "model.safetensors"), "not a checkpoint")
	write(filepath.Join(dir, "folder", "config.json"), `{}`)
	write(filepath.Join(dir, "folder", "model.safetensors", "x"), "")
	for name, want := range map[string]error{
		"absent": ErrFolder, "file": ErrFolder, ".": ErrFolder,
		"config only": fs.ErrNotExist, "damaged": clip.ErrWeights, "folder": fs.ErrInvalid,
	} {
		path := filepath.Join(dir, name)
		if _, err := Open(path); !errors.Is(err, want) || name != "." && !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := FromFS(fstest.MapFS{}); !errors.Is(err, ErrFolder) {
		t.Errorf("empty: %v", err)
	}
}

// The map and the plain file give the same bytes, in order and at any place.
func TestMapped(t *testing.T) {
	dir := t.TempDir()
	want := []byte(strings.Repeat("0123456789", bulk/5))
	if err := os.WriteFile(filepath.Join(dir, "a.safetensors"), want, 0o644); err != nil {
		t.Fatal(err)
	}
	f, err := mapped{dir, os.DirFS(dir)}.Open("a.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if got, err := io.ReadAll(f); err != nil || !slices.Equal(got, want) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	part := make([]byte, 7)
	if n, err := f.(io.ReaderAt).ReadAt(part, int64(len(want)-3)); n != 3 || err != io.EOF || string(part[:3]) != "789" {
		t.Errorf("%d %v %q", n, err, part)
	}
	for _, n := range []int{100, bulk} {
		part := make([]byte, n)
		if _, err := f.(io.ReaderAt).ReadAt(part, 7); err != nil || !slices.Equal(part, want[7:7+n]) {
			t.Errorf("%d bytes from 7 on: %v", n, err)
		}
	}
	if _, err := (mapped{dir, os.DirFS(dir)}).Open("../x.safetensors"); !errors.Is(err, fs.ErrInvalid) {
		t.Errorf("outside: %v", err)
	}
}

// The project's own small model opens, mapped or not, to the same thing.
func TestOpen(t *testing.T) {
	const dir = "../../testbed/tinyclip"
	mappedModel, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer mappedModel.Close()
	plain, err := FromFS(os.DirFS(dir))
	if err != nil {
		t.Fatal(err)
	}
	defer plain.Close()
	if mappedModel.Digest != plain.Digest || len(plain.Digest) != 64 {
		t.Errorf("digests %s and %s", mappedModel.Digest, plain.Digest)
	}
	ids, err := mappedModel.Tokens("a picture of a cat")
	if err != nil {
		t.Fatal(err)
	}
	got, err := mappedModel.Text.Features(nil, [][]int{ids})
	if err != nil {
		t.Fatal(err)
	}
	want, err := plain.Text.Features(nil, [][]int{ids})
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("features %v, want %v, %v", got, want, err)
	}
}
