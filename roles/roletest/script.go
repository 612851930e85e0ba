package roletest

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Rewrite is the flag with which tests write what they compare with.
var Rewrite = flag.Bool("update", false, "rewrite the transcripts")

// Scripts plays every script of testdata, at least so many, and compares each with what play makes of it: the same
// commands, and below each what was said to it.
func Scripts(t *testing.T, least int, play func(t *testing.T, script string) string) {
	t.Helper()
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) < least {
		t.Fatalf("%d transcripts, %v", len(files), err)
	}
	for _, file := range files {
		path, err := filepath.Abs(file) // play may change the folder
		if err != nil {
			t.Fatal(err)
		}
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txt"), func(t *testing.T) {
			script, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			got := play(t, string(script))
			if *Rewrite {
				if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			} else if got != string(script) {
				t.Errorf("%s differs; run with -update and review\n%s", path, got)
			}
		})
	}
}
