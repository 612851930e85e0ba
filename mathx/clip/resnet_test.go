package clip

import (
	"errors"
	"math"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"testing"

	"dpfpl/mathx/clip/internal/kernel"
)

// The goldens come from testbed/reference/make_resnet_goldens.py, by OpenAI's
// model code in PyTorch, in float64.
const goldenOpenAI = "testdata/openai/"

type openAIGolden struct {
	Images       [][]float64
	Texts        [][]int
	TextFeatures [][]float64 `json:"text_features"`
	LogitScale   float64     `json:"logit_scale"`
}

func loadOpenAI(t testing.TB, name string) (*Model, openAIGolden) {
	t.Helper()
	var g openAIGolden
	readJSON(t, mustRead(t, goldenOpenAI+name+"/golden.json"), &g)
	return mustLoad(t, os.DirFS(goldenOpenAI+name)), g
}

// madeUp are the golden images' pixels.
func madeUp(n, side int) []float32 {
	pixels := make([]float32, n*3*side*side)
	for k := range pixels {
		pixels[k] = float32(float64(k/64*37%101)/50 - 1 + float64(k*7919%1000)/2000)
	}
	return pixels
}

func TestOpenAIGoldens(t *testing.T) {
	for _, name := range []string{"resnet", "resnet96", "vit"} {
		m, g := loadOpenAI(t, name)
		n := len(g.Images)
		got := m.Images().Features(nil, madeUp(n, m.Preprocess.Crop), n)
		if d := relative(got, slices.Concat(g.Images...)); d > 2e-6 {
			t.Errorf("%s: image features differ by %v", name, d)
		}
		texts, err := m.Text.Features(nil, g.Texts)
		if err != nil {
			t.Fatal(err)
		}
		if d := relative(texts, slices.Concat(g.TextFeatures...)); d > 2e-6 {
			t.Errorf("%s: text features differ by %v", name, d)
		}
		if math.Abs(m.LogitScale-g.LogitScale) > 1e-4 {
			t.Errorf("%s: logit scale %v, want %v", name, m.LogitScale, g.LogitScale)
		}
		if m.Dim() != 32 || len(m.Digest) != 64 {
			t.Errorf("%s: dimension %d, digest %q", name, m.Dim(), m.Digest)
		}
	}
}

func TestResNetConfigFromShapes(t *testing.T) {
	m, _ := loadOpenAI(t, "resnet96")
	want := ResNetConfig{Width: 6, Layers: [4]int{2, 1, 1, 2}, Image: 96, Dim: 32}
	if m.Config.ResNet != want || m.ResNet.Config() != want || m.Vision != nil || m.Preprocess != DefaultPreprocess(96) {
		t.Errorf("%+v", m.Config)
	}
	if m.ResNet.Bytes() < 100_000 {
		t.Errorf("%d bytes", m.ResNet.Bytes())
	}
}

// An image's feature does not depend on its company, and both engines agree.
func TestResNetAlone(t *testing.T) {
	m, _ := loadOpenAI(t, "resnet")
	portable, err := newResNet(m.Config.ResNet, m.source, kernel.Portable)
	if err != nil {
		t.Fatal(err)
	}
	pixels := madeUp(3, 64)
	together := m.ResNet.Features(nil, pixels, 3)
	alone := m.ResNet.Features(nil, pixels[2*len(pixels)/3:], 1)
	if !slices.Equal(alone, together[2*m.Dim():]) {
		t.Error("an image's feature depends on the others")
	}
	if d := relative(portable.Features(nil, pixels, 3), float64s(together)); d > 1e-5 {
		t.Errorf("engines differ by %v", d)
	}
}

// constant is a checkpoint of any shape.
type constant float32

func (c constant) Tensor(_ string, shape ...int) ([]float32, error) {
	size := 1
	for _, n := range shape {
		size *= n
	}
	return slices.Repeat([]float32{float32(c)}, size), nil
}

func TestResNetAllocates(t *testing.T) {
	n, err := NewResNet(ResNetConfig{Width: 32, Layers: [4]int{1, 1, 1, 1}, Image: 32, Dim: 16}, constant(0.01))
	if err != nil {
		t.Fatal(err)
	}
	pixels := madeUp(1, 32)
	dst := n.Features(nil, pixels, 1)
	defer debug.SetGCPercent(debug.SetGCPercent(-1)) // a collection empties the pool
	if a := testing.AllocsPerRun(5, func() { n.Features(dst, pixels, 1) }); kernel.Best() != kernel.Portable && a > 1 && !raced {
		t.Errorf("%v allocations", a)
	}
}

func BenchmarkResNet50(b *testing.B) {
	n, err := NewResNet(ResNetConfig{Width: 64, Layers: [4]int{3, 4, 6, 3}, Image: 224, Dim: 1024}, constant(0.01))
	if err != nil {
		b.Fatal(err)
	}
	pixels := madeUp(1, 224)
	dst := n.Features(nil, pixels, 1)
	for b.Loop() {
		n.Features(dst, pixels, 1)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "images/s")
}

// TestParameters counts against RN50: 38.3 million, of which the stem, the
// shortcuts, the norms and the projection are not counted.
func TestParameters(t *testing.T) {
	rn50 := ResNetConfig{Width: 64, Layers: [4]int{3, 4, 6, 3}, Image: 224, Dim: 1024}
	if n := rn50.parameters(); n < 33_000_000 || n > 38_300_000 {
		t.Errorf("RN50: %d", n)
	}
	c := mustConfig(t, `{}`)
	if n := c.Text.parameters() + c.Vision.parameters(); n < 150_000_000 || n > 151_300_000 { // ViT-B/32 has 151.3 million
		t.Errorf("ViT-B/32: %d", n)
	}
}

// broken is a checkpoint of which one tensor is replaced.
type broken struct {
	Tensors
	name  string
	value float32
}

func (b broken) Tensor(name string, shape ...int) ([]float32, error) {
	v, err := b.Tensors.Tensor(name, shape...)
	if name == b.name {
		for i := range v {
			v[i] = b.value
		}
	}
	return v, err
}

func TestNewResNetRefuses(t *testing.T) {
	m, _ := loadOpenAI(t, "resnet")
	for _, c := range []ResNetConfig{{}, {Width: 5, Layers: [4]int{1, 1, 1, 1}, Image: 64, Dim: 8}, {Width: 4, Layers: [4]int{1, 1, 1, 1}, Image: 65, Dim: 8},
		{Width: 1 << 20, Layers: [4]int{1, 1, 1, 1}, Image: 64, Dim: 8}, {Width: 4, Layers: [4]int{1, 0, 1, 1}, Image: 64, Dim: 8}} {
		if _, err := NewResNet(c, m.source); !errors.Is(err, ErrConfig) {
			t.Errorf("%+v: %v", c, err)
		}
	}
	larger := m.Config.ResNet
	larger.Layers[2]++
	if _, err := NewResNet(larger, m.source); !errors.Is(err, ErrWeights) || !strings.Contains(err.Error(), "visual.layer3.1.conv1.weight") {
		t.Errorf("absent block: %v", err)
	}
	if _, err := NewResNet(m.Config.ResNet, broken{m.source, "visual.layer2.1.bn2.running_var", -1}); !errors.Is(err, ErrWeights) || !strings.Contains(err.Error(), "running_var") {
		t.Errorf("negative variance: %v", err)
	}
}
