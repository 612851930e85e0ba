package clip

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
)

// ErrWeights is wrapped by every error about the content of a checkpoint:
// damaged, truncated or hostile files, absent tensors, wrong shapes.
var ErrWeights = errors.New("clip: bad weights")

// DType is the element type of a stored tensor, by its safetensors name.
type DType string

// The element types that convert to float32. Others may be present in a file
// as long as nobody asks for them.
const (
	F64  DType = "F64"
	F32  DType = "F32"
	F16  DType = "F16"
	BF16 DType = "BF16"
)

// dtypeSize is the bytes of one element of every type the format knows.
var dtypeSize = map[DType]int64{
	"BOOL": 1, "U8": 1, "I8": 1, "F8_E5M2": 1, "F8_E4M3": 1, "F8_E8M0": 1,
	"I16": 2, "U16": 2, F16: 2, BF16: 2,
	"I32": 4, "U32": 4, F32: 4,
	"I64": 8, "U64": 8, F64: 8, "C64": 8,
}

// TensorInfo says what a file's header claims about a tensor. It has been
// checked: the range lies inside the file, belongs to no other tensor, and is
// as long as the shape and type demand.
type TensorInfo struct {
	DType DType
	Shape []int
	begin int64 // offset in the file, bytes
	size  int64 // bytes
}

// Safetensors is one opened safetensors file. It holds the header only; a
// tensor's bytes are read when asked for. It may be used concurrently.
type Safetensors struct {
	name     string
	r        io.ReaderAt
	tensors  map[string]TensorInfo
	metadata map[string]string
}

// OpenSafetensors reads and checks the header of a file of size bytes; name
// stands in errors. The header is believed only where the file bears it out:
// ranges must tile the data exactly, without overlap, gap or misaligned
// element, so memory stays within a small multiple of the header that is
// really there. Errors wrap ErrWeights, those of r are passed on.
func OpenSafetensors(name string, r io.ReaderAt, size int64) (*Safetensors, error) {
	header, err := readHeader(name, r, size)
	if err != nil {
		return nil, err
	}
	tensors, metadata, err := parseHeader(header)
	if err == nil {
		err = checkLayout(tensors, int64(8+len(header)), size)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %v", ErrWeights, name, err)
	}
	return &Safetensors{name: name, r: r, tensors: tensors, metadata: metadata}, nil
}

// maxHeader bounds the JSON header; a ViT-L/14 has 70 KiB.
const maxHeader = 16 << 20

func readHeader(name string, r io.ReaderAt, size int64) ([]byte, error) {
	if size < 8 {
		return nil, fmt.Errorf("%w: %s: %d bytes are too few for a safetensors file", ErrWeights, name, size)
	}
	var length [8]byte
	if err := readFull(r, length[:], 0); err != nil {
		return nil, fmt.Errorf("clip: %s: header length: %w", name, err)
	}
	n := binary.LittleEndian.Uint64(length[:])
	if n > maxHeader || n > uint64(size-8) {
		return nil, fmt.Errorf("%w: %s: header of %d bytes in a file of %d (at most %d)", ErrWeights, name, n, size, maxHeader)
	}
	header := make([]byte, n)
	if err := readFull(r, header, 8); err != nil {
		return nil, fmt.Errorf("clip: %s: header: %w", name, err)
	}
	return header, nil
}

// checkLayout turns data offsets into file offsets and checks that the
// tensors tile [base, size) exactly.
func checkLayout(tensors map[string]TensorInfo, base, size int64) error {
	names := slices.SortedFunc(maps.Keys(tensors), func(a, b string) int {
		ta, tb := tensors[a], tensors[b]
		return cmp.Or(cmp.Compare(ta.begin, tb.begin), cmp.Compare(ta.size, tb.size), cmp.Compare(a, b)) // empty ones first
	})
	end := int64(0)
	for _, name := range names {
		t := tensors[name]
		switch {
		case t.begin < end:
			return fmt.Errorf("tensor %q at byte %d overlaps the one before it, which ends at %d", name, t.begin, end)
		case t.begin > end:
			return fmt.Errorf("%d unused bytes before tensor %q", t.begin-end, name)
		case t.size > size-base-t.begin:
			return fmt.Errorf("tensor %q: bytes %d to %d lie beyond the %d bytes of data: truncated file",
				name, t.begin, t.begin+t.size, size-base)
		}
		end = t.begin + t.size
		t.begin += base
		tensors[name] = t
	}
	if end != size-base {
		return fmt.Errorf("%d bytes after the last tensor", size-base-end)
	}
	return nil
}

// Names lists the tensors in lexical order.
func (s *Safetensors) Names() []string { return slices.Sorted(maps.Keys(s.tensors)) }

// Metadata returns the file's metadata; empty if it has none.
func (s *Safetensors) Metadata() map[string]string { return maps.Clone(s.metadata) }

// Info returns what the header says about a tensor.
func (s *Safetensors) Info(name string) (TensorInfo, bool) {
	t, ok := s.tensors[name]
	return t, ok
}

// Tensor reads a tensor of the given shape as float32, row-major. Errors wrap
// ErrWeights if it is absent, has another shape or a type that is not a
// floating-point one, or holds a number that is not finite.
func (s *Safetensors) Tensor(name string, shape ...int) ([]float32, error) {
	return s.read(name, shape, io.Discard)
}

// read is Tensor; the stored bytes are also written to tap.
func (s *Safetensors) read(name string, shape []int, tap io.Writer) ([]float32, error) {
	t, decode, err := s.find(name, shape)
	if err != nil {
		return nil, err
	}
	width := dtypeSize[t.DType]
	dst := make([]float32, t.size/width)
	err = s.scan(name, t, func(b []byte, at int64) error {
		tap.Write(b) // a hash or io.Discard, which do not fail
		part := dst[at/width:][:int64(len(b))/width]
		decode(part, b)
		return s.finite(name, part, at/width)
	})
	if err != nil {
		return nil, err
	}
	return dst, nil
}

// Row overwrites dst with one row of a rows×len(dst) tensor. Errors are those
// of Tensor.
func (s *Safetensors) Row(dst []float32, name string, row, rows int) error {
	t, decode, err := s.find(name, []int{rows, len(dst)})
	if err != nil {
		return err
	}
	if row < 0 || row >= rows {
		return fmt.Errorf("%w: %s: tensor %q has no row %d", ErrWeights, s.name, name, row)
	}
	buf := make([]byte, int64(len(dst))*dtypeSize[t.DType])
	if err := readFull(s.r, buf, t.begin+int64(row)*int64(len(buf))); err != nil {
		return fmt.Errorf("clip: %s: tensor %q: %w", s.name, name, err)
	}
	decode(dst, buf)
	return s.finite(name, dst, int64(row)*int64(len(dst)))
}

// find looks a tensor up and checks shape and type.
func (s *Safetensors) find(name string, shape []int) (t TensorInfo, decode func([]float32, []byte), err error) {
	t, ok := s.tensors[name]
	if !ok {
		return t, nil, fmt.Errorf("%w: %s: no tensor %q", ErrWeights, s.name, name)
	}
	if !slices.Equal(t.Shape, shape) {
		return t, nil, fmt.Errorf("%w: %s: tensor %q has shape %v, want %v", ErrWeights, s.name, name, t.Shape, shape)
	}
	if decode, ok = decoders[t.DType]; !ok {
		return t, nil, fmt.Errorf("%w: %s: tensor %q has type %s, want F32, F16, BF16 or F64", ErrWeights, s.name, name, t.DType)
	}
	return t, decode, nil
}

// scan calls visit with the bytes of a tensor in pieces of whole elements; at
// is the offset in the tensor.
func (s *Safetensors) scan(name string, t TensorInfo, visit func(b []byte, at int64) error) error {
	buf := make([]byte, min(t.size, 1<<18))
	for at := int64(0); at < t.size; at += int64(len(buf)) {
		buf = buf[:min(int64(len(buf)), t.size-at)]
		if err := readFull(s.r, buf, t.begin+at); err != nil {
			return fmt.Errorf("clip: %s: tensor %q: %w", s.name, name, err)
		}
		if err := visit(buf, at); err != nil {
			return err
		}
	}
	return nil
}

func (s *Safetensors) finite(name string, v []float32, first int64) error {
	if i := slices.IndexFunc(v, notFinite); i >= 0 {
		return fmt.Errorf("%w: %s: tensor %q: element %d is %v", ErrWeights, s.name, name, first+int64(i), v[i])
	}
	return nil
}

func notFinite(v float32) bool { return v-v != 0 }

// readFull is ReadAt of all of b; a short file is io.ErrUnexpectedEOF.
func readFull(r io.ReaderAt, b []byte, at int64) error {
	n, err := r.ReadAt(b, at)
	switch {
	case n == len(b):
		return nil
	case err == nil || err == io.EOF:
		return io.ErrUnexpectedEOF
	}
	return err
}

// decoders turn little-endian bytes into float32, len(b) = width·len(dst).
var decoders = map[DType]func(dst []float32, b []byte){
	F64: func(dst []float32, b []byte) {
		for i := range dst {
			dst[i] = float32(math.Float64frombits(binary.LittleEndian.Uint64(b[8*i:])))
		}
	},
	F32: func(dst []float32, b []byte) {
		for i := range dst {
			dst[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
		}
	},
	F16: func(dst []float32, b []byte) {
		for i := range dst {
			dst[i] = FromHalf(binary.LittleEndian.Uint16(b[2*i:]))
		}
	},
	BF16: func(dst []float32, b []byte) {
		for i := range dst {
			dst[i] = math.Float32frombits(uint32(binary.LittleEndian.Uint16(b[2*i:])) << 16)
		}
	},
}
