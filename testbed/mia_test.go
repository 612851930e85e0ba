package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"dpfpl/testbed/internal/mia"
)

func TestMIARefusesBadInput(t *testing.T) {
	empty := t.TempDir()
	refusals(t, "mia", [][]string{
		{"--epsilon", "0"}, {"--epsilon", "many"}, {"--epsilon", "nan"}, {"--delta", "2"}, {"--shadows", "6"}, {"--limit", "-1s"}, {"--client", "11"},
		{"--records", "9"}, {"--records", "100000"}, {"--context", "0"}, {"--context", "60"}, {"--rank", "9"}, {"--steps", "0"}, {"--rate", "0"},
		{"--local-rate", "nan"}, {"--global-rate", "-1"}, {"--clip", "0"}, {"--confidence", "1"}, {"--what"}, {"leftover"},
	})
	for _, args := range [][]string{{"--model", empty}, {"--data-dir", empty}, {"--model", filepath.Join(empty, "nowhere")}} {
		if code, _, stderr := invoke(t, append([]string{"mia"}, args...)...); code != exitInput {
			t.Errorf("%v: exit %d, %s", args, code, stderr)
		}
	}
	if files, _ := os.ReadDir(empty); len(files) != 0 {
		t.Errorf("something was written: %v", files)
	}
}

// TestMIAIsDeterministicWithoutNoise runs the command, in little, twice over the built-in model and pictures.
func TestMIAIsDeterministicWithoutNoise(t *testing.T) {
	var out [2]string
	for i := range out {
		code, stdout, stderr := invoke(t, "mia", "--epsilon", "none", "--records", "12", "--shadows", "8", "--steps", "2", "--seed", "5", "--json")
		if code != exitOK {
			t.Fatalf("exit %d: %s", code, stderr)
		}
		out[i] = stdout
	}
	if out[0] != out[1] {
		t.Errorf("%s\nand then\n%s", out[0], out[1])
	}
	var r mia.Result
	d := json.NewDecoder(bytes.NewReader([]byte(out[0])))
	d.DisallowUnknownFields()
	if err := d.Decode(&r); err != nil {
		t.Fatal(err)
	}
	if r.Records != 12 || r.Shadows != 8 || len(r.Rows) != 1 || len(r.Rows[0].Attacks) != 2 || r.Rows[0].Epsilon.Known() {
		t.Errorf("%s", out[0])
	}
}
