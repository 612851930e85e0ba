package data

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"path"
)

// coopSplit is one of CoOp's split_zhou_*.json files: lists of (file, label, class name).
type coopSplit struct {
	Train []coopItem `json:"train"`
	Val   []coopItem `json:"val"` // not used by the paper
	Test  []coopItem `json:"test"`
}

type coopItem struct {
	File  string
	Label int
	Class string
}

// UnmarshalJSON reads the three-element array that an item is.
func (i *coopItem) UnmarshalJSON(raw []byte) error {
	var parts []json.RawMessage
	if err := json.Unmarshal(raw, &parts); err != nil {
		return err
	}
	if len(parts) != 3 {
		return fmt.Errorf("an item has %d parts, not file, label and class", len(parts))
	}
	for at, into := range []any{&i.File, &i.Label, &i.Class} {
		if err := json.Unmarshal(parts[at], into); err != nil {
			return err
		}
	}
	return nil
}

func decodeSplit(file string, raw []byte) (*coopSplit, error) {
	var s coopSplit
	if err := json.Unmarshal(raw, &s); err != nil {
		return nil, damaged(file, "%v", err)
	}
	if len(s.Train) == 0 || len(s.Test) == 0 {
		return nil, damaged(file, "it lists %d training and %d test pictures", len(s.Train), len(s.Test))
	}
	return &s, nil
}

// names are the class names, which must be the same wherever a label occurs.
func (s *coopSplit) names(file string) (map[int]string, error) {
	named := map[int]string{}
	for _, list := range [][]coopItem{s.Train, s.Val, s.Test} {
		for _, item := range list {
			if old, ok := named[item.Label]; ok && old != item.Class {
				return nil, damaged(file, "label %d is called both %s and %s", item.Label, old, item.Class)
			}
			if item.Label < 0 {
				return nil, damaged(file, "%s has label %d", item.File, item.Label)
			}
			named[item.Label] = item.Class
		}
	}
	return named, nil
}

// CoOpFolders says where CoOp's layout keeps the pictures of each data set, and its split file.
var CoOpFolders = map[string]struct{ Images, Split string }{
	"caltech101":     {"caltech-101/101_ObjectCategories", "caltech-101/split_zhou_Caltech101.json"},
	"oxford_pets":    {"oxford_pets/images", "oxford_pets/split_zhou_OxfordPets.json"},
	"oxford_flowers": {"oxford_flowers/jpg", "oxford_flowers/split_zhou_OxfordFlowers.json"},
	"food101":        {"food-101/images", "food-101/split_zhou_Food101.json"},
}

// CoOp reads a data set in CoOp's layout. All files that the split names must be there: those that are not are listed, and refused
// unless skip is set. Expected errors: ErrDamaged, ErrOptions, fs.ErrNotExist.
func CoOp(fsys fs.FS, name, images, split string, skip bool) (*Pool, error) {
	raw, err := fs.ReadFile(fsys, split)
	if err != nil {
		return nil, fmt.Errorf("data: %w", err)
	}
	s, err := decodeSplit(split, raw)
	if err != nil {
		return nil, err
	}
	named, err := s.names(split)
	if err != nil {
		return nil, err
	}
	classes, err := inOrder(split, named)
	if err != nil {
		return nil, err
	}
	c := collector{fsys: fsys, skip: skip}
	p := &Pool{Name: name, Classes: classes, Ending: "."}
	for _, part := range []struct {
		items []coopItem
		into  *[]Picture
	}{{s.Train, &p.Train}, {s.Test, &p.Test}} {
		for _, item := range part.items {
			c.add(part.into, path.Join(images, item.File), item.Label)
		}
	}
	if err := c.finish(); err != nil {
		return nil, fmt.Errorf("%w (named by %s)", err, split)
	}
	p.Skipped = c.missing
	return p, p.validate()
}
