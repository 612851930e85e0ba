//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package ledger

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// acquire takes the lock file at path by creating it, since this system has no flock.
// A process that is killed leaves the file behind; remove it by hand once no process
// uses the ledger. Error: ErrLocked.
func acquire(path string) (io.Closer, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("%w: %s exists; remove it if no process uses the ledger", ErrLocked, path)
	}
	if err != nil {
		return nil, err
	}
	return created{f}, nil
}

type created struct{ *os.File }

func (c created) Close() error {
	return errors.Join(c.File.Close(), os.Remove(c.Name()))
}
