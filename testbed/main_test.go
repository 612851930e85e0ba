package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"dpfpl/roles/client/ledger"
	"dpfpl/testbed/internal/process"
	"dpfpl/testbed/internal/report"
)

// asMain makes the test binary behave as the testbed itself, so that tests can kill it.
const asMain = "DPFPL_TESTBED_AS_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(asMain) != "" {
		os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

// testbed runs the command in this process.
func testbed(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(t.Context(), args, &out, &errs)
	return code, out.String(), errs.String()
}

func results(t *testing.T, out string) report.Results {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(out, report.ResultsFile))
	if err != nil {
		t.Fatal(err)
	}
	var r report.Results
	if err := json.Unmarshal(raw, &r); err != nil {
		t.Fatal(err)
	}
	return r
}

// few gives a run few pictures in short mode: the race detector sees the same code in it, sooner.
func few(t *testing.T) []string {
	t.Helper()
	if !testing.Short() {
		return nil
	}
	return []string{"--data", fewPictures(t)}
}

// fewPictures is a source of 60 pictures of five classes.
func fewPictures(t *testing.T) string {
	t.Helper()
	pictures := filepath.Join(t.TempDir(), "pictures")
	if code, _, stderr := testbed(t, "pictures", "--out", pictures, "--most", "12"); code != exitOK {
		t.Fatalf("exit %d: %s", code, stderr)
	}
	return "folder:" + filepath.Join(pictures, "north", "train")
}

// TestSameSeedSameBits runs one seed twice in virtual time: results, report and log are equal to the byte. Another
// seed is not.
func TestSameSeedSameBits(t *testing.T) {
	var files [2]map[string][]byte
	for i := range files {
		out := t.TempDir()
		code, _, stderr := testbed(t, append(few(t), "--clients", "4", "--versions", "8", "--seed", "7", "--virtual-time", "--no-control", "--out", out)...)
		if code != exitOK {
			t.Fatalf("exit %d: %s", code, stderr)
		}
		files[i] = read(t, out)
	}
	for _, name := range []string{report.ResultsFile, report.PageFile, logFile} {
		if a, b := files[0][name], files[1][name]; len(a) == 0 || !bytes.Equal(a, b) {
			t.Errorf("%s: %d and %d bytes, not equal", name, len(a), len(b))
		}
	}
	var r report.Results
	if err := json.Unmarshal(files[0][report.ResultsFile], &r); err != nil {
		t.Fatal(err)
	}
	if len(r.ModelDigests) != 9 || r.Noise != report.NoiseSeeded || !r.Virtual {
		t.Errorf("%d digests, noise %q, virtual %v", len(r.ModelDigests), r.Noise, r.Virtual)
	}
}

func read(t *testing.T, dir string) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	err := fs.WalkDir(os.DirFS(dir), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		files[path], err = os.ReadFile(filepath.Join(dir, path))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// TestLearns holds the main job to its purpose: without noise, the clients' personal prompts beat the
// hand-written one by at least 8 points on pictures they never trained on, on either data set.
func TestLearns(t *testing.T) {
	if testing.Short() {
		t.Skip("arithmetic alone; other tests run the same code")
	}
	const least = 8.0
	for _, set := range []string{"emoji", "fashion"} {
		out := t.TempDir()
		code, _, stderr := testbed(t, "--data", set, "--non-private", "--virtual-time", "--versions", "20", "--out", out)
		if code != exitOK {
			t.Fatalf("%s: exit %d: %s", set, code, stderr)
		}
		r := results(t, out)
		gain := 100 * float64(r.Mean.Local-r.Mean.ZeroShotLocal)
		t.Logf("%s: zero-shot %.1f %%, local %.1f %%, gain %.1f points", set, 100*r.Mean.ZeroShotLocal, 100*r.Mean.Local, gain)
		if gain < least {
			t.Errorf("%s: local accuracy %.3f is only %.1f points above zero-shot %.3f", set, r.Mean.Local, gain, r.Mean.ZeroShotLocal)
		}
		for _, c := range r.Clients {
			if c.EpsilonRDP.Known() {
				t.Errorf("%s claims epsilon %v without noise", c.ID, c.EpsilonRDP)
			}
		}
	}
}

// TestEveryRuleAndMethod lets each of them run a few versions with its default plan, on few pictures.
func TestEveryRuleAndMethod(t *testing.T) {
	pictures := fewPictures(t)
	for _, flags := range []string{
		"--rule sync", "--rule fedasync", "--rule trimmed", "--rule median",
		"--method promptfl", "--method fedotp", "--method fedpgp", "--method dplora",
	} {
		args := append(strings.Fields(flags), "--data", pictures, "--clients", "4", "--versions", "3", "--virtual-time", "--no-control", "--out", t.TempDir())
		if code, stdout, stderr := testbed(t, args...); code != exitOK || !strings.Contains(stdout, "bit for bit") {
			t.Errorf("%s: exit %d: %s", flags, code, stderr)
		}
	}
}

// TestKillAndResume kills the process in the middle of an ordinary run, as a power cut would, and goes on. The
// finished run proves itself from its log (see proof); here the ledgers are counted once more.
func TestKillAndResume(t *testing.T) {
	out := t.TempDir()
	args := append(few(t), "--clients", "4", "--versions", "24", "--pace", "150ms", "--no-control", "--plain", "--out", out)
	first, err := process.Start(command(t, args...), filepath.Join(t.TempDir(), "stderr"))
	if err != nil {
		t.Fatal(err)
	}
	awaitLine(t, first, "version   4/24")
	first.Pause() // however long the second process takes to start, the first still holds its locks
	if code, _, stderr := testbed(t, append(args, "--resume")...); code != exitFailure || !strings.Contains(stderr, "in use") || strings.Contains(stderr, "can go on") {
		t.Errorf("a second process on the same folder: exit %d, %q", code, stderr)
	}
	first.Kill()
	for range first.Lines() {
	}
	<-first.Exited()
	refuseDamaged(t, out)

	code, _, stderr := testbed(t, args...)
	if code != exitInput || !strings.Contains(stderr, "--resume") {
		t.Errorf("starting over an unfinished run: exit %d, %q", code, stderr)
	}
	code, _, stderr = testbed(t, append(args, "--resume", "--seed", "5")...)
	if code != exitInput || !strings.Contains(stderr, "--seed 5") {
		t.Errorf("resuming with another seed: exit %d, %q", code, stderr)
	}
	damageMoments(t, out)
	if code, stdout, stderr := testbed(t, append(args, "--resume")...); code != exitOK || !strings.Contains(stdout, "bit for bit") || strings.Count(stdout, "warning: ") != 1 {
		t.Fatalf("resume: exit %d: %s\n%s", code, stderr, stdout)
	}
	r := results(t, out)
	if r.Versions != 24 || len(r.ModelDigests) != 25 {
		t.Errorf("ended at version %d with %d digests", r.Versions, len(r.ModelDigests))
	}
	for _, c := range r.Clients {
		l, err := ledger.Open(filepath.Join(out, stateFolder, c.ID+".ledger"), ledger.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		if debits := len(l.Entries()); debits < c.Accepted+c.Stale+c.Refused {
			t.Errorf("%s: %d debits for %d updates", c.ID, debits, c.Accepted+c.Stale+c.Refused)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// refuseDamaged: an interrupted run of which something is missing does not go on, nor wait for what never comes, and says what
// to do: it promises to go on only where it can.
func refuseDamaged(t *testing.T, out string) {
	t.Helper()
	const never = "cannot go on: choose another --out, or remove "
	overwrite := func(name string, at int64) func(string) error {
		return func(dir string) error {
			file, err := os.OpenFile(filepath.Join(dir, name), os.O_WRONLY, 0)
			if err != nil {
				return err
			}
			_, err = file.WriteAt([]byte("XXXXXXXX"), at)
			return errors.Join(err, file.Close())
		}
	}
	instead := func(name string, put func(path string) error) func(string) error {
		return func(dir string) error {
			path := filepath.Join(dir, name)
			return errors.Join(os.RemoveAll(path), put(path))
		}
	}
	text := func(s string) func(string) error {
		return func(path string) error { return os.WriteFile(path, []byte(s), 0o600) }
	}
	for _, c := range []struct {
		want, advice string
		code         int
		damage       func(state string) error
	}{
		{"no key of client-02", "", exitInput, func(dir string) error {
			path := filepath.Join(dir, stateFile)
			raw, err := os.ReadFile(path)
			return errors.Join(err, os.WriteFile(path, bytes.Replace(raw, []byte(`"client-02":`), []byte(`"client-20":`), 1), 0o600))
		}},
		{"run.json is damaged", never, exitInput, overwrite(stateFile, 0)},
		{"run.json is damaged", never, exitInput, instead(stateFile, text("{}"))},
		{"streams of the run are gone", never, exitFailure, instead("jetstream", func(string) error { return nil })},
		{"streams of the run are gone", never, exitFailure, instead("jetstream", text("a file"))},
		{"client-01.ledger: ledger: damaged", never, exitFailure, overwrite("client-01.ledger", 200)},
		{"moments.jsonl: is a directory", "move it away\nthe run can go on", exitFailure, instead(momentsFile, func(path string) error { return os.Mkdir(path, 0o700) })},
	} {
		copied := t.TempDir()
		if err := errors.Join(os.CopyFS(copied, os.DirFS(out)), c.damage(filepath.Join(copied, stateFolder))); err != nil {
			t.Fatal(err)
		}
		code, _, stderr := testbed(t, "--resume", "--plain", "--out", copied)
		if c.advice == never {
			c.advice += copied
		}
		if code != c.code || !strings.Contains(stderr, c.want) || !strings.Contains(stderr, c.advice) || strings.Contains(stderr, "go run") != strings.Contains(c.advice, "can go on") {
			t.Errorf("exit %d, %q does not say %q and %q", code, stderr, c.want, c.advice)
		}
	}
}

// damageMoments makes a line of an interrupted run's record unreadable. What it holds is not worth a run.
func damageMoments(t *testing.T, out string) {
	t.Helper()
	path := filepath.Join(out, stateFolder, momentsFile)
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, bytes.Replace(raw, []byte(`"client":"client-01"`), []byte(`"client":"client-x1"`), 1), 0o644); err != nil {
		t.Fatal(err)
	}
}

func command(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command(self, args...)
	c.Env = append(os.Environ(), asMain+"=1")
	return c
}

// awaitLine reads what a process says until a line contains want.
func awaitLine(t *testing.T, c *process.Child, want string) {
	t.Helper()
	for line := range c.Lines() {
		if strings.Contains(line, want) {
			return
		}
	}
	t.Fatalf("ended without %q", want)
}

// TestBadInput gives the command what is wrong in every way a newcomer might: one line that says what and
// where, exit code 2, and nothing half-written.
func TestBadInput(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"unknown flag":        {[]string{"--colour", "red"}, "--colour"},
		"argument":            {[]string{"fast"}, "fast"},
		"versions":            {[]string{"--versions", "0"}, "--versions"},
		"versions in words":   {[]string{"--versions", "many"}, `--versions "many": want a whole number`},
		"no such folder":      {[]string{"--data", "folder:" + filepath.Join(dir, "nopictures")}, "stat " + filepath.Join(dir, "nopictures")},
		"file for a folder":   {[]string{"--data", "folder:" + write("picture.png", "")}, "is a file, not a folder"},
		"grid of a word":      {[]string{"sweep", "--grid", write("grid.yaml", "name: x\nclients: many\n")}, "grid.yaml: sweep: bad grid: [2:10] want a whole number, not text"},
		"plan of bytes":       {[]string{"--plan", write("bytes.yaml", "\x00\x01")}, "bytes.yaml: not a text file"},
		"data":                {[]string{"--data", "cats"}, "--data"},
		"method":              {[]string{"--method", "magic"}, "method"},
		"rule":                {[]string{"--rule", "anarchy"}, "rule"},
		"rank":                {[]string{"--rank", "17"}, "rank"},
		"epsilon":             {[]string{"--epsilon", "-1"}, "epsilon"},
		"delta":               {[]string{"--delta", "2"}, "delta"},
		"no epsilon":          {[]string{"--epsilon", "inf"}, "--non-private"},
		"delta of nothing":    {[]string{"--delta", "nan"}, "--delta"},
		"contradiction":       {[]string{"--non-private", "--epsilon", "3"}, "--non-private"},
		"resume nothing":      {[]string{"--resume"}, "no unfinished run"},
		"plan missing":        {[]string{"--plan", filepath.Join(dir, "none.yaml")}, "none.yaml"},
		"plan unknown field":  {[]string{"--plan", write("field.yaml", "methods:\n  name: dpfpl\n")}, "field.yaml"},
		"plan contradictory":  {[]string{"--plan", write("bad.yaml", "rule:\n  name: sync\n  quorum: 99\n")}, "quorum"},
		"plan no yaml":        {[]string{"--plan", write("text.yaml", "{{{")}, "text.yaml"},
		"model missing":       {[]string{"--model", filepath.Join(dir, "nowhere")}, "nowhere"},
		"model damaged":       {[]string{"--model", damaged(t, dir, "tinyclip", "model.safetensors")}, "model.safetensors"},
		"plan is a folder":    {[]string{"--plan", dir}, "directory"},
		"plan of a list":      {[]string{"--plan", write("list.yaml", "- sync\n")}, "list.yaml"},
		"plan twice":          {[]string{"--plan", write("twice.yaml", "versions: 5\nversions: 6\n")}, "versions"},
		"plan of a word":      {[]string{"--plan", write("word.yaml", "privacy:\n  epsilon: much\n")}, "word.yaml"},
		"data folder missing": {[]string{"--data-dir", filepath.Join(dir, "nodata")}, "nodata: data: open emoji/index.json"},
		"sheet damaged":       {[]string{"--data-dir", damaged(t, dir, "data", "emoji/openmoji.png")}, "openmoji.png"},
		"output is a file":    {[]string{"--out", write("file", "")}, "file"},
		"output below a file": {[]string{"--out", filepath.Join(write("file", ""), "out")}, "not a directory"},
		"state of others":     {[]string{"--out", filepath.Dir(filepath.Dir(write("theirs/state/mine.txt", "")))}, "state is there"},
		"log of others":       {[]string{"--out", filepath.Dir(filepath.Dir(write("others/run.dpfpl/mine.txt", "")))}, "run.dpfpl is there"},
		"state damaged":       {[]string{"--resume", "--out", filepath.Dir(filepath.Dir(write("damaged/state/run.json", `{"Finished":`)))}, "run.json"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out := filepath.Join(t.TempDir(), "out")
			args := append([]string{"--out", out}, c.args...)
			code, _, stderr := testbed(t, args...)
			if code != exitInput {
				t.Errorf("exit %d: %s", code, stderr)
			}
			if !strings.Contains(stderr, c.want) {
				t.Errorf("%q does not name %q", stderr, c.want)
			}
			if left := leftovers(out); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

func leftovers(out string) (names []string) {
	entries, _ := os.ReadDir(out)
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// damaged copies a folder of the built-in assets and cuts one of its files short.
func damaged(t *testing.T, dir, folder, file string) string {
	t.Helper()
	root := filepath.Join(dir, folder)
	if err := os.CopyFS(root, builtin(folder)); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(filepath.Join(root, file), 1000); err != nil {
		t.Fatal(err)
	}
	return root
}

// TestHelp shows that every flag is explained with its default.
func TestHelp(t *testing.T) {
	t.Parallel()
	code, stdout, _ := testbed(t, "--help")
	if code != exitOK {
		t.Fatalf("exit %d", code)
	}
	for _, flag := range strings.Fields("clients versions seed method rank epsilon delta rule data model plan out non-private virtual-time resume") {
		if !strings.Contains(stdout, "--"+flag) {
			t.Errorf("--%s is not explained", flag)
		}
	}
}
