package main

import (
	"bytes"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

const (
	module = "dpfpl"
	bubble = "broker/brokertest/bubble"
)

// allowed says, for each folder, which of our own folders its files may import. The longest prefix of a
// package's path decides; a package may always import packages of the same entry.
var allowed = map[string][]string{
	"schemas":          {},
	"mathx":            {},
	bubble:             {},
	"broker":           {"schemas", bubble},
	"roles/aggregator": {"schemas", "mathx", "roles/roletest"}, // roletest in tests, here and below
	"roles/client":     {"schemas", "mathx"},
	"roles/replayer":   {"schemas", "mathx", "roles/roletest"},
	"roles/monitor":    {"schemas", "mathx", "roles/loopback", "roles/roletest", bubble}, // the bubble in tests
	"roles/loopback":   {},
	"roles/roletest":   {"schemas"},
	"roles/backbone":   {"mathx"},
	"roles/planfile":   {"schemas", "mathx"},
	"roles/promptfile": {"schemas", "mathx"},
	"roles/predictor":  {"mathx", "roles/backbone", "roles/loopback", bubble}, // backbone and bubble in tests
	"roles/enroll":     {"schemas", "broker"},
	"roles/telemetry":  {"schemas", "broker"},
	"roles":            {"schemas", "mathx", "broker", "roles"},
	"testbed":          {"schemas", "mathx", "broker", "roles", "testbed"},
}

// banned lists foreign modules that a folder must never import.
var banned = map[string][]string{
	"schemas":          {"github.com/nats-io/nats.go", "github.com/nats-io/nats-server", "github.com/rs/zerolog", "gonum.org/"},
	"mathx":            {"github.com/nats-io", "github.com/rs/zerolog", "context", "net", "time", "log", "math/rand"},
	"broker":           {"gonum.org/"},
	"roles/aggregator": {"github.com/nats-io/nats.go", "github.com/nats-io/nats-server"},
	"roles/client":     {"github.com/nats-io/nats.go", "github.com/nats-io/nats-server"},
	"roles/replayer":   {"github.com/nats-io/nats.go", "github.com/nats-io/nats-server"},
	"roles/monitor":    {"github.com/nats-io/nats.go", "github.com/nats-io/nats-server"},
}

// TestImportDirection parses every file's imports itself: a test that shells out to the go command
// would be cached and miss a new bad arrow.
func TestImportDirection(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for file, imports := range importsOf(t, "..") {
		folder := entry(filepath.ToSlash(filepath.Dir(file)))
		if folder == "" {
			t.Errorf("%s lies in no agreed folder", file)
			continue
		}
		seen[folder] = true
		for _, path := range imports {
			if bad := wrongArrow(folder, path, strings.HasSuffix(file, "_test.go")); bad != "" {
				t.Errorf("%s imports %s: %s", file, path, bad)
			}
		}
	}
	for _, folder := range []string{"schemas", "mathx", "broker", "roles/aggregator", "roles/client", "testbed"} {
		if !seen[folder] {
			t.Errorf("no file seen in %s: the test does not see the tree", folder)
		}
	}
}

// TestOneBubble: whoever wants virtual time takes it from the package that keeps the race detector alive in it.
func TestOneBubble(t *testing.T) {
	t.Parallel()
	found := false
	for file := range importsOf(t, "..") {
		text, err := os.ReadFile(filepath.Join("..", file))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Contains(text, []byte("synctest"+".Test(")) {
			continue
		}
		if entry(filepath.ToSlash(filepath.Dir(file))) != bubble {
			t.Errorf("%s calls testing/synctest: use %s", file, bubble)
		}
		found = true
	}
	if !found {
		t.Error("nobody calls testing/synctest: the test does not see the tree")
	}
}

// TestPlantedArrow shows that the table would catch what it is for.
func TestPlantedArrow(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ folder, path string }{
		{"roles/aggregator", module + "/roles/client"},
		{"roles/client", module + "/broker"},
		{"roles/monitor", module + "/roles/roletest"},
		{"mathx", module + "/schemas"},
		{"broker", module + "/mathx/dp"},
		{"schemas", "github.com/nats-io/nats.go"},
		{"mathx", "math/rand"},
		{"roles", module + "/testbed/internal/data"},
	} {
		if wrongArrow(c.folder, c.path, false) == "" {
			t.Errorf("%s importing %s passes", c.folder, c.path)
		}
	}
}

// TestServerStaysOut follows the deployable binary's imports and fails where they reach the NATS server.
func TestServerStaysOut(t *testing.T) {
	t.Parallel()
	files := importsOf(t, "..")
	byPackage := map[string][]string{}
	for file, imports := range files {
		if !strings.HasSuffix(file, "_test.go") {
			dir := filepath.ToSlash(filepath.Dir(file))
			byPackage[dir] = append(byPackage[dir], imports...)
		}
	}
	var walk func(dir, from string)
	done := map[string]bool{}
	walk = func(dir, from string) {
		if done[dir] {
			return
		}
		done[dir] = true
		for _, path := range byPackage[dir] {
			if strings.HasPrefix(path, "github.com/nats-io/nats-server") {
				t.Errorf("%s reaches %s (from %s)", dir, path, from)
			}
			if own, ok := strings.CutPrefix(path, module+"/"); ok {
				walk(own, dir)
			}
		}
	}
	walk("roles", "")
}

func wrongArrow(folder, path string, test bool) string {
	if own, ok := strings.CutPrefix(path, module+"/"); ok {
		target := entry(own)
		if target == folder {
			return ""
		}
		if target == "roles/roletest" && !test {
			return "it is for tests"
		}
		for _, ok := range allowed[folder] {
			if target == ok || strings.HasPrefix(target, ok+"/") {
				return ""
			}
		}
		return "not an agreed arrow"
	}
	if test {
		return ""
	}
	for _, bad := range banned[folder] {
		if path == bad || strings.HasSuffix(bad, "/") && strings.HasPrefix(path, bad) || strings.HasPrefix(path, bad+"/") && strings.Contains(bad, ".") {
			return "banned there"
		}
	}
	return ""
}

// entry returns the longest key of allowed that holds the folder.
func entry(dir string) string {
	best := ""
	for key := range allowed {
		if (dir == key || strings.HasPrefix(dir, key+"/")) && len(key) > len(best) {
			best = key
		}
	}
	return best
}

func importsOf(t *testing.T, root string) map[string][]string {
	t.Helper()
	out := map[string][]string{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, path)
		if d.IsDir() && (strings.HasPrefix(d.Name(), ".") && rel != "." || d.Name() == "testdata" || rel == "out") {
			return fs.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(path, ".go") {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly|parser.ParseComments)
		if err != nil {
			return err
		}
		if len(f.Comments) > 0 && strings.HasPrefix(f.Comments[0].List[0].Text, "//go:build ignore") {
			return nil // a generator, part of no package
		}
		for _, spec := range f.Imports {
			name, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			out[filepath.ToSlash(rel)] = append(out[filepath.ToSlash(rel)], name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestTopLevel holds the tree to the agreed names.
func TestTopLevel(t *testing.T) {
	t.Parallel()
	agreed := map[string]bool{}
	for _, name := range strings.Fields("broker roles mathx schemas testbed README.md go.mod go.sum compose.yaml LICENSE NOTICE ARCHITECTURE.md CHANGELOG.md CONTRIBUTING.md SECURITY.md Makefile Dockerfile out dpfpl") {
		agreed[name] = true
	}
	entries, err := os.ReadDir("..")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if !agreed[e.Name()] && !strings.HasPrefix(e.Name(), ".") {
			t.Errorf("%s is not an agreed top-level name", e.Name())
		}
	}
}
