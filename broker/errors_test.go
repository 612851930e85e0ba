package broker_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"

	"dpfpl/broker"
	"dpfpl/broker/brokertest"
	"dpfpl/schemas"
)

// connected starts a server and connects to it, for tests in real time.
func connected(t *testing.T, o brokertest.Options) (*brokertest.Server, *broker.Conn) {
	t.Helper()
	s, err := brokertest.Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() }) //nolint:errcheck // a temporary folder
	c, err := s.Connect(t.Context(), broker.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return s, c
}

// provisioned is connected to a server that has the plan's run.
func provisioned(t *testing.T, plan *schemas.Plan) (*brokertest.Server, *broker.Conn) {
	t.Helper()
	s, c := connected(t, brokertest.Options{})
	if err := provision(t.Context(), c, plan, broker.StreamOptions{AllowLax: true}); err != nil {
		t.Fatal(err)
	}
	return s, c
}

func wantError(t *testing.T, err, want error, text string) {
	t.Helper()
	if !errors.Is(err, want) || !strings.Contains(err.Error(), text) {
		t.Errorf("error %v, want %v with %q", err, want, text)
	}
}

func TestUnknownRun(t *testing.T) {
	_, c := connected(t, brokertest.Options{})
	key, _ := seedKey("aggregator")
	ctx := t.Context()
	_, err := c.Plan(ctx, "nowhere")
	wantError(t, err, broker.ErrUnknownRun, `"nowhere"`)
	_, err = c.Plan(ctx, "a.b")
	wantError(t, err, broker.ErrUnknownRun, "a run's name")
	for _, err := range c.ReadLog(ctx, "nowhere", 1) {
		wantError(t, err, broker.ErrUnknownRun, `"nowhere"`)
	}
	for _, holder := range []string{"", "me"} {
		err = broker.Fold(ctx, c, "nowhere", key, newSummer(newPlan(1, 1, 1), 1), broker.FoldOptions{Holder: holder})
		wantError(t, err, broker.ErrUnknownRun, `"nowhere"`)
	}
}

// TestNoLease: only Provision makes the stream of the lease. A fold that needs it and does not find it says so,
// and one that goes without folds.
func TestNoLease(t *testing.T) {
	ctx := t.Context()
	plan := newPlan(1, 1, 1)
	_, c := provisioned(t, plan)
	key, _ := seedKey("aggregator")
	js, err := jetstream.New(c.NATS())
	if err != nil {
		t.Fatal(err)
	}
	if err := js.DeleteStream(ctx, "DPFPL_LEASE_test"); err != nil {
		t.Fatal(err)
	}
	if err := fill(ctx, c, plan, 1, 1); err != nil {
		t.Fatal(err)
	}
	err = broker.Fold(ctx, c, plan.Run, key, newSummer(plan, 1), broker.FoldOptions{Holder: "me"})
	wantError(t, err, broker.ErrUnknownRun, "DPFPL_LEASE_test")
	if _, err := js.Stream(ctx, "DPFPL_LEASE_test"); !errors.Is(err, jetstream.ErrStreamNotFound) {
		t.Errorf("the fold made its lease stream: %v", err)
	}
	if err := broker.Fold(ctx, c, plan.Run, key, newSummer(plan, 1), broker.FoldOptions{}); err != nil {
		t.Error(err)
	}
}

// coreOnly configures a server without JetStream.
const coreOnly = "accounts { DPFPL: { users: [ { user: dpfpl, password: dpfpl } ] }, SYS: { users: [ { user: sys, password: sys } ] } }\nsystem_account: SYS\nno_auth_user: dpfpl\n"

func TestNoJetStream(t *testing.T) {
	_, c := connected(t, brokertest.Options{Config: coreOnly})
	_, err := c.Plan(t.Context(), "test")
	wantError(t, err, broker.ErrNoJetStream, "-js")
	err = c.Provision(t.Context(), newPlan(1, 1, 1), broker.StreamOptions{AllowLax: true})
	wantError(t, err, broker.ErrNoJetStream, "-js")
}

// TestNobodyAnswers: a fold takes silence for an election, and after a while for a server without JetStream.
func TestNobodyAnswers(t *testing.T) {
	err := brokertest.VirtualTime(func(ctx context.Context) error {
		s, err := brokertest.Start(brokertest.Options{Config: coreOnly})
		if err != nil {
			return err
		}
		defer s.Close() //nolint:errcheck // a temporary folder
		c, err := s.Connect(ctx, broker.Options{})
		if err != nil {
			return err
		}
		defer c.Close()
		key, _ := seedKey("aggregator")
		began := time.Now()
		err = broker.Fold(ctx, c, "test", key, newSummer(newPlan(1, 1, 1), 1), broker.FoldOptions{})
		wantError(t, err, broker.ErrNoJetStream, "-js")
		if waited := time.Since(began); waited < 30*time.Second || waited > time.Minute {
			t.Errorf("said so after %v", waited)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestNoServer(t *testing.T) {
	_, err := broker.Connect(t.Context(), broker.Options{URL: "nats://127.0.0.1:1"})
	if err == nil || !strings.Contains(err.Error(), "nats://127.0.0.1:1") {
		t.Errorf("error %v", err)
	}
}

func TestPlans(t *testing.T) {
	_, c := connected(t, brokertest.Options{})
	ctx := t.Context()
	plan := newPlan(2, 3, 4)
	key, _ := seedKey("operator")
	raw, err := schemas.Seal(plan, key)
	if err != nil {
		t.Fatal(err)
	}
	wantError(t, c.PublishPlan(ctx, raw), broker.ErrUnknownRun, "provision")
	if err := c.Provision(ctx, plan, broker.StreamOptions{AllowLax: true}); err != nil {
		t.Fatal(err)
	}
	_, err = c.Plan(ctx, plan.Run)
	wantError(t, err, broker.ErrNoPlan, "test")
	for range 2 {
		if err := c.Provision(ctx, plan, broker.StreamOptions{AllowLax: true}); err != nil {
			t.Fatal(err)
		}
		if err := c.PublishPlan(ctx, raw); err != nil {
			t.Fatal(err)
		}
	}
	m, err := c.Plan(ctx, plan.Run)
	if err != nil || m.Err != nil || string(m.Raw) != string(raw) || m.Seq != 1 || time.Since(m.Time) > time.Hour {
		t.Errorf("plan came back as %+v, %v", m, err)
	}
	if _, ok, err := c.Model(ctx, plan.Run); ok || err != nil {
		t.Errorf("model before the first: %v, %v", ok, err)
	}
	plan.Versions++
	other, err := schemas.Seal(plan, key)
	if err != nil {
		t.Fatal(err)
	}
	wantError(t, c.PublishPlan(ctx, other), broker.ErrPlanExists, "test")
	wantError(t, c.Provision(ctx, plan, broker.StreamOptions{AllowLax: true}), broker.ErrPlanExists, "test")
	plan.Updates = 5000
	wantError(t, c.Provision(ctx, plan, broker.StreamOptions{AllowLax: true}), schemas.ErrInvalid, "N subjects")
}

// TestSyncAlways: a server that may lose acknowledged messages is refused unless the operator says so.
func TestSyncAlways(t *testing.T) {
	ctx := t.Context()
	plan := newPlan(1, 1, 1)
	for _, always := range []bool{false, true} {
		s, c := connected(t, brokertest.Options{SyncAlways: always})
		sys, err := s.System(ctx)
		if err != nil {
			t.Fatal(err)
		}
		defer sys.Close()
		wantError(t, c.Provision(ctx, plan, broker.StreamOptions{}), broker.ErrLaxSync, "system account")
		err = c.Provision(ctx, plan, broker.StreamOptions{System: sys})
		if always && err != nil {
			t.Errorf("server that syncs always: %v", err)
		}
		if !always {
			wantError(t, err, broker.ErrLaxSync, "sync_interval: always")
			if err := c.Provision(ctx, plan, broker.StreamOptions{AllowLax: true}); err != nil {
				t.Error(err)
			}
		}
	}
}

// copyDir copies a folder, as a backup of a stream would.
func copyDir(t *testing.T, from, to string) {
	t.Helper()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil && !errors.Is(err, fs.ErrExist) {
		t.Fatal(err)
	}
}

// TestRolledBack puts an old copy of the log under a newer checkpoint: with fewer messages than it has
// seen, and, after new ones took the same sequence numbers, with more.
func TestRolledBack(t *testing.T) {
	ctx := t.Context()
	plan := newPlan(1, 50, 50)
	s, c := provisioned(t, plan)
	key, _ := seedKey("aggregator")
	if err := fill(ctx, c, plan, 1, 5); err != nil {
		t.Fatal(err)
	}
	log := filepath.Join(s.Dir(), "jetstream", "DPFPL", "streams", "DPFPL_LOG_test")
	backup := filepath.Join(t.TempDir(), "log")
	s.Stop()
	copyDir(t, log, backup)
	restart := func() {
		t.Helper()
		if err := s.Restart(); err != nil {
			t.Fatal(err)
		}
		var err error
		if c, err = s.Connect(ctx, broker.Options{}); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.Close)
	}
	restart()
	if err := fill(ctx, c, plan, 6, 10); err != nil {
		t.Fatal(err)
	}
	foldUntil(t, c, plan, key, 2)

	s.Stop()
	if err := os.RemoveAll(log); err != nil {
		t.Fatal(err)
	}
	copyDir(t, backup, log)
	restart()
	err := broker.Fold(ctx, c, plan.Run, key, newSummer(plan, 5), broker.FoldOptions{})
	wantError(t, err, broker.ErrRolledBack, "the log ends at 5")

	if err := fill(ctx, c, plan, 11, 20); err != nil { // messages 6 to 15 are now others
		t.Fatal(err)
	}
	err = broker.Fold(ctx, c, plan.Run, key, newSummer(plan, 5), broker.FoldOptions{})
	wantError(t, err, broker.ErrRolledBack, "message 10 was stored at")
}

// foldUntil folds in versions of five updates until a version is committed.
func foldUntil(t *testing.T, c *broker.Conn, plan *schemas.Plan, key nkeys.KeyPair, version int) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	committed := -1 // version 0 is the first
	err := broker.Fold(ctx, c, plan.Run, key, newSummer(plan, 5), broker.FoldOptions{At: func(p broker.Point) {
		if p == broker.PointCommitted {
			if committed++; committed == version {
				cancel()
			}
		}
	}})
	if !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
}

// TestForgedState: a checkpoint that our key did not sign is not folded on.
func TestForgedState(t *testing.T) {
	ctx := t.Context()
	plan := newPlan(1, 2, 4)
	_, c := provisioned(t, plan)
	if err := fill(ctx, c, plan, 1, 4); err != nil {
		t.Fatal(err)
	}
	key, _ := seedKey("aggregator")
	if err := broker.Fold(ctx, c, plan.Run, key, newSummer(plan, 2), broker.FoldOptions{}); err != nil {
		t.Fatal(err)
	}
	other, _ := seedKey("someone else")
	err := broker.Fold(ctx, c, plan.Run, other, newSummer(plan, 2), broker.FoldOptions{})
	wantError(t, err, schemas.ErrSignature, "checkpoint")
}

// TestTrimmed removes messages that the checkpoint has not seen, as an administrator could on a stream
// that does not deny it.
func TestTrimmed(t *testing.T) {
	_, c := connected(t, brokertest.Options{})
	ctx := t.Context()
	plan := newPlan(1, 50, 50)
	js, err := jetstream.New(c.NATS())
	if err != nil {
		t.Fatal(err)
	}
	log, err := js.CreateStream(ctx, jetstream.StreamConfig{
		Name: "DPFPL_LOG_test", Subjects: []string{"dpfpl.v1.test.update.*.*"}, AllowDirect: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.CreateStream(ctx, jetstream.StreamConfig{
		Name: "DPFPL_STATE_test", Subjects: []string{"dpfpl.v1.test.*"}, AllowDirect: true, AllowAtomicPublish: true,
	}); err != nil {
		t.Fatal(err)
	}
	if err := fill(ctx, c, plan, 1, 7); err != nil {
		t.Fatal(err)
	}
	key, _ := seedKey("aggregator")
	foldUntil(t, c, plan, key, 1)
	if err := log.Purge(ctx, jetstream.WithPurgeSequence(7)); err != nil {
		t.Fatal(err)
	}
	err = broker.Fold(ctx, c, plan.Run, key, newSummer(plan, 5), broker.FoldOptions{})
	wantError(t, err, broker.ErrTrimmed, "needs message 6, but the log begins at 7")
}

// TestClosed: a connection that was closed for good ends both loops.
func TestClosed(t *testing.T) {
	ctx := t.Context()
	plan := newPlan(1, 2, 4)
	s, _ := provisioned(t, plan)
	own, err := s.Connect(ctx, broker.Options{})
	if err != nil {
		t.Fatal(err)
	}
	key, _ := seedKey("aggregator")
	ended := make(chan error)
	go func() {
		ended <- broker.Fold(context.WithoutCancel(ctx), own, plan.Run, key, newSummer(plan, 2), broker.FoldOptions{Events: []broker.FoldEvents{{OnLead: own.Close}}})
	}()
	wantError(t, <-ended, broker.ErrClosed, "")
}
