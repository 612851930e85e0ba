package data

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"image"
	"image/color"
	"image/png"
	"io/fs"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

func mapFS(files map[string][]byte) fstest.MapFS {
	folder := fstest.MapFS{}
	for name, raw := range files {
		folder[name] = &fstest.MapFile{Data: raw}
	}
	return folder
}

// damage is a file replaced in a folder, the error expected and what it must say.
type damage struct {
	what, file string
	raw        []byte
	want       error
	says       string
}

// checkDamage opens the folder with each damage in turn.
func checkDamage(t *testing.T, good map[string][]byte, open func(fs.FS) error, cases []damage) {
	t.Helper()
	if err := open(mapFS(good)); err != nil {
		t.Fatalf("the undamaged folder: %v", err)
	}
	for _, c := range cases {
		files := maps.Clone(good)
		delete(files, c.file)
		if c.raw != nil {
			files[c.file] = c.raw
		}
		if err := open(mapFS(files)); !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %v saying %q", c.what, err, c.want, c.says)
		}
	}
}

// idx encodes a byte array.
func idx(shape []uint32, values []byte) []byte {
	b := []byte{0, 0, 8, byte(len(shape))}
	for _, n := range shape {
		b = binary.BigEndian.AppendUint32(b, n)
	}
	return append(b, values...)
}

func zipped(raw []byte) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	w.Write(raw)
	w.Close()
	return b.Bytes()
}

func TestIDX(t *testing.T) {
	images := idx([]uint32{2, 2, 3}, []byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12})
	labels := idx([]uint32{2}, []byte{1, 0})
	good := map[string][]byte{
		"train-images-idx3-ubyte": images, "train-labels-idx1-ubyte": labels,
		"t10k-images-idx3-ubyte.gz": zipped(images), "t10k-labels-idx1-ubyte.gz": zipped(labels),
	}
	classes := []string{"zero", "one"}
	p, err := IDX(mapFS(good), "digits", classes)
	if err != nil {
		t.Fatal(err)
	}
	img, err := p.Test[1].Image()
	if err != nil || p.Test[1].Label != 0 || img.Bounds() != image.Rect(0, 0, 3, 2) || img.At(2, 1) != (color.Gray{Y: 12}) {
		t.Errorf("picture 1: %+v, %v", img, err)
	}
	checkDamage(t, good, func(f fs.FS) error { _, err := IDX(f, "digits", classes); return err }, []damage{
		{"no labels", "train-labels-idx1-ubyte", nil, fs.ErrNotExist, "train-labels-idx1-ubyte"},
		{"another magic", "train-images-idx3-ubyte", labels, ErrDamaged, "train-images-idx3-ubyte"},
		{"cut short", "train-images-idx3-ubyte", images[:20], ErrDamaged, "12 values"},
		{"head cut short", "train-images-idx3-ubyte", images[:9], ErrDamaged, "cut short"},
		{"too long", "train-images-idx3-ubyte", append(slices.Clone(images), 0), ErrDamaged, "12 values"},
		{"huge", "train-images-idx3-ubyte", idx([]uint32{1 << 31, 1 << 31, 2}, nil), ErrDamaged, "dimension"},
		{"broken gzip", "t10k-images-idx3-ubyte.gz", flip(zipped(images), 30), ErrDamaged, "t10k-images-idx3-ubyte.gz"},
		{"more labels", "train-labels-idx1-ubyte", idx([]uint32{3}, []byte{0, 1, 0}), ErrDamaged, "3 labels for 2 images"},
		{"label beyond", "train-labels-idx1-ubyte", idx([]uint32{2}, []byte{0, 2}), ErrDamaged, "label is 2"},
		{"empty class", "train-labels-idx1-ubyte", idx([]uint32{2}, []byte{0, 0}), ErrOptions, "one"},
	})
}

func TestCIFAR100(t *testing.T) {
	record := func(label byte) []byte {
		r := append([]byte{9, label}, bytes.Repeat([]byte{10}, cifarPlane)...)
		r = append(r, bytes.Repeat([]byte{20}, cifarPlane)...)
		return append(r, bytes.Repeat([]byte{30}, cifarPlane)...)
	}
	both := append(record(1), record(0)...)
	good := map[string][]byte{"fine_label_names.txt": []byte("apple\naquarium_fish\n"), "train.bin": both, "test.bin": both}
	p, err := CIFAR100(mapFS(good))
	if err != nil || !slices.Equal(p.Classes, []string{"apple", "aquarium fish"}) {
		t.Fatal(p, err)
	}
	img, _ := p.Train[0].Image()
	if p.Train[0].Label != 1 || img.At(31, 31) != (color.RGBA{10, 20, 30, 255}) {
		t.Errorf("picture 0: label %d, %v", p.Train[0].Label, img.At(31, 31))
	}
	checkDamage(t, good, func(f fs.FS) error { _, err := CIFAR100(f); return err }, []damage{
		{"cut short", "test.bin", both[:5000], ErrDamaged, "test.bin"},
		{"empty", "test.bin", []byte{}, ErrDamaged, "test.bin"},
		{"label beyond", "test.bin", append(record(2), both...), ErrDamaged, "label 2"},
		{"no names", "fine_label_names.txt", nil, fs.ErrNotExist, "fine_label_names.txt"},
		{"blank names", "fine_label_names.txt", []byte("\n\n"), ErrDamaged, "fine_label_names.txt"},
	})
}

// dot is a small PNG.
func dot(t *testing.T, grey uint8) []byte {
	t.Helper()
	img := image.NewGray(image.Rect(0, 0, 2, 2))
	img.SetGray(1, 1, color.Gray{Y: grey})
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestCoOp(t *testing.T) {
	split := `{"train": [["cat/1.png", 0, "big_cat"], ["dog/1.png", 1, "dog"]], "val": [], "test": [["cat/2.png", 0, "big_cat"], ["dog/2.png", 1, "dog"]]}`
	good := map[string][]byte{
		"split.json": []byte(split), "images/cat/1.png": dot(t, 1), "images/cat/2.png": dot(t, 2), "images/dog/1.png": dot(t, 3), "images/dog/2.png": dot(t, 4),
	}
	open := func(f fs.FS) error { _, err := CoOp(f, "pets", "images", "split.json", false); return err }
	p, err := CoOp(mapFS(good), "pets", "images", "split.json", false)
	if err != nil || !slices.Equal(p.Classes, []string{"big cat", "dog"}) || p.Test[1].Label != 1 {
		t.Fatal(p, err)
	}
	if img, err := p.Test[1].Image(); err != nil || color.GrayModel.Convert(img.At(1, 1)) != (color.Gray{Y: 4}) {
		t.Error(img, err)
	}
	checkDamage(t, good, open, []damage{
		{"no split", "split.json", nil, fs.ErrNotExist, "split.json"},
		{"missing file", "images/dog/2.png", nil, fs.ErrNotExist, "1 files: images/dog/2.png (named by split.json)"},
		{"not json", "split.json", []byte("["), ErrDamaged, "split.json"},
		{"short item", "split.json", []byte(strings.Replace(split, `1, "dog"]], "val"`, `1]], "val"`, 1)), ErrDamaged, "2 parts"},
		{"text label", "split.json", []byte(strings.Replace(split, `1, "dog"`, `"1", "dog"`, 1)), ErrDamaged, "split.json"},
		{"two names", "split.json", []byte(strings.Replace(split, `"dog"`, `"hound"`, 1)), ErrDamaged, "both"},
		{"gap in labels", "split.json", []byte(strings.ReplaceAll(split, `1, "dog"`, `2, "dog"`)), ErrDamaged, "not class 1"},
		{"negative label", "split.json", []byte(strings.ReplaceAll(split, `1, "dog"`, `-1, "dog"`)), ErrDamaged, "label -1"},
		{"no test", "split.json", []byte(`{"train": [["a", 0, "b"]]}`), ErrDamaged, "0 test"},
	})
	// Skipped by choice, as long as no class is left empty.
	more := maps.Clone(good)
	more["split.json"] = []byte(strings.Replace(split, `["dog/2.png"`, `["dog/3.png", 1, "dog"], ["dog/2.png"`, 1))
	if p, err := CoOp(mapFS(more), "pets", "images", "split.json", true); err != nil || len(p.Test) != 2 || !slices.Equal(p.Skipped, []string{"images/dog/3.png"}) {
		t.Error(p, err)
	}
	delete(more, "images/dog/2.png")
	if _, err := CoOp(mapFS(more), "pets", "images", "split.json", true); !errors.Is(err, ErrOptions) {
		t.Error(err)
	}
	// A torn picture is found when it is rendered.
	more = maps.Clone(good)
	more["images/cat/1.png"] = good["images/cat/1.png"][:40]
	p, err = CoOp(mapFS(more), "pets", "images", "split.json", false)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Check(false); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), "images/cat/1.png") {
		t.Error(err)
	}
}

func TestFolder(t *testing.T) {
	flat := map[string][]byte{"notes.txt": {1}, ".git/x.png": {1}, "a_b/readme.txt": {1}}
	for _, name := range []string{"a_b/1.png", "a_b/2.PNG", "a_b/3.jpg", "a_b/4.webp", "c/1.png", "c/2.png"} {
		flat[name] = dot(t, 1)
	}
	p, err := Folder(mapFS(flat), "mine", 0.5, 1)
	if err != nil || !slices.Equal(p.Classes, []string{"a b", "c"}) || len(p.Train) != 3 || len(p.Test) != 3 {
		t.Fatal(p, err)
	}
	parts := map[string][]byte{}
	for _, name := range []string{"train/a/1.png", "train/a/2.png", "train/b/1.png", "test/a/9.png", "test/b/9.png"} {
		parts[name] = dot(t, 1)
	}
	q, err := Folder(mapFS(parts), "mine", 0.5, 1)
	if err != nil || len(q.Train) != 3 || len(q.Test) != 2 || q.Test[1].Key != "test/b/9.png" {
		t.Fatal(q, err)
	}
	checkDamage(t, parts, func(f fs.FS) error { _, err := Folder(f, "mine", 0.5, 1); return err }, []damage{
		{"no test picture", "test/b/9.png", nil, fs.ErrNotExist, "test/b"},
	})
	for what, files := range map[string]map[string][]byte{
		"one class": {"a/1.png": {1}}, "one picture": {"a/1.png": {1}, "b/1.png": {1}, "b/2.png": {1}}, "no pictures": {"a/x.txt": {1}, "b/1.png": {1}, "b/2.png": {1}},
	} {
		if _, err := Folder(mapFS(files), "mine", 0.5, 1); !errors.Is(err, ErrOptions) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := Folder(mapFS(flat), "mine", 1, 1); !errors.Is(err, ErrOptions) {
		t.Error(err)
	}
}

func TestClassNames(t *testing.T) {
	folder := mapFS(map[string][]byte{
		"cat_to_name.json": []byte(`{"2": "fire lily", "1": "pink_primrose"}`),
		"gap.json":         []byte(`{"3": "a", "1": "b"}`),
		"zero.json":        []byte(`{"0": "a"}`),
		"empty.json":       []byte(`{}`),
	})
	names, err := ClassNames(folder, "cat_to_name.json")
	if err != nil || !slices.Equal(names, []string{"pink primrose", "fire lily"}) {
		t.Error(names, err)
	}
	for _, file := range []string{"gap.json", "zero.json", "empty.json"} {
		if _, err := ClassNames(folder, file); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v", file, err)
		}
	}
}

// npy encodes an array as NumPy 1.26 does.
func npy(descr, shape string, data []byte) []byte {
	head := "{'descr': '" + descr + "', 'fortran_order': False, 'shape': (" + shape + "), }"
	head += strings.Repeat(" ", 117-len(head)) + "\n"
	b := append([]byte("\x93NUMPY\x01\x00"), byte(len(head)), 0)
	return append(append(b, head...), data...)
}

func TestFeatures(t *testing.T) {
	le := binary.LittleEndian
	var f2, f4, f8, i8 []byte
	for _, v := range []float64{1, 0, 0, -1} {
		f8 = le.AppendUint64(f8, math.Float64bits(v))
		f4 = le.AppendUint32(f4, math.Float32bits(float32(v)))
		f2 = le.AppendUint16(f2, map[float64]uint16{1: 0x3c00, 0: 0, -1: 0xbc00}[v])
	}
	for _, v := range []uint64{1, 0} {
		i8 = le.AppendUint64(i8, v)
	}
	good := map[string][]byte{
		"a_x.npy": npy("<f2", "2, 2", f2), "a_y.npy": npy("<i8", "2,", i8), "b_x.npy": npy("<f4", "2, 2", f4), "b_y.npy": npy("|u1", "2,", []byte{0, 1}),
	}
	open := func(f fs.FS) error { _, err := Features(f, "pair", "a", "b", []string{"x", "y"}, false); return err }
	p, err := Features(mapFS(good), "pair", "a", "b", []string{"x", "y"}, false)
	if err != nil || !slices.Equal(p.Train[1].Feature, []float32{0, -1}) || p.Train[0].Label != 1 || !slices.Equal(p.Test[0].Feature, []float32{1, 0}) {
		t.Fatal(p, err)
	}
	checkDamage(t, good, open, []damage{
		{"double precision, cut short", "b_x.npy", npy("<f8", "2, 2", f8[:31]), ErrDamaged, "b_x.npy"},
		{"no features", "a_x.npy", nil, fs.ErrNotExist, "a_x.npy"},
		{"not numpy", "a_x.npy", []byte("PK\x03\x04 something"), ErrDamaged, "not a NumPy file"},
		{"big-endian", "a_x.npy", npy(">f2", "2, 2", f2), ErrDamaged, "little-endian"},
		{"head cut short", "a_x.npy", npy("<f2", "2, 2", f2)[:40], ErrDamaged, "cut short"},
		{"too few bytes", "a_x.npy", npy("<f2", "2, 2", f2[:6]), ErrDamaged, "holds 6 bytes"},
		{"overflowing shape", "a_x.npy", npy("<f2", "9999999999, 9999999999, 9999999999", nil), ErrDamaged, "too large"},
		{"a vector", "a_x.npy", npy("<f2", "4,", f2), ErrDamaged, "1 dimensions, not 2"},
		{"integers", "a_x.npy", npy("<i8", "1, 2", i8), ErrDamaged, "floating-point"},
		{"labels that are floats", "a_y.npy", npy("<f4", "2,", f4[:8]), ErrDamaged, "not integers"},
		{"more labels", "a_y.npy", npy("|u1", "3,", []byte{0, 1, 0}), ErrDamaged, "3 labels for 2 features"},
		{"label beyond", "a_y.npy", npy("|u1", "2,", []byte{0, 2}), ErrDamaged, "row 1 has label 2, there are 2"},
		{"negative label", "a_y.npy", npy("|i1", "2,", []byte{0, 255}), ErrDamaged, "row 1 has label -1"},
		{"another width", "a_x.npy", npy("<f2", "2, 1", []byte{0, 0x3c, 0, 0x3c}), ErrDamaged, "2 wide"},
		{"not normalised", "a_x.npy", npy("<f2", "2, 2", append(slices.Clone(f2[:6]), 0, 0x40)), ErrDamaged, "row 1 has norm 2"},
		{"not a number", "a_x.npy", npy("<f2", "2, 2", append(slices.Clone(f2[:6]), 0, 0x7e)), ErrDamaged, "row 1 has norm NaN"},
	})
}

// TestFeaturesSkip leaves out bad rows by choice, lists them, and refuses all the same when a class has nothing left.
func TestFeaturesSkip(t *testing.T) {
	row := func(v ...float32) (b []byte) {
		for _, x := range v {
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(x))
		}
		return b
	}
	files := map[string][]byte{
		"a_x.npy": npy("<f4", "5, 2", row(1, 0, 0, 1, 3, 4, float32(math.NaN()), 0, 1, 0)), "a_y.npy": npy("|u1", "5,", []byte{0, 1, 0, 1, 7}),
		"b_x.npy": npy("<f4", "2, 2", row(1, 0, 0, 1)), "b_y.npy": npy("|u1", "2,", []byte{0, 1}),
	}
	classes := []string{"x", "y"}
	if _, err := Features(mapFS(files), "pair", "a", "b", classes, false); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), "a_x.npy") ||
		!strings.Contains(err.Error(), "3 of 5 rows cannot be used: row 2 has norm 5, not 1, row 3 has norm NaN, not 1, row 4 has label 7, there are 2 classes") {
		t.Error(err)
	}
	p, err := Features(mapFS(files), "pair", "a", "b", classes, true)
	if err != nil || len(p.Train) != 2 || len(p.Test) != 2 {
		t.Fatal(p, err)
	}
	if len(p.Skipped) != 3 || p.Skipped[2] != "a_x.npy row 4 has label 7, there are 2 classes" {
		t.Error(p.Skipped)
	}
	files["b_y.npy"] = npy("|u1", "2,", []byte{0, 9})
	if _, err := Features(mapFS(files), "pair", "a", "b", classes, true); !errors.Is(err, ErrOptions) || !strings.Contains(err.Error(), "no test picture of 1 classes: y") {
		t.Error(err)
	}
	files["b_x.npy"] = npy("<f4", "2, 2", row(2, 0, 0, 2))
	if _, err := Features(mapFS(files), "pair", "a", "b", classes, true); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), "b_x.npy") {
		t.Error(err)
	}
}

// TestHalf compares with the definition for all finite values, and checks the infinities and NaN.
func TestHalf(t *testing.T) {
	for h := range 1 << 16 {
		sign, e, f := 1-2*float64(h>>15), float64(h>>10&31), float64(h&1023)
		want := sign * math.Pow(2, e-15) * (1 + f/1024)
		switch {
		case e == 0:
			want = sign * math.Pow(2, -14) * f / 1024
		case e == 31 && f == 0:
			want = math.Inf(int(sign))
		case e == 31:
			want = math.NaN()
		}
		if got := float64(half(uint16(h))); got != want && !(math.IsNaN(got) && math.IsNaN(want)) {
			t.Fatalf("half(%#04x) = %v, want %v", h, got, want)
		}
	}
}

func FuzzNPY(f *testing.F) {
	f.Add(npy("<f2", "2, 2", make([]byte, 8)))
	f.Add(npy("<i4", "1,", make([]byte, 4)))
	f.Add([]byte("\x93NUMPY\x02\x00\xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		a, err := decodeNPY(raw)
		if err != nil {
			return
		}
		n := 1
		for _, d := range a.shape {
			n *= d
		}
		values, err := a.floats()
		ints, err2 := a.ints()
		if (err == nil) == (err2 == nil) || len(values)+len(ints) != n {
			t.Fatalf("%s %v: %d floats, %d ints", a.kind, a.shape, len(values), len(ints))
		}
	})
}

func FuzzIDX(f *testing.F) {
	f.Add(idx([]uint32{2, 1, 3}, []byte{1, 2, 3, 4, 5, 6}))
	f.Add(idx([]uint32{1 << 31, 1 << 31, 1}, nil))
	f.Fuzz(func(t *testing.T, raw []byte) {
		values, shape, err := decodeIDX(bytes.NewReader(raw), 3)
		if err == nil && (len(values) != shape[0]*shape[1]*shape[2] || len(values)+16 > len(raw)) {
			t.Fatalf("%d values, shape %v, %d bytes", len(values), shape, len(raw))
		}
	})
}

func FuzzEmojiIndex(f *testing.F) {
	f.Add([]byte(`{"tile": 8, "columns": 5, "styles": [{"name": "a", "file": "line.png", "missing": [1]}], "concepts": [{"name": "x", "category": "c"}]}`))
	f.Add([]byte(`{"tile": 8, "columns": 9223372036854775807, "styles": [{"file": ""}], "concepts": [{"name": "x"}]}`))
	sheet := pngSheet(f, 5, 5)
	f.Fuzz(func(t *testing.T, raw []byte) {
		s, err := Open("emoji", mapFS(map[string][]byte{"emoji/index.json": raw, "emoji/line.png": sheet}), Options{Clients: 1, Held: 1, Views: 1, TestViews: 1, NeighbourViews: 1})
		if err != nil {
			if !errors.Is(err, ErrDamaged) && !errors.Is(err, ErrOptions) && !errors.Is(err, fs.ErrNotExist) {
				t.Fatal(err)
			}
			return
		}
		if _, err := s.Clients[0].Train[0].Image(); err != nil {
			t.Fatal(err)
		}
	})
}
