//go:build unix

package main

import (
	"bytes"
	"context"
	"os"
	"strings"
	"syscall"
	"testing"
)

// TestPredictLists what it cannot read, and goes on.
func TestPredictLists(t *testing.T) {
	e := newExported(t)
	one := e.picture()
	writeInto(t, e.path("pictures/broken.jpg"), []byte("\xff\xd8\xff no picture"))
	writeInto(t, e.path("pictures/.hidden.png"), nil)
	writeInto(t, e.path("pictures/.hidden/x.png"), nil)
	writeInto(t, e.path("pictures/notes.txt"), nil)
	if err := syscall.Mkfifo(e.path("pictures/pipe.png"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("nowhere", e.path("pictures/dangling.png")); err != nil {
		t.Fatal(err)
	}
	stdout, stderr := e.predict(exitFailure, "--top", "1", e.path("pictures"), e.path("absent.png"))
	contains(t, stderr, "not read "+e.path("pictures/broken.jpg")+": clip: not a readable image", "pipe.png: not a regular file",
		"dangling.png: no such file", "not read "+e.path("absent.png")+": no such file", "12 pictures, 4 not read")
	if strings.Count(stdout, "\n") != 12 || strings.Contains(stderr, "hidden") || strings.Contains(stderr, "notes") {
		t.Errorf("%s%s", stdout, stderr)
	}
	_, stderr = e.predict(exitFailure, "--max-pixels", "4095", one)
	contains(t, stderr, "image too large: 64×64 pixels, at most 4095")
	_, stderr = e.predict(exitFailure, t.TempDir())
	contains(t, stderr, "0 pictures, 0 not read")

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out, errs bytes.Buffer
	if code := run(ctx, []string{"predict", "--prompt", e.path("anna.safetensors"), "--model", tinyModel, e.picture()}, &out, &errs); code != exitFailure {
		t.Errorf("interrupted: exit %d", code)
	}
	contains(t, errs.String(), "interrupted")
}
