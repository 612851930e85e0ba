package data

import (
	"fmt"
	"image"
	"io/fs"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
)

// fashionIndex is fashion/index.json.
type fashionIndex struct {
	grid
	Classes []string      `json:"classes"`
	Parts   []fashionPart `json:"parts"`
}

type fashionPart struct {
	Name   string `json:"name"` // "train" or "test"; several parts may share a name
	File   string `json:"file"`
	Labels []int  `json:"labels"` // of tile 0, 1, …
}

func (x *fashionIndex) validate(file string) error {
	if err := x.grid.validate(file); err != nil {
		return err
	}
	if len(x.Classes) < 2 {
		return damaged(file, "there must be at least 2 classes, not %d", len(x.Classes))
	}
	for i, name := range x.Classes {
		if strings.TrimSpace(name) == "" {
			return damaged(file, "class %d has no name", i)
		}
	}
	for _, p := range x.Parts {
		if p.Name != "train" && p.Name != "test" {
			return damaged(file, "a part is called %q, not train or test", p.Name)
		}
		if len(p.Labels) == 0 || len(p.Labels) > maxTiles {
			return damaged(file, "part %s must have from 1 to %d labels, not %d", p.File, maxTiles, len(p.Labels))
		}
		for i, l := range p.Labels {
			if l < 0 || l >= len(x.Classes) {
				return damaged(file, "part %s gives tile %d the label %d, there are %d classes", p.File, i, l, len(x.Classes))
			}
		}
	}
	return nil
}

// shot is a tile of a sheet and its label.
type shot struct {
	*sheet
	part  string
	tile  int
	label int
}

// fashion divides Fashion-MNIST: client i holds every second class from class i on, shares each class's
// pictures with its other holders so that no two have the same picture, and sees all through camera i mod 10.
func fashion(fsys fs.FS, o Options) (*Set, error) {
	if o.AllNames {
		return nil, unfit("all names are class names in fashion anyway; leave that option out")
	}
	const folder = "fashion"
	var index fashionIndex
	file := path.Join(folder, "index.json")
	if err := readIndex(fsys, file, &index); err != nil {
		return nil, err
	}
	if err := index.validate(file); err != nil {
		return nil, err
	}
	shots := map[string][]shot{}
	for _, p := range index.Parts {
		sheet, err := readSheet(fsys, folder, p.File, index.grid, len(p.Labels))
		if err != nil {
			return nil, err
		}
		for i, l := range p.Labels {
			shots[p.Name] = append(shots[p.Name], shot{sheet, p.File, i, l})
		}
	}
	if o.Held == 0 {
		o.Held = 3
	}
	if o.Held >= len(index.Classes) {
		return nil, unfit("a client must hold fewer than all %d classes, not %d", len(index.Classes), o.Held)
	}
	return (&fashionSet{classes: index.Classes, train: shots["train"], test: shots["test"], o: o}).set()
}

// fashionSet builds the Set.
type fashionSet struct {
	classes     []string
	train, test []shot
	o           Options
}

func (f *fashionSet) set() (*Set, error) {
	s := &Set{
		Name:          "fashion",
		Classes:       f.classes,
		Words:         "a photo of a",
		Ending:        ".",
		LocalTest:     "new pictures of the client's own classes, seen by its own camera",
		NeighbourTest: "the other clients' classes, seen by the client's own camera",
		Record:        "one training picture",
	}
	held := make([][]int, f.o.Clients)
	for i := range held {
		held[i] = f.held(i)
	}
	train, test := f.share(f.train, held), f.share(f.test, held)
	for i := range held {
		if len(train[i]) == 0 || len(test[i]) == 0 {
			return nil, unfit("%d clients are too many for %d training and %d test pictures", f.o.Clients, len(f.train), len(f.test))
		}
		c := Client{ID: clientID(i), Style: looks[i%len(looks)].words, Classes: held[i]}
		c.Train, c.Test = f.pictures(i, train[i]), f.pictures(i, sample(test[i], f.o.Limit, stream(f.o.Seed, c.ID+"/test")))
		c.Neighbour = f.pictures(i, sample(f.others(held, i), f.o.Limit, stream(f.o.Seed, c.ID+"/neighbour")))
		s.Clients = append(s.Clients, c)
	}
	return s, nil
}

// held are the classes of client i: every second one from class i on, then those between.
func (f *fashionSet) held(i int) []int {
	n := len(f.classes)
	var classes []int
	for j := range f.o.Held {
		step := 2 * j
		if step >= n {
			step -= n - (n+1)%2 // past the end: the odd ones
		}
		classes = append(classes, (i+step)%n)
	}
	slices.Sort(classes)
	return classes
}

// share cuts each class's shots, in random order, among the clients that hold it. A client's cut is in proportion to
// its size, from 1 to 3.
func (f *fashionSet) share(shots []shot, held [][]int) [][]shot {
	parts := make([][]shot, len(held))
	for c := range f.classes {
		var own []shot
		for _, s := range shots {
			if s.label == c {
				own = append(own, s)
			}
		}
		if len(own) == 0 {
			continue
		}
		rng := rand.New(stream(f.o.Seed, fmt.Sprintf("fashion/%s/%d", own[0].part, c)))
		rng.Shuffle(len(own), func(i, j int) { own[i], own[j] = own[j], own[i] })
		total, done := 0, 0
		for i := range held {
			total += f.size(held, i, c)
		}
		for i := range held {
			from := len(own) * done / max(total, 1)
			done += f.size(held, i, c)
			parts[i] = append(parts[i], own[from:len(own)*done/max(total, 1)]...)
		}
	}
	return parts
}

// size is client i's weight in class c, in units of a 1/(clients-1)th: 0 unless it holds the class.
func (f *fashionSet) size(held [][]int, i, c int) int {
	if !slices.Contains(held[i], c) {
		return 0
	}
	n := len(held)
	return max(n-1, 1) + 2*(3*i%n)
}

// others are the test shots of classes that other clients hold and client i does not.
func (f *fashionSet) others(held [][]int, i int) []shot {
	var shots []shot
	for _, s := range f.test {
		if !slices.Contains(held[i], s.label) && slices.ContainsFunc(held, func(h []int) bool { return slices.Contains(h, s.label) }) {
			shots = append(shots, s)
		}
	}
	return shots
}

// pictures shows shots through client i's camera.
func (f *fashionSet) pictures(i int, shots []shot) []Picture {
	look := looks[i%len(looks)]
	pictures := make([]Picture, len(shots))
	for j, s := range shots {
		key := fmt.Sprintf("fashion/%s/%d/%s", s.part, s.tile, look.words)
		pictures[j] = NewPicture(key, s.label, func() (image.Image, error) { return look.apply(s.sheet.tile(s.tile)), nil })
	}
	return pictures
}

// sample keeps n of the shots at random, in their order.
func sample(shots []shot, n int, src rand.Source) []shot {
	if len(shots) <= n {
		return shots
	}
	chosen := rand.New(src).Perm(len(shots))[:n]
	slices.Sort(chosen)
	kept := make([]shot, n)
	for i, c := range chosen {
		kept[i] = shots[c]
	}
	return kept
}
