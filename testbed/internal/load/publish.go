package load

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"dpfpl/broker"
)

// fleet is all clients' shared connections.
type fleet []jetstream.JetStream

// dial opens n connections; close closes them.
func dial(ctx context.Context, url string, n int) (f fleet, close func(), err error) {
	var conns []*broker.Conn
	close = func() {
		for _, c := range conns {
			c.Close()
		}
	}
	for range n {
		c, err := broker.Connect(ctx, broker.Options{Name: "fleet", URL: url})
		if err != nil {
			close()
			return nil, nil, err
		}
		conns = append(conns, c)
		js, err := jetstream.New(c.NATS())
		if err != nil {
			close()
			return nil, nil, err
		}
		f = append(f, js)
	}
	return f, close, nil
}

// Retries counts publishes that had to be repeated.
type Retries struct {
	Busy  int64 `json:"busy"`  // the server's ingest queue was full: 429, err_code 10167
	Other int64 `json:"other"` // anything else, such as no answer in time
}

func (r *Retries) add(x Retries) { r.Busy, r.Other = r.Busy+x.Busy, r.Other+x.Other }

// busy is the server's error code for a full ingest queue.
const busy = 10167

// publish lets one client for each parcel publish it, all at the same instant, each until it is stored.
func (f fleet) publish(ctx context.Context, parcels []parcel) (Retries, error) {
	var full, other atomic.Int64
	var ready sync.WaitGroup
	start := make(chan struct{})
	clients, ctx := errgroup.WithContext(ctx)
	ready.Add(len(parcels))
	for i, p := range parcels {
		js := f[i%len(f)]
		clients.Go(func() error {
			ready.Done()
			<-start
			for wait := 100 * time.Millisecond; ; wait = min(2*wait, 4*time.Second) {
				err := store(ctx, js, p)
				var api *jetstream.APIError
				switch {
				case err == nil:
					return nil
				case ctx.Err() != nil:
					return ctx.Err()
				case errors.As(err, &api) && api.ErrorCode == busy:
					full.Add(1)
				default:
					other.Add(1)
				}
				time.Sleep(wait/2 + rand.N(wait)) // as a client's outbox does
			}
		})
	}
	ready.Wait()
	close(start)
	err := clients.Wait()
	return Retries{full.Load(), other.Load()}, err
}

func store(ctx context.Context, js jetstream.JetStream, p parcel) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	_, err := js.Publish(ctx, p.subject, p.raw)
	return err
}
