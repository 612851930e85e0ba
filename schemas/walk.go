package schemas

import (
	"encoding/binary"
	"fmt"
	"math"
	"strconv"
	"unicode/utf8"
)

// walk holds msgpack bytes against the outline of a message, without allocating: every key must be there
// once and in order, every claimed length must have bytes behind it, every number must fit its field and
// be finite, every integer and length must be in its shortest form, and nothing may follow. The encoding
// of a message is therefore unique, and the decoder that runs afterwards can only meet what it expects.
// Expected errors: ErrEncoding, ErrNotFinite.
func walk(b []byte, s *shape) error {
	w := walker{rest: b}
	if err := w.value(s); err != nil {
		return err
	}
	if len(w.rest) > 0 {
		return fmt.Errorf("%w: %d bytes after the end", ErrEncoding, len(w.rest))
	}
	return nil
}

// walker consumes bytes from the front of rest.
type walker struct{ rest []byte }

// value consumes one value of outline s. The recursion is as deep as the outline, whatever the bytes say.
func (w *walker) value(s *shape) error {
	switch s.form {
	case formBool:
		return w.boolean()
	case formUint:
		return w.unsigned(s.bits)
	case formInt:
		return w.signed(s.bits)
	case formFloat:
		return w.float()
	case formString:
		return w.text()
	case formBin:
		if w.isNil() {
			return nil
		}
		_, err := w.blob()
		return err
	case formFixed:
		b, err := w.blob()
		if err == nil && len(b) != s.size {
			err = fmt.Errorf("%w: %d bytes where %d belong", ErrEncoding, len(b), s.size)
		}
		return err
	case formList:
		return w.list(s.elem)
	default:
		return w.fields(s.fields)
	}
}

func (w *walker) isNil() bool {
	if len(w.rest) > 0 && w.rest[0] == 0xc0 {
		w.rest = w.rest[1:]
		return true
	}
	return false
}

func (w *walker) boolean() error {
	b, err := w.take(1)
	if err != nil {
		return err
	}
	if b[0] != 0xc2 && b[0] != 0xc3 {
		return wrongType("a boolean", b[0])
	}
	return nil
}

func (w *walker) unsigned(bits int) error {
	code, n, err := w.integer()
	if err != nil {
		return err
	}
	if code >= 0xd0 {
		return fmt.Errorf("%w: negative number in an unsigned field", ErrEncoding)
	}
	if bits < 64 && n>>bits != 0 {
		return fmt.Errorf("%w: %d does not fit %d bits", ErrEncoding, n, bits)
	}
	return nil
}

func (w *walker) signed(bits int) error {
	code, n, err := w.integer()
	if err != nil {
		return err
	}
	if code < 0xd0 && n>>(bits-1) != 0 {
		return fmt.Errorf("%w: %d does not fit %d signed bits", ErrEncoding, n, bits)
	}
	return nil
}

// integer consumes an integer in its shortest form. A code from 0xd0 up says that it is negative and that
// n is its two's complement.
func (w *walker) integer() (code byte, n uint64, err error) {
	b, err := w.take(1)
	if err != nil {
		return 0, 0, err
	}
	code = b[0]
	switch {
	case code <= 0x7f:
		return code, uint64(code), nil
	case code >= 0xe0:
		return code, uint64(int64(int8(code))), nil
	case code >= 0xcc && code <= 0xd3:
		width := 1 << ((code - 0xcc) & 3)
		if n, err = w.number(width); err != nil {
			return 0, 0, err
		}
		if code <= 0xcf {
			return code, n, shortest(n > maxBelow(width))
		}
		shift := 64 - 8*width
		value := int64(n<<shift) >> shift
		return code, uint64(value), shortest(value < minAbove(width))
	}
	return 0, 0, wrongType("an integer", code)
}

// maxBelow is the largest unsigned value that fits a form narrower than width bytes.
func maxBelow(width int) uint64 {
	if width == 1 {
		return 0x7f
	}
	return 1<<(4*width) - 1
}

// minAbove is the most negative value that fits a form narrower than width bytes.
func minAbove(width int) int64 {
	if width == 1 {
		return -32
	}
	return -1 << (4*width - 1)
}

func shortest(ok bool) error {
	if !ok {
		return fmt.Errorf("%w: number or length not in its shortest form", ErrEncoding)
	}
	return nil
}

func (w *walker) float() error {
	b, err := w.take(1)
	if err != nil {
		return err
	}
	if b[0] != 0xcb {
		return wrongType("a float64", b[0])
	}
	n, err := w.number(8)
	if err != nil {
		return err
	}
	if v := math.Float64frombits(n); math.IsNaN(v) || math.IsInf(v, 0) {
		return fmt.Errorf("%w: %v", ErrNotFinite, v)
	}
	return nil
}

func (w *walker) text() error {
	b, err := w.str()
	if err == nil && !utf8.Valid(b) {
		err = fmt.Errorf("%w: text is not UTF-8", ErrEncoding)
	}
	return err
}

func (w *walker) str() ([]byte, error) {
	n, err := w.length("text", 0xa0, 31, 0xd9, 1)
	if err != nil {
		return nil, err
	}
	return w.take(n)
}

func (w *walker) blob() ([]byte, error) {
	n, err := w.length("bytes", 0, -1, 0xc4, 1)
	if err != nil {
		return nil, err
	}
	return w.take(n)
}

func (w *walker) list(elem *shape) error {
	if w.isNil() {
		return nil
	}
	n, err := w.length("a list", 0x90, 15, 0xdc, 2)
	if err != nil {
		return err
	}
	if need := n * elem.minSize(); need > len(w.rest) {
		return fmt.Errorf("%w: a list claims %d entries with %d bytes behind it", ErrEncoding, n, len(w.rest))
	}
	for i := range n {
		if err := w.value(elem); err != nil {
			return fmt.Errorf("[%d]: %w", i, err)
		}
	}
	return nil
}

func (w *walker) fields(fields []fieldShape) error {
	n, err := w.length("a map", 0x80, 15, 0xde, 2)
	if err != nil {
		return err
	}
	if n != len(fields) {
		return fmt.Errorf("%w: %d fields where %d belong", ErrEncoding, n, len(fields))
	}
	for i := range fields {
		key, err := w.str()
		if err != nil {
			return err
		}
		if string(key) != fields[i].name {
			return fmt.Errorf("%w: key %.32q where %q belongs", ErrEncoding, key, fields[i].name)
		}
		if err := w.value(&fields[i].shape); err != nil {
			return fmt.Errorf("%s: %w", fields[i].name, err)
		}
	}
	return nil
}

// length consumes the head of a value with a length: fix is the base code of the short form, which holds
// up to fixMax (-1: there is none); long is the code of the first long form, whose length has width bytes,
// and each code after it doubles the width up to 4. Every claimed unit must have at least a byte behind it.
func (w *walker) length(what string, fix byte, fixMax int, long byte, width int) (int, error) {
	b, err := w.take(1)
	if err != nil {
		return 0, err
	}
	code := b[0]
	if fixMax >= 0 && code >= fix && int(code-fix) <= fixMax {
		return w.claimed(uint64(code - fix))
	}
	largest := fixMax // that the form before could hold
	for ; width <= 4; long, width = long+1, 2*width {
		if code == long {
			n, err := w.number(width)
			if err != nil {
				return 0, err
			}
			if err := shortest(int64(n) > int64(largest)); err != nil {
				return 0, err
			}
			return w.claimed(n)
		}
		largest = 1<<(8*width) - 1
	}
	return 0, wrongType(what, code)
}

func (w *walker) claimed(n uint64) (int, error) {
	if n > uint64(len(w.rest)) {
		return 0, fmt.Errorf("%w: a length claims %d with %d bytes behind it", ErrEncoding, n, len(w.rest))
	}
	return int(n), nil
}

// number consumes a big-endian unsigned number of 1, 2, 4 or 8 bytes.
func (w *walker) number(width int) (uint64, error) {
	b, err := w.take(width)
	if err != nil {
		return 0, err
	}
	switch width {
	case 1:
		return uint64(b[0]), nil
	case 2:
		return uint64(binary.BigEndian.Uint16(b)), nil
	case 4:
		return uint64(binary.BigEndian.Uint32(b)), nil
	}
	return binary.BigEndian.Uint64(b), nil
}

func (w *walker) take(n int) ([]byte, error) {
	if n > len(w.rest) {
		return nil, fmt.Errorf("%w: cut short", ErrEncoding)
	}
	b := w.rest[:n]
	w.rest = w.rest[n:]
	return b, nil
}

func wrongType(want string, code byte) error {
	return fmt.Errorf("%w: %s expected, found code 0x%s", ErrEncoding, want, strconv.FormatUint(uint64(code), 16))
}

// minSize is the fewest bytes a value of this outline can take.
func (s *shape) minSize() int {
	switch s.form {
	case formFloat:
		return 9
	case formFixed:
		return 2 + s.size
	case formMap:
		n := 1
		for i := range s.fields {
			n += 1 + len(s.fields[i].name) + s.fields[i].minSize()
		}
		return n
	}
	return 1
}
