package logfile

import (
	"encoding/binary"
	"hash/crc32"
	"time"

	"dpfpl/schemas"
)

// Version is the format version that this package writes and reads.
const Version = 1

// MaxPayload is the largest payload of a chunk.
const MaxPayload = 1 << 24

const (
	magic      = "\x89dpfpl\r\n"
	headerSize = len(magic) + 2
	headSize   = 1 + 4 + 4 // of a chunk
	sumSize    = 4
	recordSize = 8 + 32 + 8 + 2 // of a record without subject and message

	typeRecord  = 'R'
	typeTrailer = 'T'
)

var (
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
	le         = binary.LittleEndian
)

// Counts is how much of what a file holds.
type Counts struct {
	Log, Models, Checkpoints uint64
}

// add counts a message of the kind; it reports false for kinds that are never kept.
func (c *Counts) add(k schemas.Kind) bool {
	switch k {
	case schemas.KindPlan:
	case schemas.KindUpdate, schemas.KindControl:
		c.Log++
	case schemas.KindModel:
		c.Models++
	case schemas.KindCheckpoint:
		c.Checkpoints++
	default:
		return false
	}
	return true
}

// record is the payload of a record chunk.
type record struct {
	seq     uint64
	chain   [32]byte
	time    time.Time
	subject string
	raw     []byte
}

func (r record) append(b []byte) []byte {
	b = le.AppendUint64(b, r.seq)
	b = append(b, r.chain[:]...)
	b = le.AppendUint64(b, uint64(r.time.UnixNano()))
	b = le.AppendUint16(b, uint16(len(r.subject)))
	b = append(b, r.subject...)
	return append(b, r.raw...)
}

// parseRecord reports false if b is too short for what it claims. raw is a part of b.
func parseRecord(b []byte) (r record, ok bool) {
	if len(b) < recordSize {
		return r, false
	}
	r.seq = le.Uint64(b)
	copy(r.chain[:], b[8:])
	r.time = time.Unix(0, int64(le.Uint64(b[40:]))).UTC()
	n := int(le.Uint16(b[48:]))
	b = b[recordSize:]
	if len(b) < n {
		return r, false
	}
	r.subject, r.raw = string(b[:n]), b[n:]
	return r, true
}

// trailer is the payload of the last chunk.
type trailer struct {
	counts Counts
	chain  [32]byte
}

func (t trailer) append(b []byte) []byte {
	b = le.AppendUint64(b, t.counts.Log)
	b = le.AppendUint64(b, t.counts.Models)
	b = le.AppendUint64(b, t.counts.Checkpoints)
	return append(b, t.chain[:]...)
}

func parseTrailer(b []byte) (t trailer, ok bool) {
	if len(b) != 3*8+32 {
		return t, false
	}
	t.counts = Counts{le.Uint64(b), le.Uint64(b[8:]), le.Uint64(b[16:])}
	copy(t.chain[:], b[24:])
	return t, true
}
