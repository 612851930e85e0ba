package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"dpfpl/broker/logkey"
	"dpfpl/roles/telemetry"
)

// front is what a role answers over HTTP: whether it is alive and ready, and its metrics.
type front struct {
	metrics    *telemetry.Telemetry
	connection *telemetry.Connection
	ready      atomic.Pointer[readiness]
}

// readiness says why a role does not do its work, nil if it does. It may ask the broker.
type readiness func(context.Context) error

func newFront(role, run string, o telemetry.Options) *front {
	f := &front{metrics: telemetry.New(role, run, o)}
	f.connection = f.metrics.Connection()
	f.await(func(context.Context) error { return errors.New("waits for the plan") })
	return f
}

// await says what the role's readiness depends on from now on, beside the connection.
func (f *front) await(ready readiness) { f.ready.Store(&ready) }

// serve answers on an address until ctx ends. It returns once it listens, and close waits until it has ended. An
// empty address serves nothing. Errors: inputError.
func (f *front) serve(ctx context.Context, address string, log *zerolog.Logger) (close func(), err error) {
	if address == "" {
		return func() {}, nil
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", address)
	if err != nil {
		return nil, input(fmt.Errorf("--health: %w", err))
	}
	server := &http.Server{Handler: f.handler(), ReadTimeout: 5 * time.Second, WriteTimeout: 10 * time.Second, MaxHeaderBytes: 1 << 12}
	log.Info().Stringer(logkey.Address, listener.Addr()).Msg("answers /healthz, /readyz and /metrics")
	done := make(chan struct{})
	go func() {
		defer func() { done <- struct{}{} }()
		server.Serve(listener) //nolint:errcheck // ends with Close
	}()
	return func() {
		server.Close()
		<-done
	}, nil
}

func (f *front) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { answer(w, f.alive()) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		err := f.alive()
		if err == nil {
			ctx, cancel := context.WithTimeout(r.Context(), 3*time.Second)
			defer cancel()
			err = (*f.ready.Load())(ctx)
		}
		answer(w, err)
	})
	mux.Handle("GET /metrics", f.metrics.Handler())
	return mux
}

// alive says why a role is of no use to anybody, nil if it may be.
func (f *front) alive() error {
	if !f.connection.Connected() {
		return errors.New("the broker cannot be reached")
	}
	return nil
}

func answer(w http.ResponseWriter, err error) {
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	io.WriteString(w, "ok\n") //nolint:errcheck // whoever asked is gone
}

func newHealthCommand() *cobra.Command {
	var timeout time.Duration
	c := &cobra.Command{
		Use:     "health URL",
		Short:   "ask a health endpoint: exit code 0 if it answers 200, for images without a shell",
		Example: "  dpfpl health http://127.0.0.1:8080/readyz",
		Args:    inputArgs(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, args []string) error {
			if timeout <= 0 {
				return flagError("timeout", timeout, "> 0")
			}
			ctx, cancel := context.WithTimeout(c.Context(), timeout)
			defer cancel()
			return askHealth(ctx, args[0])
		},
	}
	c.Flags().DurationVar(&timeout, "timeout", 3*time.Second, "how long to wait for the answer")
	return c
}

func askHealth(ctx context.Context, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil || request.URL.Host == "" || request.URL.Scheme != "http" && request.URL.Scheme != "https" {
		return input(fmt.Errorf("%q: want http://HOST:PORT/PATH", url))
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(answer.Body, 200))
		return errors.New(answer.Status + ": " + strings.TrimSpace(string(text)))
	}
	return nil
}
