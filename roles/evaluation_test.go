package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"image"
	"image/draw"
	"image/png"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"dpfpl/roles/backbone"
	"dpfpl/schemas"
)

// writeEmoji cuts count concepts of two built-in styles into a folder of pictures, and returns their names.
// With rotate, every picture lies in the folder of the next concept.
func writeEmoji(t *testing.T, dir string, count, rotate int) (names []string) {
	t.Helper()
	const folder = "../testbed/data/emoji"
	raw, err := os.ReadFile(filepath.Join(folder, "index.json"))
	if err != nil {
		t.Fatal(err)
	}
	var index struct {
		Tile, Columns int
		Concepts      []struct{ Name string }
	}
	if err := json.Unmarshal(raw, &index); err != nil {
		t.Fatal(err)
	}
	const stride = 3
	for i := range count {
		names = append(names, index.Concepts[stride*i].Name)
	}
	for _, style := range []string{"fluent-emoji-high-contrast", "emojione-v1"} {
		file, err := os.Open(filepath.Join(folder, style+".png"))
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		sheet, err := png.Decode(file)
		if err != nil {
			t.Fatal(err)
		}
		for i := range count {
			tile := image.NewNRGBA(image.Rect(0, 0, index.Tile, index.Tile))
			at := image.Pt(stride*i%index.Columns, stride*i/index.Columns).Mul(index.Tile)
			draw.Draw(tile, tile.Bounds(), sheet, at, draw.Src)
			var b bytes.Buffer
			if err := png.Encode(&b, tile); err != nil {
				t.Fatal(err)
			}
			class := strings.ReplaceAll(names[(i+rotate)%count], " ", "_")
			writeInto(t, filepath.Join(dir, class, style+fmt.Sprint(i)+".png"), b.Bytes())
		}
	}
	return names
}

// TestWhatIfAccuracy: a run whose one honest update makes the global prompt "a picture of a" scores with that
// client what zero-shot classification scores with these words, computed from the text by another path; a
// feature cache counts as its pictures do; and another client's update ruins it.
func TestWhatIfAccuracy(t *testing.T) {
	const words, count = "a picture of a", 16
	pictures, rotated, cache := t.TempDir(), t.TempDir(), filepath.Join(t.TempDir(), "cache")
	names := writeEmoji(t, pictures, count, 0)
	writeEmoji(t, rotated, count, 1)
	model, err := backbone.Open(tinyModel)
	if err != nil {
		t.Fatal(err)
	}
	defer model.Close()
	target, err := model.Words(words)
	if err != nil {
		t.Fatal(err)
	}
	s := newScene(t, []string{"anna", "bert"}, len(strings.Fields(words)), model.Text.Config().Width,
		schemas.RulePlan{Name: "fedasync", MaxStaleness: 2},
		func(p *schemas.Plan) { p.Classes, p.Backbone, p.Server.Momentum = names, model.Digest, 0 })
	good, bad := make([]int32, len(target)), make([]int32, len(target))
	for j, x := range target {
		good[j] = int32(-float64(x) * 8 * 65536) // B̄ = 8, rate 1, one lattice unit is 1/65536
		bad[j] = int32(j%7-3) << 19
	}
	s.sum("anna", 1, 0, good, "anna")
	s.sum("bert", 1, 1, bad, "bert")
	log := filepath.Join(t.TempDir(), "run.dpfpl")
	writeTo(t, log, s.messages())

	command(t, exitOK, "features", pictures, "--model", tinyModel, "--out", cache, "--float32")
	stdout, _ := command(t, exitOK, "zeroshot", "--model", tinyModel, "--features", cache, "--template", words+" {}.")
	want := regexp.MustCompile(`accuracy ([0-9.]+ %)`).FindStringSubmatch(stdout)[1]
	if want == "0.00 %" || want == "100.00 %" {
		t.Fatalf("zero-shot accuracy %s tells nothing", want)
	}
	// Columns: recorded and what-if accuracy of versions 1 and 2.
	accuracies := func(set string) (a []string) {
		stdout, _ := command(t, exitOK, "replay", "--log", log, "--only", "anna", "--model", tinyModel, "--eval", set)
		for _, row := range regexp.MustCompile(`(?m)([0-9.]+ %) +([0-9.]+ %)$`).FindAllStringSubmatch(stdout, -1) {
			a = append(a, row[1:]...)
		}
		if len(a) != 4 {
			t.Fatalf("no table of two rows:\n%s", stdout)
		}
		return a
	}
	for _, set := range []string{pictures, cache} {
		if a := accuracies(set); a[0] != want || a[1] != want || a[3] != want || a[2] == want {
			t.Errorf("%s: accuracies %v, zero-shot %s", set, a, want)
		}
	}
	stdout, _ = command(t, exitOK, "replay", "--log", log, "--until", "1", "--model", tinyModel, "--eval", pictures)
	if !regexp.MustCompile(`bit for bit(.*\n)+version +accuracy\n0 .*\n1 +` + want + `\n$`).MatchString(stdout) {
		t.Errorf("without a what-if:\n%s", stdout)
	}
	if a := accuracies(rotated); a[0] == want {
		t.Errorf("with every picture in another class's folder the accuracy is still %s", want)
	}
}

func TestEvaluationRefuses(t *testing.T) {
	log := filepath.Join(t.TempDir(), "run.dpfpl")
	writeTo(t, log, demo(t).messages())
	for _, tc := range []struct{ args, reason string }{
		{"--eval x --model " + tinyModel, "the run is of model 000000000000…"},
		{"--without anna --model " + tinyModel, "--model is for --eval"},
		{"--without anna --eval x", "give --model"},
		{"--without anna --eval x --model " + tinyModel, "the run is of model 000000000000…"},
	} {
		_, stderr := command(t, exitInput, append([]string{"replay", "--log", log}, strings.Fields(tc.args)...)...)
		contains(t, stderr, tc.reason)
	}
}
