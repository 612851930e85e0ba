package data

import (
	"fmt"
	"image"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// emojiIndex is emoji/index.json: tile i of every style's sheet draws concept i.
type emojiIndex struct {
	grid
	Styles   []emojiStyle `json:"styles"`
	Concepts []struct {
		Name     string `json:"name"`
		Category string `json:"category"`
	} `json:"concepts"`
}

type emojiStyle struct {
	Name     string `json:"name"`
	File     string `json:"file"`
	Training bool   `json:"training"` // the frozen model was trained on it
	Missing  []int  `json:"missing"`  // concepts without a drawing
}

func (x *emojiIndex) validate(file string) error {
	if err := x.grid.validate(file); err != nil {
		return err
	}
	if len(x.Concepts) == 0 || len(x.Concepts) > maxTiles {
		return damaged(file, "concepts must number from 1 to %d, not %d", maxTiles, len(x.Concepts))
	}
	for i, c := range x.Concepts {
		if strings.TrimSpace(c.Name) == "" {
			return damaged(file, "concept %d has no name", i)
		}
	}
	for _, s := range x.Styles {
		for _, i := range s.Missing {
			if i < 0 || i >= len(x.Concepts) {
				return damaged(file, "style %q misses concept %d, there are %d", s.Name, i, len(x.Concepts))
			}
		}
	}
	return nil
}

// style is an artist's sheet.
type style struct {
	emojiStyle
	*sheet
}

// emoji divides the drawings: client i has unseen style i mod 4 and the i-th block of concepts that are neighbours
// within a category, so that what it must tell apart is similar.
func emoji(fsys fs.FS, o Options) (*Set, error) {
	const folder = "emoji"
	var index emojiIndex
	file := path.Join(folder, "index.json")
	if err := readIndex(fsys, file, &index); err != nil {
		return nil, err
	}
	if err := index.validate(file); err != nil {
		return nil, err
	}
	styles, err := unseen(fsys, folder, &index)
	if err != nil {
		return nil, err
	}
	blocks, err := index.blocks(o)
	if err != nil {
		return nil, err
	}
	if err := drawn(styles, blocks); err != nil {
		return nil, err
	}
	e := emojiSet{index: &index, styles: styles, blocks: blocks, o: o}
	return e.set(), nil
}

// unseen reads the sheets of the styles that the frozen model was not trained on.
func unseen(fsys fs.FS, folder string, index *emojiIndex) ([]style, error) {
	var styles []style
	for _, s := range index.Styles {
		if s.Training {
			continue
		}
		sheet, err := readSheet(fsys, folder, s.File, index.grid, len(index.Concepts))
		if err != nil {
			return nil, err
		}
		styles = append(styles, style{s, sheet})
	}
	if len(styles) == 0 {
		return nil, damaged(path.Join(folder, "index.json"), "no style is left for the clients: all are training styles")
	}
	return styles, nil
}

// blocks gives each client the first concepts of its equal part of all concepts in order of category.
func (x *emojiIndex) blocks(o Options) ([][]int, error) {
	order := make([]int, len(x.Concepts))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return strings.Compare(x.Concepts[a].Category, x.Concepts[b].Category) })
	part := len(order) / o.Clients
	held := o.Held
	if held == 0 {
		held = min(10, part)
	}
	if part == 0 || held > part {
		return nil, unfit("%d concepts give each of %d clients at most %d, not %d", len(order), o.Clients, part, max(held, 1))
	}
	blocks := make([][]int, o.Clients)
	for i := range blocks {
		start := i * len(order) / o.Clients
		blocks[i] = slices.Sorted(slices.Values(order[start : start+held]))
	}
	return blocks, nil
}

// drawn checks that every client has a drawing of something.
func drawn(styles []style, blocks [][]int) error {
	for i, block := range blocks {
		s := styles[i%len(styles)]
		if !slices.ContainsFunc(block, func(c int) bool { return !slices.Contains(s.Missing, c) }) {
			return unfit("style %s draws none of the concepts of client %d", s.Name, i+1)
		}
	}
	return nil
}

// emojiSet builds the Set.
type emojiSet struct {
	index  *emojiIndex
	styles []style
	blocks [][]int
	o      Options
	label  map[int]int // concept to label
}

func (e *emojiSet) set() *Set {
	s := &Set{
		Name:          "emoji",
		Words:         "a picture of a",
		Ending:        ".",
		LocalTest:     "other views of the client's own drawings, from augmentation ranges never trained on",
		NeighbourTest: "the other clients' classes in the client's own style",
		Record:        "one training view; views of one drawing count as separate records",
	}
	concepts := slices.Sorted(slices.Values(slices.Concat(e.blocks...)))
	if e.o.AllNames {
		concepts = concepts[:0]
		for i := range e.index.Concepts {
			concepts = append(concepts, i)
		}
	}
	e.label = make(map[int]int, len(concepts))
	for l, c := range concepts {
		e.label[c] = l
		s.Classes = append(s.Classes, e.index.Concepts[c].Name)
	}
	for i := range e.blocks {
		s.Clients = append(s.Clients, e.client(i))
	}
	return s
}

func (e *emojiSet) client(i int) Client {
	style := &e.styles[i%len(e.styles)]
	own := style.has(e.blocks[i])
	others := style.has(slices.Concat(slices.Delete(slices.Clone(e.blocks), i, i+1)...))
	id := clientID(i)
	c := Client{ID: id, Style: plainStyle(style.Name)}
	for _, concept := range own {
		c.Classes = append(c.Classes, e.label[concept])
		c.Train = append(c.Train, e.views(style, concept, id, e.amount(i), trainedViews)...)
		c.Test = append(c.Test, e.views(style, concept, "test", e.o.TestViews, unseenViews)...)
	}
	for _, concept := range others {
		c.Neighbour = append(c.Neighbour, e.views(style, concept, "test", e.o.NeighbourViews, unseenViews)...)
	}
	return c
}

// amount is the number of training views per drawing of client i, from half to one and a half times Options.Views.
func (e *emojiSet) amount(i int) int {
	spread := max(len(e.blocks)-1, 1)
	return max(1, e.o.Views/2+e.o.Views*(3*i%len(e.blocks))/spread)
}

// views are n pictures of a concept. The first training view is the drawing itself; test views have the same key
// for every client.
func (e *emojiSet) views(s *style, concept int, use string, n int, r ranges) []Picture {
	views := make([]Picture, n)
	for v := range views {
		key := fmt.Sprintf("emoji/%s/%d/%s/%d", s.Name, concept, use, v)
		clean := v == 0 && use != "test"
		views[v] = NewPicture(key, e.label[concept], func() (image.Image, error) {
			if clean {
				return s.tile(concept), nil
			}
			return view(s.tile(concept), r, stream(e.o.Seed, key)), nil
		})
	}
	return views
}

// has keeps the concepts that the style draws.
func (s *style) has(concepts []int) []int {
	return slices.DeleteFunc(slices.Clone(concepts), func(c int) bool { return slices.Contains(s.Missing, c) })
}

func clientID(i int) string { return fmt.Sprintf("client-%02d", i+1) }

// plainStyle is a style's name in short words.
func plainStyle(name string) string {
	return strings.ReplaceAll(strings.ReplaceAll(name, "fluent-emoji-", "fluent "), "-", " ")
}
