package schemas

import (
	"bytes"
	"io"

	"github.com/vmihailenco/msgpack/v5"
)

// Blob is the packed numbers of a message. In a message that was opened it is a part of the sealed bytes
// and not a copy of them: it must not be written to, nor must they.
type Blob []byte

// DecodeMsgpack takes the blob out of the source that Open reads from.
func (b *Blob) DecodeMsgpack(d *msgpack.Decoder) error {
	n, err := d.DecodeBytesLen()
	if err != nil {
		return err
	}
	*b, err = d.Buffered().(*source).take(n)
	return err
}

// source is a reader of bytes that can also give them away.
type source struct {
	*bytes.Reader
	all []byte
}

func newSource(b []byte) *source { return &source{bytes.NewReader(b), b} }

// take returns the next n bytes as they lie there.
func (s *source) take(n int) ([]byte, error) {
	at := len(s.all) - s.Len()
	if n < 0 || n > s.Len() {
		return nil, io.ErrUnexpectedEOF
	}
	if _, err := s.Seek(int64(n), io.SeekCurrent); err != nil {
		return nil, err
	}
	return s.all[at : at+n : at+n], nil
}
