package data

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// onDisk writes files below a new folder and returns it.
func onDisk(t *testing.T, files map[string][]byte) string {
	t.Helper()
	dir := t.TempDir()
	for name, raw := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, raw, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// rows are unit features of the given labels, and the labels, as NumPy arrays.
func rows(labels ...int) (x, y []byte) {
	for _, l := range labels {
		for at := range 2 {
			v := float32(0)
			if at == l {
				v = 1
			}
			x = binary.LittleEndian.AppendUint32(x, math.Float32bits(v))
		}
		y = append(y, byte(l))
	}
	n := fmt.Sprint(len(labels))
	return npy("<f4", n+", 2", x), npy("|u1", n+",", y)
}

// TestSources opens every kind of source from a folder on disk.
func TestSources(t *testing.T) {
	x, y := rows(0, 1)
	split := []byte(`{"train": [["cat/1.png", 0, "cat"], ["dog/1.png", 1, "dog"]], "val": [], "test": [["cat/2.png", 0, "cat"], ["dog/2.png", 1, "dog"]]}`)
	pictures := func(below string) map[string][]byte {
		files := map[string][]byte{}
		for i, name := range []string{"cat/1.png", "cat/2.png", "dog/1.png", "dog/2.png"} {
			files[below+name] = dot(t, uint8(i))
		}
		return files
	}
	with := func(files map[string][]byte, name string, raw []byte) map[string][]byte {
		files[name] = raw
		return files
	}
	images := idx([]uint32{2, 2, 2}, make([]byte, 8))
	record := make([]byte, 2*cifarRecord)
	record[cifarRecord+1] = 1
	features := map[string][]byte{"mine_train16shot_x.npy": x, "mine_train16shot_y.npy": y, "mine_test_x.npy": x, "mine_test_y.npy": y}
	for what, c := range map[string]struct {
		kind, below string
		files       map[string][]byte
		options     SourceOptions
		name        string
		classes     string
	}{
		"caltech":          {KindCoOp, "", with(pictures("101_ObjectCategories/"), "split_zhou_Caltech101.json", split), SourceOptions{}, "caltech101", "cat dog"},
		"pets":             {KindCoOp, "", with(pictures("images/"), "split_zhou_OxfordPets.json", split), SourceOptions{}, "oxford_pets", "cat dog"},
		"flowers":          {KindCoOp, "", with(pictures("jpg/"), "split_zhou_OxfordFlowers.json", split), SourceOptions{}, "oxford_flowers", "cat dog"},
		"food":             {KindCoOp, "", with(pictures("images/"), "split_zhou_Food101.json", split), SourceOptions{}, "food101", "cat dog"},
		"beside the split": {KindCoOp, "", with(pictures(""), "split_zhou_Caltech101.json", split), SourceOptions{}, "caltech101", "cat dog"},
		"another of CoOp's": {KindCoOp, "", with(pictures("images/"), "split_zhou_DescribableTextures.json", split), SourceOptions{}, "DescribableTextures",
			"cat dog"},
		"folder":            {KindFolder, "my pictures", pictures("my pictures/"), SourceOptions{TestShare: 0.5}, "my-pictures", "cat dog"},
		"features":          {KindFeatures, "", with(with(features, "classes.txt", []byte("cat\ndog\n")), "x", nil), SourceOptions{}, "mine", "cat dog"},
		"features by name":  {KindFeatures, "mine", features, SourceOptions{}, "mine", "cat dog"},
		"features, a split": {KindFeatures, "oxford_pets", map[string][]byte{"oxford_pets_train_x.npy": x, "oxford_pets_train_y.npy": y, "oxford_pets_test_x.npy": x, "oxford_pets_test_y.npy": y, "caltech101_test_x.npy": x, "split_zhou_Caltech101.json": nil, "split_zhou_OxfordPets.json": split}, SourceOptions{}, "oxford_pets", "cat dog"},
		"features, flowers": {KindFeatures, "oxford_flowers", map[string][]byte{"oxford_flowers_train_x.npy": x, "oxford_flowers_train_y.npy": y, "oxford_flowers_test_x.npy": x, "oxford_flowers_test_y.npy": y, "cat_to_name.json": []byte(`{"1": "cat", "2": "dog"}`)}, SourceOptions{}, "oxford_flowers", "cat dog"},
		"features, no name": {KindFeatures, "pair", map[string][]byte{"pair/train_x.npy": x, "pair/train_y.npy": y, "pair/test_x.npy": x, "pair/test_y.npy": y, "pair/classes.txt": []byte("cat\ndog")}, SourceOptions{}, "pair", "cat dog"},
		"cifar":             {KindCIFAR100, "", map[string][]byte{"train.bin": record, "test.bin": record, "fine_label_names.txt": []byte("cat\ndog")}, SourceOptions{}, "cifar-100", "cat dog"},
		"idx": {KindIDX, "digits", map[string][]byte{"digits/train-images-idx3-ubyte": images, "digits/t10k-images-idx3-ubyte": images, "digits/train-labels-idx1-ubyte": idx([]uint32{2}, []byte{0, 1}),
			"digits/t10k-labels-idx1-ubyte": idx([]uint32{2}, []byte{0, 1}), "digits/classes.txt": []byte("cat\ndog")}, SourceOptions{}, "digits", "cat dog"},
		"styles": {KindFolder, "two", map[string][]byte{"two/ink/cat/1.png": dot(t, 1), "two/ink/cat/2.png": dot(t, 2), "two/oil_paint/dog/1.png": dot(t, 3), "two/oil_paint/dog/2.png": dot(t, 4)},
			SourceOptions{TestShare: 0.5, Styles: true}, "two", "cat dog"},
	} {
		s, err := ParseSource(c.kind + ":" + filepath.Join(onDisk(t, c.files), c.below))
		if err != nil {
			t.Fatal(err)
		}
		p, err := s.Open(c.options)
		if err != nil {
			t.Errorf("%s: %v", what, err)
			continue
		}
		if p.Name != c.name || strings.Join(p.Classes, " ") != c.classes || len(p.Train) != 2 || len(p.Test) != 2 {
			t.Errorf("%s: %q, %q, %d and %d pictures", what, p.Name, p.Classes, len(p.Train), len(p.Test))
		}
		if _, err := p.Divide(Division{Rule: RulePathological, Clients: 2}); err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// TestSourcesRefuse checks that what is wrong is named, with the source.
func TestSourcesRefuse(t *testing.T) {
	x, y := rows(0, 1)
	names := []byte("cat\ndog")
	for what, c := range map[string]struct {
		kind, below string
		files       map[string][]byte
		options     SourceOptions
		want        error
		says        string
	}{
		"nothing there":     {KindCoOp, "none", nil, SourceOptions{}, fs.ErrNotExist, "none: data: stat "},
		"folder not there":  {KindFolder, "none", nil, SourceOptions{}, fs.ErrNotExist, "none: data: stat "},
		"no split":          {KindCoOp, "", nil, SourceOptions{}, ErrOptions, "split_zhou_"},
		"the folder above":  {KindCoOp, "", map[string][]byte{"oxford_pets/split_zhou_OxfordPets.json": nil, "food-101/split_zhou_Food101.json": nil}, SourceOptions{}, ErrOptions, "food-101, oxford_pets"},
		"two splits":        {KindCoOp, "", map[string][]byte{"split_zhou_A.json": nil, "split_zhou_B.json": nil}, SourceOptions{}, ErrOptions, "not 2"},
		"missing pictures":  {KindCoOp, "", map[string][]byte{"split_zhou_A.json": []byte(`{"train": [["a.png", 0, "a"]], "test": [["b.png", 0, "a"]]}`)}, SourceOptions{}, fs.ErrNotExist, "2 files: a.png, b.png"},
		"a torn picture":    {KindFolder, "", map[string][]byte{"a/1.png": dot(t, 1), "a/2.png": dot(t, 1), "b/1.png": dot(t, 1), "b/2.png": dot(t, 1)[:50]}, SourceOptions{TestShare: 0.5}, ErrDamaged, "b/2.png"},
		"several features":  {KindFeatures, "", map[string][]byte{"a_test_x.npy": x, "b_test_x.npy": x}, SourceOptions{}, ErrOptions, "a, b"},
		"no features":       {KindFeatures, "", nil, SourceOptions{}, ErrOptions, "train…_x.npy"},
		"no such features":  {KindFeatures, "c", map[string][]byte{"a_test_x.npy": x}, SourceOptions{}, ErrOptions, "c_train…_x.npy"},
		"two trainings":     {KindFeatures, "", map[string][]byte{"a_test_x.npy": x, "a_train1_x.npy": x, "a_train2_x.npy": x}, SourceOptions{}, ErrOptions, "not 2"},
		"no names":          {KindFeatures, "", map[string][]byte{"a_test_x.npy": x, "a_test_y.npy": y, "a_train_x.npy": x, "a_train_y.npy": y}, SourceOptions{}, ErrOptions, "a_classes.txt"},
		"names not there":   {KindIDX, "", map[string][]byte{"classes.txt": names}, SourceOptions{Classes: "none/names.txt"}, fs.ErrNotExist, "names.txt"},
		"no test labels":    {KindFeatures, "", map[string][]byte{"a_test_x.npy": x, "a_train_x.npy": x, "a_train_y.npy": y, "classes.txt": names}, SourceOptions{}, fs.ErrNotExist, "a_test_y.npy"},
		"no names for IDX":  {KindIDX, "", nil, SourceOptions{}, ErrOptions, "classes.txt"},
		"no CIFAR":          {KindCIFAR100, "", map[string][]byte{"fine_label_names.txt": names}, SourceOptions{}, fs.ErrNotExist, "train.bin"},
		"one style":         {KindFolder, "", map[string][]byte{"ink/cat/1.png": dot(t, 1)}, SourceOptions{TestShare: 0.5, Styles: true}, ErrOptions, "at least 2"},
		"styles, no share":  {KindFolder, "", nil, SourceOptions{Styles: true}, ErrOptions, "share"},
		"a bad pattern":     {KindFeatures, "[", nil, SourceOptions{}, ErrOptions, "part of a file's name"},
		"a style, no class": {KindFolder, "", map[string][]byte{"ink/1.png": dot(t, 1), "oil/1.png": dot(t, 1)}, SourceOptions{TestShare: 0.5, Styles: true}, ErrOptions, "ink holds 0"},
	} {
		s := Source{c.kind, filepath.Join(onDisk(t, c.files), c.below)}
		if _, err := s.Open(c.options); !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) || !strings.Contains(err.Error(), s.String()) {
			t.Errorf("%s: %v, want %v saying %q", what, err, c.want, c.says)
		}
	}
	for _, text := range []string{"", "cats", "coop:", ":x", "zip:x", "emoji"} {
		if _, err := ParseSource(text); !errors.Is(err, ErrOptions) {
			t.Errorf("%q: %v", text, err)
		}
	}
	if _, err := (Source{"zip", "x"}).Open(SourceOptions{}); !errors.Is(err, ErrOptions) {
		t.Error(err)
	}
}

// TestSourceSkips leaves out a torn picture and a missing one, and lists both.
func TestSourceSkips(t *testing.T) {
	dir := onDisk(t, map[string][]byte{
		"split_zhou_A.json": []byte(`{"train": [["1.png", 0, "a"], ["2.png", 0, "a"], ["3.png", 0, "a"]], "test": [["4.png", 0, "a"]]}`),
		"1.png":             dot(t, 1), "2.png": dot(t, 2)[:50], "4.png": dot(t, 4),
	})
	p, err := Source{KindCoOp, dir}.Open(SourceOptions{Skip: true})
	if err != nil || !slices.Equal(p.Skipped, []string{"3.png", "2.png"}) || len(p.Train) != 1 {
		t.Error(p, err)
	}
}

// TestDivideByStyle checks that clients hold pictures of one style, and have those of the others for neighbours.
func TestDivideByStyle(t *testing.T) {
	files := map[string][]byte{}
	for _, style := range []string{"ink", "oil", "wax"} {
		for _, class := range []string{"cat", "dog"} {
			for i := range 8 {
				files[fmt.Sprintf("%s/%s/%d.png", style, class, i)] = dot(t, uint8(i))
			}
		}
	}
	p, err := Source{KindFolder, onDisk(t, files)}.Open(SourceOptions{TestShare: 0.25, Styles: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ clients, shots, train int }{{3, 0, 12}, {4, 0, 6}, {3, 2, 4}} {
		s, err := p.Divide(Division{Rule: RuleStyle, Clients: c.clients, Shots: c.shots, Seed: 3})
		if err != nil {
			t.Fatal(err)
		}
		if first := s.Clients[0]; len(first.Train) != c.train || first.Style != "ink" || len(first.Neighbour) != 8 || !slices.Equal(first.Classes, []int{0, 1}) {
			t.Errorf("%+v: %d training pictures, style %q, %d neighbours, classes %v", c, len(first.Train), first.Style, len(first.Neighbour), first.Classes)
		}
		for i, client := range s.Clients {
			for _, own := range slices.Concat(client.Train, client.Test) {
				if own.Style != i%3 {
					t.Errorf("client %d holds %s", i, own.Key)
				}
			}
			for _, other := range client.Neighbour {
				if other.Style == i%3 {
					t.Errorf("client %d has %s as a neighbour", i, other.Key)
				}
			}
		}
	}
	if _, err := p.Divide(Division{Rule: RuleStyle, Clients: 2}); !errors.Is(err, ErrOptions) {
		t.Error(err)
	}
	if _, err := numbers(4, 20).Divide(Division{Rule: RuleStyle, Clients: 4}); !errors.Is(err, ErrOptions) || !strings.Contains(err.Error(), "no styles") {
		t.Error(err)
	}
}

func TestToken(t *testing.T) {
	for name, want := range map[string]string{"oxford_pets": "oxford_pets", "my pictures.v2": "my-pictures-v2", "..": "data", "": "data", "katzenbilder für alle": "katzenbilder-f-r-alle", strings.Repeat("x", 50): strings.Repeat("x", 40)} {
		if got := token(name); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
}
