package brokertest_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"dpfpl/broker"
	"dpfpl/broker/brokertest"
)

// TestCanary is the first to fail when a new server or Go release no longer runs in virtual time.
func TestCanary(t *testing.T) {
	const hint = `A JetStream server no longer runs in virtual time. Look at goroutines that wait on
something made outside the bubble (go test prints their stacks): server/ats was the only one in nats-server
2.15.2. Pin the old version until brokertest.VirtualTime knows the new one. Error: %v`
	begun := time.Now()
	done := make(chan error, 1)
	go func() {
		done <- brokertest.VirtualTime(func(ctx context.Context) error {
			s, err := brokertest.Start(brokertest.Options{})
			if err != nil {
				return err
			}
			defer s.Close()
			c, err := s.Connect(ctx, broker.Options{})
			if err != nil {
				return err
			}
			defer c.Close()
			start := time.Now()
			time.Sleep(3 * time.Hour)
			if d := time.Since(start); d != 3*time.Hour {
				t.Errorf("3h took %v of virtual time", d)
			}
			return c.NATS().Flush()
		})
	}()
	select {
	case err := <-done:
		if err != nil {
			t.Fatalf(hint, err)
		}
	case <-time.After(5 * time.Minute):
		t.Fatalf(hint, "still waiting after five minutes")
	}
	t.Logf("three hours took %v", time.Since(begun))
}

// TestVirtualTimeErrors: errors and panics come back as errors, and so does a goroutine left behind.
func TestVirtualTimeErrors(t *testing.T) {
	want := errors.New("mine")
	if err := brokertest.VirtualTime(func(context.Context) error { return want }); err != want {
		t.Errorf("error %v", err)
	}
	err := brokertest.VirtualTime(func(context.Context) error { panic("oops") })
	if err == nil || !strings.Contains(err.Error(), "oops") || !strings.Contains(err.Error(), "virtual_test.go") {
		t.Errorf("panic came back as %v", err)
	}
	err = brokertest.VirtualTime(func(context.Context) error {
		go func() { select {} }()
		return nil
	})
	if err == nil || !strings.Contains(err.Error(), "deadlock") {
		t.Errorf("goroutine left behind came back as %v", err)
	}
}
