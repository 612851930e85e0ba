package data

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"
)

// ClassNames reads class names in label order from one of three kinds of file, with underscores turned into spaces: a CoOp split
// (.json with "train", "val" and "test"), a table like Oxford Flowers' cat_to_name.json that numbers names from 1, or a text
// file with a name on each line. Expected errors: ErrDamaged, fs.ErrNotExist.
func ClassNames(fsys fs.FS, file string) ([]string, error) {
	raw, err := fs.ReadFile(fsys, file)
	if err != nil {
		return nil, fmt.Errorf("data: %w", err)
	}
	var named map[int]string
	if path.Ext(file) == ".json" {
		named, err = namesJSON(file, raw)
	} else {
		named = map[int]string{}
		for line := range strings.Lines(strings.TrimSpace(string(raw))) {
			named[len(named)] = strings.TrimSpace(line)
		}
	}
	if err != nil {
		return nil, err
	}
	return inOrder(file, named)
}

// namesJSON tells the two kinds of json apart.
func namesJSON(file string, raw []byte) (map[int]string, error) {
	var table map[string]string
	if json.Unmarshal(raw, &table) != nil {
		split, err := decodeSplit(file, raw)
		if err != nil {
			return nil, err
		}
		return split.names(file)
	}
	named := map[int]string{}
	for key, name := range table {
		n, err := strconv.Atoi(key)
		if err != nil || n < 1 {
			return nil, damaged(file, "%q is not a class number from 1 on", key)
		}
		named[n-1] = name
	}
	return named, nil
}

// inOrder lists the names of labels 0, 1, …, none of which may be missing or empty.
func inOrder(file string, named map[int]string) ([]string, error) {
	if len(named) == 0 {
		return nil, damaged(file, "it names no class")
	}
	names := make([]string, len(named))
	for i := range names {
		name, ok := named[i]
		if name = strings.TrimSpace(strings.ReplaceAll(name, "_", " ")); !ok || name == "" {
			return nil, damaged(file, "it names %d classes, but not class %d", len(named), i)
		}
		names[i] = name
	}
	return names, nil
}
