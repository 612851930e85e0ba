package main

import (
	"bytes"
	"encoding/json"
	"math"
	"strings"
	"testing"
)

// privacy runs the command and returns what it prints.
func privacy(args ...string) (string, error) {
	c := newPrivacyCommand()
	var out bytes.Buffer
	c.SetOut(&out)
	c.SetErr(&out)
	c.SilenceUsage, c.SilenceErrors = true, true
	c.SetArgs(args)
	err := c.Execute()
	return out.String(), err
}

func privacyJSON(t *testing.T, args ...string) map[string]any {
	t.Helper()
	out, err := privacy(append(args, "--json")...)
	if err != nil {
		t.Fatalf("%v: %v", args, err)
	}
	var report map[string]any
	if err := json.Unmarshal([]byte(out), &report); err != nil {
		t.Fatalf("%v: %v in %s", args, err, out)
	}
	return report
}

func near(t *testing.T, what string, got any, want, within float64) {
	t.Helper()
	if v, ok := got.(float64); !ok || math.Abs(v-want) > within {
		t.Errorf("%s = %v, want %v", what, got, want)
	}
}

func TestPrivacyEpsilon(t *testing.T) {
	r := privacyJSON(t, "epsilon", "--q", "0.064", "--z", "2", "--steps", "1600", "--delta", "1e-5", "--records", "500")
	near(t, "epsilon_rdp", r["epsilon_rdp"], 6.9512, 5e-5)
	near(t, "order", r["order"], 4, 0)
	near(t, "epsilon_pld", r["epsilon_pld"], 6.422488, 1e-5)
	near(t, "z", r["z"], 2, 0)
	if w := r["warnings"].([]any); len(w) != 0 {
		t.Errorf("warnings %v", w)
	}
	joint := privacyJSON(t, "epsilon", "--q", "0.064", "--z-u", "2", "--z-v", "2", "--z-g", "2", "--steps", "1600")
	near(t, "joint z", joint["z"], 1.1547005, 1e-6)
	near(t, "joint epsilon_pld", joint["epsilon_pld"], 14.895657, 1e-5)
	replace := privacyJSON(t, "epsilon", "--q", "0.064", "--z", "2", "--steps", "1600", "--adjacency", "replace-one")
	near(t, "replace-one epsilon_pld", replace["epsilon_pld"], 13.551, 5e-4)
	fixed := privacyJSON(t, "epsilon", "--q", "0.064", "--z", "2", "--steps", "100", "--adjacency", "replace-one", "--sampler", "fixed-size")
	near(t, "fixed-size epsilon_rdp", fixed["epsilon_rdp"], 8.526, 5e-4)
	if fixed["epsilon_pld"] != nil {
		t.Errorf("fixed-size epsilon_pld = %v, want null", fixed["epsilon_pld"])
	}
}

func TestPrivacyNoise(t *testing.T) {
	r := privacyJSON(t, "noise", "--epsilon", "1", "--q", "0.064", "--steps", "100", "--delta", "1e-5")
	near(t, "z", r["z"], 2.86040667, 1e-4)
	near(t, "z_pld", r["z_pld"], 2.63804420, 1e-4)
	near(t, "epsilon_rdp", r["epsilon_rdp"], 1, 1e-4)
	if e := r["epsilon_rdp"].(float64); e > 1 {
		t.Errorf("epsilon_rdp = %v exceeds the budget", e)
	}
}

func TestPrivacyInWords(t *testing.T) {
	out, err := privacy("epsilon", "--z", "0.5", "--steps", "10", "--records", "100", "--delta", "0.1")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"epsilon_rdp", "epsilon_pld", "Each record of the client is protected", "zero-out",
		"Warning: delta = 0.1 is not below 1/N", "Warning: epsilon", "Warning: q = 1"} {
		if !strings.Contains(out, want) {
			t.Errorf("%q is missing in:\n%s", want, out)
		}
	}
}

func TestPrivacyErrorsNameTheFlag(t *testing.T) {
	for _, c := range []struct{ want, args string }{
		{"--q", "epsilon --z 1 --steps 1 --q 1.5"},
		{"--q", "epsilon --z 1 --steps 1 --q NaN"},
		{"--q", "epsilon --z 1 --steps 1 --q 0.5 --sampler epochs"},
		{"--z", "epsilon --z 0 --steps 1"},
		{"--z", "epsilon --steps 1"},
		{"--z", "epsilon --z NaN --steps 1"},
		{"--z-v", "epsilon --z-u 1 --z-v -1 --steps 1"},
		{"--z-u", "epsilon --z 1 --z-u 1 --steps 1"},
		{"--steps", "epsilon --z 1"},
		{"--delta", "epsilon --z 1 --steps 1 --delta 0"},
		{"--delta", "epsilon --z 1 --steps 1 --delta 1"},
		{"--adjacency", "epsilon --z 1 --steps 1 --adjacency swap"},
		{"--sampler", "epsilon --z 1 --steps 1 --sampler magic"},
		{"--sampler", "epsilon --z 1 --steps 1 --q 0.1 --sampler fixed-size --adjacency add-remove"},
		{"--records", "epsilon --z 1 --steps 1 --records -1"},
		{"--epsilon", "noise --steps 1"},
		{"--epsilon", "noise --epsilon 1e-9 --steps 1000000000 --delta 1e-9"},
		{"--steps", "noise --epsilon 1 --steps 0"},
	} {
		_, err := privacy(strings.Fields(c.args)...)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one naming %s", c.args, err, c.want)
			continue
		}
		if code := exitCode(err); code != exitInput {
			t.Errorf("%s: exit code %d, want %d", c.args, code, exitInput)
		}
	}
}
