package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestSecurityNamesTests: every test by which SECURITY.md shows a claim exists.
func TestSecurityNamesTests(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../SECURITY.md")
	if err != nil {
		t.Fatal(err)
	}
	named := regexp.MustCompile("`([a-z/]+):(Test[A-Za-z0-9]+)`").FindAllStringSubmatch(string(text), -1)
	for _, n := range named {
		if !declared(t, filepath.Join("..", filepath.FromSlash(n[1])), n[2]) {
			t.Errorf("%s has no %s", n[1], n[2])
		}
	}
	if all := strings.Count(string(text), ":Test"); len(named) != all || all < 50 {
		t.Errorf("%d tests are named, %d of them as `folder:Test`", all, len(named))
	}
}

// declared reports whether a folder's tests have one of that name.
func declared(t *testing.T, folder, name string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(source), "\nfunc "+name+"(") {
			return true
		}
	}
	return false
}
