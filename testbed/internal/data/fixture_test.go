package data

import (
	"bytes"
	"encoding/json"
	"image"
	"image/color"
	"image/png"
	"maps"
	"testing"
	"testing/fstest"
)

// testTile is the side of the fixtures' tiles.
const testTile = 8

// pngSheet draws n tiles in columns; tile i has the grey level 4*i+1 in its middle, on white.
func pngSheet(t testing.TB, columns, n int) []byte {
	t.Helper()
	rows := (n + columns - 1) / columns
	img := image.NewRGBA(image.Rect(0, 0, columns*testTile, rows*testTile))
	for y := range img.Rect.Dy() {
		for x := range img.Rect.Dx() {
			img.Set(x, y, color.White)
		}
	}
	for i := range n {
		for y := 2; y < testTile-2; y++ {
			for x := 2; x < testTile-2; x++ {
				img.Set(i%columns*testTile+x, i/columns*testTile+y, color.Gray{Y: uint8(4*i + 1)})
			}
		}
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func toJSON(t testing.TB, v any) []byte {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

type object = map[string]any

// emojiJSON is an index of 24 concepts in two categories and three styles, one of them a training style whose sheet is absent.
func emojiJSON() object {
	var concepts []object
	for i := range 24 {
		concepts = append(concepts, object{"name": "thing " + string(rune('a'+i)), "category": []string{"b", "a"}[i%2]})
	}
	return object{
		"tile": testTile, "columns": 5, "concepts": concepts,
		"styles": []object{
			{"name": "old", "file": "old.png", "training": true},
			{"name": "line-art", "file": "line.png", "missing": []int{3}},
			{"name": "fluent-emoji-flat", "file": "flat.png"},
		},
	}
}

// fashionJSON is an index of 4 classes, 80 training tiles in two parts and 40 test tiles.
func fashionJSON() object {
	labels := func(n int) []int {
		l := make([]int, n)
		for i := range l {
			l[i] = i % 4
		}
		return l
	}
	return object{
		"tile": testTile, "columns": 10, "classes": []string{"hat", "scarf", "glove", "sock"},
		"parts": []object{
			{"name": "train", "file": "train1.png", "labels": labels(40)},
			{"name": "train", "file": "train2.png", "labels": labels(40)},
			{"name": "test", "file": "test.png", "labels": labels(40)},
		},
	}
}

// fixture is a data folder with both built-in sets.
func fixture(t testing.TB) fstest.MapFS {
	t.Helper()
	file := func(raw []byte) *fstest.MapFile { return &fstest.MapFile{Data: raw} }
	return fstest.MapFS{
		"emoji/index.json":   file(toJSON(t, emojiJSON())),
		"emoji/line.png":     file(pngSheet(t, 5, 24)),
		"emoji/flat.png":     file(pngSheet(t, 5, 24)),
		"fashion/index.json": file(toJSON(t, fashionJSON())),
		"fashion/train1.png": file(pngSheet(t, 10, 40)),
		"fashion/train2.png": file(pngSheet(t, 10, 40)),
		"fashion/test.png":   file(pngSheet(t, 10, 40)),
	}
}

// with returns a copy of the folder with one file replaced, or removed if raw is nil.
func with(folder fstest.MapFS, name string, raw []byte) fstest.MapFS {
	changed := maps.Clone(folder)
	delete(changed, name)
	if raw != nil {
		changed[name] = &fstest.MapFile{Data: raw}
	}
	return changed
}

func open(t testing.TB, name string, o Options) *Set {
	t.Helper()
	s, err := Open(name, fixture(t), o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func pixels(t testing.TB, p Picture) []byte {
	t.Helper()
	img, err := p.Image()
	if err != nil {
		t.Fatal(err)
	}
	return img.(*image.RGBA).Pix
}
