package report

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// The files that Write makes in its folder.
const (
	ResultsFile = "results.json"
	PageFile    = "report.html"
)

// ErrFolder says that the output folder cannot be written to.
var ErrFolder = errors.New("report: cannot write")

// Prepare makes the folder if need be and checks that files can be made in it, so that a run does not end in vain.
// Expected error: ErrFolder, naming the path.
func Prepare(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("%w: %w", ErrFolder, err)
	}
	for _, name := range []string{ResultsFile, PageFile} {
		if info, err := os.Stat(filepath.Join(dir, name)); err == nil && !info.Mode().IsRegular() {
			return fmt.Errorf("%w: %s is there and is not a file", ErrFolder, filepath.Join(dir, name))
		}
	}
	probe, err := temporary(dir, "probe", make([]byte, 4096))
	if err != nil {
		return err
	}
	return os.Remove(probe)
}

// Write writes results.json and report.html. Neither appears before both are complete on disk.
// Expected error: ErrFolder, naming the path; then the folder is as it was.
func (r *Run) Write(dir string) error {
	if err := r.validate(); err != nil {
		return err
	}
	results, err := r.Results.encode()
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	page, err := r.page()
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	return replace(dir, []file{{ResultsFile, results}, {PageFile, page}})
}

// WriteFile puts one file into the folder, whole or not at all. Expected error: ErrFolder, naming the path.
func WriteFile(dir, name string, content []byte) error { return replace(dir, []file{{name, content}}) }

type file struct {
	name    string
	content []byte
}

// replace stores all files beside their places, then moves them there.
func replace(dir string, files []file) error {
	stored := make([]string, 0, len(files))
	defer func() {
		for _, name := range stored {
			os.Remove(name) // those that were moved are gone already
		}
	}()
	for _, f := range files {
		name, err := temporary(dir, f.name, f.content)
		if err != nil {
			return err
		}
		stored = append(stored, name)
	}
	for i, f := range files {
		if err := os.Rename(stored[i], filepath.Join(dir, f.name)); err != nil {
			return fmt.Errorf("%w: %w", ErrFolder, err)
		}
	}
	return nil
}

// temporary stores content in a new file of the folder and returns its path; on an error it leaves nothing.
func temporary(dir, name string, content []byte) (path string, err error) {
	f, err := os.CreateTemp(dir, "."+name+".*")
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrFolder, err)
	}
	_, err = f.Write(content)
	for _, finish := range []func() error{func() error { return f.Chmod(0o644) }, f.Sync, f.Close} {
		if e := finish(); err == nil {
			err = e
		}
	}
	if err != nil {
		os.Remove(f.Name())
		return "", fmt.Errorf("%w: %w", ErrFolder, err)
	}
	return f.Name(), nil
}
