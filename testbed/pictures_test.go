package main

import (
	"crypto/sha256"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestPictures: every client gets both parts, and no picture is in two places that must not share one.
func TestPictures(t *testing.T) {
	t.Parallel()
	out := filepath.Join(t.TempDir(), "pictures")
	if code, _, stderr := testbed(t, "pictures", "--out", out, "--most", "5"); code != exitOK {
		t.Fatalf("exit %d: %s", code, stderr)
	}
	owner := map[[32]byte]string{}
	for path, raw := range read(t, out) {
		place, _, _ := strings.Cut(path, "/")
		if place == "classes" {
			continue
		}
		place = filepath.Dir(filepath.Dir(path)) // client/part
		digest := sha256.Sum256(raw)
		if other, ok := owner[digest]; ok && other != place {
			t.Errorf("%s is in %s, too", path, other)
		}
		owner[digest] = place
	}
	count := map[string]int{}
	for _, place := range owner {
		count[place]++
	}
	for _, client := range []string{"north", "south", "east"} {
		if count[client+"/train"] != 25 || count[client+"/test"] != 25 {
			t.Errorf("%s: %v", client, count)
		}
	}
	if classes, err := os.ReadDir(filepath.Join(out, "classes")); err != nil || len(classes) != 10 {
		t.Errorf("%d classes: %v", len(classes), err)
	}
	for want, args := range map[string][]string{
		"not empty":    {"--out", out},
		"each once":    {"--clients", "a,a"},
		"folders":      {"--clients", "../a"},
		"--held 6":     {"--held", "6"},
		"--most":       {"--most", "-1"},
		"unknown flag": {"--colour", "red"},
	} {
		args = append([]string{"pictures", "--out", filepath.Join(t.TempDir(), "out")}, args...)
		if code, _, stderr := testbed(t, args...); code != exitInput || !strings.Contains(stderr, want) {
			t.Errorf("%v: exit %d: %s", args, code, stderr)
		}
	}
}
