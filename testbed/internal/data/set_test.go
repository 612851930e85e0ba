package data

import (
	"bytes"
	"errors"
	"io/fs"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestEveryClient checks what every set promises about every client.
func TestEveryClient(t *testing.T) {
	for _, name := range Names() {
		for _, clients := range []int{1, 2, 3, 7, 10} {
			o := Options{Clients: clients, Held: 2}
			s := open(t, name, o)
			if len(s.Clients) != clients || s.Words == "" || s.LocalTest == "" || s.NeighbourTest == "" || s.Record == "" {
				t.Fatalf("%s: %d clients, %+v", name, len(s.Clients), s)
			}
			trained := map[string]bool{}
			for _, c := range s.Clients {
				checkClient(t, s, &c)
				for _, p := range c.Train {
					if trained[p.Key] {
						t.Errorf("%s: %s is trained on twice", name, p.Key)
					}
					trained[p.Key] = true
				}
			}
			for _, c := range s.Clients {
				for _, p := range slices.Concat(c.Test, c.Neighbour) {
					if trained[p.Key] {
						t.Errorf("%s: %s is trained on and tested on", name, p.Key)
					}
				}
			}
		}
	}
}

func checkClient(t *testing.T, s *Set, c *Client) {
	t.Helper()
	if !regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`).MatchString(c.ID) || c.Style == "" {
		t.Errorf("%s: client %+v", s.Name, c)
	}
	if !slices.IsSorted(c.Classes) || len(c.Classes) == 0 || len(c.Train) == 0 || len(c.Test) == 0 {
		t.Errorf("%s %s: classes %v, %d and %d pictures", s.Name, c.ID, c.Classes, len(c.Train), len(c.Test))
	}
	if len(s.Clients) > 1 && len(c.Neighbour) == 0 {
		t.Errorf("%s %s has no neighbours", s.Name, c.ID)
	}
	for _, part := range []struct {
		pictures []Picture
		own      bool
	}{{c.Train, true}, {c.Test, true}, {c.Neighbour, false}} {
		for _, p := range part.pictures {
			if p.Label < 0 || p.Label >= len(s.Classes) || slices.Contains(c.Classes, p.Label) != part.own {
				t.Errorf("%s %s: label %d of %s, holds %v", s.Name, c.ID, p.Label, p.Key, c.Classes)
			}
		}
	}
}

func TestUnequalAmounts(t *testing.T) {
	for _, name := range Names() {
		sizes := map[int]bool{}
		for _, c := range open(t, name, Options{Clients: 5, Held: 2}).Clients {
			sizes[len(c.Train)] = true
		}
		if len(sizes) < 3 {
			t.Errorf("%s: only %d different amounts of training pictures", name, len(sizes))
		}
	}
}

// TestSeed checks that pixels follow from seed and key alone.
func TestSeed(t *testing.T) {
	for _, name := range Names() {
		keyed := func(seed uint64) map[string][]byte {
			m := map[string][]byte{}
			s := open(t, name, Options{Clients: 4, Seed: seed, Held: 2})
			for _, c := range slices.Backward(s.Clients) {
				for _, p := range slices.Concat(c.Neighbour, c.Test, c.Train) {
					pix := pixels(t, p)
					if old, ok := m[p.Key]; ok && !bytes.Equal(old, pix) {
						t.Errorf("%s: two pictures share the key %s", name, p.Key)
					}
					m[p.Key] = pix
				}
			}
			return m
		}
		a, again, b := keyed(1), keyed(1), keyed(2)
		differ := len(a) != len(b)
		for key, pix := range a {
			if !bytes.Equal(pix, again[key]) {
				t.Errorf("%s: %s is not reproducible", name, key)
			}
			differ = differ || !bytes.Equal(pix, b[key])
		}
		if !differ {
			t.Errorf("%s: the seed changes nothing", name)
		}
	}
}

func TestEmojiNames(t *testing.T) {
	held := open(t, "emoji", Options{Clients: 4, Held: 2})
	if len(held.Classes) != 8 {
		t.Errorf("class names %q", held.Classes)
	}
	all := open(t, "emoji", Options{Clients: 4, Held: 2, AllNames: true})
	if len(all.Classes) != 24 || all.Classes[3] != "thing d" {
		t.Errorf("class names %q", all.Classes)
	}
	// Blocks follow the categories: the first two clients hold concepts of category a, those with odd numbers.
	for i, c := range all.Clients {
		for _, l := range c.Classes {
			if (l%2 == 1) != (i < 2) {
				t.Errorf("%s holds concept %d", c.ID, l)
			}
		}
	}
	// Style 0, line art, does not draw concept 3.
	if got := all.Clients[0].Classes; !slices.Equal(got, []int{1}) {
		t.Errorf("client-01 holds %v, not what its artist drew", got)
	}
	if all.Clients[0].Style != "line art" || all.Clients[1].Style != "fluent flat" {
		t.Errorf("styles %q, %q", all.Clients[0].Style, all.Clients[1].Style)
	}
}

func TestEmojiFirstViewIsTheDrawing(t *testing.T) {
	s := open(t, "emoji", Options{Clients: 4, Held: 2, AllNames: true})
	p := s.Clients[1].Train[0]
	pix := pixels(t, p)
	if middle := pix[4*(testTile/2*testTile+testTile/2)]; int(middle) != 4*p.Label+1 {
		t.Errorf("the middle of concept %d is %d", p.Label, middle)
	}
	if bytes.Equal(pix, pixels(t, s.Clients[1].Train[1])) {
		t.Error("the second view equals the first")
	}
}

func TestFashionLimit(t *testing.T) {
	for _, c := range open(t, "fashion", Options{Clients: 2, Held: 2, Limit: 5}).Clients {
		if len(c.Test) != 5 || len(c.Neighbour) != 5 {
			t.Errorf("%s: %d test and %d neighbour pictures", c.ID, len(c.Test), len(c.Neighbour))
		}
	}
}

func TestFashionHeld(t *testing.T) {
	for _, n := range []int{4, 5, 10} {
		f := fashionSet{classes: make([]string, n), o: Options{Held: n}}
		for i, c := range f.held(3) {
			if c != i {
				t.Fatalf("%d classes: %v, want each once", n, f.held(3))
			}
		}
	}
	f := fashionSet{classes: make([]string, 10), o: Options{Held: 3}}
	if got := f.held(5); !slices.Equal(got, []int{5, 7, 9}) {
		t.Errorf("client 5 holds %v, want the shoes", got)
	}
}

// change applies an edit to an index and encodes it.
func change(t *testing.T, index object, edit func(object)) []byte {
	t.Helper()
	edit(index)
	return toJSON(t, index)
}

func TestDamage(t *testing.T) {
	good := fixture(t)
	sheet := good["emoji/line.png"].Data
	style := func(key string, value any) func(object) {
		return func(o object) { o["styles"].([]object)[1][key] = value }
	}
	part := func(key string, value any) func(object) {
		return func(o object) { o["parts"].([]object)[2][key] = value }
	}
	set := func(key string, value any) func(object) { return func(o object) { o[key] = value } }
	for _, c := range []struct {
		what, file string
		raw        []byte
		want       error
		says       string
	}{
		{"no index", "emoji/index.json", nil, fs.ErrNotExist, "emoji/index.json"},
		{"no sheet", "emoji/line.png", nil, fs.ErrNotExist, "emoji/line.png"},
		{"not a picture", "emoji/line.png", []byte("GIF89a"), ErrDamaged, "emoji/line.png"},
		{"sheet cut short", "emoji/line.png", sheet[:len(sheet)-20], ErrDamaged, "emoji/line.png"},
		{"a flipped byte", "emoji/line.png", flip(sheet, len(sheet)/2), ErrDamaged, "emoji/line.png"},
		{"another size", "emoji/line.png", pngSheet(t, 5, 30), ErrDamaged, "24 tiles of 8 pixels in 5 columns take 40x40 pixels, the picture has 40x48"},
		{"not json", "emoji/index.json", []byte("{"), ErrDamaged, "emoji/index.json"},
		{"no tile", "emoji/index.json", change(t, emojiJSON(), set("tile", 0)), ErrDamaged, "tile"},
		{"huge columns", "emoji/index.json", change(t, emojiJSON(), set("columns", 1<<40)), ErrDamaged, "columns"},
		{"no concepts", "emoji/index.json", change(t, emojiJSON(), set("concepts", nil)), ErrDamaged, "concepts"},
		{"nameless", "emoji/index.json", change(t, emojiJSON(), set("concepts", []object{{"name": " "}})), ErrDamaged, "concept 0"},
		{"missing beyond", "emoji/index.json", change(t, emojiJSON(), style("missing", []int{24})), ErrDamaged, "concept 24"},
		{"outside", "emoji/index.json", change(t, emojiJSON(), style("file", "../secret.png")), ErrDamaged, "../secret.png"},
		{"only training styles", "emoji/index.json", change(t, emojiJSON(), func(o object) {
			for _, s := range o["styles"].([]object) {
				s["training"] = true
			}
		}), ErrDamaged, "no style"},
		{"label beyond", "fashion/index.json", change(t, fashionJSON(), part("labels", []int{0, 4})), ErrDamaged, "label 4"},
		{"label below", "fashion/index.json", change(t, fashionJSON(), part("labels", []int{-1})), ErrDamaged, "label -1"},
		{"no labels", "fashion/index.json", change(t, fashionJSON(), part("labels", []int{})), ErrDamaged, "test.png"},
		{"unknown part", "fashion/index.json", change(t, fashionJSON(), part("name", "validation")), ErrDamaged, "validation"},
		{"one class", "fashion/index.json", change(t, fashionJSON(), set("classes", []string{"hat"})), ErrDamaged, "classes"},
		{"no test part", "fashion/index.json", change(t, fashionJSON(), func(o object) { o["parts"] = o["parts"].([]object)[:2] }), ErrOptions, "0 test pictures"},
	} {
		name, _, _ := strings.Cut(c.file, "/")
		_, err := Open(name, with(good, c.file, c.raw), Options{Clients: 2, Held: 2})
		if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want %v saying %q", c.what, err, c.want, c.says)
		}
	}
}

func flip(raw []byte, at int) []byte {
	raw = slices.Clone(raw)
	raw[at] ^= 1
	return raw
}

func TestOptions(t *testing.T) {
	for _, c := range []struct {
		name string
		o    Options
	}{
		{"photos", Options{}},
		{"emoji", Options{Clients: -1}},
		{"emoji", Options{Clients: 25}},
		{"emoji", Options{Clients: 2, Held: 13}},
		{"emoji", Options{Views: 5000}},
		{"fashion", Options{Held: 4}},
		{"fashion", Options{Clients: 500, Held: 2}},
		{"fashion", Options{Clients: 2, Held: 2, AllNames: true}},
	} {
		if _, err := Open(c.name, fixture(t), c.o); !errors.Is(err, ErrOptions) {
			t.Errorf("%s %+v: %v, want ErrOptions", c.name, c.o, err)
		}
	}
}
