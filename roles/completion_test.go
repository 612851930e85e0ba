package main

import (
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// TestCompletion: every shell gets its script, and values of flags that take one of a few are those that their help names,
// which the commands accept.
func TestCompletion(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		out, _ := command(t, 0, "completion", shell)
		contains(t, out, "dpfpl", "__complete")
	}
	out, _ := command(t, 0, "__complete", "cl")
	contains(t, out, "client\tlearn from private records")
	seen := map[string]bool{}
	walk(newRootCommand(), func(c *cobra.Command) {
		c.LocalFlags().VisitAll(func(f *pflag.Flag) {
			values, ok := choices[f.Name]
			if !ok {
				return
			}
			seen[f.Name] = true
			words := append([]string{"__complete"}, strings.Fields(c.CommandPath())[1:]...)
			out, _ := command(t, 0, append(words, "--"+f.Name, "")...)
			lines := strings.Split(strings.TrimSpace(out), "\n")
			if !slices.Equal(lines[:len(lines)-1], values) {
				t.Errorf("%s --%s completes to %q", c.CommandPath(), f.Name, lines)
			}
			for _, v := range values {
				if !strings.Contains(f.Usage, v) {
					t.Errorf("%s --%s: the help does not name %s: %s", c.CommandPath(), f.Name, v, f.Usage)
				}
			}
		})
	})
	for name := range choices {
		if !seen[name] {
			t.Errorf("no command has --%s", name)
		}
	}
	out, _ = command(t, 0, "__complete", "client", "--model", "")
	contains(t, out, ":16") // folders only
	for _, adjacency := range choices["adjacency"] {
		command(t, 0, "privacy", "epsilon", "--q", "0.1", "--z", "2", "--steps", "5", "--adjacency", adjacency)
	}
}

// TestExitCodesAreTold: the help of the whole names every code.
func TestExitCodesAreTold(t *testing.T) {
	out, _ := command(t, 0, "--help")
	contains(t, out, "Exit codes", "0  done", "1  failed", "2  a flag, a file or a plan is wrong", "DPFPL_")
}
