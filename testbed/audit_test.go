package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
)

// invoke runs a subcommand in this process.
func invoke(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(t.Context(), args, &out, &errs)
	return code, out.String(), errs.String()
}

// refusals checks that each bad argument is one line on stderr that names it, and exit code 2.
func refusals(t *testing.T, name string, bad [][]string) {
	t.Helper()
	for _, args := range bad {
		code, stdout, stderr := invoke(t, append([]string{name}, args...)...)
		if code != exitInput || stdout != "" || strings.Count(stderr, "\n") != 1 || !strings.Contains(stderr, args[0]) {
			t.Errorf("%s %v: exit %d, stdout %q, stderr %q", name, args, code, stdout, stderr)
		}
	}
}

func TestAuditRefusesBadInput(t *testing.T) {
	refusals(t, "audit", [][]string{
		{"--plant", "thistle"}, {"--trials", "5"}, {"--clients", "0"}, {"--canaries", "100"}, {"--steps", "0"}, {"--rate", "2"},
		{"--epsilon", "nan"}, {"--delta", "0"}, {"--share", "0"}, {"--confidence", "1"}, {"--what"}, {"leftover"},
	})
}

// TestAuditCatchesAPlant: the command ends well when the bug is found, and its JSON says so.
func TestAuditCatchesAPlant(t *testing.T) {
	code, stdout, stderr := invoke(t, "audit", "--plant", "retry", "--trials", "1000", "--json")
	if code != exitOK || stderr != "" {
		t.Fatalf("exit %d: %s", code, stderr)
	}
	var r auditReport
	if err := json.Unmarshal([]byte(stdout), &r); err != nil {
		t.Fatal(err)
	}
	if r.Mechanism == nil || r.Mechanism.Accepted || r.Federation != nil {
		t.Errorf("%s", stdout)
	}
}

// TestAuditVerdict: an audit that comes out wrong is a failure.
func TestAuditVerdict(t *testing.T) {
	code, stdout, stderr := invoke(t, "audit", "--trials", "100", "--clients", "1", "--canaries", "64", "--steps", "1", "--epsilon", "0.5")
	if code != exitFailure || !strings.HasPrefix(stderr, "testbed: audit: ") || !strings.Contains(stdout, "everything") {
		t.Errorf("64 canaries are too few to prove anything: exit %d, stdout %q, stderr %q", code, stdout, stderr)
	}
}

// TestAttacksStop: an interrupt ends both commands with its reason.
func TestAttacksStop(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("enough"))
	for _, name := range []string{"audit", "mia"} {
		var out, errs bytes.Buffer
		if code := run(ctx, []string{name}, &out, &errs); code != exitFailure || !strings.Contains(errs.String(), "enough") {
			t.Errorf("%s: exit %d, %s", name, code, errs.String())
		}
	}
}
