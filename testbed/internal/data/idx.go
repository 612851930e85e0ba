package data

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"io"
	"io/fs"
)

// maxArray is the most bytes that one array file may hold.
const maxArray = 1 << 30

// IDX reads MNIST's layout, which Fashion-MNIST shares: train-images-idx3-ubyte, train-labels-idx1-ubyte and the same with t10k,
// each plain or gzipped (.gz). Expected errors: ErrDamaged, ErrOptions, fs.ErrNotExist.
func IDX(fsys fs.FS, name string, classes []string) (*Pool, error) {
	p := &Pool{Name: name, Classes: classes}
	for _, part := range []struct {
		prefix string
		into   *[]Picture
	}{{"train", &p.Train}, {"t10k", &p.Test}} {
		images, shape, err := idxFile(fsys, part.prefix+"-images-idx3-ubyte", 3)
		if err != nil {
			return nil, err
		}
		labels, count, err := idxFile(fsys, part.prefix+"-labels-idx1-ubyte", 1)
		if err != nil {
			return nil, err
		}
		if count[0] != shape[0] {
			return nil, damaged(part.prefix+"-labels-idx1-ubyte", "%d labels for %d images", count[0], shape[0])
		}
		height, width := shape[1], shape[2]
		for i, l := range labels {
			pixels := images[i*height*width : (i+1)*height*width]
			*part.into = append(*part.into, NewPicture(fmt.Sprintf("%s/%s/%d", name, part.prefix, i), int(l), func() (image.Image, error) {
				return &image.Gray{Pix: pixels, Stride: width, Rect: image.Rect(0, 0, width, height)}, nil
			}))
		}
	}
	return p, p.validate()
}

// idxFile reads one file, plain or gzipped.
func idxFile(fsys fs.FS, name string, dims int) ([]byte, []int, error) {
	raw, err := fs.ReadFile(fsys, name)
	if errors.Is(err, fs.ErrNotExist) {
		name += ".gz"
		raw, err = fs.ReadFile(fsys, name)
	}
	if err != nil {
		return nil, nil, fmt.Errorf("data: %w", err)
	}
	var r io.Reader = bytes.NewReader(raw)
	if len(raw) > 1 && raw[0] == 0x1f && raw[1] == 0x8b {
		if r, err = gzip.NewReader(r); err != nil {
			return nil, nil, damaged(name, "%v", err)
		}
	}
	values, shape, err := decodeIDX(r, dims)
	if err != nil {
		return nil, nil, damaged(name, "%v", err)
	}
	return values, shape, nil
}

// decodeIDX reads an array of bytes with the given number of dimensions, all positive.
func decodeIDX(r io.Reader, dims int) ([]byte, []int, error) {
	head := make([]byte, 4+4*dims)
	if _, err := io.ReadFull(r, head); err != nil {
		return nil, nil, fmt.Errorf("its head is cut short: %w", err)
	}
	if want := []byte{0, 0, 8, byte(dims)}; !bytes.Equal(head[:4], want) {
		return nil, nil, fmt.Errorf("it starts with % x, not with % x of a byte array of %d dimensions", head[:4], want, dims)
	}
	shape, size := make([]int, dims), 1
	for i := range shape {
		n := int(binary.BigEndian.Uint32(head[4+4*i:]))
		if n == 0 || n > maxArray/size {
			return nil, nil, fmt.Errorf("dimension %d is %d, too few or too many", i, n)
		}
		shape[i], size = n, size*n
	}
	values, err := io.ReadAll(io.LimitReader(r, int64(size)+1))
	if err != nil {
		return nil, nil, err
	}
	if len(values) != size {
		return nil, nil, fmt.Errorf("it does not hold the %d values that its shape %v says", size, shape)
	}
	return values, shape, nil
}
