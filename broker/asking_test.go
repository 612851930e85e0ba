package broker_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"dpfpl/broker"
	"dpfpl/broker/brokertest"
)

// TestWrongCredentials asks for a plan as who may not ask, and as who may not hear the answer: both learn of it at once, not when a
// request's time is up.
func TestWrongCredentials(t *testing.T) {
	plan := newPlan(2, 3, 5)
	_, sys := seedKey("sys")
	s, err := brokertest.Start(brokertest.Options{Config: broker.Accounts(plan, sys)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() }) //nolint:errcheck // a temporary folder
	key, _ := seedKey(clientID(0))
	for name, o := range map[string]broker.Options{
		"another's name":       broker.ClientOptions(broker.Options{}, clientID(1), key),
		"not a client's place": {NKey: key, InboxPrefix: broker.ClientOptions(broker.Options{}, clientID(0), key).InboxPrefix},
	} {
		o.Timeout = time.Hour
		c, err := s.Connect(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.Close)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		_, err = c.Plan(ctx, plan.Run)
		if !errors.Is(err, nats.ErrPermissionViolation) || !strings.Contains(err.Error(), "are these the right credentials?") {
			t.Errorf("%s: %v", name, err)
		}
	}
	// The system account answers such requests with something else.
	system, _ := seedKey("sys")
	c, err := s.Connect(t.Context(), broker.Options{NKey: system})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	if _, err := c.Plan(t.Context(), plan.Run); err == nil || strings.Contains(err.Error(), "strconv") {
		t.Errorf("in the system account: %v", err)
	}
}
