package data

import (
	"fmt"
	"image"
	"io/fs"
	"math/rand/v2"
	"path"
	"runtime"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"dpfpl/mathx/clip"
)

// filePicture is a picture that is a file.
func filePicture(fsys fs.FS, file string, label int) Picture {
	return NewPicture(file, label, func() (image.Image, error) {
		f, err := fsys.Open(file)
		if err != nil {
			return nil, fmt.Errorf("data: %w", err)
		}
		defer f.Close()
		img, err := clip.DecodeImage(f)
		if err != nil {
			return nil, damaged(file, "%v", err)
		}
		return img, nil
	})
}

// collector gathers pictures that are files, and the names of those that are not there.
type collector struct {
	fsys    fs.FS
	skip    bool
	missing []string
}

func (c *collector) add(into *[]Picture, file string, label int) {
	info, err := fs.Stat(c.fsys, file)
	if err != nil || !info.Mode().IsRegular() {
		c.missing = append(c.missing, file)
		return
	}
	*into = append(*into, filePicture(c.fsys, file, label))
}

func (c *collector) finish() error {
	if len(c.missing) == 0 || c.skip {
		return nil
	}
	return fmt.Errorf("data: %w: %d files: %s", fs.ErrNotExist, len(c.missing), few(c.missing))
}

// Check renders every picture, on all cores. Those that cannot be read are dropped and listed in Skipped if skip is set, and an error
// otherwise. Expected errors: ErrDamaged, ErrOptions if a class has nothing left.
func (p *Pool) Check(skip bool) error {
	var (
		unreadable []string
		reason     error
	)
	for _, part := range []*[]Picture{&p.Train, &p.Test} {
		errs := make([]error, len(*part))
		var todo errgroup.Group
		todo.SetLimit(runtime.GOMAXPROCS(0))
		for i, picture := range *part {
			if picture.Feature == nil {
				todo.Go(func() error { _, errs[i] = picture.Image(); return nil })
			}
		}
		todo.Wait() // its functions do not fail
		var good []Picture
		for i, picture := range *part {
			if errs[i] == nil {
				good = append(good, picture)
				continue
			}
			unreadable, reason = append(unreadable, picture.Key), errs[i]
		}
		*part = good
	}
	if reason != nil && !skip {
		return fmt.Errorf("data: %w: %d pictures cannot be read: %s (the last: %v)", ErrDamaged, len(unreadable), few(unreadable), reason)
	}
	p.Skipped = append(p.Skipped, unreadable...)
	return p.validate()
}

// extensions are the picture files that Folder looks at; others are passed over.
var extensions = []string{".jpg", ".jpeg", ".png", ".gif", ".webp"}

// Folder reads a folder of pictures, a sub-folder for each class: under train/ and test/, or, where those are not there, directly;
// then testShare of every class's pictures, at least one, is held out at random. Folder names are class names, underscores
// turned into spaces. Expected errors: ErrOptions, fs.ErrNotExist.
func Folder(fsys fs.FS, name string, testShare float64, seed uint64) (*Pool, error) {
	p := &Pool{Name: name}
	train, err := subFolders(fsys, "train", 2)
	if err == nil {
		return p, p.fromParts(fsys, train)
	}
	folders, err := subFolders(fsys, ".", 2)
	if err != nil {
		return nil, err
	}
	if !(testShare > 0 && testShare < 1) {
		return nil, unfit("%s: the share of test pictures must be between 0 and 1, not %v", name, testShare)
	}
	for label, folder := range folders {
		p.Classes = append(p.Classes, plainName(folder))
		pictures, err := folderPictures(fsys, folder, label)
		if err != nil {
			return nil, err
		}
		p.hold(pictures, testShare, stream(seed, name+"/"+folder))
	}
	return p, p.validate()
}

// hold adds pictures of one class, of which a share, at least one, is held out for the test.
func (p *Pool) hold(pictures []Picture, testShare float64, src rand.Source) {
	rng := rand.New(src)
	rng.Shuffle(len(pictures), func(i, j int) { pictures[i], pictures[j] = pictures[j], pictures[i] })
	test := min(max(1, int(testShare*float64(len(pictures)))), len(pictures))
	p.Test, p.Train = append(p.Test, pictures[:test]...), append(p.Train, pictures[test:]...)
}

// StyleFolders reads a folder with a sub-folder for each style, and in it one for each class; not every style need have every class.
// Of every class in every style testShare is held out as in Folder. Expected errors: ErrOptions, fs.ErrNotExist.
func StyleFolders(fsys fs.FS, name string, testShare float64, seed uint64) (*Pool, error) {
	if !(testShare > 0 && testShare < 1) {
		return nil, unfit("%s: the share of test pictures must be between 0 and 1, not %v", name, testShare)
	}
	styles, err := subFolders(fsys, ".", 2)
	if err != nil {
		return nil, err
	}
	p := &Pool{Name: name}
	inside := make([][]string, len(styles))
	for i, style := range styles {
		p.Styles = append(p.Styles, plainName(style))
		if inside[i], err = subFolders(fsys, style, 1); err != nil {
			return nil, err
		}
		for _, class := range inside[i] {
			p.Classes = append(p.Classes, plainName(class))
		}
	}
	slices.Sort(p.Classes)
	p.Classes = slices.Compact(p.Classes)
	for i, style := range styles {
		for _, class := range inside[i] {
			dir := path.Join(style, class)
			label, _ := slices.BinarySearch(p.Classes, plainName(class))
			pictures, err := folderPictures(fsys, dir, label)
			if err != nil {
				return nil, err
			}
			for at := range pictures {
				pictures[at].Style = i
			}
			p.hold(pictures, testShare, stream(seed, name+"/"+dir))
		}
	}
	return p, p.validate()
}

// fromParts reads train/<class> and test/<class>.
func (p *Pool) fromParts(fsys fs.FS, classes []string) error {
	for label, class := range classes {
		p.Classes = append(p.Classes, plainName(class))
		for _, part := range []struct {
			folder string
			into   *[]Picture
		}{{"train", &p.Train}, {"test", &p.Test}} {
			pictures, err := folderPictures(fsys, path.Join(part.folder, class), label)
			if err != nil {
				return err
			}
			*part.into = append(*part.into, pictures...)
		}
	}
	return p.validate()
}

// subFolders lists the folders in a folder, in order. There must be at least so many.
func subFolders(fsys fs.FS, dir string, least int) ([]string, error) {
	entries, err := fs.ReadDir(fsys, dir)
	if err != nil {
		return nil, fmt.Errorf("data: %w", err)
	}
	var names []string
	for _, e := range entries {
		if e.IsDir() && !strings.HasPrefix(e.Name(), ".") {
			names = append(names, e.Name())
		}
	}
	if len(names) < least {
		if dir == "." {
			dir = "it"
		}
		return nil, unfit("%s holds %d folders; there must be at least %d", dir, len(names), least)
	}
	return names, nil
}

func folderPictures(fsys fs.FS, dir string, label int) ([]Picture, error) {
	entries, err := fs.ReadDir(fsys, dir)
	if err != nil {
		return nil, fmt.Errorf("data: %w", err)
	}
	var pictures []Picture
	for _, e := range entries {
		if slices.Contains(extensions, strings.ToLower(path.Ext(e.Name()))) && !e.IsDir() {
			pictures = append(pictures, filePicture(fsys, path.Join(dir, e.Name()), label))
		}
	}
	return pictures, nil
}

func plainName(folder string) string { return strings.ReplaceAll(path.Base(folder), "_", " ") }
