package dp

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// floatNoise names the samplers whose outputs give away the number they were added
// to. A seeded generator of the initial prompt may use them; nothing near a release may.
var floatNoise = map[string]bool{"NormFloat64": true, "ExpFloat64": true, "Normal": true, "Laplace": true}

// TestNoFloatNoiseNearARelease parses every source that can make or handle a
// release. In mathx/dp and the client floating-point noise is forbidden outright;
// in mathx/prompt in any function that touches a mechanism or its output.
func TestNoFloatNoiseNearARelease(t *testing.T) {
	for _, tree := range []struct {
		root   string
		strict bool
	}{{".", true}, {"../prompt", false}, {"../../roles/client", true}} {
		if _, err := os.Stat(tree.root); os.IsNotExist(err) && tree.root != "." {
			t.Logf("%s does not exist: nothing to check there", tree.root)
			continue
		}
		files := 0
		err := filepath.WalkDir(tree.root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			files++
			source, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			for _, finding := range floatNoiseIn(t, path, source, tree.strict) {
				t.Error(finding)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if files == 0 {
			t.Errorf("%s holds no Go source", tree.root)
		}
	}
}

// TestFloatNoiseCheckCanFail shows the check the bug it is there for.
func TestFloatNoiseCheckCanFail(t *testing.T) {
	const bad = `package prompt
func step(m *dp.Mechanism, r *rand.Rand) { g := r.NormFloat64(); m.Release(nil); _ = g }
func start(r *rand.Rand) float64 { return r.NormFloat64() }`
	if got := len(floatNoiseIn(t, "bad.go", []byte(bad), false)); got != 1 {
		t.Errorf("%d findings near a release, want 1", got)
	}
	if got := len(floatNoiseIn(t, "bad.go", []byte(bad), true)); got != 2 {
		t.Errorf("%d findings in a strict tree, want 2", got)
	}
}

// floatNoiseIn lists the uses of floating-point noise in one file; unless strict,
// only those in functions that mention a release.
func floatNoiseIn(t *testing.T, path string, source []byte, strict bool) []string {
	t.Helper()
	set := token.NewFileSet()
	file, err := parser.ParseFile(set, path, source, 0)
	if err != nil {
		t.Fatal(err)
	}
	var findings []string
	for _, declaration := range file.Decls {
		var noise []string
		release := false
		ast.Inspect(declaration, func(n ast.Node) bool {
			selector, ok := n.(*ast.SelectorExpr)
			if !ok {
				return true
			}
			switch name := selector.Sel.Name; {
			case floatNoise[name]:
				noise = append(noise, set.Position(selector.Pos()).String()+": "+name)
			case name == "Release", name == "Noised", name == "Mechanism":
				release = true
			}
			return true
		})
		if strict || release {
			findings = append(findings, noise...)
		}
	}
	return findings
}
