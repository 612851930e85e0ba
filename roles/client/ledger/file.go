package ledger

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// slack is how many bytes may be added to a small file before it is rewritten without
// old states and acknowledged updates; a large one may double.
const slack = 4 << 20

// file is the durable store.
type file struct {
	path  string
	lock  io.Closer
	f     medium
	fsync func(syncer) error // (syncer).Sync but in tests
	size  int64              // of what was written
	kept  int64              // size after the last rewrite: at least this much is of use
}

// medium is what a file needs of an *os.File.
type medium interface {
	io.WriteCloser
	syncer
}

type syncer interface{ Sync() error }

// openFile locks and reads the ledger at path into b.
func openFile(path string, b *book, fsync func(syncer) error) (_ *file, err error) {
	lock, err := acquire(path + ".lock")
	if err != nil {
		return nil, err
	}
	s := &file{path: path, lock: lock, fsync: fsync}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	if err := os.Remove(s.draft()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	content, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if n := min(len(content), len(magic)); n < len(magic) && string(content[:n]) == magic[:n] {
		return s, s.rewrite(nil) // new, or the process died while creating it
	}
	size, err := replay(content, b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return s, s.resume(size, size < int64(len(content)))
}

// resume opens the file for appending at size, cutting off what is behind it.
func (s *file) resume(size int64, torn bool) error {
	f, err := os.OpenFile(s.path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	s.f, s.size, s.kept = f, size, size
	if torn {
		if err := errors.Join(f.Truncate(size), s.fsync(f)); err != nil {
			return err
		}
	}
	_, err = f.Seek(size, io.SeekStart)
	return err
}

// replay applies the records of a file to b and returns the length of the sound part:
// all of it unless the last append was cut short. Error: ErrDamaged.
func replay(content []byte, b *book) (size int64, err error) {
	if !bytes.HasPrefix(content, []byte(magic)) {
		return 0, fmt.Errorf("%w at offset 0: not a ledger of this version", ErrDamaged)
	}
	offset := len(magic)
	for offset < len(content) {
		body, err := frame(content[offset:], int64(offset))
		if errors.Is(err, errTorn) {
			break
		}
		if err == nil {
			err = replayBody(body, b)
		}
		if err != nil {
			return 0, fmt.Errorf("%w at offset %d: %w", ErrDamaged, offset, err)
		}
		offset += headSize + len(body) + sumSize
	}
	return int64(offset), nil
}

func replayBody(body []byte, b *book) error {
	r, err := decodeBody(body)
	if err != nil {
		return err
	}
	if err := b.check(r); err != nil {
		return err
	}
	return b.apply(r)
}

// errTorn reports an append that a crash cut short.
var errTorn = errors.New("cut short")

// frame returns the body of the record that rest begins with.
func frame(rest []byte, offset int64) ([]byte, error) {
	if len(rest) < headSize {
		return nil, errTorn
	}
	length, check := binary.LittleEndian.Uint32(rest), binary.LittleEndian.Uint32(rest[4:])
	if length > maxBody || check != headCheck(length, offset) {
		if len(bytes.Trim(rest, "\x00")) == 0 {
			return nil, errTorn // the file had grown, the data had not arrived
		}
		return nil, errors.New("bad record header")
	}
	rest = rest[headSize:]
	if len(rest) < int(length)+sumSize {
		return nil, errTorn
	}
	body, tail := rest[:length], rest[length:]
	sum := binary.LittleEndian.Uint32(tail)
	switch {
	case sum == crc32.Checksum(body, castagnoli):
		return body, nil
	case sum == 0 && len(tail) == sumSize:
		return nil, errTorn
	}
	return nil, errors.New("bad checksum")
}

func (s *file) append(r record, sync bool) error {
	n, err := s.f.Write(r.appendFrame(nil, s.size))
	s.size += int64(n)
	if err != nil || !sync {
		return err
	}
	return s.fsync(s.f)
}

func (s *file) tidy(history func() []record) error {
	if s.size < s.kept+max(slack, s.kept) {
		return nil
	}
	return s.rewrite(history())
}

// draft is where a new file is prepared.
func (s *file) draft() string { return s.path + ".new" }

// rewrite replaces the file by one with the given records. At every moment the old
// or the new file is at path, whole.
func (s *file) rewrite(records []record) (err error) {
	content := []byte(magic)
	for _, r := range records {
		content = r.appendFrame(content, int64(len(content)))
	}
	f, err := os.OpenFile(s.draft(), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, f.Close())
		}
	}()
	if _, err := f.Write(content); err != nil {
		return err
	}
	if err := s.fsync(f); err != nil {
		return err
	}
	if err := os.Rename(s.draft(), s.path); err != nil {
		return err
	}
	if err := s.syncFolder(); err != nil {
		return err
	}
	if s.f != nil {
		_ = s.f.Close() // of the old file, which has no name any more
	}
	s.f, s.size, s.kept = f, int64(len(content)), int64(len(content))
	return nil
}

func (s *file) close() error {
	var errs []error
	if s.f != nil {
		errs = append(errs, s.f.Close())
	}
	return errors.Join(append(errs, s.lock.Close())...)
}

// syncFolder makes a rename durable.
func (s *file) syncFolder() error {
	d, err := os.Open(filepath.Dir(s.path))
	if err != nil {
		return err
	}
	return errors.Join(s.fsync(d), d.Close())
}
