package clip

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/gif"
	"image/jpeg"
	"image/png"
	"io"

	"golang.org/x/image/webp"
)

// Errors of DecodeImage.
var (
	ErrImage      = errors.New("clip: not a readable image")
	ErrImageLarge = errors.New("clip: image too large")
)

// Limits of DecodeImage. An image of more than freePixels must also be
// plausible: no photograph packs maxPerByte pixels into a byte.
const (
	maxImageFile = 256 << 20 // bytes
	maxPixels    = 64 << 20
	freePixels   = 16 << 20
	maxPerByte   = 1024
)

// format is one kind of image file.
type format struct {
	name   string
	is     func(data []byte) bool
	config func(io.Reader) (image.Config, error)
	decode func(data []byte) (*image.RGBA, error)
	exif   func(data []byte) []byte
}

var formats = []format{
	{"JPEG", func(b []byte) bool { return bytes.HasPrefix(b, []byte("\xff\xd8\xff")) }, jpeg.DecodeConfig, decodeJPEG, exifOfJPEG},
	{"PNG", func(b []byte) bool { return bytes.HasPrefix(b, []byte("\x89PNG\r\n\x1a\n")) }, png.DecodeConfig, decodePNG, exifOfPNG},
	{"GIF", func(b []byte) bool { return bytes.HasPrefix(b, []byte("GIF8")) }, gif.DecodeConfig, decodeGIF, nil},
	{"WebP", func(b []byte) bool {
		return len(b) >= 12 && string(b[:4]) == "RIFF" && string(b[8:12]) == "WEBP"
	}, webp.DecodeConfig, decodeWebP, exifOfWebP},
}

// DecodeImage reads a JPEG, PNG, GIF (first frame) or WebP (still) image and
// turns it upright by its EXIF orientation. Colours are what PIL's
// convert("RGB") gives: alpha is dropped, not blended, so the result is
// opaque. Sizes are judged from the header, before anything is decoded: more
// than 64 megapixels, or more than 16 that the file cannot hold, is
// ErrImageLarge. Other errors wrap ErrImage, or are r's.
func DecodeImage(r io.Reader) (image.Image, error) { return DecodeImageWithin(r, maxPixels) }

// DecodeImageWithin is DecodeImage with a limit of its own, in pixels, below 64 million.
func DecodeImageWithin(r io.Reader, pixels int) (image.Image, error) {
	data, err := io.ReadAll(io.LimitReader(r, maxImageFile+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxImageFile {
		return nil, fmt.Errorf("%w: more than %d bytes", ErrImageLarge, maxImageFile)
	}
	for _, f := range formats {
		if f.is(data) {
			return f.read(data, min(pixels, maxPixels))
		}
	}
	return nil, fmt.Errorf("%w: neither JPEG, PNG, GIF nor WebP", ErrImage)
}

func (f format) read(data []byte, most int) (img image.Image, err error) {
	// The decoders are others' code, fed with what anyone may send.
	defer func() {
		if p := recover(); p != nil {
			img, err = nil, fmt.Errorf("%w: %s decoder: %v", ErrImage, f.name, p)
		}
	}()
	c, err := f.config(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %v", ErrImage, f.name, err)
	}
	if err := checkSize(c.Width, c.Height, len(data), most); err != nil {
		return nil, fmt.Errorf("%w (%s)", err, f.name)
	}
	rgba, err := f.decode(data)
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %v", ErrImage, f.name, err)
	}
	if f.exif != nil {
		rgba = upright(rgba, orientation(f.exif(data)))
	}
	return rgba, nil
}

func checkSize(w, h, size, most int) error {
	if w < 1 || h < 1 {
		return fmt.Errorf("%w: %d×%d pixels", ErrImage, w, h)
	}
	pixels := int64(w) * int64(h)
	if pixels > int64(most) {
		return fmt.Errorf("%w: %d×%d pixels, at most %d", ErrImageLarge, w, h, most)
	}
	if pixels > freePixels && pixels > int64(size)*maxPerByte {
		return fmt.Errorf("%w: %d×%d pixels in %d bytes", ErrImageLarge, w, h, size)
	}
	return nil
}

func decodeJPEG(data []byte) (*image.RGBA, error) {
	img, err := jpeg.Decode(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	if p, ok := img.(*image.YCbCr); ok {
		return jpegRGB(p), nil
	}
	return opaque(img), nil
}

func decodePNG(data []byte) (*image.RGBA, error) {
	img, err := png.Decode(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	return opaque(img), nil
}

func decodeWebP(data []byte) (*image.RGBA, error) {
	img, err := webp.Decode(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	switch p := img.(type) {
	case *image.YCbCr:
		return webpRGB(p), nil
	case *image.NYCbCrA:
		return webpRGB(&p.YCbCr), nil
	}
	return opaque(img), nil
}
