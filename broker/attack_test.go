package broker_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"dpfpl/broker"
	"dpfpl/broker/brokertest"
	"dpfpl/schemas"
)

// shared is the naive configuration: clients live in the account of the streams, and may publish only
// their own subjects there.
func shared(plan *schemas.Plan) string {
	_, sys := seedKey("sys")
	edge := broker.Accounts(plan, sys)
	var b strings.Builder
	fmt.Fprintf(&b, "accounts {\n  SYS: { users: [ { nkey: %s } ] }\n  DPFPL: { jetstream: enabled, users: [ { nkey: %s }, { nkey: %s }\n", sys, plan.Aggregator, plan.Operator)
	_, users, _ := strings.Cut(edge, "    users: [\n")
	users, _, _ = strings.Cut(users, "    ]\n")
	b.WriteString(strings.ReplaceAll(users, "dpfpl.api", "$JS.API"))
	b.WriteString("  ] }\n}\nsystem_account: SYS\n")
	return b.String()
}

// open is the configuration without permissions: everybody lives in one account and may do everything.
func open(plan *schemas.Plan) string {
	users := []string{plan.Aggregator, plan.Operator}
	for _, m := range plan.Members {
		users = append(users, m.Key)
	}
	return fmt.Sprintf("accounts { DPFPL: { jetstream: enabled, users: [ { nkey: %s } ] } }", strings.Join(users, " }, { nkey: "))
}

// arena is a run with an attacker and a victim, both clients.
type arena struct {
	t        *testing.T
	plan     *schemas.Plan
	admin    *broker.Conn // the operator's connection
	fold     *broker.Conn // the aggregator's
	attacker *broker.Conn
	victim   *broker.Conn

	refused chan string // what the broker told the attacker on the side, as nats.go hands it over
}

func newArena(t *testing.T, isolated bool) *arena {
	t.Helper()
	return newArenaOn(t, isolated, brokertest.Options{})
}

func newArenaOn(t *testing.T, isolated bool, o brokertest.Options) *arena {
	t.Helper()
	a := &arena{t: t, plan: newPlan(2, 3, 5), refused: make(chan string, 64)}
	_, sys := seedKey("sys")
	switch {
	case isolated:
		o.Config = broker.Accounts(a.plan, sys)
	case o.Config == "":
		o.Config = shared(a.plan)
	}
	s, err := brokertest.Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() }) //nolint:errcheck // a temporary folder
	connect := func(o broker.Options) *broker.Conn {
		c, err := s.Connect(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.Close)
		return c
	}
	client := func(i int) *broker.Conn {
		key, _ := seedKey(clientID(i))
		o := broker.ClientOptions(broker.Options{}, clientID(i), key)
		if !isolated {
			o.APIPrefix = ""
		}
		return connect(o)
	}
	operator, _ := seedKey("operator")
	aggregator, _ := seedKey("aggregator")
	a.admin, a.fold = connect(broker.Options{NKey: operator}), connect(broker.Options{NKey: aggregator})
	if err := provision(t.Context(), a.admin, a.plan, broker.StreamOptions{AllowLax: true}); err != nil {
		t.Fatal(err)
	}
	a.attacker, a.victim = client(0), client(1)
	a.attacker.NATS().SetErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
		a.refused <- err.Error()
	})
	return a
}

// ask sends a request as one of the clients and returns the reply, which must come, or the error as text.
func (a *arena) ask(c *broker.Conn, m *nats.Msg) string {
	a.t.Helper()
	ctx, cancel := context.WithTimeout(a.t.Context(), time.Minute)
	defer cancel()
	reply, err := c.NATS().RequestMsgWithContext(ctx, m)
	if err != nil {
		return err.Error()
	}
	return string(reply.Data)
}

// settle waits until the server has processed what c sent, and what followed from it.
func (a *arena) settle(c *broker.Conn) {
	a.t.Helper()
	for _, c := range []*broker.Conn{c, a.admin, c} {
		if err := c.NATS().Flush(); err != nil {
			a.t.Fatal(err)
		}
	}
}

// inLog returns the stored bytes by subject.
func (a *arena) inLog() map[string]string {
	a.t.Helper()
	log := map[string]string{}
	for m, err := range a.admin.ReadLog(a.t.Context(), a.plan.Run, 1) {
		if err != nil {
			a.t.Fatal(err)
		}
		log[m.Subject] = string(m.Raw)
	}
	return log
}

// stored makes sure that a client's update reaches the log with its own bytes.
func (a *arena) stored(c *broker.Conn, client int, k uint64) {
	a.t.Helper()
	subject := schemas.UpdateSubject(a.plan.Run, clientID(client), k)
	reply := a.ask(c, &nats.Msg{Subject: subject, Data: []byte("mine")})
	if !strings.Contains(reply, `"seq"`) || a.inLog()[subject] != "mine" {
		a.t.Errorf("%s: reply %s, stored %q", subject, reply, a.inLog()[subject])
	}
}

// TestReplyInjection: in a shared account the server writes its ack to the reply subject, and takes the
// victim's slot with it. Across accounts the reply stays with the attacker.
func TestReplyInjection(t *testing.T) {
	for _, isolated := range []bool{false, true} {
		a := newArena(t, isolated)
		target := schemas.UpdateSubject(a.plan.Run, clientID(1), 1)
		own := schemas.UpdateSubject(a.plan.Run, clientID(0), 1)
		if err := a.attacker.NATS().PublishRequest(own, target, []byte("attack")); err != nil {
			t.Fatal(err)
		}
		// The ack is sent after the store, by another goroutine of the server: read the log until it shows, or, where
		// it must not, for a while.
		for tries, begun := 0, time.Now(); tries < 40 || !isolated && time.Since(begun) < time.Minute; tries++ {
			if a.settle(a.attacker); a.inLog()[target] != "" {
				break
			}
		}
		if isolated {
			a.stored(a.victim, 1, 1)
			continue
		}
		reply := a.ask(a.victim, &nats.Msg{Subject: target, Data: []byte("mine")})
		if !strings.Contains(reply, "maximum messages per subject") {
			t.Errorf("the attack no longer works in a shared account, so this test shows nothing: %s", reply)
		}
	}
}

// plain makes a stream that allows everything that ours do not, with one message in it.
func (a *arena) plain() jetstream.Stream {
	a.t.Helper()
	js, err := jetstream.New(a.admin.NATS())
	if err != nil {
		a.t.Fatal(err)
	}
	s, err := js.CreateStream(a.t.Context(), jetstream.StreamConfig{
		Name: "PLAIN", Subjects: []string{"plain.*"}, AllowRollup: true, AllowMsgTTL: true, AllowAtomicPublish: true, AllowMsgSchedules: true,
	})
	if err != nil {
		a.t.Fatal(err)
	}
	if _, err := js.Publish(a.t.Context(), "plain.0", []byte("stays")); err != nil {
		a.t.Fatal(err)
	}
	return s
}

// messages returns how many messages a stream holds.
func (a *arena) messages(s jetstream.Stream) uint64 {
	a.t.Helper()
	info, err := s.Info(a.t.Context())
	if err != nil {
		a.t.Fatal(err)
	}
	return info.State.Msgs
}

// TestPurgeByReply: an API subject as reply address must not empty the log. A server that is not strict carries it
// out in a shared account, on a stream that does not deny it; our accounts stop it there, too.
func TestPurgeByReply(t *testing.T) {
	for _, isolated := range []bool{false, true} {
		a := newArenaOn(t, isolated, brokertest.Options{NotStrict: true})
		s := a.plain()
		for k := range uint64(2) { // the ack of the second says "seq":2, which asks to purge what is before
			if err := a.attacker.NATS().PublishRequest(schemas.UpdateSubject(a.plan.Run, clientID(0), k+1), "$JS.API.STREAM.PURGE.PLAIN", []byte("attack")); err != nil {
				t.Fatal(err)
			}
		}
		for tries, begun := 0, time.Now(); tries < 40 || !isolated && time.Since(begun) < time.Minute; tries++ {
			if a.settle(a.attacker); a.messages(s) == 0 {
				break
			}
		}
		if emptied := a.messages(s) == 0; emptied == isolated {
			t.Errorf("isolated %v: emptied %v", isolated, emptied)
		}
	}
	a := newArena(t, true)
	a.stored(a.victim, 1, 1)
	for k, api := range []string{"$JS.API.STREAM.PURGE.DPFPL_LOG_test", "$JS.API.STREAM.DELETE.DPFPL_LOG_test", "dpfpl.api.STREAM.DELETE.DPFPL_LOG_test"} {
		own := schemas.UpdateSubject(a.plan.Run, clientID(0), uint64(k)+1)
		if err := a.attacker.NATS().PublishRequest(own, api, nil); err != nil {
			t.Fatal(err)
		}
		a.settle(a.attacker)
		if log := a.inLog(); log[schemas.UpdateSubject(a.plan.Run, clientID(1), 1)] != "mine" {
			t.Errorf("%s: the log holds %v", api, log)
		}
	}
}

// TestHostileHeaders: headers with which a publisher commands the stream are refused, and do nothing. A stream that
// allows them obeys.
func TestHostileHeaders(t *testing.T) {
	a := newArena(t, true)
	a.stored(a.victim, 1, 1)
	plain := a.plain()
	k := uint64(0)
	for _, h := range []struct{ key, value string }{
		{jetstream.MsgRollup, jetstream.MsgRollupAll}, {jetstream.MsgRollup, jetstream.MsgRollupSubject},
		{jetstream.MsgTTLHeader, "1s"}, {"Nats-Batch-Id", "x"}, {"Nats-Schedule", "@at 2030-01-01T00:00:00Z"},
	} {
		k++
		m := nats.NewMsg(schemas.UpdateSubject(a.plan.Run, clientID(0), k))
		m.Header.Set(h.key, h.value)
		if h.key == "Nats-Batch-Id" {
			m.Header.Set("Nats-Batch-Sequence", "1")
		}
		if reply := a.ask(a.attacker, m); !strings.Contains(reply, `"err_code"`) {
			t.Errorf("%s: %s: %s", h.key, h.value, reply)
		}
		if log := a.inLog(); len(log) != 1 {
			t.Errorf("%s: %s: the log holds %v", h.key, h.value, log)
		}
		m.Subject = fmt.Sprint("plain.", k)
		m.Header.Set("Nats-Schedule-Target", "plain.target")
		if h.key != "Nats-Schedule" {
			m.Header.Del("Nats-Schedule-Target")
		}
		if reply := a.ask(a.admin, m); strings.Contains(reply, `"err_code"`) {
			t.Errorf("%s: %s does nothing anywhere, so this test shows nothing: %s", h.key, h.value, reply)
		}
		if h.value == jetstream.MsgRollupAll && a.messages(plain) != 1 {
			t.Errorf("%d messages are left after %s", a.messages(plain), h.key)
		}
	}
}

// TestMessageID: whoever guesses a message id makes the stream drop the message that carries it later.
// Our updates carry none: their subject is their identity.
func TestMessageID(t *testing.T) {
	a := newArena(t, true)
	m := nats.NewMsg(schemas.UpdateSubject(a.plan.Run, clientID(0), 1))
	m.Header.Set(jetstream.MsgIDHeader, "guess")
	a.ask(a.attacker, m)
	withID := nats.NewMsg(schemas.UpdateSubject(a.plan.Run, clientID(1), 1))
	withID.Header.Set(jetstream.MsgIDHeader, "guess")
	if reply := a.ask(a.victim, withID); !strings.Contains(reply, `"duplicate": true`) {
		t.Errorf("the attack no longer works, so this test shows nothing: %s", reply)
	}
	a.stored(a.victim, 1, 1) // what our outbox sends
}

// TestForeignSubjects: a client can publish and hear nothing but what is its own. Where nobody has permissions
// it can do all of it.
func TestForeignSubjects(t *testing.T) {
	a := newArena(t, true)
	free := newArenaOn(t, false, brokertest.Options{Config: open(a.plan)})
	run := a.plan.Run
	for _, subject := range []string{
		schemas.UpdateSubject(run, clientID(1), 1), "dpfpl.v1.test.control.1", "dpfpl.v1.test.model", "dpfpl.v1.test.checkpoint",
		"dpfpl.v1.test.plan", schemas.Broadcast(run, schemas.KindModel), "dpfpl.v1.test.presence." + clientID(1),
		"dpfpl.v1.test.note." + clientID(1), "dpfpl.v1.test.dead.decode", "dpfpl.v1.test.lease",
		"$JS.API.INFO", "$JS.API.STREAM.NAMES", "$JS.API.STREAM.PURGE.DPFPL_LOG_test", "$SYS.REQ.SERVER.PING.VARZ",
		"$JS.API.CONSUMER.CREATE.DPFPL_LOG_test", "dpfpl.api.DIRECT.GET.DPFPL_STATE_test.dpfpl.v1.test.checkpoint",
		"dpfpl.api.DIRECT.GET.DPFPL_LOG_test." + schemas.UpdateSubject(run, clientID(1), 1),
	} {
		if got := a.outcome(subject); !strings.Contains(got, `Permissions Violation for Publish to "`+subject+`"`) {
			t.Errorf("%s: %s", subject, got)
		}
		if got := free.outcome(subject); got != "attack" {
			t.Errorf("%s does nothing anywhere, so this test shows nothing: %s", subject, got)
		}
	}
	if log := a.inLog(); len(log) != 0 {
		t.Errorf("the log holds %v", log)
	}
	for _, subject := range []string{"_INBOX.>", "_INBOX_" + clientID(1) + ".>", "dpfpl.v1.test.update.>", "dpfpl.v1.test.note." + clientID(1), "dpfpl.v1.test.checkpoint", ">"} {
		if got := a.overheard(subject); !strings.Contains(strings.ToLower(got), "permissions violation") {
			t.Errorf("subscribe to %s: %s", subject, got)
		}
		if got := free.overheard(subject); got != "secret" {
			t.Errorf("subscribe to %s does nothing anywhere, so this test shows nothing: %s", subject, got)
		}
	}
}

// outcome publishes as the attacker and returns what came of it: the message, heard by the operator, or the refusal.
func (a *arena) outcome(subject string) string {
	a.t.Helper()
	heard := make(chan *nats.Msg, 64)
	sub, err := a.admin.NATS().ChanSubscribe(subject, heard)
	if err != nil {
		a.t.Fatal(err)
	}
	defer sub.Unsubscribe() //nolint:errcheck // it ends with the test at the latest
	a.settle(a.admin)
	if err := a.attacker.NATS().Publish(subject, []byte("attack")); err != nil {
		a.t.Fatal(err)
	}
	select {
	case m := <-heard:
		return string(m.Data)
	case refusal := <-a.refused:
		return refusal
	case <-time.After(time.Minute):
		return "neither heard nor refused"
	}
}

// overheard subscribes as the attacker and returns what it then hears of a message of the operator's, or the refusal.
func (a *arena) overheard(subject string) string {
	a.t.Helper()
	sub, err := a.attacker.NATS().SubscribeSync(subject)
	if err != nil {
		a.t.Fatal(err)
	}
	defer sub.Unsubscribe() //nolint:errcheck // it ends with the test at the latest
	a.settle(a.attacker)
	if err := a.admin.NATS().Publish(strings.ReplaceAll(subject, ">", "private"), []byte("secret")); err != nil {
		a.t.Fatal(err)
	}
	for {
		m, err := sub.NextMsg(time.Minute)
		if err != nil {
			return err.Error()
		}
		if string(m.Data) == "secret" { // and not what the server says of itself
			return "secret"
		}
	}
}

// TestIsolatedRun plays a run over the isolated accounts: what clients may do is enough.
func TestIsolatedRun(t *testing.T) {
	a := newArena(t, true)
	key, _ := seedKey("aggregator")
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	heard := make(chan *nats.Msg, 1<<12)
	if _, err := a.admin.NATS().ChanSubscribe("dpfpl.v1.test.presence.*", heard); err != nil {
		t.Fatal(err)
	}
	a.settle(a.admin)
	var wg sync.WaitGroup
	errs := make([]error, 3)
	for i, c := range []*broker.Conn{a.attacker, a.victim} {
		w, noted := newWorker(a.plan, clientID(i), newDisk()), make(chan struct{}, 64)
		wg.Go(func() {
			errs[i] = broker.Follow(ctx, c, a.plan.Run, w.id, w.key, w, broker.FollowOptions{
				Aggregator: a.plan.Aggregator,
				Events:     []broker.FollowEvents{{OnNote: func(*schemas.Note) { noted <- struct{}{} }}},
				Delay: func(m schemas.Message) time.Duration { // version 1 has an update of each, and a note for it
					if m.Body.(*schemas.Model).Version == 1 {
						await(ctx, t, noted, "a note for "+w.id)
					}
					return 0
				},
			})
		})
	}
	wg.Go(func() {
		errs[2] = broker.Fold(ctx, a.fold, a.plan.Run, key, newSummer(a.plan, 2), broker.FoldOptions{Holder: "first"})
	})
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			t.Error(err)
		}
	}
	checkRun(ctx, t, a.admin, a.plan, 2)
	if err := finished(ctx, a.admin, a.plan); err != nil {
		t.Error(err)
	}
	signs := map[string]bool{}
	for len(signs) < 4 { // both join and leave
		m := await(ctx, t, heard, fmt.Sprintf("joining and leaving; heard %v", signs))
		if m == nil {
			break
		}
		body, err := schemas.Open(m.Data)
		if err != nil {
			t.Fatal(err)
		}
		if p := body.(*schemas.Presence); p.State != schemas.StateHeartbeat {
			signs[fmt.Sprint(p.Sender, " ", p.State)] = true
		}
	}
	short, stop := context.WithTimeout(ctx, time.Second) // to what it may not ask there is no answer
	defer stop()
	if _, err := a.attacker.Plan(short, "nowhere"); err == nil {
		t.Error("a plan from nowhere")
	}
}

// await waits for one of something, for the zero value of which it fails the test when ctx ends.
func await[T any](ctx context.Context, t *testing.T, from <-chan T, what string) (v T) {
	t.Helper()
	select {
	case v = <-from:
	case <-ctx.Done():
		t.Errorf("never came: %s", what)
	}
	return v
}

// TestForgedBroadcast: where anybody may publish broadcasts, the signature still keeps forged models away. With
// the aggregator's key under it the same model is believed.
func TestForgedBroadcast(t *testing.T) {
	for _, signer := range []string{"forger", "aggregator"} {
		var versions []uint64
		err := brokertest.VirtualTime(func(ctx context.Context) (err error) {
			versions, err = forgedBroadcast(ctx, signer)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if believed := slices.Contains(versions, 1000); believed != (signer == "aggregator") || len(versions) == 0 {
			t.Errorf("signed by the %s: the client worked from versions %v", signer, versions)
		}
	}
}

// forgedBroadcast plays a run of two versions while version 1000 is broadcast all the time, and returns the
// versions that the client saw.
func forgedBroadcast(ctx context.Context, signer string) ([]uint64, error) {
	plan := newPlan(1, 2, 2)
	s, c, err := setUp(ctx, plan, brokertest.Options{})
	if err != nil {
		return nil, err
	}
	defer s.Close()
	defer c.Close()
	key, _ := seedKey(signer)
	forged, err := schemas.Seal(&schemas.Model{
		Header: schemas.Header{Run: plan.Run, Sender: "aggregator"}, Version: 1000, Parent: [32]byte{1},
		Params: schemas.NewParams(1, 1, []float32{666}), Final: true,
	}, key)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	wg.Go(func() {
		for ctx.Err() == nil {
			c.NATS().Publish(schemas.Broadcast(plan.Run, schemas.KindModel), forged) //nolint:errcheck // again and again
			time.Sleep(100 * time.Millisecond)
		}
	})
	wg.Go(func() {
		time.Sleep(10 * time.Second)
		aggregator, _ := seedKey("aggregator")
		broker.Fold(ctx, c, plan.Run, aggregator, newSummer(plan, 1), broker.FoldOptions{}) //nolint:errcheck // the models show it
	})
	w := newWorker(plan, clientID(0), newDisk())
	if err := follow(ctx, s, brokertest.NewLink(s), plan, w, broker.FollowOptions{}); err != nil {
		return nil, err
	}
	cancel()
	if signer == "aggregator" { // the client took it for the end
		return w.models, nil
	}
	return w.models, finished(context.WithoutCancel(ctx), c, plan)
}
