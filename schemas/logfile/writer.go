package logfile

import (
	"fmt"
	"hash/crc32"
	"io"
	"math"

	"dpfpl/schemas"
)

// Writer writes a run log from start to end. It issues one Write per chunk.
type Writer struct {
	w     io.Writer
	seen  sequence
	index uint32
	chunk []byte // scratch
	err   error
}

// NewWriter returns a writer that has written the header.
func NewWriter(w io.Writer) (*Writer, error) {
	_, err := w.Write(le.AppendUint16([]byte(magic), Version))
	return &Writer{w: w}, err
}

// Write appends a message: of it, Subject, Seq, Time and Raw are kept. The first is the plan. Errors:
// ErrOrder for a message that has no place here, which may be left out; any other makes the file unusable,
// and every later call returns it.
func (w *Writer) Write(m schemas.Message) error {
	if w.err != nil {
		return w.err
	}
	kind, err := w.seen.place(m.Subject, m.Seq)
	if err != nil {
		return fmt.Errorf("%w: %s: %v", ErrOrder, m.Subject, err)
	}
	if len(m.Subject) > math.MaxUint16 || len(m.Raw) > MaxPayload-recordSize-len(m.Subject) {
		return fmt.Errorf("%w: %.80s: %d bytes do not fit a chunk", ErrOrder, m.Subject, len(m.Raw))
	}
	chain := w.seen.take(kind, m.Subject, m.Seq, m.Raw)
	r := record{seq: m.Seq, chain: chain, time: m.Time, subject: m.Subject, raw: m.Raw}
	return w.write(typeRecord, r.append)
}

// Close writes the trailer. It does not close the underlying writer.
func (w *Writer) Close() error {
	if w.err != nil {
		return w.err
	}
	return w.write(typeTrailer, trailer{w.seen.counts, w.seen.chain}.append)
}

// Counts returns how much has been written.
func (w *Writer) Counts() Counts { return w.seen.counts }

func (w *Writer) write(kind byte, payload func([]byte) []byte) error {
	b := append(w.chunk[:0], kind)
	b = le.AppendUint32(b, w.index)
	b = payload(le.AppendUint32(b, 0))
	le.PutUint32(b[5:], uint32(len(b)-headSize))
	w.chunk = le.AppendUint32(b, crc32.Checksum(b, castagnoli))
	w.index++
	_, w.err = w.w.Write(w.chunk)
	return w.err
}
