package backbone

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// numpy-made files: np.save of small arrays, see the bytes' header.
func npyFile(descr, order, shape, data string) []byte {
	dict := fmt.Sprintf("{'descr': '%s', 'fortran_order': %s, 'shape': %s, }\n", descr, order, shape)
	return []byte(npyMagic + "\x01\x00" + string([]byte{byte(len(dict)), byte(len(dict) >> 8)}) + dict + data)
}

func TestReadNPY(t *testing.T) {
	for name, tc := range map[string]struct {
		file  []byte
		shape []int
		float []float32
		whole []int64
	}{
		"f2":     {npyFile("<f2", "False", "(1, 2)", "\x00\x3c\x00\xc0"), []int{1, 2}, []float32{1, -2}, nil},
		"f4":     {npyFile("<f4", "False", "(1,)", "\x00\x00\x80\x3f"), []int{1}, []float32{1}, nil},
		"f8":     {npyFile("<f8", "False", "(1,)", "\x00\x00\x00\x00\x00\x00\xf0\x3f"), []int{1}, []float32{1}, nil},
		"i2":     {npyFile("<i2", "False", "(2,)", "\xff\xff\x02\x00"), []int{2}, nil, []int64{-1, 2}},
		"u1":     {npyFile("|u1", "False", "(2,)", "\xff\x02"), []int{2}, nil, []int64{255, 2}},
		"i8":     {npyFile("<i8", "False", "(1,)", "\xff\xff\xff\xff\xff\xff\xff\xff"), []int{1}, nil, []int64{-1}},
		"scalar": {npyFile("<i4", "False", "()", "\x07\x00\x00\x00"), nil, nil, []int64{7}},
		"empty":  {npyFile("<f4", "False", "(0, 512)", ""), []int{0, 512}, []float32{}, nil},
	} {
		a, err := ReadNPY(bytes.NewReader(tc.file))
		if err != nil || !slices.Equal(a.Shape, tc.shape) || !slices.Equal(a.Floats, tc.float) || !slices.Equal(a.Ints, tc.whole) {
			t.Errorf("%s: %+v %v", name, a, err)
		}
	}
}

var badNPY = map[string][]byte{
	"empty":         nil,
	"magic":         []byte("hello numpy world"),
	"version":       []byte(npyMagic + "\x09\x00\x00\x00"),
	"header length": []byte(npyMagic + "\x02\x00\xff\xff\xff\xff"),
	"cut header":    []byte(npyMagic + "\x01\x00\x50\x00{'descr'"),
	"no dictionary": npyFile("x", "False", "(1,)", ""),
	"big endian":    npyFile(">f4", "False", "(1,)", "\x00\x00\x00\x00"),
	"object":        npyFile("|O8", "False", "(1,)", "\x00\x00\x00\x00"),
	"Fortran":       npyFile("<f4", "True", "(1, 1)", "\x00\x00\x00\x00"),
	"negative":      npyFile("<f4", "False", "(-1,)", ""),
	"huge":          npyFile("<f4", "False", "(4294967296, 4294967296)", ""),
	"nothing there": npyFile("<f4", "False", "(1000000000,)", "\x00\x00\x00\x00"),
	"overflow":      npyFile("<f4", "False", "(99999999999999999999999,)", ""),
	"dimensions":    npyFile("<f4", "False", "(1, 1, 1)", "\x00\x00\x00\x00"),
	"trailing":      npyFile("<f4", "False", "(1,)", "\x00\x00\x00\x00\x00"),
}

func TestReadNPYRefuses(t *testing.T) {
	for name, file := range badNPY {
		if _, err := ReadNPY(bytes.NewReader(file)); !errors.Is(err, ErrNPY) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestNPYRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rows, cols := rapid.IntRange(0, 5).Draw(t, "rows"), rapid.IntRange(1, 5).Draw(t, "cols")
		a := &Array{Shape: []int{rows, cols}, Floats: rapid.SliceOfN(rapid.Float32(), rows*cols, rows*cols).Draw(t, "floats")}
		var b bytes.Buffer
		if err := a.WriteNPY(&b, false); err != nil {
			t.Fatal(err)
		}
		if (b.Len()-4*rows*cols)%64 != 0 {
			t.Fatalf("header of %d bytes", b.Len()-4*rows*cols)
		}
		got, err := ReadNPY(&b)
		if err != nil || !slices.Equal(got.Shape, a.Shape) || !slices.Equal(got.Floats, a.Floats) {
			t.Fatalf("%v: %+v, want %+v", err, got, a)
		}
	})
}

func FuzzReadNPY(f *testing.F) {
	for _, file := range badNPY {
		f.Add(file)
	}
	f.Add(npyFile("<f2", "False", "(1, 2)", "\x00\x3c\x00\xc0"))
	f.Fuzz(func(t *testing.T, file []byte) {
		a, err := ReadNPY(bytes.NewReader(file))
		if err != nil {
			if !errors.Is(err, ErrNPY) {
				t.Fatal(err)
			}
			return
		}
		if len(a.Floats)+len(a.Ints) > len(file) {
			t.Fatalf("%d elements from %d bytes", len(a.Floats)+len(a.Ints), len(file))
		}
	})
}

func sampleFeatures() *Features {
	return &Features{
		Meta: Meta{Model: "digest", Classes: []string{"cat", "dog"}, Files: []string{"cat/1.png", "dog/1.png", "dog/2.png"}},
		Dim:  2, X: []float32{1, 0, 0.6, 0.8, 0, -1}, Labels: []int{0, 1, 1},
	}
}

func TestFeaturesRoundTrip(t *testing.T) {
	for _, half := range []bool{false, true} {
		dir := filepath.Join(t.TempDir(), "cache")
		want := sampleFeatures()
		for range 2 { // the second time replaces the first
			if err := want.Save(dir, half); err != nil {
				t.Fatal(err)
			}
		}
		got, err := ReadFeatures(os.DirFS(dir), "digest")
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got.Labels, want.Labels) || !slices.Equal(got.Meta.Files, want.Meta.Files) || got.Dim != 2 {
			t.Errorf("%+v", got)
		}
		for i := range want.X {
			if math.Abs(float64(got.X[i]-want.X[i])) > 5e-4 {
				t.Errorf("half %v: %v, want %v", half, got.X, want.X)
			}
		}
		if left, _ := filepath.Glob(filepath.Join(dir, "*.part")); len(left) > 0 {
			t.Errorf("left over: %v", left)
		}
	}
}

func TestReadFeaturesRefuses(t *testing.T) {
	for name, tc := range map[string]struct {
		spoil func(dir string) error
		model string
		err   error
	}{
		"other model": {nil, "other", ErrStale},
		"no meta":     {func(d string) error { return os.Remove(filepath.Join(d, metaFile)) }, "", fs.ErrNotExist},
		"no labels":   {func(d string) error { return os.Remove(filepath.Join(d, labelsFile)) }, "", fs.ErrNotExist},
		"bad meta":    {func(d string) error { return os.WriteFile(filepath.Join(d, metaFile), []byte("{"), 0o644) }, "", ErrFeatures},
		"format":      {func(d string) error { return os.WriteFile(filepath.Join(d, metaFile), []byte("{}"), 0o644) }, "", ErrFeatures},
		"one bit": {func(d string) error {
			path := filepath.Join(d, featuresFile)
			b, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			b[len(b)-1] ^= 1
			return os.WriteFile(path, b, 0o644)
		}, "", ErrFeatures},
	} {
		dir := t.TempDir()
		if err := sampleFeatures().Save(dir, false); err != nil {
			t.Fatal(err)
		}
		if tc.spoil != nil {
			if err := tc.spoil(dir); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := ReadFeatures(os.DirFS(dir), tc.model); !errors.Is(err, tc.err) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, spoil := range map[string]func(f *Features){
		"label":  func(f *Features) { f.Labels[1] = 2 },
		"files":  func(f *Features) { f.Meta.Files = f.Meta.Files[1:] },
		"length": func(f *Features) { f.X = f.X[1:] },
	} {
		f := sampleFeatures()
		spoil(f)
		if err := f.Save(t.TempDir(), false); !errors.Is(err, ErrFeatures) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestReadArraysRefuses(t *testing.T) {
	x := npyFile("<f4", "False", "(1, 1)", "\x00\x00\x80\x3f")
	y := npyFile("<i2", "False", "(1,)", "\x00\x00")
	if _, err := ReadArrays(bytes.NewReader(x), bytes.NewReader(y)); err != nil {
		t.Fatal(err)
	}
	for name, pair := range map[string][2][]byte{
		"flat features":  {npyFile("<f4", "False", "(1,)", "\x00\x00\x80\x3f"), y},
		"whole features": {y, y},
		"zero row":       {npyFile("<f4", "False", "(1, 1)", "\x00\x00\x00\x00"), y},
		"infinite row":   {npyFile("<f4", "False", "(1, 1)", "\x00\x00\x80\x7f"), y},
		"two labels":     {x, npyFile("<i2", "False", "(2,)", "\x00\x00\x00\x00")},
		"float labels":   {x, npyFile("<f4", "False", "(1,)", "\x00\x00\x00\x00")},
		"negative label": {x, npyFile("<i2", "False", "(1,)", "\xff\xff")},
	} {
		if _, err := ReadArrays(bytes.NewReader(pair[0]), bytes.NewReader(pair[1])); !errors.Is(err, ErrFeatures) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := ReadArrays(strings.NewReader(""), bytes.NewReader(y)); !errors.Is(err, ErrNPY) {
		t.Errorf("no features: %v", err)
	}
}
