package main

import (
	"context"
	"errors"
	"net/http/httptest"
	"testing"

	"github.com/rs/zerolog"

	"dpfpl/broker"
	"dpfpl/broker/brokertest"
	"dpfpl/roles/telemetry"
)

// TestHealthFollowsTheConnection: alive with a broker and not without; ready when the role says so, too; and the
// command tells them apart.
func TestHealthFollowsTheConnection(t *testing.T) {
	server, err := brokertest.Start(brokertest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	f := newFront("monitor", "demo", telemetry.Options{})
	endpoint := httptest.NewServer(f.handler())
	defer endpoint.Close()
	ask := func(code int, path string, want ...string) {
		t.Helper()
		_, errs := command(t, code, "health", endpoint.URL+path)
		contains(t, errs, want...)
	}
	ask(1, "/healthz", "503", "cannot be reached")
	ask(1, "/readyz", "503", "cannot be reached")
	conn, err := server.Connect(t.Context(), broker.Options{Events: []broker.ConnEvents{f.connection.Events()}})
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	f.connection.Set(conn)
	ask(0, "/healthz")
	ask(1, "/readyz", "503", "waits for the plan")
	f.await(func(context.Context) error { return errors.New("not yet") })
	ask(1, "/readyz", "503", "not yet")
	f.await(func(context.Context) error { return nil })
	ask(0, "/readyz")
	ask(0, "/metrics")
	ask(1, "/other")
	conn.Close()
	ask(1, "/healthz", "503", "cannot be reached")
	ask(1, "/readyz", "503", "cannot be reached")
	command(t, 2, "health", "http://a b")
}

func TestHealthAddress(t *testing.T) {
	f := newFront("monitor", "demo", telemetry.Options{})
	log := zerolog.Nop()
	close, err := f.serve(t.Context(), "127.0.0.1:0", &log)
	if err != nil {
		t.Fatal(err)
	}
	close()
	if _, err := f.serve(t.Context(), "nowhere", &log); exitCode(err) != exitInput {
		t.Error(err)
	}
}
