package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"dpfpl/roles/backbone"
)

const tinyModel = "../testbed/tinyclip"

func contains(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("%q is missing in:\n%s", part, text)
		}
	}
}

// tinyDim is the dimension of the built-in model.
func tinyDim(t *testing.T) int {
	t.Helper()
	model, err := backbone.Open(tinyModel)
	if err != nil {
		t.Fatal(err)
	}
	defer model.Close()
	return model.Dim()
}

// writePictures makes two classes of three pictures and a damaged one.
func writePictures(t *testing.T, dir string) {
	t.Helper()
	for i, name := range []string{"red_heart/1.png", "red_heart/2.png", "red_heart/3.png", "tree/1.png", "tree/2.png", "tree/3.png"} {
		img := image.NewRGBA(image.Rect(0, 0, 64, 64))
		for y := range 64 {
			for x := range 64 {
				c := color.RGBA{255, 255, 255, 255}
				if d := (x-32)*(x-32) + (y-32)*(y-32); d < 300+40*i {
					c = color.RGBA{byte(255 - 200*(i/3)), byte(200 * (i / 3)), 30, 255}
				}
				img.Set(x, y, c)
			}
		}
		var b bytes.Buffer
		if err := png.Encode(&b, img); err != nil {
			t.Fatal(err)
		}
		writeInto(t, filepath.Join(dir, name), b.Bytes())
	}
	writeInto(t, filepath.Join(dir, "tree/broken.jpg"), []byte("\xff\xd8\xff no picture"))
}

func writeInto(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestFeaturesAndZeroshot(t *testing.T) {
	pictures, out := t.TempDir(), filepath.Join(t.TempDir(), "cache")
	writePictures(t, pictures)
	stdout, stderr := command(t, 0, "features", pictures, "--model", tinyModel, "--out", out)
	contains(t, stdout, fmt.Sprintf("6 features of dimension %d, 2 classes, 1 images skipped", tinyDim(t)), "model ")
	contains(t, stderr, "7 of 7 images", "skipped tree/broken.jpg: clip: not a readable image")

	stdout, _ = command(t, 0, "zeroshot", "--model", tinyModel, "--features", out, "--list")
	contains(t, stdout, "6 pictures, 2 classes: accuracy ", "within the best five 100.00 %", "red_heart/1.png (red heart): ")
	if n := strings.Count(stdout, "\n"); n != 7 {
		t.Errorf("%d lines", n)
	}
	stdout, _ = command(t, 0, "zeroshot", "--model", tinyModel, "--names", "red heart,tree,moon", "--template", "{}", "--template", "a picture of a {}",
		filepath.Join(pictures, "tree/1.png"))
	contains(t, stdout, "tree/1.png: ", "moon", " %, ")

	// Names in another order, and more of them, change the places of classes, not what is right.
	stdout, _ = command(t, 0, "zeroshot", "--model", tinyModel, "--features", out, "--list", "--names", "moon,tree,red heart")
	contains(t, stdout, "6 pictures, 3 classes: accuracy ", "red_heart/1.png (red heart): ", "tree/1.png (tree): ")

	// The arrays alone, as other tools write them.
	stdout, _ = command(t, 0, "zeroshot", "--model", tinyModel, "--features", filepath.Join(out, "features.npy"),
		"--labels", filepath.Join(out, "labels.npy"), "--names", "red heart,tree")
	contains(t, stdout, "6 pictures, 2 classes: accuracy ")
}

func TestFeaturesOfSplit(t *testing.T) {
	pictures, out := t.TempDir(), t.TempDir()
	writePictures(t, pictures)
	split := filepath.Join(pictures, "split.json")
	writeInto(t, split, []byte(`{"train":[["tree/1.png",1,"tree"]],"test":[["red_heart/1.png",0,"red_heart"],["tree/2.png",1,"tree"]]}`))
	stdout, _ := command(t, 0, "features", pictures, "--model", tinyModel, "--out", out, "--split", split, "--part", "test", "--float32", "--workers", "1")
	contains(t, stdout, fmt.Sprintf("2 features of dimension %d, 2 classes, 0 images skipped", tinyDim(t)))
}

// A run that is interrupted says how to go on, and keeps what it has.
func TestFeaturesInterrupted(t *testing.T) {
	pictures, out := t.TempDir(), t.TempDir()
	writePictures(t, pictures)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var stdout, stderr bytes.Buffer
	if code := run(ctx, []string{"features", pictures, "--model", tinyModel, "--out", out}, &stdout, &stderr); code != exitFailure {
		t.Errorf("exit %d", code)
	}
	contains(t, stderr.String(), "interrupted; the same command goes on from here")
	command(t, 0, "features", pictures, "--model", tinyModel, "--out", out)
}

func TestEmbed(t *testing.T) {
	pictures := t.TempDir()
	writePictures(t, pictures)
	stdout, _ := command(t, 0, "embed", "text", "--model", tinyModel, "a cat", "a <dog>")
	lines := strings.Split(strings.TrimSpace(stdout), "\n")
	var first embedded
	if err := json.Unmarshal([]byte(lines[0]), &first); err != nil || len(lines) != 2 {
		t.Fatalf("%v: %s", err, stdout)
	}
	if first.Text != "a cat" || len(first.Feature) != tinyDim(t) || len(first.Tokens) < 2 {
		t.Errorf("%+v", first)
	}
	contains(t, lines[1], `"text":"a <dog>"`)

	npy := filepath.Join(t.TempDir(), "x.npy")
	command(t, 0, "embed", "image", "--model", tinyModel, "--npy", npy, filepath.Join(pictures, "tree/1.png"), filepath.Join(pictures, "tree/2.png"))
	file, err := os.Open(npy)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if a, err := backbone.ReadNPY(file); err != nil || a.Shape[0] != 2 || a.Shape[1] != tinyDim(t) {
		t.Errorf("%+v %v", a, err)
	}
}

func TestModelCommandsRefuse(t *testing.T) {
	pictures := t.TempDir()
	writePictures(t, pictures)
	broken, tree := filepath.Join(pictures, "tree/broken.jpg"), filepath.Join(pictures, "tree/1.png")
	cached := filepath.Join(t.TempDir(), "cache")
	command(t, 0, "features", pictures, "--model", tinyModel, "--out", cached)
	for _, tc := range []struct {
		args   string
		reason string
	}{
		{"features " + pictures, "give --out"},
		{"features " + pictures + " --out x", "give --model"},
		{"features " + pictures + "/tree --model " + tinyModel + " --out x", "one of which is expected for each class"},
		{"features " + pictures + "/absent --model " + tinyModel + " --out x", "no such file"},
		{"features " + pictures + " --model " + pictures + " --out x", "not a model folder"},
		{"features " + pictures + " --model " + tinyModel + " --out x --split " + tree, "split file"},
		{"features", "accepts 1 arg"},
		{"zeroshot --model " + tinyModel, "either pictures or --features"},
		{"zeroshot --model " + tinyModel + " --names a " + broken, "broken.jpg: clip: not a readable image"},
		{"zeroshot --model " + tinyModel + " " + tree, "no class names"},
		{"zeroshot --model " + tinyModel + " --names a --template photo " + tree, "has no {}"},
		{"zeroshot --model " + tinyModel + " --features absent", "absent"},
		{"zeroshot --model " + tinyModel + " --names moon,tree --features " + cached, `class "red heart"`},
		{"embed text --model " + tinyModel + " <|endoftext|>", "special token"},
		{"embed text --model " + tinyModel + " " + strings.Repeat("x1", 40), "too many tokens"},
		{"embed image --model " + tinyModel, "at least 1 arg"},
		{"embed image --model absent " + tree, "stat absent: no such file"},
	} {
		_, stderr := command(t, exitInput, strings.Fields(tc.args)...)
		contains(t, stderr, tc.reason)
	}
}
