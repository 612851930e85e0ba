package main

import (
	"encoding/csv"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"dpfpl/testbed/internal/report"
	"dpfpl/testbed/internal/sweep"
)

// gridFile writes a grid of one cell on the built-in model and pictures, with its controls.
func gridFile(t *testing.T, change func(string) string) string {
	t.Helper()
	text := `
name: tiny
notes: [four versions for two clients]
sources: [{name: fashion}]
seeds: [1]
clients: 2
blocks:
  - methods: [dpfpl]
    epsilons: [8]
    ranks: [2]
    versions: 4
    batch: 2
    plan: {prompt: {context: 4}}
`
	if change != nil {
		text = change(text)
	}
	path := filepath.Join(t.TempDir(), "grid.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestSweepRefusesBadInput: whatever is wrong is one line that names it, and nothing is written.
func TestSweepRefusesBadInput(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing")
	for _, c := range []struct {
		want string
		args []string
	}{
		{"--grid", []string{"--grid", missing}},
		{"--jobs", []string{"--jobs", "0"}},
		{"--features", []string{"--features", missing}},
		{"--images", []string{"--images", missing}},
		{"missing", []string{"--model", missing}},
		{"--what", []string{"--what"}},
		{"leftover", []string{"leftover"}},
		{"--features", []string{"--grid", "benchmark"}},
		{"blocks[0].methods", []string{"--grid", gridFile(t, func(s string) string { return strings.Replace(s, "[dpfpl]", "[best]", 1) })}},
		{"method.rank", []string{"--grid", gridFile(t, func(s string) string { return strings.Replace(s, "[2]", "[5]", 1) })}},
	} {
		out := filepath.Join(t.TempDir(), "out")
		code, stdout, stderr := testbed(t, append([]string{"sweep", "--out", out}, c.args...)...)
		if code != exitInput || stdout != "" || strings.Count(stderr, "\n") != 1 || !strings.Contains(stderr, c.want) {
			t.Errorf("%v: exit %d, stdout %q, stderr %q", c.args, code, stdout, stderr)
		}
		if _, err := os.Stat(out); err == nil {
			t.Errorf("%v: the output folder was made", c.args)
		}
	}
}

// TestSweep runs a tiny grid as a process on the built-in model, then once more, when all is done already; and refuses its
// folder to another grid.
func TestSweep(t *testing.T) {
	if testing.Short() {
		t.Skip("processes that compute; testbed/internal/sweep runs them side by side")
	}
	grid, out := gridFile(t, nil), t.TempDir()
	run := func(grid string) string {
		t.Helper()
		said, err := command(t, "sweep", "--grid", grid, "--out", out, "--jobs", "2").CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, said)
		}
		return string(said)
	}
	if said := run(grid); !strings.Contains(said, "3 cells, 0 done") || !strings.Contains(said, "3 of 3 trials") {
		t.Error(said)
	}
	var first report.Sweep
	raw, err := os.ReadFile(filepath.Join(out, report.SweepResultsFile))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(raw, &first); err != nil || len(first.Trials) != 3 {
		t.Errorf("%d trials: %v", len(first.Trials), err)
	}
	table, err := os.Open(filepath.Join(out, report.SweepTableFile))
	if err != nil {
		t.Fatal(err)
	}
	defer table.Close()
	if rows, err := csv.NewReader(table).ReadAll(); err != nil || len(rows) < 4 {
		t.Errorf("%d rows: %v", len(rows), err)
	}
	tables, err := os.ReadFile(filepath.Join(out, tablesFile))
	if err != nil || !strings.Contains(string(tables), "four versions for two clients") {
		t.Errorf("tables without the notes (%v):\n%s", err, tables)
	}
	if said := run(grid); !strings.Contains(said, "3 done already") {
		t.Error(said)
	}
	if again, err := os.ReadFile(filepath.Join(out, report.SweepResultsFile)); err != nil || string(again) != string(raw) {
		t.Errorf("results changed when nothing was run: %v", err)
	}
	other := command(t, "sweep", "--grid", gridFile(t, func(s string) string { return strings.Replace(s, "[1]", "[2]", 1) }), "--out", out)
	said, err := other.CombinedOutput()
	if exit, ok := err.(*exec.ExitError); !ok || exit.ExitCode() != exitInput || !strings.Contains(string(said), sweep.TrialsFile) {
		t.Errorf("another grid in the same folder: %v: %s", err, said)
	}
}
