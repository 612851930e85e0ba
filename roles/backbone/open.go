package backbone

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/exp/mmap"

	"dpfpl/mathx/clip"
)

// ErrFolder is wrapped by errors about a path that is no model folder at all.
var ErrFolder = errors.New("backbone: not a model folder")

// Open opens a model folder, its weights memory-mapped. Close the model when
// done. If parts are given, only these towers are loaded. Errors wrap
// ErrFolder or are those of clip.Load, and name the folder.
func Open(dir string, parts ...clip.Part) (*clip.Model, error) {
	folder, err := Folder(dir)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFolder, err)
	}
	m, err := FromFS(mapped{dir, folder}, parts...)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", dir, err)
	}
	return m, nil
}

// Folder is os.DirFS, but tells at once, and by name, that there is no such folder.
func Folder(dir string) (fs.FS, error) {
	info, err := os.Stat(dir)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("%s is a file, not a folder", dir)
	}
	return os.DirFS(dir), nil
}

// FromFS opens a model folder in any file system, for example one that is
// built into the program. Parts and errors are as in Open.
func FromFS(fsys fs.FS, parts ...clip.Part) (*clip.Model, error) {
	for _, name := range []string{"config.json", "open_clip_config.json", "model.safetensors", "open_clip_model.safetensors"} {
		if _, err := fs.Stat(fsys, name); !errors.Is(err, fs.ErrNotExist) {
			return clip.Load(fsys, parts...)
		}
	}
	return nil, fmt.Errorf("%w: it has neither config.json nor model.safetensors", ErrFolder)
}

// mapped is a folder whose safetensors files are memory-mapped.
type mapped struct {
	dir string
	fs.FS
}

// Open implements fs.FS.
func (m mapped) Open(name string) (fs.File, error) {
	if !strings.HasSuffix(name, ".safetensors") || !fs.ValidPath(name) {
		return m.FS.Open(name)
	}
	path := filepath.Join(m.dir, filepath.FromSlash(name))
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrInvalid}
	}
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	pages, err := mmap.Open(path)
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return &mappedFile{file: file, pages: pages, info: info}, nil
}

// mappedFile is a memory map as an fs.File.
type mappedFile struct {
	file  *os.File
	pages *mmap.ReaderAt
	info  fs.FileInfo
	at    int64
}

var _ io.ReaderAt = (*mappedFile)(nil)

// bulk is the length from which bytes are read from the file and not from the
// map: whole tensors are copied once, and through the map their pages would
// stay resident.
const bulk = 1 << 16

// ReadAt implements io.ReaderAt.
func (f *mappedFile) ReadAt(b []byte, at int64) (int, error) {
	if len(b) >= bulk {
		return f.file.ReadAt(b, at)
	}
	return f.pages.ReadAt(b, at)
}

// Stat implements fs.File.
func (f *mappedFile) Stat() (fs.FileInfo, error) { return f.info, nil }

// Read implements fs.File.
func (f *mappedFile) Read(b []byte) (int, error) {
	n, err := f.ReadAt(b, f.at)
	f.at += int64(n)
	return n, err
}

// Close implements fs.File.
func (f *mappedFile) Close() error { return errors.Join(f.pages.Close(), f.file.Close()) }
