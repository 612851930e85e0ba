package backbone

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"dpfpl/mathx/clip"
)

func tinyModel(t testing.TB) *clip.Model {
	t.Helper()
	m, err := Open("../../testbed/tinyclip")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

// pictures is a folder with three classes of plain pictures and some files
// that are none.
func pictures(t testing.TB) fstest.MapFS {
	t.Helper()
	root := fstest.MapFS{
		"b_two/broken.png":  {Data: []byte("\x89PNG\r\n\x1a\n broken")},
		"b_two/notes.txt":   {Data: []byte("no picture")},
		"a one/.hidden.png": {Data: []byte("x")},
		".git/x.png":        {Data: []byte("x")},
		"empty/readme":      {Data: []byte("x")},
		"top.png":           {Data: []byte("x")},
	}
	for c, class := range []string{"a one", "b_two", "c"} {
		for i := range 20 {
			img := image.NewRGBA(image.Rect(0, 0, 20+i%3, 24))
			for y := range 24 {
				for x := range 20 + i%3 {
					img.Set(x, y, color.RGBA{byte(x * 10), byte(y*9 + 12*i), byte(80 * c), 255})
				}
			}
			var b bytes.Buffer
			if err := png.Encode(&b, img); err != nil {
				t.Fatal(err)
			}
			root[fmt.Sprintf("%s/sub/%d.PNG", class, i)] = &fstest.MapFile{Data: b.Bytes()}
		}
	}
	return root
}

func mustScan(t testing.TB, root fstest.MapFS) Images {
	t.Helper()
	s, err := ScanImages(root)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestScanImages(t *testing.T) {
	s := mustScan(t, pictures(t))
	if !slices.Equal(s.Classes, []string{"a one", "b_two", "c"}) || len(s.List) != 61 {
		t.Errorf("%v, %d images", s.Classes, len(s.List))
	}
	if s.List[20] != (Image{"b_two/broken.png", 1}) || Name(s.Classes[1]) != "b two" {
		t.Errorf("%v", s.List[20])
	}
	if _, err := ScanImages(fstest.MapFS{"a.png": {}}); !errors.Is(err, ErrImages) {
		t.Errorf("flat folder: %v", err)
	}
}

func TestReadSplit(t *testing.T) {
	good := `{"train":[["x/1.jpg",1,"dog"]],"val":[],"test":[["x/2.jpg",0,"cat"],["x/3.jpg",1,"dog"]]}`
	s, err := ReadSplit(fstest.MapFS{}, []byte(good), "test")
	if err != nil || !slices.Equal(s.Classes, []string{"cat", "dog"}) || !slices.Equal(s.List, []Image{{"x/2.jpg", 0}, {"x/3.jpg", 1}}) {
		t.Errorf("%+v %v", s, err)
	}
	for name, text := range map[string]string{
		"no JSON":      "x",
		"no part":      `{"train":[["x",0,"cat"]]}`,
		"empty part":   `{"test":[]}`,
		"two fields":   `{"test":[["x",0]]}`,
		"text label":   `{"test":[["x","0","cat"]]}`,
		"negative":     `{"test":[["x",-1,"cat"]]}`,
		"outside":      `{"test":[["../x",0,"cat"]]}`,
		"gap":          `{"test":[["x",0,"cat"],["y",2,"dog"]]}`,
		"contradicts":  `{"test":[["x",0,"cat"]],"val":[["y",0,"dog"]]}`,
		"other object": `{"test":{"a":1}}`,
	} {
		if _, err := ReadSplit(fstest.MapFS{}, []byte(text), "test"); !errors.Is(err, ErrImages) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func mustRun(t *testing.T, x *Extraction) (*Features, []Skipped) {
	t.Helper()
	f, skipped, err := x.Run(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return f, skipped
}

func TestExtract(t *testing.T) {
	m, images := tinyModel(t), mustScan(t, pictures(t))
	x := &Extraction{Model: m, Images: images, Dir: filepath.Join(t.TempDir(), "new"), Workers: 1}
	want, skipped := mustRun(t, x)
	if want.Len() != 60 || want.Dim != m.Dim() || len(skipped) != 1 || skipped[0].File != "b_two/broken.png" || !strings.Contains(skipped[0].Reason, "PNG") {
		t.Fatalf("%d rows of %d, skipped %v", want.Len(), want.Dim, skipped)
	}
	pixels, err := ReadPixels(images.Root, want.Meta.Files[7], m.Preprocess)
	if err != nil {
		t.Fatal(err)
	}
	if got := m.Images().Features(nil, pixels, 1); !slices.Equal(got, want.Row(7)) {
		t.Errorf("row 7 is not the feature of %s", want.Meta.Files[7])
	}

	rounded := &Extraction{Model: m, Images: images, Dir: t.TempDir(), Half: true}
	first, _ := mustRun(t, rounded)
	if second, _ := mustRun(t, rounded); !slices.Equal(first.X, second.X) || slices.Equal(first.X, want.X) {
		t.Error("the first run's features are not those of the cache")
	}

	calls := 0
	again := *x
	again.Progress = func(int, int) { calls++ }
	f, skipped := mustRun(t, &again)
	if calls != 0 || len(skipped) != 1 || f.Meta.Data != want.Meta.Data {
		t.Errorf("a complete cache was computed again: %d batches, skipped %v", calls, skipped)
	}
	again.Images.List = images.List[:30]
	if f, _ := mustRun(t, &again); calls == 0 || f.Len() != 29 {
		t.Errorf("another set: %d batches, %d rows", calls, f.Len())
	}
}

// However often a run is cut off, and whatever tears the journal's end, the
// result is that of one run.
func TestExtractGoesOn(t *testing.T) {
	m, images := tinyModel(t), mustScan(t, pictures(t))
	want, _ := mustRun(t, &Extraction{Model: m, Images: images, Dir: t.TempDir(), Workers: 2})
	dir := t.TempDir()
	path := filepath.Join(dir, journalFile)
	for _, tear := range []func(b []byte) []byte{
		func(b []byte) []byte { return b },
		func(b []byte) []byte { return b[:len(b)-1] },
		func(b []byte) []byte { b[len(b)-3] ^= 4; return b },
		func(b []byte) []byte { return append(b, 1, 2, 3) },
	} {
		ctx, cancel := context.WithCancel(t.Context())
		x := &Extraction{Model: m, Images: images, Dir: dir, Workers: 1, Progress: func(int, int) { cancel() }}
		if _, _, err := x.Run(ctx); !errors.Is(err, context.Canceled) {
			t.Fatalf("cut off: %v", err)
		}
		cancel()
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, tear(b), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	first := 0
	got, skipped := mustRun(t, &Extraction{Model: m, Images: images, Dir: dir, Workers: 1, Progress: func(done, _ int) {
		if first == 0 {
			first = done
		}
	}})
	if first <= batch || len(skipped) != 1 {
		t.Errorf("the last run began by image %d, skipped %v", first, skipped)
	}
	if got.Meta.Data != want.Meta.Data || !slices.Equal(got.X, want.X) {
		t.Error("the result differs from that of one run")
	}
	if _, err := os.Stat(path); err == nil {
		t.Error("the journal was left")
	}
}

func TestExtractRefuses(t *testing.T) {
	m := tinyModel(t)
	bad := Images{Root: fstest.MapFS{}, Classes: []string{"a"}, List: []Image{{"a/absent.png", 0}}}
	if _, skipped, err := (&Extraction{Model: m, Images: bad, Dir: t.TempDir()}).Run(t.Context()); !errors.Is(err, ErrImages) || len(skipped) != 1 {
		t.Errorf("nothing readable: %v %v", skipped, err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, _, err := (&Extraction{Model: m, Images: bad, Dir: file}).Run(t.Context()); err == nil {
		t.Error("a file as the cache's folder")
	}
}

func FuzzJournal(f *testing.F) {
	dir := f.TempDir()
	j, _, err := openJournal(filepath.Join(dir, "j"), [32]byte{1})
	if err != nil {
		f.Fatal(err)
	}
	if err := errors.Join(j.append([]outcome{{feature: []float32{1, 2}}, {reason: "why"}}), j.close()); err != nil {
		f.Fatal(err)
	}
	whole, err := os.ReadFile(filepath.Join(dir, "j"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Add(whole[:len(whole)-2])
	f.Fuzz(func(t *testing.T, data []byte) {
		done, good, err := readJournal(bytes.NewReader(data), [32]byte{1})
		if err != nil || good > int64(len(data)) {
			t.Fatalf("%d of %d bytes, %v", good, len(data), err)
		}
		if again, same, err := readJournal(bytes.NewReader(data[:good]), [32]byte{1}); err != nil || same != good || len(again) != len(done) {
			t.Fatalf("the whole part reads otherwise: %d, %v", same, err)
		}
	})
}
