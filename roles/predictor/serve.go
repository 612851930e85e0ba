package predictor

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"time"
)

// Patience bounds how long the endpoint waits for others.
type Patience struct {
	Header time.Duration // for the header of a request
	Read   time.Duration // for all of it
	Write  time.Duration // for request, work and answer
	Idle   time.Duration // between requests of a connection
	Drain  time.Duration // for requests that are being worked on when the end comes
}

// Serve answers on a listener until ctx ends, lets requests that have begun come to their end, and returns nil. Errors
// are those of the listener, and context.DeadlineExceeded if a request outlasted the drain.
func Serve(ctx context.Context, l net.Listener, h *Handler, p Patience) error {
	server := &http.Server{
		Handler: h, ReadHeaderTimeout: p.Header, ReadTimeout: p.Read, WriteTimeout: p.Write, IdleTimeout: p.Idle,
		MaxHeaderBytes: 16 << 10,
		ErrorLog:       log.New(io.Discard, "", 0), // it names who asks
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(l) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	h.Drain()
	draining, cancel := context.WithTimeout(context.WithoutCancel(ctx), p.Drain)
	defer cancel()
	err := server.Shutdown(draining)
	if err != nil {
		err = errors.Join(err, server.Close())
	}
	<-failed
	return err
}
