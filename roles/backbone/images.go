package backbone

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
)

// ErrImages is wrapped by errors about a list of images.
var ErrImages = errors.New("backbone: bad image list")

// Images is a labelled set of image files.
type Images struct {
	Root    fs.FS
	Classes []string // names, indexed by label
	List    []Image  // in the order of the rows to come
}

// Image is one file and its label.
type Image struct {
	File  string // slash-separated path below the root
	Label int
}

// imageSuffixes are the names by which a folder's images are told from other files.
var imageSuffixes = []string{".jpg", ".jpeg", ".png", ".gif", ".webp"}

// IsImageName reports whether a file of a folder counts as an image, by its name: hidden ones do not.
func IsImageName(name string) bool {
	return !strings.HasPrefix(name, ".") && slices.Contains(imageSuffixes, strings.ToLower(path.Ext(name)))
}

// ScanImages lists a folder with one sub-folder for each class. Classes and
// files are in lexical order; files of other kinds and hidden ones are left out.
func ScanImages(root fs.FS) (Images, error) {
	s := Images{Root: root}
	folders, err := fs.ReadDir(root, ".")
	if err != nil {
		return s, err
	}
	for _, folder := range folders {
		if strings.HasPrefix(folder.Name(), ".") || !isDir(root, folder.Name()) {
			continue
		}
		files, err := imageFiles(root, folder.Name())
		if err != nil {
			return s, err
		}
		if len(files) == 0 {
			continue
		}
		for _, file := range files {
			s.List = append(s.List, Image{file, len(s.Classes)})
		}
		s.Classes = append(s.Classes, folder.Name())
	}
	if len(s.List) == 0 {
		return s, fmt.Errorf("%w: no images in sub-folders, one of which is expected for each class", ErrImages)
	}
	return s, nil
}

// isDir follows symbolic links, which fs.DirEntry does not.
func isDir(root fs.FS, name string) bool {
	info, err := fs.Stat(root, name)
	return err == nil && info.IsDir()
}

func imageFiles(root fs.FS, folder string) ([]string, error) {
	var files []string
	err := fs.WalkDir(root, folder, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if !entry.IsDir() && IsImageName(entry.Name()) {
			files = append(files, name)
		}
		return nil
	})
	return files, err
}

// ReadSplit reads one part, for example "test", of a CoOp split file:
// {"train": [["path", label, "class name"], …], "val": …, "test": …}. Classes
// are those of all parts, so that labels mean the same in each.
func ReadSplit(root fs.FS, data []byte, part string) (Images, error) {
	var split map[string][]splitEntry
	if err := json.Unmarshal(data, &split); err != nil {
		return Images{}, fmt.Errorf("%w: split file: %v", ErrImages, err)
	}
	if len(split[part]) == 0 {
		return Images{}, fmt.Errorf("%w: split file: part %q is empty or absent", ErrImages, part)
	}
	s := Images{Root: root}
	names := map[int]string{}
	for kind, entries := range split {
		for _, e := range entries {
			if other, ok := names[e.label]; ok && other != e.class {
				return s, fmt.Errorf("%w: split file: label %d is both %q and %q", ErrImages, e.label, min(other, e.class), max(other, e.class))
			}
			names[e.label] = e.class
			if kind == part {
				s.List = append(s.List, Image{e.file, e.label})
			}
		}
	}
	for label := range len(names) {
		name, ok := names[label]
		if !ok {
			return s, fmt.Errorf("%w: split file: %d classes, but none has label %d", ErrImages, len(names), label)
		}
		s.Classes = append(s.Classes, name)
	}
	return s, nil
}

// splitEntry is ["path", label, "class name"].
type splitEntry struct {
	file  string
	label int
	class string
}

// UnmarshalJSON implements json.Unmarshaler.
func (e *splitEntry) UnmarshalJSON(data []byte) error {
	var raw []json.RawMessage
	if err := json.Unmarshal(data, &raw); err != nil {
		return err
	}
	if len(raw) != 3 {
		return fmt.Errorf("entry of %d fields, want path, label and class name", len(raw))
	}
	if err := errors.Join(json.Unmarshal(raw[0], &e.file), json.Unmarshal(raw[1], &e.label), json.Unmarshal(raw[2], &e.class)); err != nil {
		return err
	}
	if !fs.ValidPath(e.file) || e.label < 0 {
		return fmt.Errorf("entry %s: bad path or label", data)
	}
	return nil
}

// Name is a class as a prompt has it: underscores are spaces.
func Name(class string) string { return strings.ReplaceAll(class, "_", " ") }
