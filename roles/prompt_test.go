package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"dpfpl/mathx/prompt"
	"dpfpl/roles/client/ledger"
	"dpfpl/roles/promptfile"
	"dpfpl/schemas"
)

// exporter is a witness whose ledger is closed and whose run lies in a log file.
type exporter struct{ *witness }

// newExporter lets anna take steps steps.
func newExporter(t *testing.T, w *witness, steps int) *exporter {
	t.Helper()
	for range steps {
		w.step(false)
	}
	e := &exporter{w}
	e.finish()
	return e
}

// finish closes the ledger and writes the log and the members' keys.
func (e *exporter) finish() {
	e.Helper()
	if err := e.store.Close(); err != nil {
		e.Fatal(err)
	}
	e.record(e.messages())
	for _, id := range []string{"anna", "bert"} {
		key, _ := testKey(e, id)
		seed, err := key.Seed()
		if err != nil {
			e.Fatal(err)
		}
		if err := os.WriteFile(e.path(id+".nk"), seed, 0o600); err != nil {
			e.Fatal(err)
		}
	}
}

func (e *exporter) record(messages []schemas.Message) { writeTo(e, e.path("run.dpfpl"), messages) }

// args are those of an export that succeeds; change may replace some.
func (e *exporter) args(change ...string) []string {
	_, operator := testKey(e, "operator")
	flags := map[string]string{
		"--log": e.path("run.dpfpl"), "--operator": operator, "--nkey": e.path("anna.nk"), "--id": "anna", "--ledger": e.path("ledger"),
		"--max-epsilon": "100", "--out": e.path("anna.safetensors"),
	}
	for i := 0; i < len(change); i += 2 {
		if flags[change[i]] = change[i+1]; change[i+1] == "" {
			delete(flags, change[i])
		}
	}
	args := []string{"prompt", "export"}
	for _, name := range slices.Sorted(maps.Keys(flags)) {
		args = append(args, name+"="+flags[name])
	}
	return args
}

func (e *exporter) test() *testing.T { return e.TB.(*testing.T) }

// export demands success and returns the file.
func (e *exporter) export(change ...string) (*promptfile.File, []byte) {
	e.Helper()
	command(e.test(), exitOK, e.args(change...)...)
	f, raw, err := readPrompt(e.path("anna.safetensors"), "")
	if err != nil {
		e.Fatal(err)
	}
	return f, raw
}

// refused demands that nothing is written, for the reason.
func (e *exporter) refused(code int, reason string, change ...string) {
	e.Helper()
	_, stderr := command(e.test(), code, e.args(change...)...)
	contains(e.test(), stderr, reason)
	for _, pattern := range []string{"*.safetensors", ".prompt-*"} {
		if left, _ := filepath.Glob(e.path(pattern)); len(left) > 0 {
			e.Errorf("%q leaves %v", reason, left)
		}
	}
}

func keep(*schemas.Plan) {}

// scenario is the time of exports whose bytes are compared.
func scenario() time.Time { return time.Date(2026, 11, 25, 1, 2, 3, 0, time.UTC) }

// TestPromptExport: the file holds anna's own personal prompt, at the newest version or at another, and what it cost.
func TestPromptExport(t *testing.T) {
	e := newExporter(t, newWitness(t, keep), 2)
	f, _ := e.export("--at", "1")
	if !slices.Equal(f.Context, e.anna.Personal(nil)) || f.Version != 1 { // she has seen version 1 last
		t.Error("not the personal prompt of the client")
	}
	cost, err := e.anna.Account().EpsilonRDP(1e-5)
	if err != nil {
		t.Fatal(err)
	}
	_, public := testKey(t, "anna")
	if f.Privacy.RDP != cost.Epsilon || f.Privacy.AllRDP != cost.Epsilon || !(f.Privacy.PLD < cost.Epsilon) || f.Privacy.Steps != 2 || f.Signer != public {
		t.Errorf("%+v", f)
	}
	if digest := schemas.Digest(e.head.Raw); f.Plan != fmt.Sprintf("%x", digest) || !slices.Equal(f.Classes, e.plan.Classes) || f.Backbone != e.plan.Backbone {
		t.Errorf("%+v", f)
	}
	_, stderr := command(t, exitInput, e.args()...)
	contains(t, stderr, "anna.safetensors exists; give --force")
	newest, _ := e.export("--force", "true")
	if newest.Version != 2 || slices.Equal(newest.Context, f.Context) {
		t.Errorf("version %d", newest.Version)
	}
	stdout, _ := command(t, exitOK, "prompt", "inspect", e.path("anna.safetensors"), "--signer", public)
	contains(t, stdout, "Personal prompt of client anna in run demo, by dpfpl of rank 2.",
		"Each record of client anna is protected against whoever holds this prompt and every message of the run:",
		"2 steps, each record taken independently", "Over all runs on the same records: epsilon = ")
	stdout, _ = command(t, exitOK, "prompt", "inspect", e.path("anna.safetensors"), "--json")
	var object map[string]any
	if err := json.Unmarshal([]byte(stdout), &object); err != nil || object["client"] != "anna" || object["protection"] != "noise" {
		t.Errorf("%v: %s", err, stdout)
	}
}

// TestPromptExportRefuses: each reason why a prompt may not leave, with nothing written.
func TestPromptExportRefuses(t *testing.T) {
	e := newExporter(t, newWitness(t, keep), 2)
	_, other := testKey(t, "bert")
	whole, err := os.ReadFile(e.path("ledger"))
	if err != nil {
		t.Fatal(err)
	}
	damaged := slices.Clone(whole)
	damaged[len(damaged)/2] ^= 1
	writeBytes(t, e.path("torn"), whole[:len(whole)-3])
	writeBytes(t, e.path("damaged"), damaged)
	writeBytes(t, e.path("other"), []byte("something else"))
	held, err := ledger.Open(e.path("held"), ledger.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	defer held.Close()

	e.refused(exitInput, "no such file", "--ledger", e.path("absent"))
	e.refused(exitInput, "no ledger: give --ledger", "--ledger", "")
	e.refused(exitFailure, "in use", "--ledger", e.path("held"))
	e.refused(exitFailure, "its last record is cut short", "--ledger", e.path("torn"))
	e.refused(exitFailure, "damaged at offset", "--ledger", e.path("damaged"))
	e.refused(exitFailure, "not a ledger", "--ledger", e.path("other"))
	e.refused(exitInput, "no budget: give --max-epsilon", "--max-epsilon", "")
	e.refused(exitFailure, "the budget is exceeded", "--max-epsilon", "0.01")
	e.refused(exitFailure, "the budget is exceeded", "--max-epsilon", "0.01", "--unprotected-anyway", "true")
	e.refused(exitFailure, "the budget is exceeded", "--max-epsilon", "4.9", "--adjacency", "replace-one")
	e.refused(exitFailure, "not signed by the operator", "--operator", other)
	e.refused(exitInput, "--operator", "--operator", "")
	e.refused(exitInput, `not a member of the run: "carl"`, "--id", "carl")
	e.refused(exitInput, "the plan names key", "--nkey", e.path("bert.nk"))
	e.refused(exitInput, "no key", "--nkey", "")
	e.refused(exitInput, "no such version", "--at", "9")
	e.refused(exitInput, "no run", "--log", "")
	e.refused(exitInput, "no place", "--out", "")
	e.refused(exitInput, "--delta", "--delta", "1")

	// Bert never took part: the ledger has paid for nothing of his.
	e.refused(exitFailure, "in the log, but the ledger has not", "--id", "anna", "--ledger", e.empty("none"))
	e.refused(exitFailure, "the ledger knows no step of run demo", "--id", "bert", "--nkey", e.path("bert.nk"), "--ledger", e.empty("fresh"))

	// The ledger is older than what was published: restored from a backup.
	old := e.copyOf("old", 1)
	e.refused(exitFailure, "the ledger does not match the run: update 2", "--ledger", old)
	// The log has another update than the ledger committed.
	m := e.messages()
	i := slices.IndexFunc(m, func(m schemas.Message) bool { return strings.HasSuffix(m.Subject, "update.anna.2") })
	u := *m[i].Body.(*schemas.Update)
	u.Sum.Data = slices.Clone(u.Sum.Data)
	u.Sum.Data[0] ^= 1
	sealed := e.seal(&u, "anna")
	m[i].Raw, m[i].Body = sealed.Raw, sealed.Body
	e.record(m)
	e.refused(exitFailure, "not the bytes that the ledger committed")
	// Whoever forges a message under her name does not keep her from exporting.
	e.sum("anna", 3, 2, make([]int32, 4*int(e.plan.Prompt.Width)), "bert")
	e.record(e.messages())
	e.export()
}

// empty makes a ledger without a step.
func (e *exporter) empty(name string) string {
	e.Helper()
	store, err := ledger.Open(e.path(name), ledger.Limits{})
	if err == nil {
		err = store.Close()
	}
	if err != nil {
		e.Fatal(err)
	}
	return e.path(name)
}

// copyOf makes a ledger of anna's first steps, whose last state is that of her ledger.
func (e *exporter) copyOf(name string, steps int) string {
	e.Helper()
	book, err := ledger.Freeze(e.path("ledger"))
	if err != nil {
		e.Fatal(err)
	}
	_, state := book.State("demo")
	return e.forge(name, state, func(k uint64) []byte {
		for _, m := range e.log {
			if m.Subject == schemas.UpdateSubject("demo", "anna", k) {
				return m.Raw
			}
		}
		return nil
	}, book.Spent[:steps])
}

// forge writes a ledger of given debits and payloads.
func (e *exporter) forge(name string, state []byte, payload func(k uint64) []byte, spent []ledger.Spending) string {
	e.Helper()
	store, err := ledger.Open(e.path(name), ledger.Limits{})
	if err != nil {
		e.Fatal(err)
	}
	defer store.Close()
	for _, s := range spent {
		if err := store.Debit(s.Entry); err != nil {
			e.Fatal(err)
		}
		if err := store.Commit("demo", s.K, payload(s.K), state); err != nil {
			e.Fatal(err)
		}
	}
	return e.path(name)
}

// TestPromptExportWithoutNoise: a run that protects nobody needs a flag by its name, and the file says so.
func TestPromptExportWithoutNoise(t *testing.T) {
	e := newExporter(t, newWitness(t, func(p *schemas.Plan) {
		p.Privacy.Noise, p.Privacy.Adjacency, p.Privacy.Epsilon, p.Privacy.Delta = schemas.NoiseNone, "", 0, 0
		p.Privacy.ZU, p.Privacy.ZV, p.Privacy.ZG = 0, 0, 0
	}), 1)
	e.refused(exitFailure, "has no guarantee")
	f, _ := e.export("--unprotected-anyway", "true", "--max-epsilon", "")
	if f.Privacy.Protected || !math.IsInf(f.Privacy.RDP, 1) {
		t.Errorf("%+v", f.Privacy)
	}
	stdout, _ := command(t, exitOK, "prompt", "inspect", e.path("anna.safetensors"))
	contains(t, stdout, "NOT PROTECTED: exported on demand from a run without a guarantee", "epsilon = infinity", "no noise was added: nothing is protected")
	_, stderr := command(t, exitOK, "predict", "--prompt", e.path("anna.safetensors"), "--model", tinyModel, e.picture())
	contains(t, stderr, "warning: this prompt is NOT PROTECTED")
}

// picture is one of anna's.
func (e *exporter) picture() string {
	all, _ := filepath.Glob(e.path("pictures/*/*.png"))
	return all[0]
}

// TestPromptFileTellsNothingElse: two clients of other records, other updates and equal prompts export equal bytes, in
// which there is nothing but the prompt and what is public.
func TestPromptFileTellsNothingElse(t *testing.T) {
	t.Run("promptfl", func(t *testing.T) { // the prompt is the global one, whatever the records
		var files, ledgers [2][]byte
		for i := range files {
			w := newWitnessOf(t, i, func(p *schemas.Plan) {
				p.Method = schemas.MethodPlan{Name: prompt.PromptFL, Mode: prompt.Corrected, Rate: 0.1}
				p.Privacy.ClipU, p.Privacy.ClipV, p.Privacy.ZU, p.Privacy.ZV = 0, 0, 0, 0
			})
			w.step(true) // an update that the log has not: the global prompt is the first one
			e := &exporter{w}
			e.finish()
			_, files[i] = e.exportAt(t)
			ledgers[i], _ = os.ReadFile(e.path("ledger"))
		}
		if bytes.Equal(ledgers[0], ledgers[1]) {
			t.Fatal("the clients do not differ: this test sees nothing")
		}
		if !bytes.Equal(files[0], files[1]) {
			t.Error("the files of equal prompts differ")
		}
	})
	t.Run("dpfpl", func(t *testing.T) {
		e := newExporter(t, newWitness(t, keep), 2)
		book, err := ledger.Freeze(e.path("ledger"))
		if err != nil {
			t.Fatal(err)
		}
		_, state := book.State("demo")
		f, raw := e.exportAt(t)

		// The same steps and the same state, of other records: other updates, none of which was sent.
		e.record(slices.DeleteFunc(e.messages(), func(m schemas.Message) bool { return strings.Contains(m.Subject, "update.anna") }))
		e.forge("twin", state, func(k uint64) []byte { return fmt.Append(nil, "something else ", k) }, book.Spent)
		if _, twin := e.exportAt(t, "--ledger", e.path("twin")); !bytes.Equal(raw, twin) {
			t.Error("the files of equal prompts differ")
		}
		onlyPublic(t, f, raw)
		notIn(t, raw, state, e)
	})
}

// exportAt exports at a fixed time.
func (e *exporter) exportAt(t *testing.T, change ...string) (*promptfile.File, []byte) {
	t.Helper()
	c := newPromptExportCommandAt(scenario)
	var out bytes.Buffer
	c.SetOut(&out)
	c.SetArgs(append(e.args(change...)[2:], "--force"))
	if err := c.ExecuteContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	f, raw, err := readPrompt(e.path("anna.safetensors"), "")
	if err != nil {
		t.Fatal(err)
	}
	return f, raw
}

// onlyPublic demands the listed metadata, one tensor and not a byte more.
func onlyPublic(t *testing.T, f *promptfile.File, raw []byte) {
	t.Helper()
	n := int(binary.LittleEndian.Uint64(raw))
	if len(raw) != 8+n+4*f.Rows*f.Width {
		t.Errorf("%d bytes with a header of %d", len(raw), n)
	}
	var header map[string]map[string]any
	if err := json.Unmarshal(raw[8:8+n], &header); err != nil {
		t.Fatal(err)
	}
	public := strings.Fields(`adjacency backbone classes client delta ending epsilon_pld epsilon_pld_all_runs epsilon_rdp epsilon_rdp_all_runs
		format method model_version plan position protection rank run signature signer statement steps time unit`)
	if keys := slices.Sorted(maps.Keys(header["__metadata__"])); !slices.Equal(keys, public) || len(header) != 2 {
		t.Errorf("%v beside %d tensors", keys, len(header)-1)
	}
}

// notIn demands that a file holds nothing of the ledger's secrets: no number of the state, no two neighbours as float32, no
// piece of an update, no digest.
func notIn(t *testing.T, raw, state []byte, e *exporter) {
	t.Helper()
	secrets := 0
	absent := func(what string, b []byte) {
		secrets++
		if bytes.Contains(raw, b) {
			t.Errorf("the file holds %s %x", what, b)
		}
	}
	var last []byte // as float32, of which one alone may be among those of the prompt by chance
	for numbers := state[len(state)%8:]; len(numbers) >= 8; numbers = numbers[8:] {
		v := math.Float64frombits(binary.LittleEndian.Uint64(numbers))
		if math.Abs(v) < 1e-300 {
			last = nil
			continue
		}
		absent("of the state", numbers[:8])
		this := binary.LittleEndian.AppendUint32(nil, math.Float32bits(float32(v)))
		if last != nil {
			absent("of the state", slices.Concat(last, this))
		}
		last = this
	}
	for _, m := range e.log {
		digest := schemas.Digest(m.Raw)
		absent("a digest", digest[:])
		absent("a digest", fmt.Appendf(nil, "%x", digest))
		for at := 100; at+16 < len(m.Raw); at += 16 {
			absent("of an update", m.Raw[at:at+16])
		}
	}
	if secrets < 1000 {
		t.Errorf("only %d secrets: this test sees nothing", secrets)
	}
}
