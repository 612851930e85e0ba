package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"dpfpl/roles/roletest"
	"dpfpl/schemas"
)

// speed is what differs from run to run.
var speed = regexp.MustCompile(` \([0-9.]+s, [0-9]+ messages/s\)`)

// TestTranscripts runs the commands of testdata/*.txt, which begin with "$ dpfpl", and compares what they print
// (standard error marked with "! ") and exit with.
func TestTranscripts(t *testing.T) {
	roletest.Scripts(t, 3, func(t *testing.T, script string) string {
		t.Chdir(t.TempDir())
		writeFiles(t)
		return play(t, script)
	})
}

func play(t *testing.T, script string) string {
	var out strings.Builder
	for line := range strings.Lines(script) {
		if strings.HasPrefix(line, "#") || strings.TrimSpace(line) == "" {
			out.WriteString(line)
		}
		command, ok := strings.CutPrefix(line, "$ dpfpl ")
		if !ok {
			continue
		}
		var stdout, stderr bytes.Buffer
		code := run(t.Context(), strings.Fields(command), &stdout, &stderr)
		out.WriteString(line)
		for line := range strings.Lines(speed.ReplaceAllString(stdout.String(), "")) {
			if line != "\n" { // would read as a part of the script
				out.WriteString(line)
			}
		}
		for line := range strings.Lines(stderr.String()) {
			out.WriteString("! " + line)
		}
		if code != 0 {
			fmt.Fprintf(&out, "exit %d\n", code)
		}
	}
	return out.String()
}

// writeFiles puts a run and damaged copies of it into the current folder.
func writeFiles(t *testing.T) {
	all := demo(t).messages()
	at := func(seq uint64) int {
		return slices.IndexFunc(all, func(m schemas.Message) bool {
			return m.Seq == seq && !strings.HasSuffix(m.Subject, "plan") && !strings.HasSuffix(m.Subject, "model") && !strings.HasSuffix(m.Subject, "checkpoint")
		})
	}
	write := func(name string, change func([]schemas.Message) []schemas.Message) {
		copied := slices.Clone(all)
		writeTo(t, name, change(copied))
	}
	same := func(m []schemas.Message) []schemas.Message { return m }
	write("run.dpfpl", same)
	whole, err := os.ReadFile("run.dpfpl")
	if err != nil {
		t.Fatal(err)
	}
	// A bit of the file itself; and the same bit with checksum and chain mended.
	flipped := bytes.Clone(whole)
	flipped[bytes.Index(whole, all[at(5)].Raw)+len(all[at(5)].Raw)-80] ^= 1
	writeBytes(t, "flipped.dpfpl", flipped)
	writeBytes(t, "cut.dpfpl", whole[:len(whole)-700])
	writeBytes(t, "other.dpfpl", []byte("PK\x03\x04 something else"))
	write("mended-flip.dpfpl", func(m []schemas.Message) []schemas.Message {
		raw := bytes.Clone(m[at(5)].Raw)
		raw[len(raw)-80] ^= 1
		m[at(5)].Raw = raw
		return m
	})
	write("mended-removal.dpfpl", func(m []schemas.Message) []schemas.Message { return slices.Delete(m, at(5), at(5)+1) })
	write("mended-swap.dpfpl", func(m []schemas.Message) []schemas.Message {
		i, j := at(1), at(2)
		m[i], m[j] = m[j], m[i]
		m[i].Seq, m[j].Seq = m[j].Seq, m[i].Seq
		return m
	})
	write("mended-double.dpfpl", func(m []schemas.Message) []schemas.Message {
		double := m[at(9)]
		m = slices.Insert(m, at(9)+1, double)
		for i := at(9) + 1; i < len(m); i++ {
			if strings.Contains(m[i].Subject, "update") {
				m[i].Seq++
			}
		}
		return m
	})
	longer := demo(t)
	longer.update("dora", 4, 4, 1, "dora")
	writeTo(t, "longer.dpfpl", longer.messages())
	stopped := demo(t)
	stopped.store(stopped.seal(&schemas.Control{Header: schemas.Header{Run: "demo", Sender: "operator"}, N: 2, Event: schemas.EventStop}, "operator"))
	stopped.update("dora", 4, 5, 1, "dora")
	writeTo(t, "stopped.dpfpl", stopped.messages())
}

func writeBytes(t *testing.T, name string, b []byte) {
	t.Helper()
	if err := os.WriteFile(name, b, 0o644); err != nil {
		t.Fatal(err)
	}
}

// TestShowJSON: every line is an object that says everything the message does.
func TestShowJSON(t *testing.T) {
	t.Chdir(t.TempDir())
	writeFiles(t)
	var stdout, stderr bytes.Buffer
	if code := run(t.Context(), []string{"log", "show", "run.dpfpl", "--json"}, &stdout, &stderr); code != 0 {
		t.Fatalf("exit %d: %s", code, stderr.String())
	}
	kinds := map[string]int{}
	for line := range strings.Lines(stdout.String()) {
		var object struct {
			Seq  uint64
			Kind string
			Body map[string]any
		}
		if err := json.Unmarshal([]byte(line), &object); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		kinds[object.Kind]++
		if object.Body["header"].(map[string]any)["run"] != "demo" {
			t.Errorf("no header in %s", line)
		}
		if object.Kind == "update" && object.Seq == 5 {
			if object.Body["k"] != 2. || object.Body["sum"].(map[string]any)["rows"] != 2. || object.Body["mech"].(map[string]any)["zg"] != 1. {
				t.Errorf("update 5 reads %v", object.Body)
			}
		}
	}
	if want := map[string]int{"plan": 1, "update": 10, "control": 1, "model": 5, "checkpoint": 5}; fmt.Sprint(kinds) != fmt.Sprint(want) {
		t.Errorf("%v, want %v", kinds, want)
	}
}
