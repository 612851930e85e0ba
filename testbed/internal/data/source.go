package data

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"dpfpl/roles/backbone"
)

// The kinds of Source.
const (
	KindCoOp     = "coop"     // CoOp's layout: a split_zhou_*.json and the pictures that it names
	KindFolder   = "folder"   // a sub-folder of pictures for each class
	KindFeatures = "features" // image features in NumPy files
	KindCIFAR100 = "cifar100" // the binary version of CIFAR-100
	KindIDX      = "idx"      // MNIST's layout
)

// Kinds lists them.
func Kinds() []string {
	return []string{KindCoOp, KindFolder, KindFeatures, KindCIFAR100, KindIDX}
}

// Source is a data set outside the program: what kind it is, and where it lies.
type Source struct {
	Kind string
	Path string // a folder; for features also a folder and the beginning of file names in it
}

// String is what ParseSource reads.
func (s Source) String() string { return s.Kind + ":" + s.Path }

// ParseSource reads "kind:path". Expected error: ErrOptions.
func ParseSource(text string) (Source, error) {
	kind, path, ok := strings.Cut(text, ":")
	if !ok || path == "" || !slices.Contains(Kinds(), kind) {
		return Source{}, unfit("%q is not KIND:FOLDER with one of the kinds %s", text, strings.Join(Kinds(), ", "))
	}
	return Source{kind, path}, nil
}

// SourceOptions say how a Source is read.
type SourceOptions struct {
	Classes   string  // file with class names, see ClassNames; empty: one that lies beside the data
	TestShare float64 // of a KindFolder without train/ and test/: the share of every class that is held out
	Styles    bool    // of KindFolder: <style>/<class>/, as DomainNet and Office have it
	Skip      bool    // leave out pictures that are missing or cannot be read, rather than refuse them
	Seed      uint64  // of what is held out
}

// Open reads the data set and checks every picture of it. Expected errors: ErrDamaged, ErrOptions, fs.ErrNotExist, all
// beginning with the source.
func (s Source) Open(o SourceOptions) (*Pool, error) {
	p, err := s.open(o)
	if err == nil {
		err = p.Check(o.Skip)
	}
	if err != nil {
		return nil, fmt.Errorf("%v: %w", s, err)
	}
	p.Name = token(p.Name)
	return p, nil
}

func (s Source) open(o SourceOptions) (*Pool, error) {
	switch {
	case !slices.Contains(Kinds(), s.Kind):
		return nil, unfit("there are data sets of the kinds %s", strings.Join(Kinds(), ", "))
	case s.Kind == KindFeatures:
		return s.features(o)
	}
	folder, err := backbone.Folder(s.Path)
	if err != nil {
		return nil, fmt.Errorf("data: %w", err)
	}
	name := filepath.Base(filepath.Clean(s.Path))
	switch s.Kind {
	case KindCoOp:
		return coopFolder(folder, o.Skip)
	case KindFolder:
		if o.Styles {
			return StyleFolders(folder, name, o.TestShare, o.Seed)
		}
		return Folder(folder, name, o.TestShare, o.Seed)
	case KindCIFAR100:
		return CIFAR100(folder)
	default:
		classes, err := o.names(folder, "")
		if err != nil {
			return nil, err
		}
		return IDX(folder, name, classes)
	}
}

// coopFolder reads the folder of one of CoOp's data sets: the one split file in it tells which. Pictures are in the
// sub-folder that CoOp has for them, or, where that is not there, beside the split file.
func coopFolder(fsys fs.FS, skip bool) (*Pool, error) {
	splits, err := find(fsys, "split_zhou_*.json")
	if err != nil {
		return nil, err
	}
	if len(splits) == 0 {
		if inside, err := find(fsys, "*/split_zhou_*.json"); err == nil && len(inside) > 0 {
			return nil, unfit("it holds no split_zhou_*.json; give one of its folders: %s", few(folders(inside)))
		}
	}
	if len(splits) != 1 {
		return nil, unfit("it must hold one split_zhou_*.json, not %d", len(splits))
	}
	name, images := strings.TrimSuffix(strings.TrimPrefix(splits[0], "split_zhou_"), ".json"), "images"
	for known, layout := range CoOpFolders {
		if path.Base(layout.Split) == splits[0] {
			name, images = known, path.Base(layout.Images)
		}
	}
	if info, err := fs.Stat(fsys, images); err != nil || !info.IsDir() {
		images = "."
	}
	return CoOp(fsys, name, images, splits[0], skip)
}

// features reads <path>_test_x.npy and <path>_train…_x.npy, or, if the path is a folder, those of the one data set in it.
func (s Source) features(o SourceOptions) (*Pool, error) {
	dir, prefix := s.Path, ""
	if info, err := os.Stat(s.Path); err != nil || !info.IsDir() {
		dir, prefix = filepath.Dir(s.Path), filepath.Base(s.Path)+"_"
	}
	fsys := os.DirFS(dir)
	if prefix == "" {
		tests, err := find(fsys, "*test_x.npy")
		if err != nil {
			return nil, err
		}
		for i := range tests {
			tests[i] = strings.TrimSuffix(tests[i], "test_x.npy")
		}
		if len(tests) > 1 {
			for i := range tests {
				tests[i] = strings.TrimSuffix(tests[i], "_")
			}
			return nil, unfit("it holds several data sets; add one of the names: %s", few(tests))
		}
		if len(tests) == 1 {
			prefix = tests[0]
		}
	}
	trains, err := find(fsys, prefix+"train*_x.npy")
	if err != nil {
		return nil, err
	}
	if len(trains) != 1 {
		return nil, unfit("there must be one %strain…_x.npy, not %d", prefix, len(trains))
	}
	name := strings.TrimSuffix(prefix, "_")
	classes, err := o.names(fsys, name)
	if err != nil {
		return nil, err
	}
	if name == "" {
		name = filepath.Base(filepath.Clean(dir))
	}
	return Features(fsys, name, strings.TrimSuffix(trains[0], "_x.npy"), prefix+"test", classes, o.Skip)
}

// names reads the class names: from the file that was given, or from one beside the data that is called after the data set.
func (o SourceOptions) names(fsys fs.FS, name string) ([]string, error) {
	if o.Classes != "" {
		return ClassNames(os.DirFS(filepath.Dir(o.Classes)), filepath.Base(o.Classes))
	}
	candidates := []string{"classes.txt"}
	if name != "" {
		candidates = append([]string{name + "_classes.txt"}, candidates...)
		splits, err := find(fsys, "split_zhou_*.json")
		if err != nil {
			return nil, err
		}
		for _, split := range splits {
			if "splitzhou"+letters(name)+"json" == letters(split) {
				candidates = append(candidates, split)
			}
		}
		if strings.HasPrefix(letters(name), "oxfordflowers") {
			candidates = append(candidates, "cat_to_name.json")
		}
	}
	for _, file := range candidates {
		if _, err := fs.Stat(fsys, file); err == nil {
			return ClassNames(fsys, file)
		}
	}
	return nil, unfit("it needs a file with class names: %s beside the data, or one that is named", candidates[0])
}

// find lists the files that a pattern fits, in order.
func find(fsys fs.FS, pattern string) ([]string, error) {
	if _, err := fs.Stat(fsys, "."); err != nil {
		return nil, fmt.Errorf("data: %w", err)
	}
	found, err := fs.Glob(fsys, pattern)
	if err != nil {
		return nil, unfit("%q is not part of a file's name", pattern)
	}
	slices.Sort(found)
	return found, nil
}

func folders(files []string) []string {
	var dirs []string
	for _, f := range files {
		dirs = append(dirs, path.Dir(f))
	}
	return slices.Compact(dirs)
}

// letters is a name without case and punctuation.
func letters(name string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, strings.ToLower(name))
}

// token turns a name into one that can be part of a run's name.
func token(name string) string {
	const most = 40
	plain := strings.Trim(strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' || r == '-' {
			return r
		}
		return '-'
	}, name), "-")
	if plain == "" {
		return "data"
	}
	return plain[:min(len(plain), most)]
}
