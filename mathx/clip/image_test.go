package clip

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"image"
	"image/color"
	"image/draw"
	"image/png"
	"io"
	"math"
	"path/filepath"
	"strings"
	"testing"
	"testing/iotest"

	"pgregory.net/rapid"
)

// The goldens come from testbed/reference/make_image_goldens.py, by PIL.
const goldenImages = "testdata/images/"

func mustPNG(t testing.TB, name string) image.Image {
	t.Helper()
	img, err := png.Decode(bytes.NewReader(mustRead(t, name)))
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return img
}

// difference is the largest and the mean difference of a channel, in 1/255.
func difference(t testing.TB, got, want image.Image) (worst int, mean float64) {
	t.Helper()
	if got.Bounds().Size() != want.Bounds().Size() {
		t.Fatalf("size %v, want %v", got.Bounds(), want.Bounds())
	}
	g, w := opaque(got), opaque(want)
	for i := range g.Pix {
		d := int(g.Pix[i]) - int(w.Pix[i])
		worst = max(worst, d, -d)
		mean += math.Abs(float64(d)) / float64(len(g.Pix)/4*3)
	}
	return worst, mean
}

func TestDecodeImageGoldens(t *testing.T) {
	files, err := filepath.Glob(goldenImages + "*.*")
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	for _, file := range files {
		golden, ok := strings.CutSuffix(file, ".golden.png")
		if !ok || strings.Count(golden, ".") != 1 {
			continue
		}
		seen++
		img, err := DecodeImage(bytes.NewReader(mustRead(t, golden)))
		if err != nil {
			t.Errorf("%s: %v", golden, err)
			continue
		}
		// Only JPEG leaves freedom: its inverse cosine transform may round
		// either way, and one step of chroma is almost two of blue.
		allowed, allowedMean := 0, 0.0
		if filepath.Ext(golden) == ".jpg" {
			allowed, allowedMean = 3, 0.25
		}
		if worst, mean := difference(t, img, mustPNG(t, file)); worst > allowed || mean > allowedMean {
			t.Errorf("%s: a channel differs by %d/255, the mean by %.3f", golden, worst, mean)
		}
	}
	if seen < 30 {
		t.Errorf("only %d fixtures", seen)
	}
}

func TestPixelsGoldens(t *testing.T) {
	filters := map[string]Filter{"bilinear": Bilinear, "bicubic": Bicubic, "box": Box}
	seen := 0
	for _, photo := range []string{"photo", "tall"} {
		src := rasterOf(mustPNG(t, goldenImages+photo+".png"))
		files, err := filepath.Glob(goldenImages + photo + ".*.golden.png")
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			parts := strings.Split(filepath.Base(file), ".")
			var p Preprocess
			if _, err := fmt.Sscan(parts[1], &p.Resize); err != nil {
				t.Fatal(err)
			}
			if _, err := fmt.Sscan(parts[2], &p.Crop); err != nil {
				t.Fatal(err)
			}
			p.Filter = filters[parts[3]]
			want := opaque(mustPNG(t, file))
			got := p.crop(src)
			seen++
			for i := range got {
				if w := want.Pix[i/3*4+i%3]; got[i] != w {
					t.Errorf("%s: pixel %d channel %d is %d, want %d", file, i/3, i%3, got[i], w)
					break
				}
			}
		}
	}
	if seen != 30 {
		t.Errorf("%d resizings compared", seen)
	}
}

func TestPixelsNormalised(t *testing.T) {
	raw := mustRead(t, goldenImages+"photo.float32")
	p := DefaultPreprocess(30)
	p.Resize = 33
	got := p.Pixels(nil, mustPNG(t, goldenImages+"photo.png"))
	if len(got)*4 != len(raw) {
		t.Fatalf("%d values, want %d", len(got), len(raw)/4)
	}
	for i, v := range got {
		if want := math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:])); math.Abs(float64(v-want)) > 1e-6 {
			t.Fatalf("value %d is %v, want %v", i, v, want)
		}
	}
}

// Every image type with the same colours has the same pixels.
func TestPixelsOfEveryType(t *testing.T) {
	src := opaque(mustPNG(t, goldenImages+"photo.png"))
	b := src.Bounds()
	nrgba, nrgba64, deep := image.NewNRGBA(b), image.NewNRGBA64(b), image.NewRGBA64(b)
	for y := range b.Dy() {
		for x := range b.Dx() {
			c := src.RGBAAt(x, y)
			nrgba.Set(x, y, color.NRGBA{c.R, c.G, c.B, byte(x)})
			nrgba64.Set(x, y, color.NRGBA64{uint16(c.R) << 8, uint16(c.G) << 8, uint16(c.B) << 8, 0xffff})
			deep.Set(x, y, c)
		}
	}
	big := image.NewRGBA(image.Rect(-3, -2, 200, 150))
	moved := big.SubImage(image.Rect(5, 7, 5+b.Dx(), 7+b.Dy())).(*image.RGBA)
	for y := range b.Dy() {
		for x := range b.Dx() {
			moved.Set(5+x, 7+y, src.At(x, y))
		}
	}
	p := DefaultPreprocess(40)
	want := p.Pixels(nil, src)
	for _, img := range []image.Image{nrgba, nrgba64, deep, moved} {
		got := p.Pixels(make([]float32, p.Len()), img)
		for i := range got {
			if got[i] != want[i] {
				t.Errorf("%T differs at %d", img, i)
				break
			}
		}
	}
}

// An image of one colour stays so under any size, crop and filter.
func TestResampleKeepsConstants(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w, h := rapid.IntRange(1, 60).Draw(t, "w"), rapid.IntRange(1, 60).Draw(t, "h")
		v := rapid.Byte().Draw(t, "v")
		p := Preprocess{Resize: rapid.IntRange(1, 60).Draw(t, "resize"), Filter: rapid.SampledFrom([]Filter{Bilinear, Bicubic, Box}).Draw(t, "filter")}
		p.Crop = rapid.IntRange(1, p.Resize).Draw(t, "crop")
		src := raster{bytes.Repeat([]byte{v}, 3*w*h), w, h, 3 * w, 3}
		for i, got := range p.crop(src) {
			if got != v {
				t.Fatalf("byte %d is %d, want %d", i, got, v)
			}
		}
	})
}

// pngHeader claims a size with nothing behind it.
func pngHeader(w, h uint32) []byte {
	b := []byte("\x89PNG\r\n\x1a\n\x00\x00\x00\x0dIHDR")
	b = binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(b, w), h)
	return append(b, 8, 2, 0, 0, 0, 0, 0, 0, 0)
}

// withCRC makes the header chunk's check sum right.
func withCRC(b []byte) []byte {
	crc := crc32.ChecksumIEEE(b[12:29])
	binary.BigEndian.PutUint32(b[29:], crc)
	return b
}

func TestDecodeImageRefuses(t *testing.T) {
	for name, tc := range map[string]struct {
		data []byte
		err  error
	}{
		"empty":          {nil, ErrImage},
		"text":           {[]byte("hello, this is no image"), ErrImage},
		"only magic":     {[]byte("\xff\xd8\xff"), ErrImage},
		"huge":           {withCRC(pngHeader(100_000, 100_000)), ErrImageLarge},
		"65 megapixels":  {withCRC(pngHeader(8192, 8193)), ErrImageLarge},
		"implausible":    {withCRC(pngHeader(8192, 8192)), ErrImageLarge},
		"nothing behind": {withCRC(pngHeader(1000, 1000)), ErrImage},
		"cut JPEG":       {mustRead(t, goldenImages+"jpeg420.jpg")[:400], ErrImage},
		"cut WebP":       {mustRead(t, goldenImages+"lossy.webp")[:100], ErrImage},
		"cut GIF":        {mustRead(t, goldenImages+"plain.gif")[:100], ErrImage},
	} {
		if img, err := DecodeImage(bytes.NewReader(tc.data)); !errors.Is(err, tc.err) || img != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := DecodeImage(iotest.ErrReader(io.ErrClosedPipe)); !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("reader's error: %v", err)
	}
}

func TestDecodeImageWithin(t *testing.T) {
	photo := mustRead(t, goldenImages+"jpeg420.jpg")
	whole, err := DecodeImage(bytes.NewReader(photo))
	if err != nil {
		t.Fatal(err)
	}
	pixels := whole.Bounds().Dx() * whole.Bounds().Dy()
	if _, err := DecodeImageWithin(bytes.NewReader(photo), pixels); err != nil {
		t.Error(err)
	}
	if _, err := DecodeImageWithin(bytes.NewReader(photo), pixels-1); !errors.Is(err, ErrImageLarge) {
		t.Errorf("a pixel too many: %v", err)
	}
	if _, err := DecodeImageWithin(bytes.NewReader(withCRC(pngHeader(8192, 8193))), 1<<30); !errors.Is(err, ErrImageLarge) {
		t.Errorf("beyond 64 megapixels: %v", err)
	}
}

func TestOrientationOfDamagedExif(t *testing.T) {
	good := exifOfJPEG(mustRead(t, goldenImages+"exif6.jpg"))
	if orientation(good) != 6 {
		t.Fatalf("orientation %d", orientation(good))
	}
	for n := range good {
		if o := orientation(good[:n]); o != 1 && o != 6 {
			t.Errorf("cut at %d: %d", n, o)
		}
	}
	if orientation([]byte("II*\x00\xff\xff\xff\xff")) != 1 {
		t.Error("offset far away")
	}
}

func FuzzDecodeImage(f *testing.F) {
	files, err := filepath.Glob(goldenImages + "*")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		if !strings.Contains(file, "golden") && !strings.Contains(file, "float32") {
			f.Add(mustRead(f, file))
		}
	}
	f.Add(withCRC(pngHeader(8192, 8192)))
	p := DefaultPreprocess(8)
	f.Fuzz(func(t *testing.T, data []byte) {
		img, err := DecodeImage(bytes.NewReader(data))
		if err != nil {
			if !errors.Is(err, ErrImage) && !errors.Is(err, ErrImageLarge) {
				t.Fatal(err)
			}
			return
		}
		for _, v := range p.Pixels(nil, img) {
			if notFinite(v) {
				t.Fatal("a pixel is not finite")
			}
		}
	})
}

func BenchmarkPixels(b *testing.B) {
	src := image.NewRGBA(image.Rect(0, 0, 1024, 768))
	draw.Draw(src, src.Rect, image.White, image.Point{}, draw.Src)
	p := DefaultPreprocess(224)
	dst := make([]float32, p.Len())
	b.ReportAllocs()
	for b.Loop() {
		p.Pixels(dst, src)
	}
}
