package data

import (
	"fmt"
	"hash/fnv"
	"image"
	"math/rand/v2"
)

// Picture is an image that is made when asked for, and its label.
type Picture struct {
	// Key identifies the pixels: within one Set equal keys are equal pictures, so that whoever computes
	// features of pictures needs to do it once per key.
	Key   string
	Label int
	Style int // index into Pool.Styles, where there are any
	// Feature is the picture's unit-norm image feature if its source holds features instead of pixels, else nil.
	Feature []float32
	render  func() (image.Image, error)
}

// NewPicture makes a Picture of a function, which must return the same pixels each time.
func NewPicture(key string, label int, render func() (image.Image, error)) Picture {
	return Picture{Key: key, Label: label, render: render}
}

// Image renders the picture. It may be called from several goroutines at once. Pictures of the built-in sets
// never fail; those that are files on disk may, with an error that names the file, and those that are only a Feature do.
func (p Picture) Image() (image.Image, error) {
	if p.render == nil {
		return nil, fmt.Errorf("data: %s: %w: only its feature is stored", p.Key, ErrOptions)
	}
	return p.render()
}

// stream gives a picture's own random stream, which depends on the seed and the key alone.
func stream(seed uint64, key string) rand.Source {
	h := fnv.New64a()
	h.Write([]byte(key))
	return rand.NewPCG(seed, h.Sum64())
}
