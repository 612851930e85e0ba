package enroll

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"

	"dpfpl/broker"
	"dpfpl/broker/brokertest"
	"dpfpl/schemas"
)

// world is a server configured by an authority, with a run on it.
type world struct {
	*testing.T
	authority *Authority
	server    *brokertest.Server
	creds     map[string][]byte
	plan      *schemas.Plan
	admin     *broker.Conn // the operator's
}

func newWorld(t *testing.T, run string) *world {
	t.Helper()
	w := &world{T: t, creds: map[string][]byte{}}
	var err error
	if w.authority, err = New(run); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{System, Operator, Aggregator, Monitor, "mallory", "victor"} {
		if w.creds[name], err = w.authority.Issue(name); err != nil {
			t.Fatal(err)
		}
	}
	w.serve()
	w.admin = w.connect(Operator)
	w.plan = w.provision("demo")
	return w
}

// serve starts a server with the authority's present configuration.
func (w *world) serve() {
	w.Helper()
	accounts, err := w.authority.Accounts()
	if err != nil {
		w.Fatal(err)
	}
	if w.server, err = brokertest.Start(brokertest.Options{Config: accounts, Listen: "127.0.0.1:0"}); err != nil {
		w.Fatal(err)
	}
	w.Cleanup(func() { w.server.Close() }) //nolint:errcheck // a temporary folder
}

// provision makes the streams of a run and publishes its plan.
func (w *world) provision(run string) *schemas.Plan {
	w.Helper()
	plan := &schemas.Plan{
		Header:   schemas.Header{Version: schemas.Version, Run: run, Sender: "operator"},
		Method:   schemas.MethodPlan{Name: "promptfl", Mode: "corrected", Rate: 0.1},
		Prompt:   schemas.PromptPlan{Context: 2, Width: 3, Init: "random", Std: 0.02},
		Rule:     schemas.RulePlan{Name: "fedasync"},
		Server:   schemas.ServerPlan{Rate: 1},
		Privacy:  schemas.PrivacyPlan{Noise: "client", Adjacency: "zero-out", Epsilon: 4, Delta: 1e-5, Rate: 0.1, Batch: 8, ClipG: 1, ZG: 1},
		Classes:  []string{"cat", "dog"},
		Backbone: strings.Repeat("0", 64),
		Versions: 5, Updates: 5,
		Members:    w.authority.Members(),
		Aggregator: w.authority.Public(Aggregator), Operator: w.authority.Public(Operator),
	}
	system := w.connect(System)
	err := w.admin.Provision(w.Context(), plan, broker.StreamOptions{System: system})
	if err == nil || !strings.Contains(err.Error(), "sync always") {
		w.Errorf("the system account tells that this server does not sync always: %v", err)
	}
	if err := w.admin.Provision(w.Context(), plan, broker.StreamOptions{AllowLax: true}); err != nil {
		w.Fatal(err)
	}
	raw, err := schemas.Seal(plan, w.key(Operator))
	if err != nil {
		w.Fatal(err)
	}
	if err := w.admin.PublishPlan(w.Context(), raw); err != nil {
		w.Fatal(err)
	}
	return plan
}

func (w *world) key(name string) nkeys.KeyPair {
	w.Helper()
	key, err := nkeys.ParseDecoratedNKey(w.creds[name])
	if err != nil {
		w.Fatal(err)
	}
	return key
}

// dial connects as whom the credentials are of.
func (w *world) dial(name string) (*broker.Conn, error) {
	w.Helper()
	path := filepath.Join(w.TempDir(), name+".creds")
	if err := os.WriteFile(path, w.creds[name], 0o600); err != nil {
		w.Fatal(err)
	}
	o := broker.Options{URL: w.server.URL(), Creds: path}
	if account, _ := w.authority.placeOf(name); account == w.authority.clients {
		o = broker.ClientOptions(o, name, w.key(name))
	}
	if name == Monitor {
		o = broker.MonitorOptions(o)
	}
	return broker.Connect(w.Context(), o)
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// seen is what a watcher has been shown: subjects, and who stands by.
type seen struct {
	*world
	said chan string
	so   map[string]bool // far
}

// Step takes note of a message.
func (s seen) Step(_ time.Time, m schemas.Message) ([]schemas.Message, error) {
	words := []string{m.Subject}
	if b, ok := m.Body.(*schemas.Sight); ok {
		words = []string{"sight"}
		for _, name := range b.Standby {
			words = append(words, "standby "+name)
		}
		for _, name := range b.Unread {
			words = append(words, "unread "+name)
		}
	}
	for _, word := range words {
		select {
		case s.said <- word:
		case <-s.Context().Done():
		}
	}
	return nil, nil
}

// watch watches a run over a connection. It returns when the watch has looked around once.
func (w *world) watch(c *broker.Conn, run string) seen {
	w.Helper()
	s := seen{w, make(chan string), map[string]bool{}}
	go broker.Watch(w.Context(), c, run, s, broker.WatchOptions{Every: 20 * time.Millisecond}) //nolint:errcheck // ends with the test
	s.until("sight")
	return s
}

// until waits until all of these were seen, and fails if something could not be read.
func (s seen) until(words ...string) {
	s.Helper()
	late := time.After(time.Minute)
	missing := func(word string) bool { return !s.so[word] }
	for slices.ContainsFunc(words, missing) {
		select {
		case word := <-s.said:
			s.so[word] = true
			if strings.HasPrefix(word, "unread ") && word != "unread lease" { // there is none yet
				s.Fatal(word)
			}
		case <-late:
			s.Fatalf("never seen: %v", slices.DeleteFunc(slices.Clone(words), func(word string) bool { return s.so[word] }))
		}
	}
}

func (w *world) connect(name string) *broker.Conn {
	w.Helper()
	c, err := w.dial(name)
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(c.Close)
	return c
}

// connectAs connects somebody whom an account has let in without permissions of his own: he may do whatever it can.
func (w *world) connectAs(name string, account nkeys.KeyPair) *broker.Conn {
	w.Helper()
	user, err := nkeys.CreateUser()
	w.must(err)
	seed, err := user.Seed()
	w.must(err)
	claims := jwt.NewUserClaims(publicKey(user))
	claims.Name = name
	token, err := claims.Encode(account)
	w.must(err)
	w.creds[name], err = jwt.FormatUserConfig(token, seed)
	w.must(err)
	path := filepath.Join(w.TempDir(), name+".creds")
	w.must(os.WriteFile(path, w.creds[name], 0o600))
	c, err := broker.Connect(w.Context(), broker.Options{URL: w.server.URL(), Creds: path})
	w.must(err)
	w.Cleanup(c.Close)
	return c
}

// ask sends a request and returns the reply, which must come, or the error as text.
func (w *world) ask(c *broker.Conn, subject, body string) string {
	w.Helper()
	return w.wait(time.Minute, c, subject, "", body)
}

// try is ask for what must be refused: to that there is no answer, for which it does not wait long.
func (w *world) try(c *broker.Conn, subject, reply, body string) string {
	w.Helper()
	return w.wait(time.Second, c, subject, reply, body)
}

func (w *world) wait(timeout time.Duration, c *broker.Conn, subject, reply, body string) string {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.Context(), timeout)
	defer cancel()
	m := &nats.Msg{Subject: subject, Reply: reply, Data: []byte(body)}
	if reply != "" {
		if err := c.NATS().PublishMsg(m); err != nil {
			return err.Error()
		}
		return ""
	}
	answer, err := c.NATS().RequestMsgWithContext(ctx, m)
	if err != nil {
		return err.Error()
	}
	return string(answer.Data)
}

// all runs every function at the same time, since what is refused answers late or never.
func all(functions ...func()) {
	var wg sync.WaitGroup
	for _, f := range functions {
		wg.Go(f)
	}
	wg.Wait()
}

// log returns what is stored, by subject.
func (w *world) log(run string) map[string]string {
	w.Helper()
	stored := map[string]string{}
	for m, err := range w.admin.ReadLog(w.Context(), run, 1) {
		if err != nil {
			w.Fatal(err)
		}
		stored[m.Subject] = string(m.Raw)
	}
	return stored
}

// config returns the configuration of a stream as the server has it.
func (w *world) config(stream string) jetstream.StreamConfig {
	w.Helper()
	js, err := jetstream.New(w.admin.NATS())
	if err != nil {
		w.Fatal(err)
	}
	s, err := js.Stream(w.Context(), stream)
	if err != nil {
		w.Fatal(err)
	}
	return s.CachedInfo().Config
}

// closer is the smallest folder: every message of the log makes a version, until the last.
type closer struct {
	key  nkeys.KeyPair
	plan *schemas.Plan
	cp   schemas.Checkpoint
}

func (c *closer) Restore(_ time.Time, checkpoint, _ schemas.Message) ([]schemas.Message, error) {
	if checkpoint.Body != nil {
		c.cp = *checkpoint.Body.(*schemas.Checkpoint)
		return nil, nil
	}
	c.cp = schemas.Checkpoint{Header: schemas.Header{Version: schemas.Version, Run: c.plan.Run, Sender: Aggregator}}
	return c.version()
}

func (c *closer) Step(_ time.Time, m schemas.Message) ([]schemas.Message, error) {
	if m.Seq == 0 {
		return nil, nil
	}
	c.cp.Version++
	c.cp.Applied, c.cp.AppliedTime, c.cp.Chain = m.Seq, m.Time.UnixNano(), schemas.Chain(c.cp.Chain, schemas.Digest(m.Raw))
	return c.version()
}

func (c *closer) version() ([]schemas.Message, error) {
	model := &schemas.Model{
		Header: c.cp.Header, Version: c.cp.Version, Parent: c.cp.Model, Applied: c.cp.Applied,
		Params: schemas.NewParams(int(c.plan.Prompt.Context), int(c.plan.Prompt.Width), make([]float32, 6)),
		Final:  c.cp.Version == uint64(c.plan.Versions),
	}
	raw, err := schemas.Seal(model, c.key)
	if err != nil {
		return nil, err
	}
	c.cp.Model, c.cp.Final = schemas.Digest(raw), model.Final
	cp := c.cp
	return []schemas.Message{{Body: model, Raw: raw}, {Body: &cp}}, nil
}

// again returns an authority as a file gives it back.
func again(t testing.TB, a *Authority) *Authority {
	t.Helper()
	b, err := json.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	var read Authority
	if err := json.Unmarshal(b, &read); err != nil {
		t.Fatal(err)
	}
	return &read
}
