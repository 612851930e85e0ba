package main

import (
	"os"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"dpfpl/roles/flagerror"
)

// TestEnvironmentStandsInForFlags: a variable counts where no flag was given, and a bad one is named.
func TestEnvironmentStandsInForFlags(t *testing.T) {
	t.Setenv("DPFPL_Q", "0.25")
	t.Setenv("DPFPL_STEPS", "60")
	t.Setenv("DPFPL_Z", "2")
	out, _ := command(t, 0, "privacy", "epsilon")
	contains(t, out, "60 steps", "q = 0.25", "z = 2 ")
	out, _ = command(t, 0, "privacy", "epsilon", "--steps", "30")
	contains(t, out, "30 steps", "q = 0.25")
	t.Setenv("DPFPL_STEPS", "many")
	_, errs := command(t, 2, "privacy", "epsilon")
	contains(t, errs, "DPFPL_STEPS", "many")
}

// TestFileInsteadOfServer: a run's file on the command line comes before a server in the environment.
func TestFileInsteadOfServer(t *testing.T) {
	for _, name := range []string{"DPFPL_NATS", "DPFPL_NATS_CONTEXT", "DPFPL_RUN"} {
		t.Setenv(name, "nowhere")
	}
	_, errs := command(t, 2, "replay", "--log", "none.dpfpl")
	contains(t, errs, "none.dpfpl")
	_, errs = command(t, 2, "replay", "--log", "none.dpfpl", "--nats", "nats://localhost")
	contains(t, errs, "either --log or --nats")
}

// TestConfigFile: the command line comes before the environment, which comes before the file.
func TestConfigFile(t *testing.T) {
	t.Chdir(t.TempDir())
	writeBytes(t, "flags.yaml", []byte("q: 0.25\nsteps: 60\nz: 2\nclients: [a, b] # of another command\n"))
	out, _ := command(t, 0, "privacy", "epsilon", "--config", "flags.yaml")
	contains(t, out, "60 steps", "q = 0.25", "z = 2 ")
	t.Setenv("DPFPL_STEPS", "50")
	t.Setenv("DPFPL_CONFIG", "flags.yaml")
	out, _ = command(t, 0, "privacy", "epsilon", "--z", "3")
	contains(t, out, "50 steps", "q = 0.25", "z = 3 ")
	command(t, 0, "enroll", "init", "keys")
	if _, err := os.Stat("keys/a.creds"); err != nil {
		t.Errorf("a list: %v", err)
	}
	for text, want := range map[string]string{
		"stepz: 3":        "no command has a flag --stepz",
		"steps: many":     "broken.yaml: steps",
		"steps: {a: 1}":   "steps is no value",
		"steps: [":        "broken.yaml",
		"config: another": "--config",
	} {
		writeBytes(t, "broken.yaml", []byte(text))
		os.Unsetenv("DPFPL_STEPS")
		_, errs := command(t, 2, "privacy", "epsilon", "--config", "broken.yaml")
		contains(t, errs, want)
	}
	command(t, 2, "privacy", "epsilon", "--config", "none.yaml")
}

// walk visits every command.
func walk(c *cobra.Command, visit func(*cobra.Command)) {
	visit(c)
	for _, child := range c.Commands() {
		walk(child, visit)
	}
}

// TestCommandsExplainThemselves: each says in a line what it does, and what of one deploys has an example whose
// flags exist.
func TestCommandsExplainThemselves(t *testing.T) {
	seen := 0
	walk(newRootCommand(), func(c *cobra.Command) {
		if c.Short == "" {
			t.Errorf("%s says nothing", c.CommandPath())
		}
		c.Flags().VisitAll(func(f *pflag.Flag) {
			if f.Usage == "" {
				t.Errorf("%s --%s says nothing", c.CommandPath(), f.Name)
			}
		})
		for _, line := range invocations(c.Example) {
			seen++
			if err := checkInvocation(line); err != nil {
				t.Errorf("%s: example %q: %v", c.CommandPath(), strings.Join(line, " "), err)
			}
		}
	})
	if seen < 20 {
		t.Errorf("only %d examples", seen)
	}
}

// TestFlagsSpeakPlainly: whatever the type of a flag, a value that it cannot take is answered in words, by the flag's name, and not in
// those of Go.
func TestFlagsSpeakPlainly(t *testing.T) {
	types := map[string]bool{}
	walk(newRootCommand(), func(c *cobra.Command) {
		c.LocalFlags().VisitAll(func(f *pflag.Flag) {
			err := c.Flags().Set(f.Name, "no number")
			if err == nil { // a text
				return
			}
			types[f.Value.Type()] = true
			if want, got := "--"+f.Name+` "no number": want `, flagerror.Plain(err).Error(); !strings.HasPrefix(got, want) {
				t.Errorf("%s: %q does not begin with %q", c.CommandPath(), got, want)
			}
		})
	})
	if len(types) < 5 {
		t.Errorf("only the types %v", types)
	}
}

// invocations finds the commands in a text of examples; a backslash goes on with the next line.
func invocations(text string) [][]string {
	var found [][]string
	for line := range strings.Lines(strings.ReplaceAll(text, "\\\n", " ")) {
		line, _, _ = strings.Cut(line, " && ")
		line, _, _ = strings.Cut(line, " > ")
		if words := strings.Fields(line); len(words) > 0 && words[0] == "dpfpl" {
			found = append(found, words[1:])
		}
	}
	return found
}

// checkInvocation parses a command line without running it.
func checkInvocation(args []string) error {
	c, rest, err := newRootCommand().Find(args)
	if err != nil {
		return err
	}
	if err := c.ParseFlags(rest); err != nil {
		return err
	}
	return c.ValidateArgs(c.Flags().Args())
}

// TestGuideNamesWhatExists: every command line of the guide parses.
func TestGuideNamesWhatExists(t *testing.T) {
	guide, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	lines := invocations(string(guide))
	for _, line := range lines {
		if err := checkInvocation(line); err != nil {
			t.Errorf("%s: %v", strings.Join(line, " "), err)
		}
	}
	if len(lines) < 14 {
		t.Errorf("only %d command lines", len(lines))
	}
}

// FuzzConfig: whatever a file holds, it is an error or values of flags that exist.
func FuzzConfig(f *testing.F) {
	f.Add([]byte("q: 0.25\nclients: [a, b]\nstep: 3s\nforce: true"))
	f.Add([]byte("config: x"))
	f.Add([]byte("a: &a [*a]\n? - : {"))
	root := newRootCommand()
	known := allFlags(root)
	f.Fuzz(func(t *testing.T, b []byte) {
		values, err := parseConfig(root, b)
		for name := range values {
			if err != nil || !known[name] || name == configFlag {
				t.Errorf("%s, %v", name, err)
			}
		}
	})
}

// TestNATSContext: flags come before the context of the nats tool.
func TestNATSContext(t *testing.T) {
	t.Chdir(t.TempDir())
	t.Setenv("XDG_CONFIG_HOME", "config")
	if err := os.MkdirAll("config/nats/context", 0o700); err != nil {
		t.Fatal(err)
	}
	command(t, 0, "enroll", "init", "keys")
	writeBytes(t, "config/nats/context/lab.json", []byte(`{"url":"nats://127.0.0.1:1","creds":"keys/operator.creds","description":"x"}`))
	writeBytes(t, "config/nats/context/bad.json", []byte(`{`))
	show := []string{"plan", "show", "--run", "r", "--nats-context"}
	_, errs := command(t, 1, append(show, "lab")...)
	contains(t, errs, "connect to nats://127.0.0.1:1")
	_, errs = command(t, 1, append(show, "lab", "--nats", "nats://127.0.0.1:2", "--creds", "keys/system.creds")...)
	contains(t, errs, "connect to nats://127.0.0.1:2")
	for name, want := range map[string]string{"bad": "bad.json", "none": "none.json", "../lab": "is no name"} {
		_, errs = command(t, 2, append(show, name)...)
		contains(t, errs, want)
	}
	f := serverFlags{context: "lab", nkey: "mine"}
	if err := f.fill(); err != nil || f.creds != "" || f.nkey != "mine" || f.url == "" {
		t.Errorf("%+v, %v", f, err)
	}
}
