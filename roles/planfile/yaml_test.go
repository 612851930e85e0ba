package planfile

import (
	"strings"
	"testing"
	"time"
)

// TestDecodeSpeaksYAML: whoever edits a plan learns what is wrong, where, and not what Go calls it.
func TestDecodeSpeaksYAML(t *testing.T) {
	t.Parallel()
	type inner struct {
		Number  float64       `yaml:"number"`
		Count   uint16        `yaml:"count"`
		Wait    time.Duration `yaml:"wait"`
		Flag    bool          `yaml:"flag"`
		Names   []string      `yaml:"names"`
		Word    string        `yaml:"word"`
		Pointer *float64      `yaml:"pointer"`
	}
	for text, want := range map[string]string{
		"in:\n  number: much":      "[2:11] want a number, not text",
		"in:\n  pointer: much":     "want a number, not text",
		"in:\n  count: many":       "want a whole number, not text",
		"in:\n  count: -1":         "-1 is out of range",
		"in:\n  count: 70000":      "70000 is out of range",
		"in:\n  count: [1]":        "want a whole number, not a list",
		"in:\n  wait: soon":        "invalid duration \"soon\": want one such as 90s or 5m",
		"in:\n  flag: perhaps":     "want true or false, not text",
		"in:\n  names: one":        "sequence",
		"in: []":                   "mapping",
		"- in":                     "mapping",
		"in:\n  unknown: 1":        "unknown field",
		"in:\n  count: 1\nin: {}":  "in",
		"in: {":                    "[1:",
		"in:\n  word: \"\x1b[2J\"": "not a text file",
		"\x00\xff":                 "not a text file",
	} {
		var v struct {
			In inner `yaml:"in"`
		}
		err := Decode([]byte(text), &v)
		if err == nil {
			t.Errorf("%q passes: %+v", text, v)
			continue
		}
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v\ndoes not say %q", text, err, want)
		}
		for _, internal := range []string{"Go ", "unmarshal", "strconv", "time: ", "uint"} {
			if strings.Contains(err.Error(), internal) {
				t.Errorf("%q: %v\nis of Go", text, err)
			}
		}
	}
	var v struct{ In inner }
	if err := Decode([]byte("in:\n  word: \"häuser\\t\"\n  wait: 5s\n"), &v); err != nil || v.In.Word != "häuser\t" || v.In.Wait != 5*time.Second {
		t.Errorf("%+v, %v", v, err)
	}
}
