package sweep

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"dpfpl/testbed/internal/report"
)

// asChild makes the test binary behave as a sweep's child.
const asChild = "DPFPL_SWEEP_CHILD"

// builtins are the testbed's assets.
func builtins() Builtin {
	return Builtin{Model: os.DirFS("../../tinyclip"), Data: os.DirFS("../../data")}
}

func TestMain(m *testing.M) {
	if os.Getenv(asChild) != "" {
		if err := Child(context.Background(), os.Args[1], os.Stdin, os.Stdout, builtins()); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// tiny is a real sweep that takes a moment.
const tiny = `
name: tiny
sources: [{name: fruit, train: train, test: test, classes: names.txt}]
seeds: [1, 2]
clients: 2
blocks:
  - methods: [dpfpl]
    epsilons: [none, 8]
    ranks: [2]
    rules: [fedbuff]
    casts: [none]
    versions: 4
    course: 1
    batch: 2
    plan: {prompt: {context: 4}, rule: {buffer: 1}}
`

// tinyFeatures writes features of four classes, in the built-in model's space, as noisy as can still be told apart.
func tinyFeatures(t *testing.T) string {
	t.Helper()
	const classes, width = 4, 128
	dir := t.TempDir()
	rng := rand.New(rand.NewPCG(1, 2))
	var centres [classes][width]float64
	for c := range centres {
		for i := range centres[c] {
			centres[c][i] = rng.NormFloat64()
		}
	}
	for _, part := range []string{"train", "test"} {
		const each = 6
		var x, y []byte
		for c := range classes {
			for range each {
				var v [width]float64
				norm := 0.0
				for i := range v {
					v[i] = centres[c][i] + rng.NormFloat64()
					norm += v[i] * v[i]
				}
				for i := range v {
					x = binary.LittleEndian.AppendUint32(x, math.Float32bits(float32(v[i]/math.Sqrt(norm))))
				}
				y = binary.LittleEndian.AppendUint64(y, uint64(c))
			}
		}
		writeNPY(t, filepath.Join(dir, part+"_x.npy"), "<f4", fmt.Sprintf("(%d, %d)", classes*each, width), x)
		writeNPY(t, filepath.Join(dir, part+"_y.npy"), "<i8", fmt.Sprintf("(%d,)", classes*each), y)
	}
	if err := os.WriteFile(filepath.Join(dir, "names.txt"), []byte("apple\ncherry\nlemon\npear\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

func writeNPY(t *testing.T, path, kind, shape string, values []byte) {
	t.Helper()
	header := fmt.Sprintf("{'descr': '%s', 'fortran_order': False, 'shape': %s, }", kind, shape)
	header += strings.Repeat(" ", 63-(10+len(header))%64) + "\n"
	raw := append([]byte("\x93NUMPY\x01\x00"), byte(len(header)), byte(len(header)>>8))
	if err := os.WriteFile(path, slices.Concat(raw, []byte(header), values), 0o600); err != nil {
		t.Fatal(err)
	}
}

func tinyOptions(t *testing.T, dir string, say func(string)) (Options, string) {
	t.Helper()
	g, err := Parse([]byte(tiny))
	if err != nil {
		t.Fatal(err)
	}
	o := Options{
		Grid: g, Text: []byte(tiny), Folders: Folders{Features: tinyFeatures(t)}, Builtin: builtins(), Dir: dir, Jobs: 2, Say: say,
		Command: func(text string) *exec.Cmd {
			cmd := exec.Command(os.Args[0], text)
			cmd.Env = append(os.Environ(), asChild+"=1")
			return cmd
		},
	}
	digest, err := Check(t.Context(), &o)
	if err != nil {
		t.Fatal(err)
	}
	return o, digest
}

// bytesOf are the trials without their wall times.
func bytesOf(t *testing.T, trials []report.Trial) []string {
	t.Helper()
	out := make([]string, len(trials))
	for i, trial := range trials {
		trial.Seconds = report.Unknown
		raw, err := json.Marshal(trial)
		if err != nil {
			t.Fatal(err)
		}
		out[i] = string(raw)
	}
	return out
}

// TestResume interrupts a sweep after its second cell, tears the journal's last line as a power cut would, and goes on:
// the trials are those of a sweep that was left alone, to the byte. A journal of another grid is refused.
func TestResume(t *testing.T) {
	whole, digest := tinyOptions(t, t.TempDir(), func(string) {})
	want, err := Run(t.Context(), whole, digest)
	if err != nil {
		t.Fatal(err)
	}
	if len(want) != 2*4 {
		t.Fatalf("%d trials", len(want))
	}
	checkTiny(t, want)

	ctx, stop := context.WithCancelCause(t.Context())
	defer stop(nil)
	enough := errors.New("enough")
	said := 0
	torn, _ := tinyOptions(t, t.TempDir(), func(line string) {
		if said++; said == 3 { // the greeting and two cells
			stop(enough)
		}
	})
	if _, err := Run(ctx, torn, digest); !errors.Is(err, enough) {
		t.Fatalf("an interrupted sweep ends with %v", err)
	}
	path := filepath.Join(torn.Dir, TrialsFile)
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, info.Size()-5); err != nil {
		t.Fatal(err)
	}
	done, err := Done(torn.Dir, torn.Grid, digest)
	if err != nil || len(done) == 0 || len(done) == len(want) {
		t.Fatalf("%d trials are left: %v", len(done), err)
	}
	other, err := openJournal(torn.Dir, digest)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Run(t.Context(), torn, digest); !errors.Is(err, ErrJournal) || !strings.Contains(err.Error(), "another sweep") {
		t.Errorf("two at once: %v", err)
	}
	if err := other.close(); err != nil {
		t.Fatal(err)
	}
	torn.Say = func(string) {}
	got, err := Run(t.Context(), torn, digest)
	if err != nil {
		t.Fatal(err)
	}
	if a, b := bytesOf(t, want), bytesOf(t, got); !reflect.DeepEqual(a, b) {
		t.Errorf("resumed:\n%s\nleft alone:\n%s", strings.Join(b, "\n"), strings.Join(a, "\n"))
	}
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	damaged := bytes.Replace(raw, []byte(`{"grid"`), []byte(`{"grid`), 1)
	if err := os.WriteFile(path, damaged, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Run(t.Context(), torn, digest); !errors.Is(err, ErrJournal) || !strings.Contains(err.Error(), path+", line 1 is damaged") || !strings.Contains(err.Error(), "remove it") {
		t.Errorf("a damaged line: %v", err)
	}
	if left, err := os.ReadFile(path); err != nil || !bytes.Equal(left, damaged) {
		t.Errorf("the damaged journal was touched, %v", err)
	}
	if err := os.WriteFile(path, raw, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Run(t.Context(), torn, "another"); !errors.Is(err, ErrJournal) || !strings.Contains(err.Error(), "another grid") {
		t.Errorf("another grid's journal: %v", err)
	}
}

func checkTiny(t *testing.T, trials []report.Trial) {
	t.Helper()
	for i, c := range trials {
		if c.Method == report.ControlZeroShot {
			if len(c.Local) != 1 || c.Local[0] != c.ZeroShotLocal || !c.ZeroShotNeighbour.Known() {
				t.Errorf("trial %d: %+v", i, c)
			}
			continue
		}
		if len(c.Local) != 1 || len(c.Course) != 5 || !c.Local[0].Known() || c.Course[0].Seconds > c.Course[4].Seconds {
			t.Errorf("trial %d: %+v", i, c)
		}
		if private := c.Nominal.Known(); private != (c.EpsilonRDP > 0 && c.EpsilonRDP <= 8 && c.EpsilonPLD < c.EpsilonRDP) {
			t.Errorf("trial %d: ε %v costs %v, %v", i, c.Nominal, c.EpsilonRDP, c.EpsilonPLD)
		}
	}
	if reflect.DeepEqual(trials[1].Local, trials[2].Local) && reflect.DeepEqual(trials[1].Course, trials[2].Course) {
		t.Error("noise changes nothing")
	}
}

// TestCheck: what only model and data can tell is found before anything is run.
func TestCheck(t *testing.T) {
	features := tinyFeatures(t)
	for _, c := range []struct{ name, from, to, want string }{
		{"rank beyond the context", "ranks: [2]", "ranks: [5]", "method.rank"},
		{"buffer beyond the members", "buffer: 1", "buffer: 3", "rule.buffer"},
		{"features without a folder", "x", "x", "--features"},
		{"pictures without a folder", "[{name: fruit, train: train, test: test, classes: names.txt}]", "[{name: cars, images: a, split: b}]", "--images"},
		{"words without any", "context: 4", "context: 4, init: words", "prompt.words"},
	} {
		text := strings.Replace(tiny, c.from, c.to, 1)
		g, err := Parse([]byte(text))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		folders := Folders{Features: features}
		if c.want == "--features" {
			folders = Folders{}
		}
		if _, err := Check(t.Context(), &Options{Grid: g, Text: []byte(text), Folders: folders, Builtin: builtins()}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// TestBadRows: features that cannot be used are refused with the file's name, or left out and counted where the grid says so.
func TestBadRows(t *testing.T) {
	o, _ := tinyOptions(t, t.TempDir(), nil)
	path := filepath.Join(o.Folders.Features, "train_x.npy")
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	binary.LittleEndian.PutUint32(raw[len(raw)-4:], math.Float32bits(2))
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Check(t.Context(), &o); err == nil || !strings.Contains(err.Error(), "train_x.npy") || !strings.Contains(err.Error(), "1 of 24 rows") {
		t.Errorf("error %v", err)
	}
	var said []string
	o.Grid.SkipBad, o.Say = true, func(line string) { said = append(said, line) }
	if _, err := Check(t.Context(), &o); err != nil || len(said) != 1 || !strings.Contains(said[0], "1 pictures are left out") {
		t.Errorf("%q, %v", said, err)
	}
}

// TestChildFails: a cell that fails ends the sweep with the child's reason.
func TestChildFails(t *testing.T) {
	o, digest := tinyOptions(t, t.TempDir(), func(string) {})
	o.Builtin.Model = nil
	o.Folders.Model = filepath.Join(t.TempDir(), "gone")
	o.Jobs = 1
	if _, err := Run(t.Context(), o, digest); err == nil || !strings.Contains(err.Error(), "worker-") {
		t.Errorf("error %v", err)
	}
}
