package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"dpfpl/roles/client/ledger"
	"dpfpl/roles/planfile"
)

// lesson is a block of commands in the tutorial, and the lines that it says are printed, some of them.
type lesson struct {
	commands string
	output   []string
}

// readTutorial returns the blocks of TUTORIAL.md but for the one that builds.
func readTutorial(t *testing.T) (lessons []lesson) {
	t.Helper()
	raw, err := os.ReadFile("TUTORIAL.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, block := range regexp.MustCompile("(?s)```([a-z ]+)\n(.*?)\n```").FindAllStringSubmatch(string(raw), -1) {
		switch block[1] {
		case "sh build":
		case "sh":
			lessons = append(lessons, lesson{commands: block[2]})
		case "output":
			lessons[len(lessons)-1].output = strings.Split(block[2], "\n")
		default:
			t.Errorf("a block of %q", block[1])
		}
	}
	return lessons
}

// testTutorial runs every command of the tutorial in one shell and looks for what it says is printed, where numbers
// and keys may be others.
func testTutorial(t *testing.T, binaries string) {
	if _, err := exec.LookPath("bash"); err != nil {
		t.Fatal("the tutorial needs a shell: ", err)
	}
	lessons := readTutorial(t)
	if len(lessons) < 10 {
		t.Fatalf("%d blocks", len(lessons))
	}
	const mark = "=== block"
	var script strings.Builder
	script.WriteString("set -eu\nroles=\ntrap 'kill $(jobs -p) || true; wait' EXIT\n") // nothing writes after the end
	for i, l := range lessons {
		fmt.Fprintf(&script, "echo '%s' %d\n%s\n", mark, i, l.commands)
	}
	text := script.String()
	for _, address := range []string{"localhost:4222", "localhost:8222", "127.0.0.1:8090"} {
		host, _, _ := strings.Cut(address, ":")
		text = strings.ReplaceAll(text, address, reserved(t, host))
	}

	ctx, cancel := untilLate(t)
	defer cancel()
	shell := exec.CommandContext(ctx, "bash", "-c", text)
	shell.Dir = t.TempDir()
	shell.Env = append(os.Environ(), "PATH="+binaries+string(filepath.ListSeparator)+os.Getenv("PATH"), "MODEL="+absolute(t, tinyModel))
	shell.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // it ends with all that it has started
	shell.Cancel = func() error { return syscall.Kill(-shell.Process.Pid, syscall.SIGKILL) }
	var errs bytes.Buffer
	shell.Stderr = &errs
	out, err := shell.Output()
	if err != nil {
		t.Fatalf("%v\n%s\n%s", err, out, errs.String())
	}
	for i, printed := range strings.Split(string(out), mark)[1:] {
		lines := strings.Split(printed, "\n")[1:]
		for _, want := range lessons[i].output {
			at := slices.IndexFunc(lines, func(line string) bool { return blurred(line) == blurred(want) })
			if at < 0 {
				t.Errorf("block %d does not print %q, but:\n%s", i, want, printed)
				continue
			}
			lines = lines[at+1:]
		}
	}
	leavesNobodyOut(t, shell.Dir)
}

// leavesNobodyOut: what the tutorial shows of every clinic is there in every run, since the plan makes no version without each of them.
func leavesNobodyOut(t *testing.T, dir string) {
	var d planfile.Deployment
	if err := d.Read(filepath.Join(dir, "plan.yaml")); err != nil {
		t.Fatal(err)
	}
	if int(d.Rule.Quorum) != len(d.Members) {
		t.Errorf("the plan makes versions of %d updates of %d clinics", d.Rule.Quorum, len(d.Members))
	}
	for _, m := range d.Members {
		steps, err := ledger.Read(filepath.Join(dir, m.ID+".ledger"))
		if err != nil || len(steps) != int(d.Versions) {
			t.Errorf("%s: %d steps of %d, %v", m.ID, len(steps), d.Versions, err)
		}
	}
}

// blurred replaces numbers, times and keys, and the spaces between columns, which differ from run to run.
func blurred(line string) string {
	line = regexp.MustCompile(`U[A-Z2-7]{55}`).ReplaceAllString(line, "KEY")
	line = regexp.MustCompile(`\d+([-:.,]\d+)*`).ReplaceAllString(line, "#")
	return strings.Join(strings.Fields(line), " ")
}
