package soak

import (
	"errors"
	"os"
)

// tear does to the ledger at path what a crash in the middle of its last append would have done: n > 0 bytes of the
// last record are lost, or the last -n bytes were never written and read as zeros.
func tear(path string, n int) (err error) {
	if n == 0 {
		return nil
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if n > 0 {
		return os.Truncate(path, info.Size()-int64(n))
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	_, err = f.WriteAt(make([]byte, -n), info.Size()+int64(n))
	return err
}
