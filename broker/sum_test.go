package broker_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nkeys"

	"dpfpl/broker"
	"dpfpl/broker/brokertest"
	"dpfpl/schemas"
)

// seedKey makes a user key, the same for the same name in every run.
func seedKey(name string) (nkeys.KeyPair, string) {
	seed := sha256.Sum256([]byte(name))
	key, err := nkeys.FromRawSeed(nkeys.PrefixByteUser, seed[:])
	if err != nil {
		panic(err)
	}
	public, err := key.PublicKey()
	if err != nil {
		panic(err)
	}
	return key, public
}

func clientID(i int) string { return fmt.Sprintf("client-%05d", i) }

// newPlan makes a plan for so many clients, versions and updates per client.
func newPlan(clients int, versions, updates uint32) *schemas.Plan {
	_, operator := seedKey("operator")
	_, aggregator := seedKey("aggregator")
	p := &schemas.Plan{
		Header:  schemas.Header{Version: schemas.Version, Run: "test", Sender: "operator"},
		Method:  schemas.MethodPlan{Name: "promptfl", Mode: "corrected", Rate: 1},
		Prompt:  schemas.PromptPlan{Context: 1, Width: 1, Init: "random", Std: 1},
		Rule:    schemas.RulePlan{Name: "fedasync"},
		Server:  schemas.ServerPlan{Rate: 1},
		Privacy: schemas.PrivacyPlan{Noise: "none", Rate: 1, Batch: 1, ClipG: 1},
		Classes: []string{"cat", "dog"}, Backbone: fmt.Sprintf("%064x", 1),
		Versions: versions, Updates: updates,
		Aggregator: aggregator, Operator: operator,
	}
	for i := range clients {
		_, public := seedKey(clientID(i))
		p.Members = append(p.Members, schemas.Member{ID: clientID(i), Key: public})
	}
	return p
}

// summer is the smallest Folder: a version is the running sum after every so many updates. A control message that
// stops the run makes the last one.
type summer struct {
	plan  *schemas.Plan
	key   nkeys.KeyPair
	every int

	mu    sync.Mutex // for readers outside the loop
	total int64
	model schemas.Model
	last  [32]byte // digest of the newest model
	cp    schemas.Checkpoint
	buf   []schemas.Folded
	lastK map[string]uint64

	restores, repeats int
}

func newSummer(plan *schemas.Plan, every int) *summer {
	key, _ := seedKey("aggregator")
	return &summer{plan: plan, key: key, every: every}
}

func (s *summer) head() schemas.Header {
	return schemas.Header{Version: schemas.Version, Run: s.plan.Run, Sender: "aggregator"}
}

func (s *summer) Restore(_ time.Time, checkpoint, model schemas.Message) ([]schemas.Message, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.restores++
	s.buf, s.lastK, s.total = nil, map[string]uint64{}, 0
	if checkpoint.Body == nil {
		s.cp = schemas.Checkpoint{Header: s.head()}
		s.model = schemas.Model{Header: s.head(), Params: schemas.NewParams(1, 1, []float32{0})}
		return s.seal()
	}
	s.cp = *checkpoint.Body.(*schemas.Checkpoint)
	s.model = *model.Body.(*schemas.Model)
	if s.last = schemas.Digest(model.Raw); s.last != s.cp.Model {
		return nil, fmt.Errorf("checkpoint of version %d goes with another model", s.cp.Version)
	}
	s.total = int64(binary.LittleEndian.Uint64(s.cp.Velocity))
	for _, m := range s.cp.Members {
		s.lastK[m.ID] = m.LastK
	}
	return nil, nil
}

func (s *summer) Step(_ time.Time, m schemas.Message) ([]schemas.Message, error) {
	if m.Seq == 0 {
		return nil, nil
	}
	return s.take(m, schemas.Digest(m.Raw))
}

// take is Step of a log message with its digest.
func (s *summer) take(m schemas.Message, digest [32]byte) ([]schemas.Message, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cp.Applied, s.cp.AppliedTime = m.Seq, m.Time.UnixNano()
	s.cp.Chain = schemas.Chain(s.cp.Chain, digest)
	if stop, ok := m.Body.(*schemas.Control); ok && stop.Event == schemas.EventStop {
		return s.version(m.Seq, true)
	}
	u, ok := m.Body.(*schemas.Update)
	if !ok {
		dead := &schemas.Dead{Header: s.head(), Reason: schemas.ReasonDecode, Detail: fmt.Sprint(m.Err), Subject: m.Subject, Seq: m.Seq, Raw: m.Raw}
		return []schemas.Message{{Body: dead}}, nil
	}
	if u.K <= s.lastK[u.Sender] {
		s.repeats++
		return nil, nil
	}
	s.lastK[u.Sender] = u.K
	s.total += int64(u.Sum.Ints(nil)[0])
	s.buf = append(s.buf, schemas.Folded{Client: u.Sender, K: u.K, Seq: m.Seq, Weight: 65536})
	note := &schemas.Note{Header: s.head(), Client: u.Sender, K: u.K, Seq: m.Seq, Verdict: schemas.VerdictAccepted, Version: s.cp.Version}
	out := []schemas.Message{{Body: note}}
	if len(s.buf) < s.every {
		return out, nil
	}
	sealed, err := s.version(m.Seq, s.cp.Version+1 == uint64(s.plan.Versions))
	return append(out, sealed...), err
}

// version makes the next version of what has come up to a log sequence.
func (s *summer) version(applied uint64, final bool) ([]schemas.Message, error) {
	s.cp.Version++
	s.model = schemas.Model{
		Header: s.head(), Version: s.cp.Version, Parent: s.last, Params: schemas.NewParams(1, 1, []float32{float32(s.total)}),
		Folded: s.buf, Applied: applied, Final: final,
	}
	s.buf = nil
	return s.seal()
}

// seal makes the two messages of a version.
func (s *summer) seal() ([]schemas.Message, error) {
	model := s.model
	raw, err := schemas.Seal(&model, s.key)
	if err != nil {
		return nil, err
	}
	s.last = schemas.Digest(raw)
	s.cp.Model, s.cp.Final = s.last, model.Final
	s.cp.Velocity = binary.LittleEndian.AppendUint64(nil, uint64(s.total))
	s.cp.Members = nil
	for _, m := range s.plan.Members {
		s.cp.Members = append(s.cp.Members, schemas.MemberRecord{ID: m.ID, LastK: s.lastK[m.ID]})
	}
	cp := s.cp
	return []schemas.Message{{Body: &model, Raw: raw}, {Body: &cp}}, nil
}

// disk is what a worker has stored: it outlives the worker.
type disk struct {
	mu    sync.Mutex
	made  map[uint64][]byte // sealed updates by k
	acked map[uint64]bool
	bases []uint64 // by k-1
}

func newDisk() *disk { return &disk{made: map[uint64][]byte{}, acked: map[uint64]bool{}} }

// worker is the smallest Follower: one update per version, whose bytes differ at every attempt to make it.
type worker struct {
	id     string
	key    nkeys.KeyPair
	plan   *schemas.Plan
	disk   *disk
	most   uint64                                    // updates it dares to make
	salt   int32                                     // what would make an update differ if it were made again
	value  func(base *schemas.Model, k uint64) int32 // nil: of salt and k
	notes  int
	models []uint64
}

func newWorker(plan *schemas.Plan, id string, d *disk) *worker {
	key, _ := seedKey(id)
	return &worker{id: id, key: key, plan: plan, disk: d, most: uint64(plan.Updates), salt: 1}
}

func (w *worker) Step(_ time.Time, m schemas.Message) ([]schemas.Message, error) {
	switch body := m.Body.(type) {
	case *schemas.Note:
		w.notes++
	case *schemas.Model:
		w.models = append(w.models, body.Version)
		return w.train(body)
	}
	return nil, nil
}

func (w *worker) train(model *schemas.Model) ([]schemas.Message, error) {
	w.disk.mu.Lock()
	defer w.disk.mu.Unlock()
	k := uint64(len(w.disk.made)) + 1
	if k > w.most || model.Final || k > 1 && w.disk.bases[k-2] >= model.Version {
		return nil, nil
	}
	value := w.salt*1000 + int32(k)
	if w.value != nil {
		value = w.value(model, k)
	}
	u := &schemas.Update{
		Header: schemas.Header{Version: schemas.Version, Run: w.plan.Run, Sender: w.id}, K: k, Base: model.Version,
		Sum: schemas.NewLattice(1, 1, 1, []int32{value}), Mechanism: schemas.Mechanism{Noise: "none"},
	}
	raw, err := schemas.Seal(u, w.key)
	if err != nil {
		return nil, err
	}
	w.disk.made[k], w.disk.bases = raw, append(w.disk.bases, model.Version)
	return []schemas.Message{{Body: u, Raw: raw}}, nil
}

func (w *worker) Pending() []schemas.Message {
	w.disk.mu.Lock()
	defer w.disk.mu.Unlock()
	var out []schemas.Message
	for k := uint64(1); k <= uint64(len(w.disk.made)); k++ {
		if raw := w.disk.made[k]; !w.disk.acked[k] {
			body, err := schemas.Open(raw)
			if err != nil {
				panic(err)
			}
			out = append(out, schemas.Message{Body: body, Raw: raw})
		}
	}
	return out
}

func (w *worker) Acked(k uint64) error {
	w.disk.mu.Lock()
	defer w.disk.mu.Unlock()
	w.disk.acked[k] = true
	return nil
}

func (w *worker) Presence() *schemas.Presence {
	return &schemas.Presence{Modality: "image", Software: "test"}
}

// setUp starts a server with a provisioned run and returns a connection to it. On an error both are closed again.
func setUp(ctx context.Context, plan *schemas.Plan, o brokertest.Options) (*brokertest.Server, *broker.Conn, error) {
	return setUpStreams(ctx, plan, o, broker.StreamOptions{AllowLax: true})
}

// virtually runs f in virtual time, with a server that holds the plan's run and the operator's connection to it.
func virtually(t *testing.T, plan *schemas.Plan, o brokertest.Options, f func(ctx context.Context, s *brokertest.Server, c *broker.Conn) error) {
	t.Helper()
	err := brokertest.VirtualTime(func(ctx context.Context) error {
		s, c, err := setUp(ctx, plan, o)
		if err != nil {
			return err
		}
		defer s.Close()
		defer c.Close()
		return f(ctx, s, c)
	})
	if err != nil {
		t.Fatal(err)
	}
}

func setUpStreams(ctx context.Context, plan *schemas.Plan, o brokertest.Options, so broker.StreamOptions) (*brokertest.Server, *broker.Conn, error) {
	s, err := brokertest.Start(o)
	if err != nil {
		return nil, nil, err
	}
	c, err := s.Connect(ctx, broker.Options{Name: "operator"})
	if err != nil {
		return nil, nil, errors.Join(err, s.Close())
	}
	if err := provision(ctx, c, plan, so); err != nil {
		c.Close()
		return nil, nil, errors.Join(err, s.Close())
	}
	return s, c, nil
}

// provision makes the run's streams and publishes its plan.
func provision(ctx context.Context, c *broker.Conn, plan *schemas.Plan, so broker.StreamOptions) error {
	if err := c.Provision(ctx, plan, so); err != nil {
		return err
	}
	key, _ := seedKey("operator")
	raw, err := schemas.Seal(plan, key)
	if err != nil {
		return err
	}
	return c.PublishPlan(ctx, raw)
}

// checkRun holds what is stored against a sequential fold of the log: every model and checkpoint, to the
// byte. It returns the log.
func checkRun(ctx context.Context, t testing.TB, c *broker.Conn, plan *schemas.Plan, every int) []schemas.Message {
	t.Helper()
	var log []schemas.Message
	for m, err := range c.ReadLog(ctx, plan.Run, 1) {
		if err != nil {
			t.Fatal(err)
		}
		log = append(log, m)
	}
	ref := newSummer(plan, every)
	out, err := ref.Restore(time.Time{}, schemas.Message{}, schemas.Message{})
	if err != nil {
		t.Fatal(err)
	}
	var models, checkpoints [][]byte
	keep := func(out []schemas.Message) {
		for _, m := range out {
			switch m.Body.(type) {
			case *schemas.Model:
				models = append(models, m.Raw)
			case *schemas.Checkpoint:
				raw, err := schemas.Seal(m.Body, ref.key)
				if err != nil {
					t.Fatal(err)
				}
				checkpoints = append(checkpoints, raw)
			}
		}
	}
	keep(out)
	for _, m := range log {
		if ref.cp.Final {
			break
		}
		out, err := ref.Step(time.Time{}, m)
		if err != nil {
			t.Fatal(err)
		}
		keep(out)
	}
	if ref.repeats > 0 {
		t.Errorf("the log holds %d repeated updates", ref.repeats)
	}
	i := 0
	for m, err := range c.ReadModels(ctx, plan.Run) {
		if err != nil {
			t.Fatal(err)
		}
		if i >= len(models) || !bytes.Equal(m.Raw, models[i]) {
			t.Fatalf("stored model %d of %d is not what the log folds to", i, len(models))
		}
		i++
	}
	if i == 0 {
		t.Error("no model is stored")
	}
	j := 0
	for m, err := range c.ReadCheckpoints(ctx, plan.Run) {
		if err != nil {
			t.Fatal(err)
		}
		if j >= len(checkpoints) || !bytes.Equal(m.Raw, checkpoints[j]) {
			t.Fatalf("stored checkpoint %d of %d is not what the log folds to", j, len(checkpoints))
		}
		j++
	}
	if i != j {
		t.Errorf("%d models, %d checkpoints", i, j)
	}
	return log
}
