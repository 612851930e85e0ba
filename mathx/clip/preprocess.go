package clip

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
)

// Preprocess says how an image becomes a tower's input, as
// preprocessor_config.json does.
type Preprocess struct {
	Resize int        // the short side after resizing, pixels
	Crop   int        // side of the centre crop, pixels; the tower's image size
	Filter Filter     // how pixels are interpolated
	Mean   [3]float64 // of red, green, blue in 0…1
	Std    [3]float64
}

// DefaultPreprocess is OpenAI's: bicubic to size, crop, their means and deviations.
func DefaultPreprocess(size int) Preprocess {
	return Preprocess{Resize: size, Crop: size, Filter: Bicubic,
		Mean: [3]float64{0.48145466, 0.4578275, 0.40821073},
		Std:  [3]float64{0.26862954, 0.26130258, 0.27577711}}
}

// preprocessFile holds the keys of preprocessor_config.json that are used.
type preprocessFile struct {
	DoResize  *bool     `json:"do_resize"`
	DoCrop    *bool     `json:"do_center_crop"`
	DoRescale *bool     `json:"do_rescale"`
	DoNorm    *bool     `json:"do_normalize"`
	Size      *sizeJSON `json:"size"`
	Crop      *sizeJSON `json:"crop_size"`
	Rescale   *float64  `json:"rescale_factor"`
	Resample  *int      `json:"resample"`
	Mean      []float64 `json:"image_mean"`
	Std       []float64 `json:"image_std"`
}

// sizeJSON is a side as 224, {"shortest_edge":224} or {"height":224,"width":224}.
type sizeJSON struct{ short, height, width int }

// UnmarshalJSON implements json.Unmarshaler.
func (s *sizeJSON) UnmarshalJSON(data []byte) error {
	if json.Unmarshal(data, &s.short) == nil {
		return nil
	}
	var f struct {
		Short  int `json:"shortest_edge"`
		Height int `json:"height"`
		Width  int `json:"width"`
	}
	if err := json.Unmarshal(data, &f); err != nil {
		return err
	}
	*s = sizeJSON{f.Short, f.Height, f.Width}
	return nil
}

// ParsePreprocess reads the text of a preprocessor_config.json for a tower
// that takes images of side image. Missing keys have OpenAI's values. Errors
// wrap ErrConfig: what cannot be computed exactly as asked is refused.
func ParsePreprocess(data []byte, image int) (Preprocess, error) {
	p := DefaultPreprocess(image)
	var f preprocessFile
	if err := json.Unmarshal(data, &f); err != nil {
		return p, fmt.Errorf("%w: preprocessor_config.json: %v", ErrConfig, err)
	}
	if err := f.supported(); err != nil {
		return p, fmt.Errorf("%w: preprocessor_config.json: %v", ErrConfig, err)
	}
	if f.Size != nil {
		p.Resize = f.Size.short
	}
	if f.Crop != nil {
		p.Crop = max(f.Crop.short, f.Crop.height)
	}
	if f.Resample != nil {
		p.Filter = Filter(*f.Resample)
	}
	copy(p.Mean[:], f.Mean)
	copy(p.Std[:], f.Std)
	return p, p.Validate(image)
}

// supported refuses what Preprocess cannot express.
func (f preprocessFile) supported() error {
	switch {
	case off(f.DoResize):
		return errors.New("do_resize false is not supported")
	case off(f.DoCrop):
		return errors.New("do_center_crop false is not supported")
	case off(f.DoRescale):
		return errors.New("do_rescale false is not supported")
	case off(f.DoNorm):
		return errors.New("do_normalize false is not supported")
	case f.Crop != nil && f.Crop.short == 0 && f.Crop.height != f.Crop.width:
		return fmt.Errorf("crop_size %d×%d is not square", f.Crop.height, f.Crop.width)
	case f.Rescale != nil && math.Abs(*f.Rescale-1.0/255) > 1e-6:
		return fmt.Errorf("rescale_factor is %v, want 1/255", *f.Rescale)
	case len(f.Mean) != 0 && len(f.Mean) != 3 || len(f.Std) != 0 && len(f.Std) != 3:
		return errors.New("image_mean and image_std need three numbers")
	}
	return nil
}

func off(b *bool) bool { return b != nil && !*b }

// Validate reports every value out of bounds at once, wrapping ErrConfig;
// image is the side that the tower takes.
func (p Preprocess) Validate(image int) error {
	var errs []error
	fail := func(format string, args ...any) {
		errs = append(errs, fmt.Errorf("%w: preprocessor_config.json: %s", ErrConfig, fmt.Sprintf(format, args...)))
	}
	if p.Resize < 1 || p.Resize > maxImage {
		fail("size is %d (shortest_edge), want 1 to %d", p.Resize, maxImage)
	}
	if p.Crop != image {
		fail("crop_size is %d, the model takes %d", p.Crop, image)
	}
	if p.Crop > p.Resize {
		fail("crop_size %d is larger than size %d", p.Crop, p.Resize)
	}
	if p.Filter.support() == 0 {
		fail("resample is %d, want %d (bilinear), %d (bicubic) or %d (box)", p.Filter, Bilinear, Bicubic, Box)
	}
	for i := range 3 {
		if !(math.Abs(p.Mean[i]) <= 10) || !(p.Std[i] >= 1e-3 && p.Std[i] <= 1e3) {
			fail("image_mean %v or image_std %v is out of range", p.Mean[i], p.Std[i])
		}
	}
	return errors.Join(errs...)
}
