package planfile

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/nats-io/nkeys"

	"dpfpl/schemas"
)

func publicKey(t testing.TB, name string) string {
	t.Helper()
	seed := make([]byte, 32)
	copy(seed, name)
	pair, err := nkeys.FromRawSeed(nkeys.PrefixByteUser, seed)
	if err != nil {
		t.Fatal(err)
	}
	public, err := pair.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	return public
}

// clinics is a sound plan for three clients.
func clinics(t testing.TB) *Deployment {
	d := &Deployment{
		Run: "clinics", Classes: []string{"cat", "dog"}, Backbone: strings.Repeat("0", 64), File: FromRandom(3, 10*time.Second),
		Roster: Roster{Aggregator: publicKey(t, "aggregator"), Operator: publicKey(t, "operator")},
	}
	d.Prompt.Width = 96
	for _, id := range []string{"south", "north", "east"} { // Plan sorts them
		d.Members = append(d.Members, schemas.Member{ID: id, Key: publicKey(t, id)})
	}
	return d
}

// fields lists the paths of all fields of the file.
func fields() []string {
	var list []string
	var walk func(t reflect.Type, at string)
	walk = func(t reflect.Type, at string) {
		for i := range t.NumField() {
			f := t.Field(i)
			name, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
			if f.Anonymous {
				walk(f.Type, at)
				continue
			}
			list = append(list, at+name)
			if f.Type.Kind() == reflect.Struct {
				walk(f.Type, at+name+".")
			}
		}
	}
	walk(reflect.TypeFor[Deployment](), "")
	return list
}

func TestEveryFieldHasAComment(t *testing.T) {
	known := map[string]bool{}
	for _, field := range fields() {
		known[field] = true
		if comments[field] == "" {
			t.Errorf("%s is not explained", field)
		}
	}
	for field := range comments {
		if !known[field] {
			t.Errorf("%s is explained and does not exist", field)
		}
	}
	if len(known) < 40 {
		t.Errorf("only %d fields seen", len(known))
	}
}

// TestYAMLIsReadBack: the file says the same as the plan, with every comment in it.
func TestYAMLIsReadBack(t *testing.T) {
	d := clinics(t)
	text := d.YAML()
	for field, comment := range comments {
		for line := range strings.SplitSeq(comment, "\n") {
			if !strings.Contains(text, "# "+line) {
				t.Errorf("%s: the comment %q is missing in\n%s", field, line, text)
			}
		}
	}
	path := filepath.Join(t.TempDir(), "plan.yaml")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	var again Deployment
	if err := again.Read(path); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(*d, again); diff != "" {
		t.Error(diff)
	}
	plan, err := d.Plan()
	if err != nil {
		t.Fatal(err)
	}
	if plan.Members[0].ID != "east" || plan.Privacy.ZG == 0 || plan.Updates == 0 {
		t.Errorf("not settled: %+v", plan)
	}
	same, err := Of(plan).Plan()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(plan, same); diff != "" {
		t.Error(diff)
	}
}

func TestReadNamesThePlace(t *testing.T) {
	path := filepath.Join(t.TempDir(), "plan.yaml")
	if err := os.WriteFile(path, []byte("run: a\nprivacy:\n  epsilom: 3\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var d Deployment
	err := d.Read(path)
	if err == nil || !strings.Contains(err.Error(), "epsilom") || !strings.Contains(err.Error(), "3 |") {
		t.Error(err)
	}
}

// TestEveryFaultIsNamed: what an editor may break is an error with the field's name, whichever it is.
func TestEveryFaultIsNamed(t *testing.T) {
	for _, c := range []struct{ field, text string }{
		{"method.name", "method: {name: nonsense}"},
		{"method.mode", "method: {mode: nonsense}"},
		{"method.rank", "method: {rank: 60}"},
		{"rule.name", "rule: {name: nonsense}"},
		{"privacy.noise", "privacy: {noise: some}"},
		{"privacy.adjacency", "privacy: {adjacency: near}"},
		{"privacy.rate", "privacy: {rate: 7}"},
		{"privacy.clip_u", "privacy: {clip_u: -1}"},
		{"privacy.delta", "privacy: {delta: 0}"},
		{"prompt.width", "prompt: {width: 0}"},
		{"prompt.context", "prompt: {context: 0}"},
		{"updates", "updates: 100000"},
		{"versions", "versions: 0"},
		{"members", "members: []"},
		{"backbone", "backbone: abc"},
		{"classes", "classes: [one]"},
		{"operator", "operator: me"},
		{"run", "run: a.b"},
	} {
		d := clinics(t)
		if err := Decode([]byte(c.text), d); err != nil {
			t.Errorf("%s: %v", c.text, err)
			continue
		}
		if _, err := d.Plan(); err == nil || !strings.Contains(err.Error(), c.field) {
			t.Errorf("%s: %v", c.text, err)
		}
	}
}

// FuzzDeployment: whatever a file holds, it is an error or a plan whose file says the same and whose promise can be
// worked out or contradicts itself.
func FuzzDeployment(f *testing.F) {
	f.Add([]byte(clinics(f).YAML()))
	f.Add([]byte("versions: 1\nupdates: 1\nmethod: {name: fedotp, rate: .inf}\nprivacy: {z_u: .nan, clip_g: 1e300}"))
	f.Add([]byte("rule: {name: trimmed, trim: 4000000000, deadline: 9223372036s}\nversions: 4000000000"))
	f.Add([]byte("a: &a [*a]\n? - : {"))
	f.Fuzz(func(t *testing.T, b []byte) {
		d := clinics(t)
		if Decode(b, d) != nil {
			return
		}
		plan, err := d.Plan()
		if err != nil {
			return
		}
		again := new(Deployment)
		if err := Decode([]byte(Of(plan).YAML()), again); err != nil {
			t.Fatalf("%v\n%s", err, Of(plan).YAML())
		}
		same, err := again.Plan()
		if err != nil || !cmp.Equal(plan, same, cmpopts.EquateNaNs()) {
			t.Errorf("%v\n%s", err, cmp.Diff(plan, same))
		}
		promise, err := Examine(plan, time.Second)
		if err != nil && !errors.Is(err, ErrContradiction) {
			t.Error(err)
		}
		if err == nil && (promise.Expected < 0 || promise.Longest < 0) {
			t.Errorf("takes %v, at most %v", promise.Expected, promise.Longest)
		}
	})
}
