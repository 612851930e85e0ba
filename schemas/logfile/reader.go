package logfile

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"dpfpl/schemas"
)

// Reader reads a run log from start to end. What it allocates is bounded by a small multiple of what it
// has read.
type Reader struct {
	r      *bufio.Reader
	seen   sequence
	offset int64
	index  uint32
	err    error // sticky

	// Unchained leaves the digest chain to the caller, who computes it anyway, and so saves a SHA-256 over
	// every log record. Checksums, places and sequences are still checked. Set it before the first Next.
	Unchained bool
}

// NewReader returns a reader that has read the header. Errors: ErrFormat, ErrVersion, ErrTruncated, and
// those of r.
func NewReader(r io.Reader) (*Reader, error) {
	b := make([]byte, headerSize)
	buffered := bufio.NewReaderSize(r, 1<<16)
	n, err := io.ReadFull(buffered, b)
	switch {
	case string(b[:min(n, len(magic))]) != magic[:min(n, len(magic))]:
		return nil, fmt.Errorf("%w: it begins with % x", ErrFormat, b[:n])
	case err == io.EOF || err == io.ErrUnexpectedEOF:
		return nil, fmt.Errorf("%w: in the header, after %d bytes", ErrTruncated, n)
	case err != nil:
		return nil, err
	}
	if v := le.Uint16(b[len(magic):]); v != Version {
		return nil, fmt.Errorf("%w: %d, this software reads %d", ErrVersion, v, Version)
	}
	return &Reader{r: buffered, offset: int64(headerSize)}, nil
}

// Next returns the next message, opened, or io.EOF after a whole and intact file. Errors: ErrDamaged,
// ErrTruncated, and those of the underlying reader; after one, every call returns it.
func (r *Reader) Next() (schemas.Message, error) {
	m, err := r.NextSealed()
	if err == nil {
		m.Body, m.Err = schemas.Open(m.Raw)
	}
	return m, err
}

// NextSealed is Next without opening the message: Body and Err are left nil.
func (r *Reader) NextSealed() (schemas.Message, error) {
	if r.err != nil {
		return schemas.Message{}, r.err
	}
	m, err := r.next()
	r.err = err
	return m, err
}

// Counts returns how much has been read.
func (r *Reader) Counts() Counts { return r.seen.counts }

// Chain returns the digest chain over the log records read so far; if Unchained, as the file claims it.
func (r *Reader) Chain() [32]byte { return r.seen.chain }

func (r *Reader) next() (schemas.Message, error) {
	start := r.offset
	kind, payload, err := r.chunk()
	if err != nil {
		return schemas.Message{}, err
	}
	at := Damage{Offset: start, Chunk: r.index - 1}
	if kind == typeTrailer {
		return schemas.Message{}, r.end(at, payload)
	}
	return r.record(at, payload)
}

// chunk reads one chunk and checks what concerns it alone.
func (r *Reader) chunk() (kind byte, payload []byte, err error) {
	at := Damage{Offset: r.offset, Chunk: r.index}
	var head [headSize]byte
	if err := r.full(at, head[:]); err != nil {
		return 0, nil, err
	}
	kind, index, size := head[0], le.Uint32(head[1:]), le.Uint32(head[5:])
	if kind != typeRecord && kind != typeTrailer {
		return 0, nil, at.because("no chunk has type %#x", kind)
	}
	if size > MaxPayload {
		return 0, nil, at.because("a payload of %d bytes, at most %d are possible", size, MaxPayload)
	}
	var buf bytes.Buffer
	buf.Grow(min(int(size)+sumSize, 1<<16) + bytes.MinRead) // more only as bytes arrive
	n, err := buf.ReadFrom(io.LimitReader(r.r, int64(size)+sumSize))
	r.offset += n
	if err != nil {
		return 0, nil, err
	}
	if n < int64(size)+sumSize {
		return 0, nil, at.truncated()
	}
	payload = buf.Bytes()[:size:size]
	sum := crc32.Update(crc32.Checksum(head[:], castagnoli), castagnoli, payload)
	if sum != le.Uint32(buf.Bytes()[size:]) {
		return 0, nil, at.because("the checksum does not match")
	}
	r.index++
	if index != at.Chunk {
		return 0, nil, at.moved(r.seen, kind, index, payload)
	}
	return kind, payload, nil
}

func (r *Reader) full(at Damage, b []byte) error {
	n, err := io.ReadFull(r.r, b)
	r.offset += int64(n)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return at.truncated()
	}
	return err
}

// record checks a record against those before it.
func (r *Reader) record(at Damage, payload []byte) (schemas.Message, error) {
	rec, ok := parseRecord(payload)
	if !ok {
		return schemas.Message{}, at.because("the record is too short for its subject")
	}
	at.Seq, at.Subject = rec.seq, rec.subject
	last := r.seen.log
	kind, err := r.seen.place(rec.subject, rec.seq)
	if err != nil {
		return schemas.Message{}, at.because("%v", err)
	}
	if r.Unchained {
		r.seen.take(kind, rec.subject, rec.seq, nil)
		r.seen.chain = rec.chain
	} else if chain := r.seen.take(kind, rec.subject, rec.seq, rec.raw); chain != rec.chain {
		if kind != schemas.KindUpdate && kind != schemas.KindControl {
			return schemas.Message{}, at.because("it was written after another log record than sequence %d", last)
		}
		return schemas.Message{}, at.because("the digest chain breaks: it or a record after sequence %d was changed, removed or moved", last)
	}
	return schemas.Message{Raw: rec.raw, Subject: rec.subject, Seq: rec.seq, Time: rec.time}, nil
}

// end checks the trailer; io.EOF means that all is well.
func (r *Reader) end(at Damage, payload []byte) error {
	t, ok := parseTrailer(payload)
	switch {
	case !ok:
		return at.because("a trailer of %d bytes", len(payload))
	case t.counts != r.seen.counts:
		return at.because("the trailer counts %+v, the file holds %+v", t.counts, r.seen.counts)
	case t.chain != r.seen.chain:
		return at.because("the trailer's digest chain is another than that of the records")
	}
	if _, err := r.r.ReadByte(); err == nil {
		return (&Damage{Offset: r.offset, Chunk: r.index}).because("bytes after the trailer")
	} else if err != io.EOF {
		return err
	}
	return io.EOF
}

func (d *Damage) because(format string, args ...any) error {
	d.What = fmt.Sprintf(format, args...)
	return d
}

func (d *Damage) truncated() error {
	return fmt.Errorf("%w: in chunk %d, which begins at byte %d", ErrTruncated, d.Chunk, d.Offset)
}

// moved describes an intact chunk that stands in another's place.
func (d *Damage) moved(seen sequence, kind byte, index uint32, payload []byte) error {
	if rec, ok := parseRecord(payload); ok && kind == typeRecord {
		d.Seq, d.Subject = rec.seq, rec.subject
	}
	switch {
	case index+1 == d.Chunk:
		return d.because("chunk %d is there twice, the newest log sequence was %d", index, seen.log)
	case index < d.Chunk:
		return d.because("chunk %d comes again or too late, after log sequence %d", index, seen.log)
	}
	return d.because("chunk %d stands here: what belongs between log sequence %d and it was removed or moved", index, seen.log)
}
