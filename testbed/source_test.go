package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// files writes files below a new folder.
func files(t *testing.T, content map[string][]byte) string {
	t.Helper()
	dir := t.TempDir()
	for name, raw := range content {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, raw, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// photo is a small picture of one colour.
func photo(t *testing.T, c color.Color) []byte {
	t.Helper()
	img := image.NewRGBA(image.Rect(0, 0, 20, 16))
	for y := range 16 {
		for x := range 20 {
			img.Set(x, y, c)
		}
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// The classes of the fixtures: each is a colour.
var (
	petNames = []string{"cat", "dog", "fox", "owl"}
	colours  = []color.Color{color.RGBA{200, 30, 30, 255}, color.RGBA{30, 200, 30, 255}, color.RGBA{30, 30, 200, 255}, color.RGBA{200, 200, 30, 255}}
)

// folderFiles has n pictures of each class below a folder.
func folderFiles(t *testing.T, into map[string][]byte, below string, n int) {
	for c, name := range petNames {
		for i := range n {
			into[fmt.Sprintf("%s%s/%d.png", below, name, i)] = photo(t, colours[c])
		}
	}
}

// numpy encodes an array as NumPy does.
func numpy(descr, shape string, data []byte) []byte {
	head := fmt.Sprintf("{'descr': '%s', 'fortran_order': False, 'shape': (%s), }", descr, shape)
	head += strings.Repeat(" ", 117-len(head)) + "\n"
	return append(append([]byte("\x93NUMPY\x01\x00\x76\x00"), head...), data...)
}

// featureFiles has n unit vectors of each class, in a space of so many dimensions.
func featureFiles(n, width int) map[string][]byte {
	var x, y []byte
	for c := range petNames {
		for range n {
			for at := range width {
				v := float32(0)
				if at == c {
					v = 1
				}
				x = binary.LittleEndian.AppendUint32(x, math.Float32bits(v))
			}
			y = append(y, byte(c))
		}
	}
	count := fmt.Sprint(n * len(petNames))
	xs, ys := numpy("<f4", count+", "+fmt.Sprint(width), x), numpy("|u1", count+",", y)
	return map[string][]byte{
		"pets_train_x.npy": xs, "pets_train_y.npy": ys, "pets_test_x.npy": xs, "pets_test_y.npy": ys,
		"pets_classes.txt": []byte(strings.Join(petNames, "\n")),
	}
}

// cifarFiles has n records of each class.
func cifarFiles(n int) map[string][]byte {
	var b []byte
	for c := range petNames {
		for range n {
			b = append(append(b, 0, byte(c)), bytes.Repeat([]byte{byte(60 * c)}, 3*32*32)...)
		}
	}
	return map[string][]byte{"train.bin": b, "test.bin": b, "fine_label_names.txt": []byte(strings.Join(petNames, "\n"))}
}

// idxFiles has n images of each class.
func idxFiles(n int) map[string][]byte {
	images, labels := []byte{0, 0, 8, 3, 0, 0, 0, byte(4 * n), 0, 0, 0, 8, 0, 0, 0, 8}, []byte{0, 0, 8, 1, 0, 0, 0, byte(4 * n)}
	for c := range petNames {
		for range n {
			images, labels = append(images, bytes.Repeat([]byte{byte(60 * c)}, 64)...), append(labels, byte(c))
		}
	}
	return map[string][]byte{
		"train-images-idx3-ubyte": images, "train-labels-idx1-ubyte": labels, "t10k-images-idx3-ubyte": images, "t10k-labels-idx1-ubyte": labels,
		"names": []byte(strings.Join(petNames, "\n")),
	}
}

// coopFiles is OxfordPets in CoOp's layout with n pictures of each class, and one more in the split that is not there.
func coopFiles(t *testing.T, n int) map[string][]byte {
	all := map[string][]byte{}
	folderFiles(t, all, "images/", n)
	var items []string
	for c, name := range petNames {
		for i := range n {
			items = append(items, fmt.Sprintf(`["%s/%d.png", %d, "%s"]`, name, i, c, name))
		}
	}
	half := strings.Join(items, ", ")
	all["split_zhou_OxfordPets.json"] = fmt.Appendf(nil, `{"train": [%s, ["cat/gone.png", 0, "cat"]], "val": [], "test": [%s]}`, half, half)
	return all
}

// TestOwnData runs the main job on a small data set of every kind and with every partition.
func TestOwnData(t *testing.T) {
	flat, styles := map[string][]byte{}, map[string][]byte{}
	folderFiles(t, flat, "", 4)
	folderFiles(t, styles, "ink/", 4)
	folderFiles(t, styles, "oil/", 4)
	idx := files(t, idxFiles(4))
	model := filepath.Join(t.TempDir(), "clip")
	if err := os.CopyFS(model, builtin("tinyclip")); err != nil {
		t.Fatal(err)
	}
	for what, c := range map[string]struct {
		args           []string
		name           string
		classes, train int // that the first client has
	}{
		"coop":               {[]string{"--data", "coop:" + files(t, coopFiles(t, 4)), "--skip-bad"}, "oxford_pets", 2, 8},
		"folder, few shots":  {[]string{"--data", "folder:" + files(t, flat), "--test-share", "0.5", "--shots", "1", "--model", model}, "", 2, 2},
		"folder of styles":   {[]string{"--data", "folder:" + files(t, styles), "--partition", "style", "--test-share", "0.5"}, "", 4, 8},
		"features, two ways": {[]string{"--data", "features:" + files(t, featureFiles(20, 128)) + "/pets", "--partition", "dirichlet:5"}, "pets", 4, 0},
		"cifar100, cut":      {[]string{"--data", "cifar100:" + files(t, cifarFiles(3)), "--truncate"}, "cifar-100", 2, 6},
		"idx":                {[]string{"--data", "idx:" + idx, "--classes", filepath.Join(idx, "names")}, "", 2, 8},
	} {
		t.Run(what, func(t *testing.T) {
			out := t.TempDir()
			args := append(c.args, "--clients", "2", "--versions", "2", "--virtual-time", "--no-control", "--out", out)
			code, stdout, stderr := testbed(t, args...)
			if code != exitOK || !strings.Contains(stdout, "bit for bit") {
				t.Fatalf("exit %d: %s\n%s", code, stderr, stdout)
			}
			r := results(t, out)
			if c.name != "" && r.Data != c.name || r.Classes != 4 || len(r.Clients) != 2 {
				t.Errorf("%q, %d classes, %d clients", r.Data, r.Classes, len(r.Clients))
			}
			first := r.Clients[0]
			if len(first.Classes) != c.classes || c.train != 0 && first.TrainPictures != c.train || first.TestPictures == 0 || !first.Local.Known() {
				t.Errorf("the first client: %+v", first)
			}
			page, err := os.ReadFile(filepath.Join(out, "report.html"))
			if err != nil {
				t.Fatal(err)
			}
			if bytes.Contains(page, []byte("cat/gone.png")) != (what == "coop") {
				t.Error("the report does not tell what was left out, or tells what was not")
			}
		})
	}
}

// TestOwnDataRefused gives the command data sets of one's own that are wrong, or flags that do not go with them.
func TestOwnDataRefused(t *testing.T) {
	t.Parallel()
	flat := map[string][]byte{}
	folderFiles(t, flat, "", 4)
	good := "folder:" + files(t, flat)
	flat["owl/3.png"] = flat["owl/3.png"][:30]
	torn := "folder:" + files(t, flat)
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"kind":                {[]string{"--data", "zip:x"}, "--data"},
		"no folder":           {[]string{"--data", "folder:"}, "--data"},
		"nowhere":             {[]string{"--data", "coop:nowhere"}, "coop:nowhere"},
		"torn picture":        {[]string{"--data", torn}, "owl/3.png"},
		"missing picture":     {[]string{"--data", "coop:" + files(t, coopFiles(t, 4))}, "cat/gone.png"},
		"partition":           {[]string{"--data", good, "--partition", "fair"}, "--partition"},
		"alpha":               {[]string{"--data", good, "--partition", "dirichlet:0"}, "--partition"},
		"alpha of nothing":    {[]string{"--data", good, "--partition", "style:2"}, "--partition"},
		"no styles":           {[]string{"--data", "cifar100:" + files(t, cifarFiles(3)), "--partition", "style"}, "styles"},
		"shots":               {[]string{"--data", good, "--shots", "-1"}, "--shots"},
		"share":               {[]string{"--data", good, "--test-share", "1"}, "--test-share"},
		"too many clients":    {[]string{"--data", good, "--clients", "9"}, "9 clients"},
		"too few for a split": {[]string{"--data", good, "--clients", "3", "--partition", "dirichlet:0.3"}, "3 clients"},
		"built-in":            {[]string{"--shots", "3"}, "--shots"},
		"built-in, divided":   {[]string{"--data", "fashion", "--partition", "style"}, "--partition"},
		"data-dir":            {[]string{"--data", good, "--data-dir", "x"}, "--data-dir"},
		"width":               {[]string{"--data", "features:" + files(t, featureFiles(4, 64)) + "/pets", "--clients", "2"}, "128"},
		"names":               {[]string{"--data", "idx:" + files(t, idxFiles(4))}, "classes.txt"},
		"names not there":     {[]string{"--data", "idx:" + files(t, idxFiles(4)), "--classes", "none.txt"}, "none.txt"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out := filepath.Join(t.TempDir(), "out")
			code, _, stderr := testbed(t, append([]string{"--out", out}, c.args...)...)
			if code != exitInput || !strings.Contains(stderr, c.want) {
				t.Errorf("exit %d: %q does not name %q", code, stderr, c.want)
			}
			if left := leftovers(out); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}
