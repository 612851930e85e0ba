package clip

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

// recorder remembers the shapes that a tower asks for, so that a checkpoint
// can be written with them.
type recorder struct {
	weightMap
	shapes map[string][]int
}

func (r recorder) Tensor(name string, shape ...int) ([]float32, error) {
	r.shapes[name] = shape
	return r.weightMap.Tensor(name, shape...)
}

// safetensorsOf writes the named tensors of r as F32.
func safetensorsOf(t testing.TB, r recorder, names []string) []byte {
	t.Helper()
	header := map[string]any{"__metadata__": map[string]string{"format": "pt"}}
	var data []byte
	for _, name := range names {
		begin := len(data)
		for _, v := range r.weightMap[name] {
			data = binary.LittleEndian.AppendUint32(data, math.Float32bits(v))
		}
		header[name] = map[string]any{"dtype": "F32", "shape": append([]int{}, r.shapes[name]...), "data_offsets": []int{begin, len(data)}}
	}
	b, err := json.Marshal(header)
	if err != nil {
		t.Fatal(err)
	}
	return safetensorsFile(string(b), data)
}

// folder is a complete small model with the golden small vocabulary, and the
// towers that Load should make of it.
type folder struct {
	files  fstest.MapFS
	r      recorder
	text   *Text
	vision *Vision
}

func smallFolder(t testing.TB) folder {
	t.Helper()
	text := TextConfig{Width: 16, Layers: 2, Heads: 2, Hidden: 24, Positions: 20, Vocab: 914, Dim: 12, Activation: QuickGELU, Eps: 1e-5, SOS: 912, EOT: 913}
	vision := VisionConfig{Width: 16, Layers: 2, Heads: 2, Hidden: 24, Image: 12, Patch: 4, Dim: 12, Activation: QuickGELU, Eps: 1e-5}
	r := recorder{weightMap{logitScale: {4.6052}}, map[string][]int{logitScale: {}}}
	maps.Copy(r.weightMap, randomText(text, 1))
	maps.Copy(r.weightMap, randomVision(vision, 2))
	f := folder{r: r}
	var err error
	if f.text, err = NewText(text, r); err != nil {
		t.Fatal(err)
	}
	if f.vision, err = NewVision(vision, r); err != nil {
		t.Fatal(err)
	}
	f.files = fstest.MapFS{
		"config.json": {Data: []byte(`{"model_type":"clip","projection_dim":12,
			"text_config":{"hidden_size":16,"num_hidden_layers":2,"num_attention_heads":2,"intermediate_size":24,"max_position_embeddings":20,"vocab_size":914,"eos_token_id":2},
			"vision_config":{"hidden_size":16,"num_hidden_layers":2,"num_attention_heads":2,"intermediate_size":24,"image_size":12,"patch_size":4}}`)},
		"preprocessor_config.json": {Data: []byte(`{"size":14,"crop_size":12,"resample":2}`)},
		"model.safetensors":        {Data: safetensorsOf(t, r, r.names(""))},
		gzipFile:                   {Data: mustRead(t, goldenTokens+"small.txt.gz")},
	}
	return f
}

// names lists the tensors whose names begin with prefix.
func (r recorder) names(prefix string) []string {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(r.shapes)) {
		if strings.HasPrefix(name, prefix) {
			names = append(names, name)
		}
	}
	return names
}

// with returns a copy of the folder with files replaced, or removed if nil.
func (f folder) with(changes fstest.MapFS) fstest.MapFS {
	files := maps.Clone(f.files)
	for name, file := range changes {
		if file == nil {
			delete(files, name)
		} else {
			files[name] = file
		}
	}
	return files
}

func mustLoad(t testing.TB, fsys fs.FS) *Model {
	t.Helper()
	m, err := Load(fsys)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return m
}

func textFeatures(t testing.TB, text *Text, ids []int) []float32 {
	t.Helper()
	e, err := text.NewEncoder([][]int{ids}, 2)
	if err != nil {
		t.Fatal(err)
	}
	ctx := make([]float32, 2*text.Config().Width)
	for i := range ctx {
		ctx[i] = float32(i%7) - 3
	}
	return slices.Clone(e.Forward(ctx))
}

func TestLoad(t *testing.T) {
	f := smallFolder(t)
	m := mustLoad(t, f.files)
	if m.LogitScale < 99.9 || m.LogitScale > 100.1 {
		t.Errorf("logit scale %v", m.LogitScale)
	}
	if m.Preprocess.Resize != 14 || m.Preprocess.Crop != 12 || m.Preprocess.Filter != Bilinear {
		t.Errorf("preprocessing %+v", m.Preprocess)
	}
	ids, err := m.Tokens("a photo of a cat")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := textFeatures(t, m.Text, ids), textFeatures(t, f.text, ids); !slices.Equal(got, want) {
		t.Errorf("text features %v, want %v", got, want)
	}
	pixels := m.Preprocess.Pixels(nil, mustPNG(t, goldenImages+"photo.png"))
	if got, want := m.Vision.Features(nil, pixels, 1), f.vision.Features(nil, pixels, 1); !slices.Equal(got, want) {
		t.Errorf("image features %v, want %v", got, want)
	}
}

// Each tower can be had alone; the vocabulary and preprocessing are optional.
func TestLoadParts(t *testing.T) {
	f := smallFolder(t)
	text := append(f.r.names("text_"), logitScale)
	onlyText := mustLoad(t, f.with(fstest.MapFS{"model.safetensors": {Data: safetensorsOf(t, f.r, text)}, "preprocessor_config.json": nil, gzipFile: nil}))
	if onlyText.Text == nil || onlyText.Vision != nil || onlyText.Tokenizer != nil || onlyText.Preprocess != DefaultPreprocess(12) {
		t.Errorf("text only: %+v", onlyText)
	}
	onlyVision := mustLoad(t, f.with(fstest.MapFS{"model.safetensors": {Data: safetensorsOf(t, f.r, f.r.names("vis"))}}))
	if onlyVision.Text != nil || onlyVision.Vision == nil || onlyVision.LogitScale != float64(float32(math.Exp(2.6592))) {
		t.Errorf("vision only: %+v", onlyVision)
	}
	if _, err := onlyVision.Tokens("cat"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("tokens without a text tower: %v", err)
	}
}

// A part can be loaded alone; the digest stays that of the folder.
func TestLoadOnePart(t *testing.T) {
	f := smallFolder(t)
	want := mustLoad(t, f.files)
	for part, check := range map[Part]func(m *Model) bool{
		TextTower:  func(m *Model) bool { return m.Text != nil && m.Images() == nil },
		ImageTower: func(m *Model) bool { return m.Text == nil && m.Images() != nil },
	} {
		m, err := Load(f.files, part)
		if err != nil {
			t.Fatal(err)
		}
		if !check(m) || m.Digest != want.Digest || m.Preprocess != want.Preprocess || m.Dim() != 12 {
			t.Errorf("part %d: %+v, want digest %s", part, m, want.Digest)
		}
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	}
	text := f.with(fstest.MapFS{"model.safetensors": {Data: safetensorsOf(t, f.r, f.r.names("text_"))}})
	if _, err := Load(text, ImageTower); !errors.Is(err, ErrWeights) {
		t.Errorf("absent tower: %v", err)
	}
}

// The digest is of the function, not of how files are cut or named.
func TestDigest(t *testing.T) {
	f := smallFolder(t)
	want := mustLoad(t, f.files).Digest
	if len(want) != 64 {
		t.Fatalf("digest %q", want)
	}
	names := f.r.names("")
	index := map[string]map[string]string{"weight_map": {}}
	files := fstest.MapFS{"model.safetensors": nil}
	for i, part := range [][]string{names[:10], names[10:]} {
		file := fmt.Sprintf("model-%d.safetensors", i)
		files[file] = &fstest.MapFile{Data: safetensorsOf(t, f.r, part)}
		for _, name := range part {
			index["weight_map"][name] = file
		}
	}
	b, err := json.Marshal(index)
	if err != nil {
		t.Fatal(err)
	}
	files["model.safetensors.index.json"] = &fstest.MapFile{Data: b}
	files[gzipFile] = nil
	files[tokenizerFile] = &fstest.MapFile{Data: readGolden(t, "tokenizer.json")}
	if got := mustLoad(t, noReaderAt{f.with(files)}).Digest; got != want {
		t.Errorf("sharded, with tokenizer.json: %s, want %s", got, want)
	}

	changed := map[string]fstest.MapFS{
		"preprocessing": {"preprocessor_config.json": {Data: []byte(`{"size":14,"crop_size":12,"resample":3}`)}},
		"vocabulary":    {gzipFile: nil},
	}
	for _, tensor := range []string{textEmbedding, visionEmbedding, logitScale, "text_projection.weight"} {
		v := f.r.weightMap[tensor]
		v[len(v)-1] = math.Nextafter32(v[len(v)-1], 0)
		changed[tensor] = fstest.MapFS{"model.safetensors": {Data: safetensorsOf(t, f.r, names)}}
		v[len(v)-1] = math.Nextafter32(v[len(v)-1], 100)
	}
	seen := map[string]string{want: "the original"}
	for name, files := range changed {
		got := mustLoad(t, f.with(files)).Digest
		if other, ok := seen[got]; ok {
			t.Errorf("%s: same digest as %s", name, other)
		}
		seen[got] = name
	}
}

func TestLoadRefuses(t *testing.T) {
	f := smallFolder(t)
	data := func(s string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(s)} }
	f.r.shapes["text_projection.weight"] = []int{16, 12}
	transposed := safetensorsOf(t, f.r, f.r.names(""))
	f.r.shapes["text_projection.weight"] = []int{12, 16}
	f.r.weightMap[logitScale][0] = 50
	loud := safetensorsOf(t, f.r, f.r.names(""))
	for name, tc := range map[string]struct {
		files  fstest.MapFS
		err    error
		reason string
	}{
		"no config":  {fstest.MapFS{"config.json": nil}, fs.ErrNotExist, "config.json"},
		"bad config": {fstest.MapFS{"config.json": data("{")}, ErrConfig, "config.json"},
		"too large": {fstest.MapFS{"config.json": data(`{"text_config":{"hidden_size":8192,"intermediate_size":32768,"vocab_size":914}}`)},
			ErrWeights, "a text tower of"},
		"too large images": {fstest.MapFS{"config.json": data(strings.Replace(string(f.files["config.json"].Data),
			`"vision_config":{"hidden_size":16`, `"vision_config":{"hidden_size":8192`, 1))}, ErrWeights, "a vision tower of"},
		"no weights":       {fstest.MapFS{"model.safetensors": nil}, fs.ErrNotExist, "model.safetensors"},
		"cut weights":      {fstest.MapFS{"model.safetensors": {Data: loud[:len(loud)-1]}}, ErrWeights, "truncated"},
		"no tower":         {fstest.MapFS{"model.safetensors": data("\x02\x00\x00\x00\x00\x00\x00\x00{}")}, ErrWeights, "no CLIP tower"},
		"wrong shape":      {fstest.MapFS{"model.safetensors": {Data: transposed}}, ErrWeights, `"text_projection.weight" has shape [16 12], want [12 16]`},
		"logit scale":      {fstest.MapFS{"model.safetensors": {Data: loud}}, ErrWeights, logitScale},
		"half a tower":     {fstest.MapFS{"model.safetensors": {Data: safetensorsOf(t, f.r, []string{textEmbedding})}}, ErrWeights, "a text tower of"},
		"one tensor less":  {fstest.MapFS{"model.safetensors": {Data: safetensorsOf(t, f.r, append(f.r.names("text_")[1:], f.r.names("vis")...))}}, ErrWeights, "no tensor \"" + f.r.names("text_")[0]},
		"preprocessing":    {fstest.MapFS{"preprocessor_config.json": data(`{"crop_size":13}`)}, ErrConfig, "crop_size"},
		"damaged gzip":     {fstest.MapFS{gzipFile: data("x")}, ErrTokenizer, gzipFile},
		"other vocabulary": {fstest.MapFS{vocabFile: data(`{"a":0,"<|startoftext|>":1,"<|endoftext|>":2}`), mergesFile: data("")}, ErrTokenizer, "config.json says"},
	} {
		if _, err := Load(f.with(tc.files)); !errors.Is(err, tc.err) || !strings.Contains(err.Error(), tc.reason) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzLoad feeds whole folders: nothing may panic, and what loads must work.
func FuzzLoad(f *testing.F) {
	small := smallFolder(f)
	config, weights := small.files["config.json"].Data, small.files["model.safetensors"].Data
	prep, vocabulary := small.files["preprocessor_config.json"].Data, small.files[gzipFile].Data
	f.Add(config, weights, prep, vocabulary)
	f.Add([]byte(`{}`), weights, prep, vocabulary)
	for _, name := range []string{"resnet", "vit"} {
		f.Add([]byte(`{"model_cfg":{"quick_gelu":true}}`), mustRead(f, goldenOpenAI+name+"/open_clip_model.safetensors"), prep, vocabulary)
	}
	f.Fuzz(func(t *testing.T, config, weights, prep, vocabulary []byte) {
		m, err := Load(fstest.MapFS{"config.json": {Data: config}, "open_clip_config.json": {Data: config}, "model.safetensors": {Data: weights},
			"preprocessor_config.json": {Data: prep}, gzipFile: {Data: vocabulary}})
		if err != nil {
			if !errors.Is(err, ErrConfig) && !errors.Is(err, ErrWeights) && !errors.Is(err, ErrTokenizer) {
				t.Fatal(err)
			}
			return
		}
		defer m.Close()
		if m.Text != nil {
			if _, err := m.Text.Features(nil, [][]int{{m.Config.Text.EOT}}); err != nil {
				t.Fatal(err)
			}
		}
		if images := m.Images(); images != nil {
			images.Features(nil, make([]float32, m.Preprocess.Len()), 1)
		}
	})
}
