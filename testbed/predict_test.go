package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"dpfpl/testbed/internal/data"
	"dpfpl/testbed/internal/federation"
)

// TestPredictLikeTheFederation: a small federation runs to disk, and the deployable binary takes over from there: every
// client's prompt is exported from its ledger and the log, imported by somebody who knows the operator, and used on the
// client's test pictures, as files. The share of right answers is the accuracy that the federation reported.
func TestPredictLikeTheFederation(t *testing.T) {
	if testing.Short() {
		t.Skip("processes, and no new code under them")
	}
	dpfpl := filepath.Join(t.TempDir(), "dpfpl")
	if text, err := exec.CommandContext(t.Context(), "go", "build", "-buildvcs=false", "-o", dpfpl, "../roles").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	out, dir := t.TempDir(), t.TempDir()
	if code, _, stderr := testbed(t, "--clients", "4", "--versions", "6", "--pace", "40ms", "--no-control", "--plain", "--out", out); code != exitOK {
		t.Fatalf("exit %d: %s", code, stderr)
	}
	state, err := readState(out)
	if err != nil {
		t.Fatal(err)
	}
	set, err := data.Open(state.Options.Data, openData(""), data.Options{Clients: state.Options.Clients, Seed: state.Plan.Seed})
	if err != nil {
		t.Fatal(err)
	}
	run := func(args ...string) string {
		t.Helper()
		c := exec.CommandContext(t.Context(), dpfpl, args...)
		var stdout, stderr bytes.Buffer
		c.Stdout, c.Stderr = &stdout, &stderr
		if err := c.Run(); err != nil {
			t.Fatalf("dpfpl %s: %v: %s", strings.Join(args, " "), err, stderr.String())
		}
		return stdout.String()
	}
	ofRun := []string{"--log", filepath.Join(out, logFile), "--operator", federation.Public(state.Keys.Operator)}
	rated := 0
	for i, r := range results(t, out).Clients {
		if strings.Contains(r.Fate, "leaves") || r.EpsilonRDP == 0 {
			continue // it was rated at the version at which it left, or was too slow for a single step
		}
		rated++
		seed, err := state.Keys.Clients[r.ID].Seed()
		if err != nil {
			t.Fatal(err)
		}
		key, exported, kept := filepath.Join(dir, r.ID+".nk"), filepath.Join(dir, r.ID+".safetensors"), filepath.Join(dir, r.ID+".kept")
		if err := os.WriteFile(key, seed, 0o600); err != nil {
			t.Fatal(err)
		}
		words := run(append([]string{"prompt", "export", "--nkey", key, "--id", r.ID, "--ledger", filepath.Join(out, stateFolder, r.ID+".ledger"),
			"--max-epsilon", "8", "--ending", set.Ending, "--out", exported}, ofRun...)...)
		if want := fmt.Sprintf("epsilon = %.4f at delta = 1e-05", float64(r.EpsilonRDP)); !strings.Contains(words, want) {
			t.Errorf("%s: %q is missing in:\n%s", r.ID, want, words)
		}
		run(append([]string{"prompt", "import", exported, "--model", "tinyclip", "--out", kept}, ofRun...)...)

		labels := map[string]int{}
		for n, p := range set.Clients[i].Test {
			path := filepath.Join(dir, r.ID, fmt.Sprintf("%04d.png", n))
			if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := writePicture(path, p); err != nil {
				t.Fatal(err)
			}
			labels[path] = p.Label
		}
		right := 0
		for line := range strings.Lines(run("predict", "--prompt", kept, "--model", "tinyclip", "--format", "jsonl", filepath.Join(dir, r.ID))) {
			var answer struct{ File, Answer string }
			if err := json.Unmarshal([]byte(line), &answer); err != nil {
				t.Fatal(err)
			}
			if answer.Answer == set.Classes[labels[answer.File]] {
				right++
			}
			delete(labels, answer.File)
		}
		if len(labels) > 0 {
			t.Errorf("%s: no answer for %d pictures", r.ID, len(labels))
		}
		if got := float64(right) / float64(len(set.Clients[i].Test)); got != float64(r.Local) || r.TestPictures == 0 {
			t.Errorf("%s: %v of %d pictures right, the federation reported %v", r.ID, got, r.TestPictures, r.Local)
		}
	}
	if rated < 2 {
		t.Errorf("only %d clients took part to the end", rated)
	}
}
