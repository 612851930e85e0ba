package clip

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"unicode/utf8"
)

// maxRank bounds the number of dimensions of a stored tensor.
const maxRank = 8

// parseHeader reads the JSON of a header, {"name": {"dtype", "shape",
// "data_offsets"}, …, "__metadata__": {…}}. encoding/json would take the last
// of two equal keys and match keys in any case; a file that two readers may
// read in two ways is refused, so the tokens are walked one by one.
func parseHeader(header []byte) (tensors map[string]TensorInfo, metadata map[string]string, err error) {
	if !utf8.Valid(header) {
		return nil, nil, fmt.Errorf("header is not UTF-8")
	}
	p := headerParser{json.NewDecoder(bytes.NewReader(header))}
	p.UseNumber()
	tensors, metadata = make(map[string]TensorInfo), make(map[string]string)
	err = p.object(func(name string) error {
		if name == "__metadata__" {
			return p.metadata(metadata)
		}
		t, err := p.tensor()
		if err != nil {
			return fmt.Errorf("tensor %q: %v", name, err)
		}
		tensors[name] = t
		return nil
	})
	if err != nil {
		return nil, nil, err
	}
	if _, err := p.Token(); err != io.EOF {
		return nil, nil, fmt.Errorf("header has text after its end")
	}
	return tensors, metadata, nil
}

type headerParser struct{ *json.Decoder }

func (p headerParser) delim(want json.Delim) error {
	t, err := p.Token()
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	if err == nil && t != want {
		err = fmt.Errorf("found %v, want %v", t, want)
	}
	return err
}

// object calls value after each key, which must read the value; a repeated key is an error.
func (p headerParser) object(value func(key string) error) error {
	if err := p.delim('{'); err != nil {
		return err
	}
	seen := make(map[string]bool)
	for p.More() {
		t, err := p.Token()
		if err != nil {
			return err
		}
		key := t.(string) // the decoder accepts nothing else here
		if seen[key] {
			return fmt.Errorf("key %q occurs twice", key)
		}
		seen[key] = true
		if err := value(key); err != nil {
			return err
		}
	}
	return p.delim('}')
}

// metadata reads an object of strings into dst.
func (p headerParser) metadata(dst map[string]string) error {
	err := p.object(func(key string) error {
		tok, err := p.Token()
		text, ok := tok.(string)
		if err == nil && !ok {
			err = fmt.Errorf("%q is %v, want a string", key, tok)
		}
		dst[key] = text
		return err
	})
	if err != nil {
		return fmt.Errorf("__metadata__: %v", err)
	}
	return nil
}

// tensor reads {"dtype", "shape", "data_offsets"} and checks them against each other.
func (p headerParser) tensor() (TensorInfo, error) {
	var t TensorInfo
	var offsets []int64
	var shape []int64
	err := p.object(func(key string) (err error) {
		switch key {
		case "dtype":
			var tok json.Token
			tok, err = p.Token()
			name, ok := tok.(string)
			if err == nil && !ok {
				err = fmt.Errorf("dtype is %v, want a string", tok)
			}
			t.DType = DType(name)
		case "shape":
			shape, err = p.integers("shape", maxRank)
		case "data_offsets":
			offsets, err = p.integers("data_offsets", 2)
		default:
			err = fmt.Errorf("unknown key %q", key)
		}
		return err
	})
	if err != nil {
		return t, err
	}
	width, ok := dtypeSize[t.DType]
	switch {
	case !ok:
		return t, fmt.Errorf("unknown dtype %q", t.DType)
	case shape == nil || len(offsets) != 2:
		return t, fmt.Errorf("shape or data_offsets missing")
	case offsets[1] < offsets[0]:
		return t, fmt.Errorf("data_offsets %v run backwards", offsets)
	case offsets[0]%width != 0:
		return t, fmt.Errorf("data_offsets %v are not aligned to %d bytes of %s", offsets, width, t.DType)
	}
	t.begin, t.size = offsets[0], offsets[1]-offsets[0]
	want := width
	t.Shape = make([]int, len(shape))
	for i, n := range shape {
		if n != 0 && want > math.MaxInt64/n {
			return t, fmt.Errorf("shape %v overflows", shape)
		}
		want *= n
		t.Shape[i] = int(n)
	}
	if want != t.size {
		return t, fmt.Errorf("shape %v of %s takes %d bytes, data_offsets %v hold %d", shape, t.DType, want, offsets, t.size)
	}
	return t, nil
}

// integers reads an array of at most most non-negative whole numbers.
func (p headerParser) integers(name string, most int) ([]int64, error) {
	if err := p.delim('['); err != nil {
		return nil, fmt.Errorf("%s: %v", name, err)
	}
	list := []int64{}
	for p.More() {
		tok, err := p.Token()
		if err != nil {
			return nil, fmt.Errorf("%s: %v", name, err)
		}
		num, ok := tok.(json.Number)
		if !ok {
			return nil, fmt.Errorf("%s: %v is no number", name, tok)
		}
		v, err := num.Int64()
		if err != nil || v < 0 {
			return nil, fmt.Errorf("%s: %v is not a non-negative whole number", name, num)
		}
		if list = append(list, v); len(list) > most {
			return nil, fmt.Errorf("%s: more than %d numbers", name, most)
		}
	}
	return list, p.delim(']')
}
