package backbone

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"regexp"
	"strconv"
	"strings"

	"dpfpl/mathx/clip"
)

// ErrNPY is wrapped by errors about the content of an npy file.
var ErrNPY = errors.New("backbone: bad npy file")

// Array is an array of up to two dimensions in C order, as numpy.save writes
// it. Floating-point types are read as float32, whole numbers as int64;
// exactly one of the two is set unless the array is empty.
type Array struct {
	Shape  []int
	Floats []float32
	Ints   []int64
}

// Limits of ReadNPY.
const (
	maxNPYHeader = 1 << 16
	maxElements  = 1 << 31
)

const npyMagic = "\x93NUMPY"

// element is one numpy type: its width and how it is read.
type element struct {
	size  int
	float func(b []byte) float32
	whole func(b []byte) int64
}

var elements = map[string]element{
	"<f2": {size: 2, float: func(b []byte) float32 { return clip.FromHalf(binary.LittleEndian.Uint16(b)) }},
	"<f4": {size: 4, float: func(b []byte) float32 { return math.Float32frombits(binary.LittleEndian.Uint32(b)) }},
	"<f8": {size: 8, float: func(b []byte) float32 { return float32(math.Float64frombits(binary.LittleEndian.Uint64(b))) }},
	"|u1": {size: 1, whole: func(b []byte) int64 { return int64(b[0]) }},
	"|i1": {size: 1, whole: func(b []byte) int64 { return int64(int8(b[0])) }},
	"<u2": {size: 2, whole: func(b []byte) int64 { return int64(binary.LittleEndian.Uint16(b)) }},
	"<i2": {size: 2, whole: func(b []byte) int64 { return int64(int16(binary.LittleEndian.Uint16(b))) }},
	"<u4": {size: 4, whole: func(b []byte) int64 { return int64(binary.LittleEndian.Uint32(b)) }},
	"<i4": {size: 4, whole: func(b []byte) int64 { return int64(int32(binary.LittleEndian.Uint32(b))) }},
	"<i8": {size: 8, whole: func(b []byte) int64 { return int64(binary.LittleEndian.Uint64(b)) }},
}

// ReadNPY reads an npy file to its end. Memory stays within a small multiple
// of what r really holds. Errors wrap ErrNPY, or are r's.
func ReadNPY(r io.Reader) (*Array, error) {
	descr, shape, err := readNPYHeader(r)
	if err != nil {
		return nil, err
	}
	e, ok := elements[descr]
	if !ok {
		return nil, fmt.Errorf("%w: type %q is not supported", ErrNPY, descr)
	}
	count := 1
	for _, n := range shape {
		if n != 0 && count > maxElements/n {
			return nil, fmt.Errorf("%w: shape %v is too large", ErrNPY, shape)
		}
		count *= n
	}
	var data bytes.Buffer // grows with what is read, not with what is claimed
	want := int64(count) * int64(e.size)
	n, err := io.Copy(&data, io.LimitReader(r, want+1))
	switch {
	case err != nil:
		return nil, err
	case n < want:
		return nil, fmt.Errorf("%w: %d bytes of data, shape %v of %s takes %d", ErrNPY, n, shape, descr, want)
	case n > want:
		return nil, fmt.Errorf("%w: more data than shape %v of %s takes", ErrNPY, shape, descr)
	}
	a := &Array{Shape: shape}
	a.decode(e, data.Bytes(), count)
	return a, nil
}

func (a *Array) decode(e element, data []byte, count int) {
	if e.float != nil {
		a.Floats = make([]float32, count)
		for i := range a.Floats {
			a.Floats[i] = e.float(data[i*e.size:])
		}
		return
	}
	a.Ints = make([]int64, count)
	for i := range a.Ints {
		a.Ints[i] = e.whole(data[i*e.size:])
	}
}

func readNPYHeader(r io.Reader) (descr string, shape []int, err error) {
	var fixed [8]byte
	if _, err := io.ReadFull(r, fixed[:]); err != nil {
		return "", nil, fmt.Errorf("%w: no header: %w", ErrNPY, err)
	}
	if string(fixed[:6]) != npyMagic {
		return "", nil, fmt.Errorf("%w: it does not begin as one", ErrNPY)
	}
	width := 4
	if fixed[6] == 1 {
		width = 2
	}
	if fixed[6] < 1 || fixed[6] > 3 {
		return "", nil, fmt.Errorf("%w: version %d", ErrNPY, fixed[6])
	}
	length := make([]byte, 4)
	if _, err := io.ReadFull(r, length[:width]); err != nil {
		return "", nil, fmt.Errorf("%w: no header: %w", ErrNPY, err)
	}
	n := binary.LittleEndian.Uint32(length)
	if n > maxNPYHeader {
		return "", nil, fmt.Errorf("%w: header of %d bytes", ErrNPY, n)
	}
	header := make([]byte, n)
	if _, err := io.ReadFull(r, header); err != nil {
		return "", nil, fmt.Errorf("%w: header: %w", ErrNPY, err)
	}
	return parseNPYHeader(string(header))
}

// npyHeader is the Python dictionary that numpy writes, keys in any order.
var (
	npyDescr = regexp.MustCompile(`'descr': *'([<>|=][a-z][0-9]{1,2})'`)
	npyOrder = regexp.MustCompile(`'fortran_order': *(True|False)`)
	npyShape = regexp.MustCompile(`'shape': *\(([0-9, ]*)\)`)
)

func parseNPYHeader(header string) (descr string, shape []int, err error) {
	d, o, s := npyDescr.FindStringSubmatch(header), npyOrder.FindStringSubmatch(header), npyShape.FindStringSubmatch(header)
	if d == nil || o == nil || s == nil {
		return "", nil, fmt.Errorf("%w: header %.80q", ErrNPY, header)
	}
	if o[1] == "True" {
		return "", nil, fmt.Errorf("%w: Fortran order is not supported", ErrNPY)
	}
	for part := range strings.SplitSeq(s[1], ",") {
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		n, err := strconv.Atoi(part)
		if err != nil || n < 0 {
			return "", nil, fmt.Errorf("%w: shape (%s)", ErrNPY, s[1])
		}
		shape = append(shape, n)
	}
	if len(shape) > 2 {
		return "", nil, fmt.Errorf("%w: %d dimensions, at most 2", ErrNPY, len(shape))
	}
	return d[1], shape, nil
}

// npyHeader is the beginning of a version 1 file, padded to 64 bytes.
func npyHeader(descr string, shape ...int) []byte {
	parts := make([]string, len(shape))
	for i, n := range shape {
		parts[i] = strconv.Itoa(n)
	}
	tuple := strings.Join(parts, ", ")
	if len(shape) == 1 {
		tuple += ","
	}
	dict := fmt.Sprintf("{'descr': '%s', 'fortran_order': False, 'shape': (%s), }", descr, tuple)
	pad := 63 - (len(npyMagic)+4+len(dict))%64
	dict += strings.Repeat(" ", pad) + "\n"
	b := append([]byte(npyMagic), 1, 0)
	b = binary.LittleEndian.AppendUint16(b, uint16(len(dict)))
	return append(b, dict...)
}

// WriteNPY writes the array: Floats as float32, or float16 if half, else Ints
// as int64.
func (a *Array) WriteNPY(w io.Writer, half bool) error {
	var b []byte
	switch {
	case a.Ints != nil:
		b = npyHeader("<i8", a.Shape...)
		for _, v := range a.Ints {
			b = binary.LittleEndian.AppendUint64(b, uint64(v))
		}
	case half:
		b = npyHeader("<f2", a.Shape...)
		for _, v := range a.Floats {
			b = binary.LittleEndian.AppendUint16(b, clip.ToHalf(v))
		}
	default:
		b = npyHeader("<f4", a.Shape...)
		for _, v := range a.Floats {
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
		}
	}
	_, err := w.Write(b)
	return err
}
