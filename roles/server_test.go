package main

import (
	"bytes"
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"dpfpl/broker/brokertest"
	"dpfpl/schemas"
	"dpfpl/schemas/logfile"
)

// startServer starts a server on a free port.
func startServer(t *testing.T) (url string) {
	t.Helper()
	server, err := brokertest.Start(brokertest.Options{Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	return server.URL()
}

// command runs dpfpl and demands its exit code.
func command(t *testing.T, code int, args ...string) (stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	if got := run(t.Context(), args, &out, &errs); got != code {
		t.Fatalf("dpfpl %s: exit %d, want %d\n%s%s", strings.Join(args, " "), got, code, out.String(), errs.String())
	}
	return out.String(), errs.String()
}

// TestARunMovesThroughAServer imports a run from a file, replays it there, exports it again, and demands the
// same bytes of every message.
func TestARunMovesThroughAServer(t *testing.T) {
	url := startServer(t)
	t.Chdir(t.TempDir())
	writeFiles(t)
	on := []string{"--nats", url, "--run", "demo"}

	if _, errs := command(t, 1, append([]string{"replay"}, on...)...); !strings.Contains(errs, `unknown run "demo"`) {
		t.Errorf("before the import: %s", errs)
	}
	if _, errs := command(t, 1, "log", "import", "run.dpfpl", "--nats", url); !strings.Contains(errs, "does not sync always") {
		t.Errorf("lax server: %s", errs)
	}
	for range 2 { // the second finds everything there
		out, _ := command(t, 0, "log", "import", "run.dpfpl", "--nats", url, "--allow-lax")
		if out != "run demo: 11 log messages, 5 models, 5 checkpoints stored\n" {
			t.Error(out)
		}
	}
	if out, _ := command(t, 0, append([]string{"replay"}, on...)...); !strings.Contains(out, "5 versions agree bit for bit; 11 log messages") {
		t.Error(out)
	}
	if out, _ := command(t, 0, append([]string{"log", "tail", "-n", "2"}, on...)...); strings.Count(out, "\n") != 2 || !strings.Contains(out, "update 2 of cleo") {
		t.Error(out)
	}
	if out, _ := command(t, 0, append([]string{"log", "show", "--kind", "control"}, on...)...); !strings.Contains(out, "control 1: deadline, collecting version 3") {
		t.Error(out)
	}
	command(t, 0, append([]string{"log", "export", "again.dpfpl"}, on...)...)
	command(t, 0, "log", "verify", "again.dpfpl")
	if a, b := digests(t, "run.dpfpl"), digests(t, "again.dpfpl"); a != b {
		t.Errorf("exported\n%s\nwant\n%s", b, a)
	}
	// The longer log of the same run goes on where the first ended; a log that parted earlier does not fit.
	command(t, 0, "log", "import", "longer.dpfpl", "--nats", url, "--allow-lax")
	if _, errs := command(t, 1, "log", "import", "run.dpfpl", "--nats", url, "--allow-lax"); !strings.Contains(errs, "another log") {
		t.Error(errs)
	}
}

// digests lists sequence, subject and digest of every message of a file.
func digests(t *testing.T, path string) string {
	t.Helper()
	src, done, err := openFile(path, false)
	if err != nil {
		t.Fatal(err)
	}
	defer done()
	var list strings.Builder
	for m, err := range src {
		if err != nil {
			t.Fatal(err)
		}
		d := schemas.Digest(m.Raw)
		list.WriteString(m.Subject + " " + string(d[:4]) + "\n")
	}
	return list.String()
}

// TestTailFollows prints what is stored while it waits, until it is interrupted.
func TestTailFollows(t *testing.T) {
	url := startServer(t)
	t.Chdir(t.TempDir())
	writeFiles(t)
	command(t, 0, "log", "import", "run.dpfpl", "--nats", url, "--allow-lax")
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	watched := &until{text: "update 4 of dora", then: cancel}
	done := make(chan int)
	go func() {
		done <- run(ctx, []string{"log", "tail", "-f", "-n", "1", "--nats", url, "--run", "demo"}, watched, os.Stderr)
	}()
	command(t, 0, "log", "import", "longer.dpfpl", "--nats", url, "--allow-lax")
	if code := <-done; code != 0 || !watched.seen {
		t.Errorf("exit %d, seen %v", code, watched.seen)
	}
}

// until calls then when text has been written.
type until struct {
	text string
	then func()
	seen bool
}

func (u *until) Write(b []byte) (int, error) {
	if strings.Contains(string(b), u.text) {
		u.seen = true
		u.then()
	}
	return len(b), nil
}

func TestExportIsWholeOrNotThere(t *testing.T) {
	t.Chdir(t.TempDir())
	all := demo(t).messages()
	swapped := append(all[:4:4], all[3]) // a sequence that comes twice ends the export
	if _, err := writeFile("new.dpfpl", each(swapped)); err == nil {
		t.Error("no error")
	}
	if left, err := os.ReadDir("."); err != nil || len(left) != 0 {
		t.Errorf("%v left behind, %v", left, err)
	}
	counts, err := writeFile("new.dpfpl", each(all))
	if err != nil || counts != (logfile.Counts{Log: 11, Models: 5, Checkpoints: 5}) {
		t.Errorf("%+v, %v", counts, err)
	}
}
