package clip

import (
	"errors"
	"strings"
	"testing"
)

func TestParsePreprocess(t *testing.T) {
	openAI := DefaultPreprocess(224)
	half := openAI
	half.Filter, half.Resize = Bilinear, 256
	half.Mean, half.Std = [3]float64{0.5, 0.5, 0.5}, [3]float64{0.25, 0.25, 0.25}
	for name, tc := range map[string]struct {
		json string
		want Preprocess
	}{
		"empty": {`{}`, openAI},
		"old": {`{"crop_size":224,"do_center_crop":true,"do_normalize":true,"do_resize":true,"feature_extractor_type":"CLIPFeatureExtractor",
			"image_mean":[0.48145466,0.4578275,0.40821073],"image_std":[0.26862954,0.26130258,0.27577711],"resample":3,"size":224}`, openAI},
		"new": {`{"crop_size":{"height":224,"width":224},"do_convert_rgb":true,"do_rescale":true,"rescale_factor":0.00392156862745098,"size":{"shortest_edge":224}}`, openAI},
		"own": {`{"size":256,"resample":2,"image_mean":[0.5,0.5,0.5],"image_std":[0.25,0.25,0.25]}`, half},
	} {
		if got, err := ParsePreprocess([]byte(tc.json), 224); err != nil || got != tc.want {
			t.Errorf("%s: %v\n got %+v\nwant %+v", name, err, got, tc.want)
		}
	}
}

func TestParsePreprocessRefuses(t *testing.T) {
	for _, tc := range []struct{ json, reason string }{
		{`x`, "preprocessor_config.json"},
		{`{"do_resize":false}`, "do_resize"},
		{`{"do_normalize":false}`, "do_normalize"},
		{`{"size":{"height":224,"width":224}}`, "shortest_edge"},
		{`{"size":100}`, "larger than size"},
		{`{"size":1000000}`, "1000000"},
		{`{"crop_size":{"height":224,"width":200}}`, "not square"},
		{`{"crop_size":200}`, "the model takes 224"},
		{`{"rescale_factor":1}`, "rescale_factor"},
		{`{"resample":0}`, "resample"},
		{`{"image_mean":[0.5]}`, "three numbers"},
		{`{"image_std":[0,1,1]}`, "out of range"},
		{`{"image_std":[1e999,1,1]}`, "preprocessor_config.json"},
	} {
		if _, err := ParsePreprocess([]byte(tc.json), 224); !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), tc.reason) {
			t.Errorf("%s: %v", tc.json, err)
		}
	}
}
