package main

import (
	"strings"
	"testing"
)

// TestProcessCommands: what is wrong with the flags of soak and load is said at once.
func TestProcessCommands(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"soak clients":  {[]string{"soak", "--clients", "1"}, "--clients 1"},
		"soak minutes":  {[]string{"soak", "--minutes", "0"}, "--minutes 0"},
		"soak for ever": {[]string{"soak", "--minutes", "inf"}, "--minutes +Inf"},
		"soak nowhere":  {[]string{"soak", "--out", "main.go/x"}, "main.go"},
		"soak folder":   {[]string{"soak", "--out", "."}, "not empty"},
		"soak words":    {[]string{"soak", "hard"}, "hard"},
		"load clients":  {[]string{"load", "--clients", "0"}, "--clients 0"},
		"load payload":  {[]string{"load", "--payload", "1"}, "--payload 1"},
		"load buffer":   {[]string{"load", "--buffer", "7"}, "--buffer 7"},
		"load sync":     {[]string{"load", "--sync", "never"}, "--sync"},
	} {
		if code, _, stderr := testbed(t, c.args...); code != exitInput || !strings.Contains(stderr, c.want) {
			t.Errorf("%s: exit %d: %s", name, code, stderr)
		}
	}
	if _, stdout, _ := testbed(t, "soak", "--help"); strings.Contains(stdout, "child") {
		t.Error("the hidden command shows")
	}
}
