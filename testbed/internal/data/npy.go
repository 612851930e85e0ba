package data

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
)

// array is a NumPy array as stored in a .npy file (NEP 1), little-endian and in C order.
type array struct {
	kind  string // "f2", "f4", "f8", "i4", "i8", "u1", …
	shape []int
	data  []byte
}

var npyHeader = regexp.MustCompile(`^\{'descr': '[<|]((?:f[248]|[iu][1248]))', 'fortran_order': False, 'shape': \(((?:\d{1,10},? ?)*)\), \}\s*$`)

// decodeNPY reads format versions 1 to 3 of arrays of numbers.
func decodeNPY(raw []byte) (*array, error) {
	if len(raw) < 12 || !bytes.HasPrefix(raw, []byte("\x93NUMPY")) {
		return nil, fmt.Errorf("it is not a NumPy file")
	}
	start, size := 10, int(binary.LittleEndian.Uint16(raw[8:]))
	if raw[6] > 1 {
		start, size = 12, int(binary.LittleEndian.Uint32(raw[8:]))
	}
	if size > len(raw)-start {
		return nil, fmt.Errorf("its head is cut short")
	}
	m := npyHeader.FindSubmatch(raw[start : start+size])
	if m == nil {
		return nil, fmt.Errorf("its head %.80q does not describe a little-endian array of numbers in C order", raw[start:start+size])
	}
	a := &array{kind: string(m[1]), data: raw[start+size:]}
	n := a.size()
	for _, d := range strings.FieldsFunc(string(m[2]), func(r rune) bool { return r == ',' || r == ' ' }) {
		v, err := strconv.Atoi(d)
		if err != nil || v < 1 || v > maxArray/n {
			return nil, fmt.Errorf("its shape (%s) is empty or too large", m[2])
		}
		a.shape, n = append(a.shape, v), n*v
	}
	if n != len(a.data) {
		return nil, fmt.Errorf("it holds %d bytes, shape (%s) of %s needs %d", len(a.data), m[2], m[1], n)
	}
	return a, nil
}

// floats returns the values of a floating-point array.
func (a *array) floats() ([]float32, error) {
	le := binary.LittleEndian
	value := map[string]func([]byte) float32{
		"f2": func(b []byte) float32 { return half(le.Uint16(b)) },
		"f4": func(b []byte) float32 { return math.Float32frombits(le.Uint32(b)) },
		"f8": func(b []byte) float32 { return float32(math.Float64frombits(le.Uint64(b))) },
	}[a.kind]
	if value == nil {
		return nil, fmt.Errorf("its numbers are %s, not floating-point", a.kind)
	}
	size := a.size()
	v := make([]float32, len(a.data)/size)
	for i := range v {
		v[i] = value(a.data[i*size:])
	}
	return v, nil
}

// size is the number of bytes of one value.
func (a *array) size() int { return int(a.kind[1] - '0') }

// ints returns the values of an array of integers.
func (a *array) ints() ([]int, error) {
	if a.kind[0] == 'f' {
		return nil, fmt.Errorf("its numbers are %s, not integers", a.kind)
	}
	size := a.size()
	v := make([]int, len(a.data)/size)
	for i := range v {
		var word uint64
		for at := range size {
			word |= uint64(a.data[i*size+at]) << (8 * at)
		}
		if shift := 64 - 8*size; a.kind[0] == 'i' {
			v[i] = int(int64(word<<shift) >> shift)
		} else {
			v[i] = int(min(word, math.MaxInt))
		}
	}
	return v, nil
}

// half widens an IEEE 754 binary16.
func half(h uint16) float32 {
	sign, exponent, fraction := uint32(h>>15)<<31, uint32(h>>10&0x1f), uint32(h&0x3ff)
	switch exponent {
	case 0: // zero and subnormal: fraction · 2^-24
		v := float32(fraction) / (1 << 24)
		return math.Float32frombits(sign | math.Float32bits(v))
	case 31:
		return math.Float32frombits(sign | 0xff<<23 | fraction<<13)
	}
	return math.Float32frombits(sign | (exponent+112)<<23 | fraction<<13)
}
