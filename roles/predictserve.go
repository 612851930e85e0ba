package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"github.com/spf13/cobra"

	"dpfpl/broker/logkey"
	"dpfpl/roles/loopback"
	"dpfpl/roles/predictor"
	"dpfpl/roles/telemetry"
)

// endpointFlags are those of dpfpl predict over HTTP.
type endpointFlags struct {
	logFlags
	listen           string
	cert, key, token string
	body             int64
	batch, requests  int
	patience         predictor.Patience
	listening        func(net.Addr)
}

func (f *endpointFlags) register(c *cobra.Command) {
	c.Flags().StringVar(&f.listen, "listen", "", "answer over HTTP on an `address`, for example 127.0.0.1:8099")
	c.Flags().StringVar(&f.cert, "tls-cert", "", "PEM `file` of the endpoint's certificate")
	c.Flags().StringVar(&f.key, "tls-key", "", "PEM `file` of its key")
	c.Flags().StringVar(&f.token, "token-file", "", "`file` with the token that callers must send, of at least 16 bytes")
	c.Flags().Int64Var(&f.body, "max-body", 32<<20, "most bytes of a request")
	c.Flags().IntVar(&f.batch, "max-batch", 16, "most pictures in a request")
	c.Flags().IntVar(&f.requests, "max-requests", 8, "most requests at a time; one more gets 503 and is told to come back")
	c.Flags().DurationVar(&f.patience.Read, "read-timeout", 20*time.Second, "how long a request may take to arrive")
	c.Flags().DurationVar(&f.patience.Write, "request-timeout", time.Minute, "how long a request may take in all")
	c.Flags().DurationVar(&f.patience.Drain, "drain-timeout", 30*time.Second, "how long requests that have begun are waited for at the end")
	f.logFlags.register(c)
}

// check errors: inputError.
func (f *endpointFlags) check() error {
	switch {
	case f.listen == "" && (f.cert != "" || f.key != "" || f.token != ""):
		return input(errors.New("--tls-cert, --tls-key and --token-file are for --listen"))
	case (f.cert == "") != (f.key == ""):
		return input(errors.New("--tls-cert and --tls-key belong together"))
	case f.body < 1 || f.batch < 1 || f.requests < 1:
		return input(fmt.Errorf("--max-body %d, --max-batch %d, --max-requests %d: want at least 1", f.body, f.batch, f.requests))
	case f.patience.Read <= 0 || f.patience.Write <= 0 || f.patience.Drain < 0:
		return input(errors.New("--read-timeout, --request-timeout, --drain-timeout: want more than 0"))
	}
	if f.listen == "" {
		return nil
	}
	if err := listenable("listen", f.listen); err != nil {
		return err
	}
	if !loopback.Is(f.listen) && (f.cert == "" || f.token == "") {
		return input(fmt.Errorf("--listen %s: other machines can reach it: give --tls-cert, --tls-key and --token-file", f.listen))
	}
	return nil
}

// readToken errors: inputError.
func (f *endpointFlags) readToken() (string, error) {
	if f.token == "" {
		return "", nil
	}
	b, err := os.ReadFile(f.token)
	if err != nil {
		return "", input(fmt.Errorf("--token-file: %w", err))
	}
	if b = bytes.TrimSpace(b); len(b) < 16 || len(b) > 1024 {
		return "", input(fmt.Errorf("--token-file %s: a token of %d bytes, want 16 to 1024", f.token, len(b)))
	}
	return string(b), nil
}

// serve answers until ctx ends. Errors: inputError, and those of predictor.Serve.
func (f *endpointFlags) serve(ctx context.Context, p *predictor.Predictor, about []byte, workers int, stderr io.Writer) error {
	log, err := f.logger(stderr, "predict")
	if err != nil {
		return err
	}
	token, err := f.readToken()
	if err != nil {
		return err
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", f.listen)
	if err != nil {
		return input(fmt.Errorf("--listen: %w", err))
	}
	defer listener.Close()
	address := listener.Addr()
	if f.cert != "" {
		pair, err := tls.LoadX509KeyPair(f.cert, f.key)
		if err != nil {
			return input(fmt.Errorf("--tls-cert: %w", err))
		}
		listener = tls.NewListener(listener, &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{pair}})
	}
	shown := telemetry.New("predict", "", telemetry.Options{})
	requests := shown.Predictor()
	handler := predictor.NewHandler(p, predictor.Options{
		Limits: predictor.Limits{Body: f.body, Batch: f.batch, Requests: f.requests, Workers: workers},
		About:  about, Token: token, Local: loopback.Is(f.listen) && token == "", Metrics: shown.Handler(),
		OnServed: func(s predictor.Served) {
			requests.Served(s.Status, s.Pictures, s.Unreadable, s.Took)
			log.Info().Int(logkey.Status, s.Status).Int(logkey.Pictures, s.Pictures).Int(logkey.Unreadable, s.Unreadable).Dur(logkey.Took, s.Took).Msg("request")
		},
	})
	log.Info().Stringer(logkey.Address, address).Msg("listening")
	f.listening(address)
	patience := f.patience
	patience.Header, patience.Idle = min(5*time.Second, patience.Read), time.Minute
	if err := predictor.Serve(ctx, listener, handler, patience); err != nil {
		return err
	}
	log.Info().Msg("interrupted, drained")
	return nil
}
