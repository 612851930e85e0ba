package main

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// placeFile puts a file in its place, whole or not at all, for those whom mode lets read it. What is there is replaced.
// Errors: inputError for a folder in which nothing can be made, and those of write.
func placeFile(path string, mode fs.FileMode, write func(io.Writer) error) (err error) {
	draft, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*") // its owner's only
	if err != nil {
		return input(err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(draft.Name()))
		}
	}()
	if err := errors.Join(write(draft), draft.Chmod(mode), draft.Sync(), draft.Close()); err != nil {
		return err
	}
	return os.Rename(draft.Name(), path)
}

// content writes bytes.
func content(b []byte) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := w.Write(b)
		return err
	}
}
