package enroll

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"dpfpl/broker"
	"dpfpl/schemas"
)

// TestClientMaySayItsOwnAndNoMore tries everything that a client must be able to do, and then what it must not.
func TestClientMaySayItsOwnAndNoMore(t *testing.T) {
	w := newWorld(t, "")
	mallory, victor := w.connect("mallory"), w.connect("victor")
	const base = schemas.Prefix + "demo."

	plan, err := mallory.Plan(t.Context(), "demo")
	if err != nil || schemas.Verify(plan.Raw, w.authority.Public(Operator)) != nil {
		t.Errorf("the plan: %v", err)
	}
	if _, ok, err := mallory.Model(t.Context(), "demo"); ok || err != nil {
		t.Errorf("no model yet: %v, %v", ok, err)
	}
	if reply := w.ask(mallory, base+"update.mallory.1", "mine"); !strings.Contains(reply, `"seq"`) {
		t.Errorf("own update: %s", reply)
	}
	if reply := w.ask(mallory, "dpfpl.api.DIRECT.GET.DPFPL_LOG_demo."+base+"update.mallory.1", ""); reply != "mine" {
		t.Errorf("what is stored of its own: %s", reply)
	}
	if reply := w.ask(victor, base+"update.victor.1", "theirs"); !strings.Contains(reply, `"seq"`) {
		t.Errorf("another's update: %s", reply)
	}
	if reply := w.ask(w.admin, base+"checkpoint", "secret"); !strings.Contains(reply, `"seq"`) {
		t.Fatal(reply)
	}

	if got := w.succeeding(mallory, "dpfpl.api", clientAttacks, nil); len(got) > 0 {
		t.Errorf("these succeed: %q", got)
	}
	for _, subject := range notForClients {
		if err := subscribe(mallory, subject); !errors.Is(err, nats.ErrPermissionViolation) {
			t.Errorf("subscribe %s: %v", subject, err)
		}
	}
	for subject, body := range w.log("demo") {
		if subject != base+"update.mallory.1" && subject != base+"update.mallory.2" && subject != base+"control.99" && body != "theirs" {
			t.Errorf("in the log: %s %q", subject, body)
		}
	}

	// Without its permissions a client could do some of it, and the rest in the account of the streams.
	free := w.connectAs("free", w.authority.clients)
	permitted := named(clientAttacks, func(a attack) bool { return a.permitted })
	if got := w.succeeding(free, "dpfpl.api", clientAttacks, permitted); !slices.Equal(got, permitted) {
		t.Errorf("without permissions these succeed: %q, want %q: the test above shows nothing of the others", got, permitted)
	}
	for _, subject := range notForClients {
		if err := subscribe(free, subject); err != nil {
			t.Errorf("without permissions: subscribe %s: %v", subject, err)
		}
	}
	w.succeedInside(clientAttacks)
}

// succeedInside carries attacks out in the account of the streams, without permissions, and wants all to succeed.
func (w *world) succeedInside(attacks []attack) {
	w.Helper()
	inside := w.connectAs("inside", w.authority.pipeline)
	every := named(attacks, func(attack) bool { return true })
	if got := w.succeeding(inside, "$JS.API", attacks, every); !slices.Equal(got, every) {
		w.Errorf("in the account of the streams these succeed: %q, want %q: the test above shows nothing of the others", got, every)
	}
}

// attack is what must not be got done. In its subject, {api} stands for the name of the API, which is another in the accounts
// without JetStream.
type attack struct {
	what, subject string
	reply         string // where the server's answer would land
	body          string // of a question to the server; whatever else is said, says what it is
	permitted     bool   // it succeeds once the permissions are gone; the others the account keeps away, too
}

// named lists those attacks, in alphabetical order.
func named(attacks []attack, which func(attack) bool) (names []string) {
	for _, a := range attacks {
		if which(a) {
			names = append(names, a.what)
		}
	}
	slices.Sort(names)
	return names
}

// clientAttacks are what a client must not get done. The last leaves the others nothing to attack.
var clientAttacks = []attack{
	{what: "a broadcast", subject: "dpfpl.v1.demo.pub.model", permitted: true},
	{what: "a control message", subject: "dpfpl.v1.demo.control.1"},
	{what: "a dead letter", subject: "dpfpl.v1.demo.dead.decode"},
	{what: "a model", subject: "dpfpl.v1.demo.model"},
	{what: "a note", subject: "dpfpl.v1.demo.note.victor", permitted: true},
	{what: "an update whose acknowledgement would be another's update", subject: "dpfpl.v1.demo.update.mallory.2", reply: "dpfpl.v1.demo.update.victor.2"},
	{what: "another read", subject: "{api}.DIRECT.GET.DPFPL_STATE_demo.dpfpl.v1.demo.checkpoint"},
	{what: "another's presence", subject: "dpfpl.v1.demo.presence.victor", permitted: true},
	{what: "another's update", subject: "dpfpl.v1.demo.update.victor.3", permitted: true},
	{what: "another's update, by reading it", subject: "{api}.DIRECT.GET.DPFPL_LOG_demo.dpfpl.v1.demo.update.victor.1", permitted: true},
	{what: "the JetStream API", subject: "$JS.API.STREAM.NAMES"},
	{what: "the deletion of the log", subject: "$JS.API.STREAM.DELETE.DPFPL_LOG_demo"},
}

// succeeding lists the attacks that an attacker gets done, in alphabetical order. For those expected it waits, one after the
// other, as long as it takes; what is refused is not answered.
func (w *world) succeeding(attacker *broker.Conn, api string, attacks []attack, expected []string) (done []string) {
	w.Helper()
	const base = schemas.Prefix + "demo."
	victor := w.connect("victor").NATS()
	heard := make(chan *nats.Msg, 1024)
	for c, subjects := range map[*nats.Conn][]string{w.admin.NATS(): {base + ">"}, victor: {base + "note.victor", base + "pub.*"}} {
		for _, subject := range subjects {
			sub, err := c.ChanSubscribe(subject, heard)
			w.must(err)
			defer sub.Unsubscribe() //nolint:errcheck // it ends with the test at the latest
		}
		w.must(c.Flush())
	}
	var mu sync.Mutex
	succeeds := func(what string) {
		mu.Lock()
		defer mu.Unlock()
		if !slices.Contains(done, what) {
			done = append(done, what)
		}
	}
	var answered, refused []func()
	for _, a := range attacks {
		subject := strings.Replace(a.subject, "{api}", api, 1)
		if body := cmp.Or(a.body, a.what); a.reply != "" || strings.HasPrefix(subject, schemas.Prefix) {
			w.must(attacker.NATS().PublishMsg(&nats.Msg{Subject: subject, Reply: a.reply, Data: []byte(body)}))
			continue
		}
		patience, calls := time.Second, &refused
		if slices.Contains(expected, a.what) {
			patience, calls = time.Minute, &answered
		}
		*calls = append(*calls, func() {
			reply := w.wait(patience, attacker, subject, "", a.body)
			if strings.HasPrefix(reply, "{") && !strings.Contains(reply, `"error"`) || reply == "theirs" || reply == "secret" {
				succeeds(a.what)
			}
		})
	}
	w.must(attacker.NATS().Flush())
	if reply := w.ask(w.admin, base+"control.99", "all that was stored before has been acknowledged"); !strings.Contains(reply, `"seq"`) {
		w.Fatal(reply)
	}
	all(refused...)
	for _, call := range answered {
		call()
	}
	w.must(errors.Join(w.admin.NATS().Flush(), victor.Flush()))
	hear := func(m *nats.Msg) {
		for _, a := range attacks {
			if a.reply == "" && string(m.Data) == a.what || a.reply != "" && m.Subject == a.reply {
				succeeds(a.what)
			}
		}
	}
	late := time.After(time.Minute)
	missing := func(what string) bool { return !slices.Contains(done, what) }
	for slices.ContainsFunc(expected, missing) {
		select {
		case m := <-heard:
			hear(m)
		case <-late:
			w.Fatalf("only these succeed: %q", done)
		}
	}
	for len(heard) > 0 {
		hear(<-heard)
	}
	slices.Sort(done)
	return done
}

// notForClients are subjects that a client must not hear.
var notForClients = []string{schemas.Prefix + "demo.note.victor", "_INBOX_victor.>", schemas.Prefix + "demo.update.>", schemas.Prefix + "demo.model", "$JS.>", ">"}

// subscribe returns what the server says to a subscription.
func subscribe(c *broker.Conn, subject string) error {
	sub, err := c.NATS().SubscribeSync(subject)
	if err == nil {
		err = c.NATS().Flush()
	}
	if err == nil {
		_, err = sub.NextMsg(1)
	}
	if errors.Is(err, nats.ErrTimeout) {
		return nil // nothing was said
	}
	return err
}

// onStreams are calls that make, change or destroy a stream of a run, each of which a server carries out for whoever
// is allowed to make it. The last destroys all.
func onStreams(run string) []struct{ call, body string } {
	state := "DPFPL_STATE_" + run
	return []struct{ call, body string }{
		{"CREATE.CATCH_ALL", `{"name":"CATCH_ALL","subjects":["elsewhere.>"],"retention":"limits","discard":"old","storage":"file","num_replicas":1}`},
		{"UPDATE." + state, expiring(run)},
		{"SNAPSHOT." + state, `{"deliver_subject":"elsewhere","no_consumers":true}`},
		{"PURGE.DPFPL_DEAD_" + run, ""},
		{"DELETE." + state, ""},
	}
}

// expiring is the configuration of a run's state in which every version expires after a second.
func expiring(run string) string {
	return fmt.Sprintf(`{"name":"DPFPL_STATE_%[1]s","subjects":["dpfpl.v1.%[1]s.plan","dpfpl.v1.%[1]s.model","dpfpl.v1.%[1]s.checkpoint"],`+
		`"retention":"limits","discard":"old","storage":"file","num_replicas":1,"allow_atomic":true,"allow_direct":true,`+
		`"deny_delete":true,"deny_purge":true,"max_age":1000000000}`, run)
}

// TestAggregatorCannotMakeOrDestroyARun: it reads streams and stores its own messages, and no more. That the operator
// may do the same shows that it is the permissions that stop it.
func TestAggregatorCannotMakeOrDestroyARun(t *testing.T) {
	w := newWorld(t, "")
	aggregator := w.connect(Aggregator)
	const base = schemas.Prefix + "demo."
	if reply := w.ask(aggregator, base+"control.1", "a control message"); !strings.Contains(reply, `"seq"`) {
		t.Errorf("its own: %s", reply)
	}
	state := w.config("DPFPL_STATE_demo")
	var attacks []func()
	refuse := func(subject, body string) {
		attacks = append(attacks, func() {
			if reply := w.try(aggregator, subject, "", body); strings.HasPrefix(reply, "{") {
				t.Errorf("%s: %s", subject, reply)
			}
		})
	}
	for _, subject := range []string{
		base + "plan", base + "update.victor.1", base + "presence.victor", base + "pub.model",
		"$JS.API.STREAM.MSG.DELETE.DPFPL_LEASE_demo", "$JS.API.STREAM.LEADER.STEPDOWN.DPFPL_LOG_demo", "$JS.API.STREAM.PEER.REMOVE.DPFPL_LOG_demo",
		"$JS.API.STREAM.RESTORE.DPFPL_LOG_other", "$JS.API.ACCOUNT.PURGE.PIPELINE", "$SYS.REQ.SERVER.PING",
	} {
		refuse(subject, "")
	}
	for _, c := range onStreams("demo") {
		refuse("$JS.API.STREAM."+c.call, c.body)
	}
	all(attacks...)
	if got := w.log("demo"); len(got) != 1 {
		t.Errorf("in the log: %v", got)
	}
	if got := w.config("DPFPL_STATE_demo"); !reflect.DeepEqual(got, state) {
		t.Errorf("the stream is now %+v", got)
	}
	for _, c := range onStreams("demo") {
		if reply := w.ask(w.admin, "$JS.API.STREAM."+c.call, c.body); !strings.HasPrefix(reply, "{") || strings.Contains(reply, `"error"`) {
			t.Errorf("nobody may do this, so the test above shows nothing: %s: %s", c.call, reply)
		}
	}
}

// TestAggregatorFolds: what it may do is enough to lead, to stand by and to end a run, and for no other run.
func TestAggregatorFolds(t *testing.T) {
	for _, confined := range []string{"", "demo"} {
		w := newWorld(t, confined)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
		defer cancel()
		key := w.key(Aggregator)
		for range w.plan.Versions {
			if reply := w.ask(w.admin, schemas.Prefix+"demo.control."+fmt.Sprint(len(w.log("demo"))+1), "next version"); !strings.Contains(reply, `"seq"`) {
				t.Fatal(reply)
			}
		}
		led := make(chan string, 2)
		var wg sync.WaitGroup
		for _, holder := range []string{"one", "two"} {
			conn := w.connect(Aggregator)
			wg.Go(func() {
				err := broker.Fold(ctx, conn, "demo", key, &closer{key: key, plan: w.plan}, broker.FoldOptions{
					Holder: holder, Lease: 20 * time.Second, Events: []broker.FoldEvents{{OnLead: func() { led <- holder }}},
				})
				if err != nil {
					t.Errorf("%s: %v", holder, err)
				}
			})
		}
		wg.Wait()
		if len(led) != 1 {
			t.Errorf("%d led", len(led))
		}
		if m, ok, err := w.connect("victor").Model(ctx, "demo"); !ok || err != nil || !m.Body.(*schemas.Model).Final {
			t.Errorf("no final model: %v", err)
		}
		if confined == "" {
			continue
		}
		w.provision("other")
		conn := w.connect(Aggregator)
		short, stop := context.WithTimeout(ctx, 3*time.Second)
		defer stop()
		if err := broker.Fold(short, conn, "other", key, &closer{key: key, plan: w.plan}, broker.FoldOptions{Holder: "one", Events: []broker.FoldEvents{{OnLead: func() { t.Error("leads another run") }}}}); err == nil {
			t.Error("folds another run")
		}
	}
}

// TestMonitorReadsAndNoMore: a monitor sees all that is stored and said, and can neither say nor change anything, nor
// have the server say it: replies and consumers are what would land on subjects that are stored.
func TestMonitorReadsAndNoMore(t *testing.T) {
	w := newWorld(t, "")
	monitor, mallory := w.connect(Monitor), w.connect("mallory")
	const base = schemas.Prefix + "demo."
	if reply := w.ask(mallory, base+"update.mallory.1", "mine"); !strings.Contains(reply, `"seq"`) {
		t.Fatalf("an update: %s", reply)
	}
	w.must(monitor.NATS().Flush())

	seen := w.watch(monitor, "demo")
	w.must(mallory.NATS().Publish(base+"presence.mallory", []byte("here")))
	w.must(w.admin.NATS().Publish(base+"note.victor", []byte("a note")))
	w.must(w.admin.NATS().Publish(base+"standby", []byte("two")))
	seen.until(base+"update.mallory.1", base+"plan", base+"presence.mallory", base+"note.victor", "standby two")

	if reply := w.ask(w.admin, base+"dead.decode", "a letter"); !strings.Contains(reply, `"seq"`) {
		t.Fatal(reply)
	}
	free := w.connectAs("free", w.authority.monitors) // what the account alone keeps away
	for _, attacker := range []*broker.Conn{monitor, free} {
		for _, attacks := range [][]attack{monitorReplies, monitorAttacks} {
			if got := w.succeeding(attacker, "dpfpl.api", attacks, nil); len(got) > 0 {
				t.Errorf("these succeed: %q", got)
			}
		}
	}
	for _, subject := range notForMonitors {
		if err := subscribe(monitor, subject); !errors.Is(err, nats.ErrPermissionViolation) {
			t.Errorf("subscribe %s: %v", subject, err)
		}
		if err := subscribe(free, subject); err != nil {
			t.Errorf("without permissions: subscribe %s: %v", subject, err)
		}
	}
	if got := w.log("demo"); len(got) != 2 || got[base+"update.mallory.1"] != "mine" || got[base+"control.99"] == "" {
		t.Errorf("the log was changed: %v", got)
	}
	letters := 0
	for m, err := range w.admin.ReadDead(t.Context(), "demo") {
		if letters++; err != nil || string(m.Raw) != "a letter" {
			t.Errorf("a dead letter: %s %q %v", m.Subject, m.Raw, err)
		}
	}
	if letters != 1 {
		t.Errorf("%d dead letters", letters)
	}
	if _, ok, err := w.admin.Model(t.Context(), "demo"); ok || err != nil {
		t.Errorf("a model: %v %v", ok, err)
	}
	w.succeedInside(monitorReplies)
	w.succeedInside(monitorAttacks)
}

// notForMonitors are subjects that a monitor must not hear.
var notForMonitors = []string{schemas.Prefix + "demo.update.>", "_INBOX_victor.>", "_INBOX.>", "$JS.>", ">"}

// monitorReplies are questions that a monitor may ask, but for where the answer would land.
var monitorReplies = []attack{
	{what: "an answer as an update", subject: "{api}.DIRECT.GET.DPFPL_LOG_demo", reply: "dpfpl.v1.demo.update.victor.3", body: `{"seq":1}`},
	{what: "an answer as a control message", subject: "{api}.DIRECT.GET.DPFPL_LOG_demo", reply: "dpfpl.v1.demo.control.7", body: `{"seq":1}`},
	{what: "an answer as a dead letter", subject: "{api}.DIRECT.GET.DPFPL_LOG_demo", reply: "dpfpl.v1.demo.dead.decode", body: `{"seq":1}`},
	{what: "an answer as the lease", subject: "{api}.DIRECT.GET.DPFPL_LOG_demo", reply: "dpfpl.v1.demo.lease", body: `{"seq":1}`},
}

// monitorAttacks are what a monitor must not get done. The last ones leave the others nothing to attack.
var monitorAttacks = []attack{
	{what: "an update", subject: "dpfpl.v1.demo.update.victor.1"},
	{what: "a control message", subject: "dpfpl.v1.demo.control.1"},
	{what: "a plan", subject: "dpfpl.v1.demo.plan"},
	{what: "a model", subject: "dpfpl.v1.demo.model"},
	{what: "a checkpoint", subject: "dpfpl.v1.demo.checkpoint"},
	{what: "a note", subject: "dpfpl.v1.demo.note.victor"},
	{what: "a presence", subject: "dpfpl.v1.demo.presence.victor"},
	{what: "a dead letter", subject: "dpfpl.v1.demo.dead.decode"},
	{what: "the lease", subject: "dpfpl.v1.demo.lease"},
	{what: "a word of a standby", subject: "dpfpl.v1.demo.standby"},
	{what: "a broadcast", subject: "dpfpl.v1.demo.pub.model"},
	{what: "a deleted message", subject: "$JS.API.STREAM.MSG.DELETE.DPFPL_DEAD_demo", body: `{"seq":1}`},
	{what: "an update of a stream", subject: "$JS.API.STREAM.UPDATE.DPFPL_STATE_demo", body: expiring("demo")},
	{what: "a stream", subject: "$JS.API.STREAM.CREATE.MINE", body: `{"name":"MINE","subjects":["x"]}`},
	{what: "a consumer", subject: "$JS.API.CONSUMER.CREATE.DPFPL_STATE_demo", body: consumerInto("dpfpl.v1.demo.update.victor.2")},
	{what: "the same by the name it imports", subject: "{api}.CONSUMER.CREATE.DPFPL_STATE_demo", body: consumerInto("dpfpl.v1.demo.update.victor.4")},
	{what: "a deletion", subject: "$JS.API.STREAM.DELETE.DPFPL_LOG_demo"},
	{what: "a purge", subject: "$JS.API.STREAM.PURGE.DPFPL_DEAD_demo"},
	{what: "a deletion by that name", subject: "{api}.STREAM.DELETE.DPFPL_STATE_demo"},
}

// consumerInto asks for a consumer that has the server say whatever is in a run's state on a subject that is stored.
func consumerInto(subject string) string {
	return `{"stream_name":"DPFPL_STATE_demo","config":{"deliver_subject":"` + subject + `","ack_policy":"none"}}`
}

// TestConfined: who is enrolled for one run sees nothing of another, and can say nothing there. Who is enrolled for all can.
func TestConfined(t *testing.T) {
	for _, run := range []string{"demo", ""} {
		w := newWorld(t, run)
		w.provision("other")
		mallory, monitor := w.connect("mallory"), w.connect(Monitor)
		if _, err := mallory.Plan(t.Context(), "demo"); err != nil {
			t.Error(err)
		}
		if _, err := monitor.Plan(t.Context(), "demo"); err != nil {
			t.Error(err)
		}
		if reply := w.ask(monitor, "dpfpl.api.DIRECT.GET.DPFPL_STATE_demo", `{"seq":1}`); !strings.Contains(reply, "demo") {
			t.Errorf("its own run: %q", reply)
		}
		patience := time.Second // to what one may not ask there is no answer
		if run == "" {
			patience = time.Minute
		}
		all(func() {
			short, stop := context.WithTimeout(t.Context(), patience)
			defer stop()
			if _, err := mallory.Plan(short, "other"); (err == nil) != (run == "") {
				t.Errorf("enrolled for %q, a client reads the plan of another run: %v", run, err)
			}
		}, func() {
			if reply := w.wait(patience, mallory, schemas.Prefix+"other.update.mallory.1", "", "x"); strings.Contains(reply, `"seq"`) != (run == "") {
				t.Errorf("enrolled for %q, a client sends an update to another run: %q", run, reply)
			}
		}, func() {
			reply := w.wait(patience, monitor, "dpfpl.api.DIRECT.GET.DPFPL_STATE_other", "", `{"seq":1}`)
			if (strings.Contains(reply, "other") && !strings.Contains(reply, "nats:")) != (run == "") {
				t.Errorf("enrolled for %q, a monitor reads another run: %q", run, reply)
			}
		})
	}
}

// TestRevokeAndRotate: the old key is refused, the new one is let in, and the others do not notice.
func TestRevokeAndRotate(t *testing.T) {
	w := newWorld(t, "")
	old := w.creds["victor"]
	w.connect("victor").Close() // until then he is let in, and so is mallory
	w.connect("mallory").Close()
	fresh, err := w.authority.Issue("victor")
	if err != nil {
		t.Fatal(err)
	}
	if err := w.authority.Revoke("mallory"); err != nil {
		t.Fatal(err)
	}
	if err := w.authority.Revoke("mallory"); !errors.Is(err, ErrUnknown) {
		t.Errorf("twice: %v", err)
	}
	w.authority = again(t, w.authority)
	w.serve()
	for _, c := range []struct {
		name  string
		creds []byte
		in    bool
	}{{"victor", old, false}, {"victor", fresh, true}, {"mallory", w.creds["mallory"], false}, {Operator, w.creds[Operator], true}} {
		w.creds[c.name] = c.creds
		conn, err := w.dial(c.name)
		if err == nil {
			conn.Close()
		}
		if (err == nil) != c.in || err != nil && !errors.Is(err, nats.ErrAuthorization) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if m := w.authority.Members(); len(m) != 1 || m[0].ID != "victor" || m[0].Key != w.authority.Public("victor") {
		t.Errorf("members %v", m)
	}
	// A client that is added later needs nothing of the server.
	if w.creds["late"], err = w.authority.Issue("late"); err != nil {
		t.Fatal(err)
	}
	w.connect("late")
}

// TestStrangers: credentials of another authority are nothing here.
func TestStrangers(t *testing.T) {
	w := newWorld(t, "")
	w.connect("victor").Close() // with his own he is let in
	other, err := New("")
	if err != nil {
		t.Fatal(err)
	}
	if w.creds["victor"], err = other.Issue("victor"); err != nil {
		t.Fatal(err)
	}
	if _, err := w.dial("victor"); !errors.Is(err, nats.ErrAuthorization) {
		t.Error(err)
	}
}

// TestConfigHoldsNoSecret looks for every seed of the authority in what goes to the server.
func TestConfigHoldsNoSecret(t *testing.T) {
	a, err := New("")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Issue("victor"); err != nil {
		t.Fatal(err)
	}
	config, err := a.Config(Server{Cert: "cert.pem", Key: "key.pem"})
	if err != nil {
		t.Fatal(err)
	}
	file, err := json.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	seeds := 0
	for word := range strings.FieldsFuncSeq(string(file), func(r rune) bool { return r == '"' }) {
		if len(word) == 58 && word[0] == 'S' {
			seeds++
			if strings.Contains(config, word) {
				t.Error("a seed is in the configuration")
			}
		}
	}
	if seeds != 9 {
		t.Errorf("%d seeds seen, want 9", seeds)
	}
	for _, want := range []string{"sync_interval: always", `cert_file: "cert.pem"`, "resolver: MEMORY", a.token} {
		if !strings.Contains(config, want) {
			t.Errorf("%q is missing", want)
		}
	}
}

func TestNames(t *testing.T) {
	if _, err := New("a.b"); !errors.Is(err, ErrName) {
		t.Error(err)
	}
	a, err := New("")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"", "a.b", "*", ">", "a b", strings.Repeat("a", 65)} {
		if _, err := a.Issue(name); !errors.Is(err, ErrName) {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// FuzzAuthority: whatever a file holds, it is an authority that can make a configuration, or ErrFormat.
func FuzzAuthority(f *testing.F) {
	a, err := New("demo")
	if err != nil {
		f.Fatal(err)
	}
	if _, err := a.Issue("victor"); err != nil {
		f.Fatal(err)
	}
	good, err := json.Marshal(a)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte(strings.Replace(string(good), "SO", "SA", 1)))
	f.Add([]byte(`{"format":"dpfpl authority 1","keys":["","","","","","","",""],"users":{},"revoked":{}}`))
	f.Add([]byte(`{"format":"dpfpl authority 2"}`))
	f.Add([]byte(`null`))
	f.Fuzz(func(t *testing.T, b []byte) {
		var a Authority
		if err := a.UnmarshalJSON(b); err != nil {
			if !errors.Is(err, ErrFormat) {
				t.Error(err)
			}
			return
		}
		if _, err := a.Config(Server{}); err != nil {
			t.Error(err)
		}
	})
}
