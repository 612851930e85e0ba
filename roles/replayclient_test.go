package main

import (
	"encoding/hex"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"dpfpl/mathx/clip"
	"dpfpl/mathx/prompt"
	"dpfpl/roles/backbone"
	"dpfpl/roles/client"
	"dpfpl/roles/client/blackbox"
	"dpfpl/roles/client/ledger"
	"dpfpl/schemas"
)

// witness is a run of two clients in which anna is real: she has a ledger, a black box and pictures.
type witness struct {
	dir string
	*scene
	anna  *client.Client
	store *ledger.Ledger
}

// newWitness begins the run. change may alter its plan.
func newWitness(t *testing.T, change func(*schemas.Plan)) *witness {
	t.Helper()
	return newWitnessOf(t, 0, change)
}

// newWitnessOf begins a run in which anna has other pictures.
func newWitnessOf(t *testing.T, rotate int, change func(*schemas.Plan)) *witness {
	t.Helper()
	w := &witness{dir: t.TempDir()}
	names := writeEmoji(t, w.path("pictures"), 6, rotate)
	model, err := backbone.Open(tinyModel, clip.TextTower, clip.ImageTower)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { model.Close() })
	w.scene = newScene(t, []string{"anna", "bert"}, 4, model.Text.Config().Width, schemas.RulePlan{Name: "fedasync", MaxStaleness: 9}, func(p *schemas.Plan) {
		p.Classes, p.Backbone, p.Updates = names, model.Digest, 9
		p.Method = schemas.MethodPlan{Name: prompt.DPFPL, Mode: prompt.Corrected, Rank: 2, Rate: 0.1}
		p.Privacy = schemas.PrivacyPlan{
			Noise: schemas.NoiseClient, Adjacency: "zero-out", Epsilon: 100, Delta: 1e-5, Rate: 0.5, Batch: 6,
			ClipU: 1, ClipV: 1, ClipG: 1, ZU: 2, ZV: 2, ZG: 2,
		}
		change(p)
	})
	writeInto(t, w.path("key"), []byte(hex.EncodeToString(make([]byte, blackbox.KeySize))))
	box, err := blackbox.Open(w.path("box"), make([]byte, blackbox.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { box.Close() })
	if w.store, err = ledger.Open(w.path("ledger"), ledger.Limits{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.store.Close() })
	key, _ := testKey(t, "anna")
	cfg := client.Config{
		ID: "anna", Key: key, Plan: w.plan, Backbone: model.Digest, LogitScale: model.LogitScale, Store: w.store, BlackBox: box,
		AllowUnprotected: true, Noise: func(k uint64) rand.Source { return rand.NewPCG(11, k) },
	}
	if cfg.Encoder, err = planEncoder(model, w.plan, "."); err != nil {
		t.Fatal(err)
	}
	if cfg.Data, err = planExamples(model, w.plan, w.path("pictures")); err != nil {
		t.Fatal(err)
	}
	if w.anna, err = client.New(cfg); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *witness) path(name string) string { return filepath.Join(w.dir, name) }

// step lets anna answer the newest model; her update is stored unless it is lost.
func (w *witness) step(lost bool) {
	w.Helper()
	newest := w.states[len(w.states)-2]
	out, err := w.anna.Step(w.now, newest)
	if err != nil || len(out) != 1 {
		w.Fatalf("%d updates, %v", len(out), err)
	}
	if !lost {
		w.scene.store(out[0])
	}
}

// replay runs dpfpl replay client over the log as change leaves it.
func (w *witness) replay(code int, change func([]schemas.Message) []schemas.Message, args ...string) (stdout, stderr string) {
	w.Helper()
	writeTo(w.TB, w.path("run.dpfpl"), change(slices.Clone(w.messages())))
	t := w.TB.(*testing.T)
	return command(t, code, append([]string{"replay", "client", "--log", w.path("run.dpfpl"), "--client", "anna", "--ledger", w.path("ledger")}, args...)...)
}

func same(m []schemas.Message) []schemas.Message { return m }

// TestReplayClient: a client's own records bear out what it published, and only that.
func TestReplayClient(t *testing.T) {
	w := newWitness(t, func(*schemas.Plan) {})
	w.step(false)
	w.step(false)
	w.sum("bert", 1, 2, make([]int32, 4*int(w.plan.Prompt.Width)), "bert") // refused: it tells of no noise for u and v
	w.step(true)                                                           // sent, and lost
	w.sum("bert", 2, 2, make([]int32, 4*int(w.plan.Prompt.Width)), "bert")

	stdout, _ := w.replay(exitOK, same)
	contains(t, stdout, "run demo, anna: 2 of 3 steps are in the log as the bytes that the ledger committed", "3       –         committed, not in the log")

	box := []string{"--black-box", w.path("box"), "--black-box-key", w.path("key"), "--model", tinyModel, "--data", w.path("pictures")}
	stdout, _ = w.replay(exitOK, same, box...)
	rows := regexp.MustCompile(`(?m)^[12] +[12] +([0-9.]+) +([0-9.]+) +(0\.9|1\.0)[0-9]* .* agrees$`).FindAllStringSubmatch(stdout, -1)
	if len(rows) != 2 || rows[0][1] != rows[0][2] || rows[1][1] != rows[1][2] || rows[0][1] == rows[1][1] {
		t.Errorf("the steps computed again:\n%s", stdout)
	}

	// Somebody else's pictures, or the same in another order, are not what the steps were made from.
	other := w.path("other")
	writeEmoji(t, other, 6, 1)
	_, stderr := w.replay(exitFailure, same, append(slices.Clone(box[:len(box)-1]), other)...)
	contains(t, stderr, "update 1 was made from other examples than these 12")

	// A second noising of step 2, well signed: the ledger committed another one.
	again := func(m []schemas.Message) []schemas.Message {
		i := slices.IndexFunc(m, func(m schemas.Message) bool { return strings.HasSuffix(m.Subject, "update.anna.2") })
		u := *m[i].Body.(*schemas.Update)
		u.Sum.Data = slices.Clone(u.Sum.Data)
		u.Sum.Data[0] ^= 1
		sealed := w.seal(&u, "anna")
		m[i].Raw, m[i].Body = sealed.Raw, sealed.Body
		return m
	}
	stdout, _ = w.replay(exitFailure, again)
	contains(t, stdout, "1 of 3 steps", "2       2         not the bytes that the ledger committed")
	_, stderr = w.replay(exitFailure, again, box...)
	contains(t, stderr, "update 2 in the log is not the one of the record")

	// An update that was never paid for.
	w.sum("anna", 4, 2, make([]int32, 4*int(w.plan.Prompt.Width)), "anna")
	stdout, _ = w.replay(exitFailure, same)
	contains(t, stdout, "in the log, but the ledger has not spent it")
	// And one under the client's name that is not its own.
	w.sum("anna", 5, 2, make([]int32, 4*int(w.plan.Prompt.Width)), "bert")
	stdout, _ = w.replay(exitFailure, same)
	contains(t, stdout, "not signed by this client")
}

// TestReplayClientWithoutNoise: without noise the published update is the recomputed sum.
func TestReplayClientWithoutNoise(t *testing.T) {
	w := newWitness(t, func(p *schemas.Plan) {
		p.Privacy.Noise, p.Privacy.Adjacency, p.Privacy.Epsilon, p.Privacy.Delta = schemas.NoiseNone, "", 0, 0
		p.Privacy.ZU, p.Privacy.ZV, p.Privacy.ZG = 0, 0, 0
	})
	w.step(false)
	stdout, _ := w.replay(exitOK, same, "--black-box", w.path("box"), "--black-box-key", w.path("key"), "--model", tinyModel, "--data", w.path("pictures"))
	contains(t, stdout, "1 of 1 steps", " 0      0       0      agrees")
}

func TestReplayClientRefuses(t *testing.T) {
	log, key := filepath.Join(t.TempDir(), "run.dpfpl"), filepath.Join(t.TempDir(), "key")
	writeTo(t, log, demo(t).messages())
	writeInto(t, key, []byte("no key"))
	book := filepath.Join(t.TempDir(), "ledger")
	store, err := ledger.Open(book, ledger.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(log+".not", []byte("something else"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		code         int
		args, reason string
	}{
		{exitInput, "--client anna", "give --client and --ledger"},
		{exitInput, "--client anna --ledger absent", "no such file"},
		{exitInput, "--client nobody --ledger " + book, `not a member of the run: "nobody"`},
		{exitInput, "--client anna --ledger " + book + " --black-box-key k", "are for --black-box"},
		{exitInput, "--client anna --ledger " + book + " --black-box b --black-box-key k", "needs --black-box-key, --model and --data"},
		{exitInput, "--client anna --ledger " + book + " --black-box b --data d --black-box-key " + key, "no key"},
		{exitFailure, "--client anna --ledger " + log + ".not", "damaged at offset 0"},
	} {
		_, stderr := command(t, tc.code, append([]string{"replay", "client", "--log", log}, strings.Fields(tc.args)...)...)
		contains(t, stderr, tc.reason)
	}
}
