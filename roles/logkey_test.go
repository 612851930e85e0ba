package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// fieldMethods are those of zerolog that put a field with a key into a line; hiding are those whose keys cannot be
// seen, and Msgf, whose message varies.
var (
	fieldMethods = strings.Fields("Str Strs Stringer Stringers Bytes Hex Int Ints Int8 Int16 Int32 Int64 Uint Uint8 Uint16 Uint32 Uint64 Float32 Float64 Bool Dur Time TimeDiff Any Interface AnErr Errs IPAddr Type RawJSON")
	hiding       = strings.Fields("Dict Object EmbedObject Array Msgf Func")
)

// logLines visits every call of a method in the broker and the roles.
func logLines(t *testing.T, visit func(where, method string, args []ast.Expr)) (files int) {
	t.Helper()
	for _, root := range []string{".", "../broker"} {
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if path == "telemetry" { // attributes of spans look the same
				return fs.SkipDir
			}
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			set := token.NewFileSet()
			f, err := parser.ParseFile(set, path, nil, 0)
			if err != nil {
				return err
			}
			files++
			ast.Inspect(f, func(n ast.Node) bool {
				if call, ok := n.(*ast.CallExpr); ok {
					if s, ok := call.Fun.(*ast.SelectorExpr); ok {
						visit(set.Position(call.Pos()).String(), s.Sel.Name, call.Args)
					}
				}
				return true
			})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return files
}

// TestLogKeys: every key of a log line is one of the catalogue, by its constant, and every message is a constant.
func TestLogKeys(t *testing.T) {
	used := map[string]bool{}
	files := logLines(t, func(where, method string, args []ast.Expr) {
		switch {
		case slices.Contains(fieldMethods, method) && len(args) == 2:
			switch key := args[0].(type) {
			case *ast.SelectorExpr:
				used[key.Sel.Name] = used[key.Sel.Name] || fmt.Sprint(key.X) == "logkey"
			default: // a literal, or a constant from elsewhere
				t.Errorf("%s: %s has a key that is not of dpfpl/broker/logkey", where, method)
			}
		case slices.Contains(hiding, method):
			t.Errorf("%s: %s hides its keys", where, method)
		case method == "Msg":
			if _, ok := args[0].(*ast.BasicLit); !ok {
				t.Errorf("%s: a message that varies", where)
			}
		}
	})
	if files < 50 || len(used) < 15 {
		t.Fatalf("%d files with log lines and %d keys: the test does not see them", files, len(used))
	}
	for _, e := range catalogue(t) {
		if !used[e.constant] {
			t.Errorf("nobody logs %s", e.key)
		}
	}
}

type catalogueEntry struct{ constant, key, meaning string }

// catalogue reads the keys with their comments.
func catalogue(t *testing.T) (entries []catalogueEntry) {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), "../broker/logkey/logkey.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range f.Decls {
		for _, spec := range d.(*ast.GenDecl).Specs {
			v := spec.(*ast.ValueSpec)
			key, err := strconv.Unquote(v.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			entries = append(entries, catalogueEntry{v.Names[0].Name, key, strings.TrimSpace(v.Comment.Text())})
		}
	}
	return entries
}

// TestLogKeyTable holds the guide's table to the catalogue.
func TestLogKeyTable(t *testing.T) {
	var want strings.Builder
	want.WriteString("| key | holds |\n| --- | --- |\n")
	for _, e := range catalogue(t) {
		fmt.Fprintf(&want, "| `%s` | %s |\n", e.key, e.meaning)
	}
	guide, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(guide), want.String()) {
		t.Errorf("README.md lacks this table:\n%s", want.String())
	}
}
