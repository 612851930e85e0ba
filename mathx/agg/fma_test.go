package agg

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"testing"
)

// fusedARM64 matches a multiplication and an addition that are rounded once, of float32 or float64.
var fusedARM64 = regexp.MustCompile(`\bFN?M(ADD|SUB)[SD]\b`)

// TestNothingIsFused cross-compiles this package for arm64, whose compiler fuses x*y + z where the source
// allows it, and finds no fused instruction: a replay gives the same bits there. amd64 fuses from GOAMD64=v3
// on, by the same rule. The canary shows that the compiler would.
func TestNothingIsFused(t *testing.T) {
	if code := disassemble(t, "."); fusedARM64.MatchString(code) {
		t.Errorf("fused: %s", fusedARM64.FindString(code))
	}
	canary := t.TempDir()
	for name, text := range map[string]string{
		"go.mod":    "module canary\n",
		"canary.go": "package canary\n\nfunc F(x, y, z float64) float64 { return x*y + z }\n",
	} {
		if err := os.WriteFile(filepath.Join(canary, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if !fusedARM64.MatchString(disassemble(t, canary)) {
		t.Error("the compiler does not fuse x*y + z for arm64, so this test shows nothing")
	}
}

// disassemble returns the arm64 code of the package in dir.
func disassemble(t *testing.T, dir string) string {
	t.Helper()
	archive := filepath.Join(t.TempDir(), "package.a")
	command := func(environment []string, args ...string) string {
		c := exec.Command("go", args...)
		c.Dir, c.Env = dir, append(os.Environ(), environment...)
		out, err := c.CombinedOutput()
		if err != nil {
			t.Fatalf("go %v: %v\n%s", args, err, out)
		}
		return string(out)
	}
	command([]string{"GOARCH=arm64", "CGO_ENABLED=0", "GOWORK=off", "GOFLAGS="}, "build", "-o", archive, ".")
	code := command(nil, "tool", "objdump", archive)
	if !regexp.MustCompile(`\bFMUL[SD]\b|\bFN?M(ADD|SUB)[SD]\b`).MatchString(code) {
		t.Fatal("no floating-point code found")
	}
	return code
}
