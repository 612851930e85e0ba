package blackbox

import (
	"bytes"
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
)

const (
	magic     = "dpfpl black box 1\n"
	maxLength = 1 << 26
)

// Box is an open black box. It is not safe for concurrent use.
type Box struct {
	file *os.File
	seal cipher.AEAD
}

// Open opens the black box at path for appending, or creates one that nobody else may read. Errors: ErrKey,
// ErrDamaged for a file that is none or has records of another key, and those of the file system.
func Open(path string, key []byte) (*Box, error) {
	seal, err := newSealer(key)
	if err != nil {
		return nil, err
	}
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	b := &Box{file, seal}
	if err := b.resume(path); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return b, nil
}

// resume moves to the end of what is whole and cuts off the rest.
func (b *Box) resume(path string) error {
	content, err := io.ReadAll(b.file)
	if err != nil {
		return err
	}
	if n := min(len(content), len(magic)); n < len(magic) && string(content[:n]) == magic[:n] {
		content = []byte(magic) // new, or the process died while creating it
		if _, err := b.file.WriteAt(content, 0); err != nil {
			return err
		}
	}
	size, err := scan(content, b.seal, func(Record) {})
	if err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if err := b.file.Truncate(size); err != nil {
		return err
	}
	_, err = b.file.Seek(size, io.SeekStart)
	return err
}

// Append adds a record. It does not wait for the disk: what a crash takes with it is missed by nobody but who
// debugs. Errors: ErrRecord, and those of the file system.
func (b *Box) Append(r Record) error {
	if err := r.check(); err != nil {
		return err
	}
	record := append([]byte{0, 0, 0, 0, byte(len(r.Run))}, r.Run...)
	record = b.seal.Seal(record, nil, r.plain(), additional(r.Run))
	if len(record)-4 > maxLength {
		return fmt.Errorf("%w: %d bytes", ErrRecord, len(record))
	}
	binary.LittleEndian.PutUint32(record, uint32(len(record)-4))
	_, err := b.file.Write(record)
	return err
}

// Close closes the file.
func (b *Box) Close() error { return b.file.Close() }

// Read returns the records at path. A last one that is cut short is left out. Errors: ErrKey, ErrDamaged, and
// those of the file system.
func Read(path string, key []byte) ([]Record, error) {
	seal, err := newSealer(key)
	if err != nil {
		return nil, err
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var records []Record
	if _, err := scan(content, seal, func(r Record) { records = append(records, r) }); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return records, nil
}

// scan calls each with every record and returns the length of what is whole. Error: ErrDamaged.
func scan(content []byte, seal cipher.AEAD, each func(Record)) (size int64, err error) {
	if !bytes.HasPrefix(content, []byte(magic)) {
		return 0, fmt.Errorf("%w: at offset 0, no black box of this version", ErrDamaged)
	}
	offset := len(magic)
	for {
		rest := content[offset:]
		if len(rest) < 4 {
			return int64(offset), nil
		}
		n := binary.LittleEndian.Uint32(rest)
		if n > maxLength {
			return 0, fmt.Errorf("%w: at offset %d, a record of %d bytes", ErrDamaged, offset, n)
		}
		if rest = rest[4:]; len(rest) < int(n) {
			return int64(offset), nil
		}
		r, err := open(rest[:n], seal)
		if err != nil {
			return 0, fmt.Errorf("%w: at offset %d", err, offset)
		}
		each(r)
		offset += 4 + int(n)
	}
}

// open reads a record behind its length. Error: ErrDamaged.
func open(b []byte, seal cipher.AEAD) (Record, error) {
	if len(b) < 1 || len(b) < 1+int(b[0]) {
		return Record{}, ErrDamaged
	}
	run := string(b[1 : 1+int(b[0])])
	plain, err := seal.Open(nil, nil, b[1+int(b[0]):], additional(run))
	if err != nil {
		return Record{}, ErrDamaged
	}
	r, ok := parse(plain)
	if !ok {
		return Record{}, ErrDamaged
	}
	r.Run = run
	return r, nil
}

// additional is what a record's encryption also vouches for.
func additional(run string) []byte { return []byte(magic + run) }
