package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestPlanFile goes from keys to a plan that says what it promises, and refuses what an editor may break.
func TestPlanFile(t *testing.T) {
	model := absolute(t, tinyModel)
	t.Chdir(t.TempDir())
	command(t, 0, "enroll", "init", "keys", "--clients", "north,south,east")
	base := []string{"plan", "init", "--start", "random", "--run", "clinics", "--model", model, "--roster", "keys/roster.yaml"}
	plan, _ := command(t, 0, append(base, "--classes", "cat,dog")...)
	contains(t, plan, "run: clinics", "# Name of the run", "id: east", "width: ", "z_g: 0")
	command(t, 0, append(base, "--classes", "cat,dog", "--out", "plan.yaml")...)
	written, err := os.ReadFile("plan.yaml")
	if err != nil || string(written) != plan {
		t.Errorf("the file differs from what is printed, %v", err)
	}
	_, errs := command(t, 2, append(base, "--classes", "cat,dog", "--out", "plan.yaml")...)
	contains(t, errs, "plan.yaml exists")
	_, errs = command(t, 2, append(base, "--classes", "cat,dog", "--out", "keys", "--force")...)
	contains(t, errs, "keys is a folder")
	_, errs = command(t, 2, append(base, "--classes", "cat,cat", "--out", "twice.yaml")...)
	contains(t, errs, "classes")
	if _, err := os.Stat("twice.yaml"); err == nil {
		t.Error("a plan that cannot be published is written")
	}
	_, errs = command(t, 2, append(base, "--classes-from", "none")...)
	contains(t, errs, "stat none: no such file")
	_, errs = command(t, 2, "plan", "check", "plan.yaml", "--step", "-1s")
	contains(t, errs, "--step = -1s, want > 0")

	out, _ := command(t, 0, "plan", "check", "plan.yaml", "--step", "3s")
	contains(t, out, "Run clinics: 3 clients", "Each record of every client is protected against the aggregator",
		"epsilon = 8.0", "With 3s a step the run takes about 1m0s")
	for _, c := range []struct{ what, old, new, want string }{
		{"a field that does not exist", "versions: 60", "version: 60", "unknown field"},
		{"no classes", "- cat", "- dog", "classes"},
		{"a word for a number", "epsilon: 8.0", "epsilon: much", "want a number, not text"},
		{"a word for a time", "deadline: 1m0s", "deadline: soon", "want one such as 90s"},
		{"no text", "run: clinics", "run: \x00", "not a text file"},
		{"a buffer of more than there are", "buffer: 1", "buffer: 4", "rule.buffer"},
		{"updates without the noise for them", "z_g: 0.0", "z_g: 0.5\n  # and\n", "privacy.z_u"},
		{"more privacy than any noise gives", "epsilon: 8.0", "epsilon: 1e-9", "no noise reaches"},
	} {
		if !bytes.Contains(written, []byte(c.old)) {
			t.Fatalf("%s: %q is not in\n%s", c.what, c.old, written)
		}
		writeBytes(t, "broken.yaml", bytes.Replace(written, []byte(c.old), []byte(c.new), 1))
		_, errs := command(t, 2, "plan", "check", "broken.yaml")
		contains(t, errs, "broken.yaml", c.want)
	}
}

// TestPlanFromWords: what one gets without asking keeps its promise, too, for any number of clients, records and budget.
func TestPlanFromWords(t *testing.T) {
	model := absolute(t, tinyModel)
	t.Chdir(t.TempDir())
	command(t, 0, "enroll", "init", "keys", "--clients", "north,south,east")
	command(t, 0, "plan", "init", "--run", "clinics", "--model", model, "--roster", "keys/roster.yaml", "--classes", "cat,dog", "--records", "64", "--out", "plan.yaml")
	written, err := os.ReadFile("plan.yaml")
	if err != nil {
		t.Fatal(err)
	}
	contains(t, string(written), "words: a photo of a", "name: sync", "batch: 64.0", "versions: 5")
	for _, epsilon := range []string{"8.0", "4.0", "2.0", "1.0"} {
		writeBytes(t, "plan.yaml", bytes.Replace(written, []byte("epsilon: 8.0"), []byte("epsilon: "+epsilon), 1))
		out, _ := command(t, 0, "plan", "check", "plan.yaml")
		contains(t, out, "epsilon = "+epsilon, "5 steps", "sync, 5 versions")
	}
	_, errs := command(t, 2, "plan", "init", "--start", "nowhere", "--run", "r", "--model", model, "--roster", "keys/roster.yaml", "--classes", "cat")
	contains(t, errs, "--start")
}

// TestBadFlagsOfRoles: whatever is missing is named, with exit code 2, before a server is looked for.
func TestBadFlagsOfRoles(t *testing.T) {
	model := absolute(t, tinyModel)
	t.Chdir(t.TempDir())
	out, _ := command(t, 0, "enroll", "init", "keys", "--clients", "north")
	writeInto(t, "damaged/authority.json", []byte(`{"Authority":`))
	_, operator, _ := strings.Cut(strings.TrimSpace(out), "operator ")
	run := []string{"--run", "r", "--operator", operator}
	common := append(run, "--nats", "nats://127.0.0.1:1", "--creds", "keys/north.creds")
	full := append(common, "--model", model, "--data", "pictures", "--ledger", "ledger", "--max-epsilon", "3")
	with := func(base []string, more ...string) []string { return append(base[:len(base):len(base)], more...) }
	for _, c := range []struct {
		role string
		args []string
		want string
	}{
		{"client", nil, "--run"},
		{"client", []string{"--run", "r"}, "--operator"},
		{"client", run, "--ledger"},
		{"client", with(run, "--ledger", "l"), "--data"},
		{"client", with(common, "--ledger", "l", "--data", "d"), "--max-epsilon"},
		{"client", with(run, "--ledger", "l", "--data", "d", "--max-epsilon", "3"), "--nats"},
		{"client", with(run, "--ledger", "l", "--data", "d", "--max-epsilon", "3", "--nats", "x"), "--creds"},
		{"client", with(full, "--log-format", "xml"), "--log-format"},
		{"client", with(full, "--log-level", "loud"), "--log-level"},
		{"client", with(full, "--rate", "2"), "--rate"},
		{"client", with(full, "--hold", "-1s"), "--hold"},
		{"client", with(full, "--adjacency", "near"), "--adjacency"},
		{"client", with(full, "--ca", "none.pem"), "--ca"},
		{"client", with(full, "--nkey", "x"), "not both"},
		{"client", with(full, "--delta", "7"), "--delta = 7"},
		{"client", with(full, "--max-epsilon", "-1"), "--max-epsilon = -1"},
		{"client", with(full, "--max-epsilon", "nan"), "--max-epsilon = NaN"},
		{"client", with(full, "--min-z", "-1"), "--min-z = -1"},
		{"client", with(full, "--max-q", "2"), "--max-q = 2"},
		{"client", with(full, "--prune", "1"), "--prune = 1"},
		{"client", with(full, "--rate", "nan"), "--rate = NaN"},
		{"client", with(full, "--id", "a b"), "--id \"a b\""},
		{"client", with(full, "--run", "a.b"), "--run \"a.b\""},
		{"client", with(full, "--ca", "keys/roster.yaml"), "keys/roster.yaml: holds no certificate"},
		{"client", with(full, "--nats", "http://127.0.0.1:1"), "--nats: want nats://HOST:PORT"},
		{"client", with(full, "--nats", "nats://127.0.0.1:1,nats://no host:2"), "--nats: want nats://HOST:PORT"},
		{"client", with(full, "--ledger", "keys"), "--ledger keys: not a file"},
		{"client", with(full, "--ledger", "keys/roster.yaml"), "keys/roster.yaml: ledger: damaged at offset 0: not a ledger of this version; what its records have spent is not known any more"},
		{"monitor", with(run, "--http", "x"), "--http = x, want HOST:PORT"},
		{"plan", []string{"publish", "none.yaml", "--replicas", "0"}, "none.yaml"},
		{"health", []string{"127.0.0.1:8080"}, "want http://HOST:PORT/PATH"},
		{"health", []string{"http://127.0.0.1:8080/", "--timeout", "0s"}, "--timeout"},
		{"enroll", []string{"add", "damaged", "west"}, "damaged/authority.json: enroll: not an authority file"},
		{"enroll", []string{"rotate", "keys", "west"}, "enroll: unknown name: \"west\""},
		{"enroll", []string{"init", "other", "--clients", "a,a"}, "a is there twice"},
		{"enroll", []string{"init", "other", "--clients", "operator"}, "are there anyway"},
		{"enroll", []string{"init", "other", "--clients", "a,"}, "want 1 to 64"},
		{"client", with(full, "--creds", "none.creds"), "none.creds"},
		{"client", with(full, "--model", "none"), "none"},
		{"aggregator", with(common, "--lease", "0s"), "--lease"},
		{"aggregator", run, "--nats"},
		{"aggregator", with(run, "--creds", "keys/roster.yaml", "--nats", "x"), "holds no key"},
	} {
		_, errs := command(t, 2, append([]string{c.role}, c.args...)...)
		contains(t, errs, c.want)
	}
	for _, name := range []string{"other", "keys.lock"} { // of the above
		if _, err := os.Stat(name); err == nil {
			t.Errorf("left behind: %s", name)
		}
	}
	command(t, 1, append([]string{"client"}, with(full, "--nats", "127.0.0.1:1, nats://127.0.0.1:2")...)...) // tried
	_, errs := command(t, 1, append([]string{"client"}, full...)...)
	contains(t, errs, "connect to nats://127.0.0.1:1")
	if _, errs := command(t, 2, "enroll", "add", "keys", "north"); !strings.Contains(errs, "rotate") {
		t.Error(errs)
	}
	command(t, 2, "enroll", "add", "keys", "a.b")
	command(t, 2, "enroll", "rotate", "keys", "south")
	command(t, 2, "enroll", "add", "nowhere", "south")
}

func absolute(t *testing.T, path string) string {
	t.Helper()
	path, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	return path
}
