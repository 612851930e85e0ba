package promptfile

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/nats-io/nkeys"

	"dpfpl/mathx/clip"
)

// signDomain keeps these signatures apart from anything else the same key may sign.
const signDomain = "dpfpl prompt\x00"

// tensorName is the one tensor of a file.
const tensorName = "context"

// Seal sets the signer and returns the file's bytes: equal files and keys give equal bytes. Errors: ErrFile for
// a field that makes no file, and those of the key.
func (f *File) Seal(key nkeys.KeyPair) ([]byte, error) {
	signer, err := key.PublicKey()
	if err != nil {
		return nil, fmt.Errorf("promptfile: %w", err)
	}
	f.Signer = signer
	if err := f.validate(); err != nil {
		return nil, err
	}
	meta, data := f.metadata(), f.tensor()
	signature, err := key.Sign(signed(meta, f.Rows, f.Width, data))
	if err != nil {
		return nil, fmt.Errorf("promptfile: %w", err)
	}
	meta[keySignature] = hex.EncodeToString(signature)
	header, err := f.header(meta, len(data))
	if err != nil {
		return nil, err
	}
	raw := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	return append(append(raw, header...), data...), nil
}

func (f *File) tensor() []byte {
	b := make([]byte, 0, 4*len(f.Context))
	for _, v := range f.Context {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
	}
	return b
}

// header is the JSON of a safetensors file, padded with spaces so that the data begins at a multiple of 8.
func (f *File) header(meta map[string]string, size int) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(struct {
		Metadata map[string]string `json:"__metadata__"`
		Context  any               `json:"context"`
	}{meta, struct {
		DType   string `json:"dtype"`
		Shape   [2]int `json:"shape"`
		Offsets [2]int `json:"data_offsets"`
	}{"F32", [2]int{f.Rows, f.Width}, [2]int{0, size}}})
	if err != nil {
		return nil, fmt.Errorf("promptfile: %w", err)
	}
	text := bytes.TrimSuffix(b.Bytes(), []byte("\n"))
	for len(text)%8 != 0 {
		text = append(text, ' ')
	}
	if len(text) > maxHeader {
		return nil, bad("classes", "a header of %d bytes, at most %d fit", len(text), maxHeader)
	}
	return text, nil
}

// signed is what the signature is over; see the package comment.
func signed(meta map[string]string, rows, width int, data []byte) []byte {
	h := sha256.New()
	number := func(n int) { h.Write(binary.LittleEndian.AppendUint64(nil, uint64(n))) }
	text := func(s string) {
		number(len(s))
		h.Write([]byte(s))
	}
	keys := slices.DeleteFunc(slices.Sorted(maps.Keys(meta)), func(k string) bool { return k == keySignature })
	number(len(keys))
	for _, k := range keys {
		text(k)
		text(meta[k])
	}
	number(rows)
	number(width)
	h.Write(data)
	return h.Sum([]byte(signDomain))
}

// Open reads a file of at most MaxSize bytes and checks that the signer that it names has signed it; whether that
// is whom one trusts is for the caller to say. It allocates no more than a small multiple of len(raw). Errors:
// ErrFile and ErrSignature.
func Open(raw []byte) (*File, error) {
	if len(raw) > MaxSize {
		return nil, fmt.Errorf("%w: %d bytes, at most %d fit", ErrFile, len(raw), MaxSize)
	}
	if len(raw) >= 8 && binary.LittleEndian.Uint64(raw) > maxHeader {
		return nil, fmt.Errorf("%w: a header of more than %d bytes", ErrFile, maxHeader)
	}
	s, err := clip.OpenSafetensors("prompt", bytes.NewReader(raw), int64(len(raw)))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFile, err)
	}
	f := new(File)
	if err := f.readContext(s); err != nil {
		return nil, err
	}
	meta := s.Metadata()
	if err := f.parse(meta); err != nil {
		return nil, err
	}
	if err := f.validate(); err != nil {
		return nil, err
	}
	if err := f.same(meta); err != nil {
		return nil, err
	}
	if err := f.verify(meta); err != nil {
		return nil, err
	}
	return f, nil
}

func (f *File) readContext(s *clip.Safetensors) (err error) {
	info, ok := s.Info(tensorName)
	switch {
	case !ok || len(s.Names()) != 1:
		return bad("tensors", "%.3q, want context alone", s.Names())
	case info.DType != clip.F32 || len(info.Shape) != 2:
		return bad(tensorName, "%s of shape %v, want F32 of two dimensions", info.DType, info.Shape)
	}
	f.Rows, f.Width = info.Shape[0], info.Shape[1]
	if err := checkShape(f.Rows, f.Width); err != nil {
		return err
	}
	if f.Context, err = s.Tensor(tensorName, f.Rows, f.Width); err != nil {
		return fmt.Errorf("%w: %w", ErrFile, err)
	}
	return nil
}

func (f *File) verify(meta map[string]string) error {
	signature, err := hex.DecodeString(meta[keySignature])
	if err != nil || hex.EncodeToString(signature) != meta[keySignature] {
		return bad(keySignature, "is not in lower-case hexadecimal digits")
	}
	key, err := nkeys.FromPublicKey(f.Signer)
	if err != nil {
		return bad("signer", "%v", err)
	}
	if err := key.Verify(signed(meta, f.Rows, f.Width, f.tensor()), signature); err != nil {
		return fmt.Errorf("%w: not signed by %s", ErrSignature, f.Signer)
	}
	return nil
}
