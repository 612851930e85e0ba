package main

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"dpfpl/schemas"
)

// TestReadmeCatalogue holds the README's table of messages to the schemas' catalogue.
func TestReadmeCatalogue(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	if want := catalogue(); !strings.Contains(string(raw), want) {
		t.Errorf("README.md does not hold the catalogue's table:\n%s", want)
	}
}

// TestArchitectureNamesTests wants every test that ARCHITECTURE.md names to be there.
func TestArchitectureNamesTests(t *testing.T) {
	t.Parallel()
	raw, err := os.ReadFile("../ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	var tests strings.Builder
	err = filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		source, err := os.ReadFile(path)
		tests.Write(source)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile("`(Test[A-Z]\\w+)`").FindAllStringSubmatch(string(raw), -1)
	if len(named) < 20 {
		t.Errorf("%d tests are named", len(named))
	}
	for _, n := range named {
		if !strings.Contains(tests.String(), "func "+n[1]+"(") {
			t.Errorf("there is no %s", n[1])
		}
	}
}

// catalogue is the table as the README has it.
func catalogue() string {
	var b strings.Builder
	b.WriteString("| subject | from → to | payload | kept |\n| --- | --- | --- | --- |\n")
	for _, e := range schemas.Catalogue() {
		fmt.Fprintf(&b, "| `%s` | %s → %s | %s | %s |\n", e.Subject, e.From, e.To, e.Payload, e.Kept)
	}
	return b.String()
}
