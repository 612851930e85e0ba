package logfile_test

import (
	"bytes"
	"fmt"
	"io"
	"iter"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nkeys"

	"dpfpl/schemas"
	"dpfpl/schemas/logfile"
)

func testKey(t testing.TB, name string) (nkeys.KeyPair, string) {
	t.Helper()
	seed := make([]byte, 32)
	copy(seed, name)
	key, err := nkeys.FromRawSeed(nkeys.PrefixByteUser, seed)
	if err != nil {
		t.Fatal(err)
	}
	public, err := key.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	return key, public
}

// testRun is a run of two members and three versions after the first, of which every second log message
// makes one. A bad update is in it, which the log keeps like any other.
type testRun struct {
	plan                     schemas.Message
	log, models, checkpoints []schemas.Message
}

func newTestRun(t testing.TB) *testRun {
	t.Helper()
	_, operator := testKey(t, "operator")
	_, aggregator := testKey(t, "aggregator")
	plan := &schemas.Plan{
		Header:     schemas.Header{Run: "run", Sender: "operator"},
		Method:     schemas.MethodPlan{Name: "promptfl", Mode: "corrected", Rate: 0.1},
		Prompt:     schemas.PromptPlan{Context: 1, Width: 2, Init: "random", Std: 0.02},
		Rule:       schemas.RulePlan{Name: "fedbuff", Buffer: 2},
		Server:     schemas.ServerPlan{Rate: 1},
		Privacy:    schemas.PrivacyPlan{Noise: "none", Rate: 1, Batch: 1, ClipG: 1},
		Classes:    []string{"cat", "dog"},
		Backbone:   strings.Repeat("0", 64),
		Versions:   3,
		Updates:    9,
		Aggregator: aggregator,
		Operator:   operator,
	}
	for _, id := range []string{"anna", "bert"} {
		_, public := testKey(t, id)
		plan.Members = append(plan.Members, schemas.Member{ID: id, Key: public})
	}
	r := &testRun{plan: sealed(t, plan, "operator", 1)}
	var chain, parent [32]byte
	state := uint64(1)
	version := func(v uint64) {
		m := &schemas.Model{
			Header: schemas.Header{Run: "run", Sender: "aggregator"}, Version: v, Parent: parent,
			Params: schemas.NewParams(1, 2, []float32{float32(v), -1}), Applied: uint64(len(r.log)), Final: v == 3,
		}
		r.models = append(r.models, sealed(t, m, "aggregator", state+1))
		parent = schemas.Digest(r.models[v].Raw)
		c := &schemas.Checkpoint{
			Header: schemas.Header{Run: "run", Sender: "aggregator"}, Version: v, Model: parent,
			Applied: uint64(len(r.log)), AppliedTime: int64(len(r.log)), Chain: chain, Final: v == 3,
		}
		r.checkpoints = append(r.checkpoints, sealed(t, c, "aggregator", state+2))
		state += 2
	}
	version(0)
	for i := range uint64(6) {
		id := []string{"anna", "bert"}[i%2]
		u := &schemas.Update{
			Header: schemas.Header{Run: "run", Sender: id}, K: i/2 + 1, Base: i / 2,
			Sum: schemas.NewLattice(1, 2, 1./65536, []int32{int32(i), -7}), Mechanism: schemas.Mechanism{Noise: "none", Rate: 1},
		}
		m := sealed(t, u, id, i+1)
		if i == 3 {
			m.Raw = []byte("no message")
			m.Body, m.Err = schemas.Open(m.Raw)
		}
		r.log = append(r.log, m)
		chain = schemas.Chain(chain, schemas.Digest(m.Raw))
		if i%2 == 1 {
			version(i/2 + 1)
		}
	}
	return r
}

func sealed(t testing.TB, b schemas.Body, signer string, seq uint64) schemas.Message {
	t.Helper()
	key, _ := testKey(t, signer)
	raw, err := schemas.Seal(b, key)
	if err != nil {
		t.Fatal(err)
	}
	return schemas.Message{Body: b, Raw: raw, Subject: schemas.Subject(b), Seq: seq, Time: time.Unix(1_700_000_000, int64(seq)).UTC()}
}

// messages returns the run in the order of a file.
func (r *testRun) messages(t testing.TB) []schemas.Message {
	t.Helper()
	all := []schemas.Message{r.plan}
	for m, err := range logfile.Interleave(each(r.log, nil), each(r.models, nil), each(r.checkpoints, nil)) {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, m)
	}
	return all
}

func each(messages []schemas.Message, end error) iter.Seq2[schemas.Message, error] {
	return func(yield func(schemas.Message, error) bool) {
		for _, m := range messages {
			if !yield(m, nil) {
				return
			}
		}
		if end != nil {
			yield(schemas.Message{}, end)
		}
	}
}

func write(t testing.TB, messages []schemas.Message) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := logfile.NewWriter(&b)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range messages {
		if err := w.Write(m); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// read returns the messages before the end, which is nil for a whole file.
func read(file []byte) ([]schemas.Message, error) {
	r, err := logfile.NewReader(bytes.NewReader(file))
	if err != nil {
		return nil, err
	}
	var messages []schemas.Message
	for {
		m, err := r.NextSealed()
		if err == io.EOF {
			return messages, nil
		}
		if err != nil {
			return messages, err
		}
		messages = append(messages, m)
	}
}

// list renders messages one a line.
func list(messages []schemas.Message) string {
	var b strings.Builder
	for _, m := range messages {
		fmt.Fprintf(&b, "%d %s %s %x\n", m.Seq, m.Time.Format(time.RFC3339Nano), m.Subject, schemas.Digest(m.Raw))
	}
	return b.String()
}
