package ledger

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"

	"dpfpl/mathx/dp"
)

const (
	magic     = "dpfpl ledger 1\n"
	headSize  = 8 // length and check
	sumSize   = 4
	maxBody   = 64 << 20
	maxName   = 255
	maxGroups = 64
)

// kind tells records apart. Numbers are never used again for something else.
type kind byte

const (
	kindDebit  kind = 1
	kindCommit kind = 2
	kindAcked  kind = 3
	kindDone   kind = 4 // a commit that was acknowledged, without its payload
)

// record is one line of the ledger; which fields count depends on the kind.
type record struct {
	kind    kind
	entry   Entry // kindDebit; Run and K for all
	payload []byte
	digest  [32]byte // kindDone: SHA-256 of what the payload was
	state   []byte
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// appendFrame appends the framed body of r, to be written at offset.
func (r record) appendFrame(dst []byte, offset int64) []byte {
	body := r.appendBody(nil)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(body)))
	dst = binary.LittleEndian.AppendUint32(dst, headCheck(uint32(len(body)), offset))
	dst = append(dst, body...)
	return binary.LittleEndian.AppendUint32(dst, crc32.Checksum(body, castagnoli))
}

func headCheck(length uint32, offset int64) uint32 {
	var b [12]byte
	binary.LittleEndian.PutUint32(b[:], length)
	binary.LittleEndian.PutUint64(b[4:], uint64(offset))
	return crc32.Checksum(b[:], castagnoli)
}

func (r record) appendBody(dst []byte) []byte {
	dst = append(dst, byte(r.kind))
	dst = appendBytes(dst, []byte(r.entry.Run))
	dst = binary.AppendUvarint(dst, r.entry.K)
	switch r.kind {
	case kindDebit:
		dst = r.entry.appendTo(dst)
	case kindCommit:
		dst = appendBytes(dst, r.payload)
		dst = appendBytes(dst, r.state)
	case kindDone:
		dst = append(dst, r.digest[:]...)
		dst = appendBytes(dst, r.state)
	}
	return dst
}

func (e Entry) appendTo(dst []byte) []byte {
	dst = append(dst, byte(e.Step.Sampler), byte(e.Adjacency))
	for _, v := range []float64{e.Step.Q, e.Step.Z, e.Delta} {
		dst = appendFloat(dst, v)
	}
	dst = binary.AppendUvarint(dst, uint64(len(e.Groups)))
	for _, g := range e.Groups {
		dst = appendBytes(dst, []byte(g.Name))
		dst = binary.AppendUvarint(dst, uint64(g.Dim))
		dst = appendFloat(appendFloat(dst, g.Clip), g.Z)
	}
	return dst
}

func appendBytes(dst, b []byte) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(b))), b...)
}

func appendFloat(dst []byte, v float64) []byte {
	return binary.LittleEndian.AppendUint64(dst, math.Float64bits(v))
}

// errBody reports a body that passed its sum and still is not a record.
var errBody = errors.New("not a record")

// decodeBody is the inverse of appendBody. It does not keep body.
func decodeBody(body []byte) (record, error) {
	d := decoder{rest: body}
	r := record{kind: kind(d.byte())}
	r.entry.Run = string(d.bytes(maxName))
	r.entry.K = d.uvarint()
	switch r.kind {
	case kindDebit:
		d.entry(&r.entry)
	case kindCommit:
		r.payload = append([]byte(nil), d.bytes(maxBody)...)
		r.state = append([]byte(nil), d.bytes(maxBody)...)
	case kindDone:
		copy(r.digest[:], d.take(len(r.digest)))
		r.state = append([]byte(nil), d.bytes(maxBody)...)
	case kindAcked:
	default:
		return record{}, fmt.Errorf("%w: kind %d", errBody, r.kind)
	}
	if d.failed || len(d.rest) > 0 {
		return record{}, fmt.Errorf("%w: body of %d bytes", errBody, len(body))
	}
	return r, nil
}

// decoder reads fields; after a failure it returns zeros.
type decoder struct {
	rest   []byte
	failed bool
}

func (d *decoder) entry(e *Entry) {
	e.Step.Sampler, e.Adjacency = dp.Sampler(d.byte()), dp.Adjacency(d.byte())
	e.Step.Q, e.Step.Z, e.Delta = d.float(), d.float(), d.float()
	n := d.uvarint()
	if n > maxGroups {
		d.failed = true
		return
	}
	for range n {
		g := dp.Group{Name: string(d.bytes(maxName))}
		dim := d.uvarint()
		if dim > math.MaxInt32 {
			d.failed = true
			return
		}
		g.Dim = int(dim)
		g.Clip, g.Z = d.float(), d.float()
		e.Groups = append(e.Groups, g)
	}
}

func (d *decoder) take(n int) []byte {
	if d.failed || n > len(d.rest) {
		d.failed = true
		return nil
	}
	b := d.rest[:n]
	d.rest = d.rest[n:]
	return b
}

func (d *decoder) byte() byte {
	if b := d.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (d *decoder) float() float64 {
	if b := d.take(8); b != nil {
		return math.Float64frombits(binary.LittleEndian.Uint64(b))
	}
	return 0
}

func (d *decoder) uvarint() uint64 {
	v, n := binary.Uvarint(d.rest)
	if n <= 0 {
		d.failed = true
		return 0
	}
	d.rest = d.rest[n:]
	return v
}

func (d *decoder) bytes(most int) []byte {
	n := d.uvarint()
	if n > uint64(most) {
		d.failed = true
		return nil
	}
	return d.take(int(n))
}
