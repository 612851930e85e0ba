package clip

import (
	"errors"
	"strings"
	"testing"
)

func mustConfig(t *testing.T, text string) Config {
	t.Helper()
	c, err := ParseConfig([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

var (
	textB   = TextConfig{Width: 512, Layers: 12, Heads: 8, Hidden: 2048, Positions: 77, Vocab: 49408, Dim: 512, Activation: QuickGELU, Eps: 1e-5, SOS: 49406, EOT: 49407}
	visionB = VisionConfig{Width: 768, Layers: 12, Heads: 12, Hidden: 3072, Image: 224, Patch: 32, Dim: 512, Activation: QuickGELU, Eps: 1e-5}
)

// The keys are those of OpenAI's uploads; values that equal HF's defaults are
// left out in some of them.
func TestParseConfigFamily(t *testing.T) {
	textL := textB
	textL.Width, textL.Heads, textL.Hidden, textL.Dim = 768, 12, 3072, 768
	visionL := VisionConfig{Width: 1024, Layers: 24, Heads: 16, Hidden: 4096, Image: 336, Patch: 14, Dim: 768, Activation: QuickGELU, Eps: 1e-5}
	visionB16 := visionB
	visionB16.Patch = 16
	bigG := textB
	bigG.Activation, bigG.EOT = GELU, 49407
	for name, tc := range map[string]struct {
		json string
		want Config
	}{
		"B/32, all defaults": {`{"model_type":"clip","projection_dim":512,"text_config":{"bos_token_id":0,"eos_token_id":2},"vision_config":{"model_type":"clip_vision_model"}}`,
			Config{Text: textB, Vision: visionB, LogitScaleInit: 2.6592}},
		"B/16, null": {`{"model_type":"clip","text_config":null,"vision_config":{"patch_size":16,"num_channels":3},"logit_scale_init_value":4.6052}`,
			Config{Text: textB, Vision: visionB16, LogitScaleInit: 4.6052}},
		"L/14, legacy dictionaries": {`{"model_type":"clip","projection_dim":768,
			"text_config":{"hidden_size":1},"text_config_dict":{"hidden_size":768,"intermediate_size":3072,"num_attention_heads":12,"projection_dim":768},
			"vision_config":{"image_size":224},"vision_config_dict":{"hidden_size":1024,"intermediate_size":4096,"num_attention_heads":16,"num_hidden_layers":24,"patch_size":14,"image_size":336}}`,
			Config{Text: textL, Vision: visionL, LogitScaleInit: 2.6592}},
		"text only, top level": {`{"model_type":"clip_text_model","hidden_size":512,"bos_token_id":49406,"eos_token_id":49407,"hidden_act":"gelu","projection_dim":512}`,
			Config{Text: bigG, Vision: visionB, LogitScaleInit: 2.6592}},
		"vision only, top level": {`{"model_type":"clip_vision_model","patch_size":16}`, Config{Text: textB, Vision: visionB16, LogitScaleInit: 2.6592}},
		"empty":                  {`{}`, Config{Text: textB, Vision: visionB, LogitScaleInit: 2.6592}},
	} {
		got := mustConfig(t, tc.json)
		if got.Text != tc.want.Text || got.LogitScaleInit != tc.want.LogitScaleInit {
			t.Errorf("%s:\n got %+v\nwant %+v", name, got.Text, tc.want.Text)
		}
		if len(got.Vision.Stem) != 0 {
			t.Errorf("%s: stem %v", name, got.Vision.Stem)
		}
		got.Vision.Stem, tc.want.Vision.Stem = nil, nil
		if g, w := got.Vision, tc.want.Vision; g.Width != w.Width || g.Layers != w.Layers || g.Heads != w.Heads || g.Hidden != w.Hidden ||
			g.Image != w.Image || g.Patch != w.Patch || g.Dim != w.Dim || g.Activation != w.Activation || g.Eps != w.Eps {
			t.Errorf("%s:\n got %+v\nwant %+v", name, g, w)
		}
	}
}

func TestParseConfigStem(t *testing.T) {
	c := mustConfig(t, `{"vision_config":{"hidden_size":96,"num_attention_heads":3,"image_size":32,"patch_size":8,
		"stem":[{"out":32,"kernel":3,"stride":2,"padding":1},{"out":64,"kernel":3,"stride":2,"padding":1},{"out":96,"kernel":3,"stride":2,"padding":1}]}}`)
	if c.Vision.Grid() != 4 || len(c.Vision.Stem) != 3 || c.Vision.Stem[1] != (StemLayer{64, 3, 2, 1}) {
		t.Errorf("%+v", c.Vision)
	}
}

func TestParseConfigRefuses(t *testing.T) {
	for _, tc := range []struct{ json, reason string }{
		{`x`, "config.json"},
		{`[]`, "config.json"},
		{`{"model_type":"siglip"}`, `"siglip" is not CLIP`},
		{`{"text_config":3}`, "text_config"},
		{`{"text_config":{"hidden_size":"wide"}}`, "hidden_size"},
		{`{"text_config":{"hidden_size":1000000000}}`, "hidden_size is 1000000000, want 1 to"},
		{`{"text_config":{"hidden_size":0}}`, "hidden_size is 0"},
		{`{"text_config":{"hidden_size":510}}`, "does not divide"},
		{`{"text_config":{"num_hidden_layers":100000}}`, "num_hidden_layers"},
		{`{"text_config":{"num_attention_heads":0}}`, "num_attention_heads"},
		{`{"text_config":{"max_position_embeddings":1}}`, "max_position_embeddings"},
		{`{"text_config":{"vocab_size":2000000000}}`, "vocab_size"},
		{`{"text_config":{"bos_token_id":5,"eos_token_id":5}}`, "both 5"},
		{`{"text_config":{"eos_token_id":49408}}`, "eos_token_id"},
		{`{"text_config":{"hidden_act":"relu"}}`, `"relu"`},
		{`{"text_config":{"layer_norm_eps":0}}`, "layer_norm_eps"},
		{`{"projection_dim":-1}`, "projection_dim"},
		{`{"vision_config":{"num_channels":4}}`, "num_channels"},
		{`{"vision_config":{"image_size":100000}}`, "image_size"},
		{`{"vision_config":{"image_size":2048,"patch_size":16}}`, "image_size/patch_size is 128, want 1 to 48"},
		{`{"vision_config":{"patch_size":0}}`, "patch_size"},
		{`{"vision_config":{"patch_size":15}}`, "does not divide"},
		{`{"vision_config":{"stem":[{"out":768,"kernel":3,"stride":2,"padding":1}]}}`, "stem gives a grid of 112"},
		{`{"vision_config":{"stem":[{"out":768,"kernel":300,"stride":2,"padding":1}]}}`, "does not fit"},
		{`{"vision_config":{"stem":[{"out":7,"kernel":31,"stride":32,"padding":0}]}}`, "7 outputs"},
		{`{"vision_config":{"stem":[` + strings.Repeat(`{"out":1,"kernel":1,"stride":1},`, 20) + `{}]}}`, "21 layers"},
		{`{"logit_scale_init_value":1e3}`, "logit_scale_init_value"},
	} {
		if _, err := ParseConfig([]byte(tc.json)); !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), tc.reason) {
			t.Errorf("%s: %v", tc.json, err)
		}
	}
}

func FuzzParseConfig(f *testing.F) {
	f.Add([]byte(`{"model_type":"clip","projection_dim":512,"text_config":{"eos_token_id":2},"vision_config":{"patch_size":16,"stem":[{"out":1}]}}`))
	f.Add([]byte(`{"model_type":"clip_text_model","hidden_size":512}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := ParseConfig(data)
		if err != nil {
			if !errors.Is(err, ErrConfig) {
				t.Fatal(err)
			}
			return
		}
		if c.Text.Width%c.Text.Heads != 0 || c.Vision.Grid() < 1 {
			t.Fatalf("accepted %+v", c)
		}
	})
}
