package brokertest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"dpfpl/broker"
)

// Cluster is several servers that replicate streams, any of which can be lost or cut off from the others. They talk
// over loopback, so a cluster cannot run in virtual time.
type Cluster struct {
	Servers []*Server
	// listens is where each server listens for routes at present.
	listens []Address
	// ways are the routes from every server to the earlier ones, by where from and where to. There are no others:
	// what servers tell each other about their addresses leads nowhere.
	ways [][]*Proxy
}

// nowhere returns one of several addresses that nobody listens at.
func nowhere(i int) string { return fmt.Sprint("127.0.0.1:", 1+i) }

// StartCluster starts n servers and waits until they are settled.
func StartCluster(ctx context.Context, n int, o Options) (_ *Cluster, err error) {
	c := &Cluster{Servers: make([]*Server, n), listens: make([]Address, n), ways: make([][]*Proxy, n)}
	defer func() {
		if err != nil {
			c.Close() //nolint:errcheck // the first error says more
		}
	}()
	for from := range n {
		for to := range from {
			way, err := NewProxy(&c.listens[to])
			if err != nil {
				return nil, err
			}
			c.ways[from] = append(c.ways[from], way)
		}
	}
	for i := range n {
		own := o
		own.Name, own.Listen = fmt.Sprintf("node-%d", i+1), "127.0.0.1:0" // without a listener there are no routes either
		own.Cluster = c.block(i)
		if c.Servers[i], err = Start(own); err != nil {
			return nil, err
		}
		c.listens[i].Set(c.Servers[i].running().ClusterAddr().String())
	}
	return c, c.Settle(ctx)
}

// block is the configuration of server i's place in the cluster. It listens at a port that the system chooses, which
// only the proxies know. A server counts the routes it is given to know how many servers there are, so there is one
// for each; but of two servers only the later one calls, since of two calls one is hung up, for which the other server
// is taken to be offline.
func (c *Cluster) block(i int) string {
	var routes []string
	for to := range c.ways {
		at := nowhere(to)
		if to < i {
			at = c.ways[i][to].Address()
		}
		routes = append(routes, fmt.Sprintf("%q", "nats://"+at))
	}
	return fmt.Sprintf("  name: dpfpl\n  listen: \"127.0.0.1:-1\"\n  advertise: %q\n  routes: [ %s ]", nowhere(len(c.ways)), strings.Join(routes, ", "))
}

// Settle waits until every server knows every other, all agree on a leader, and each has all that is stored.
func (c *Cluster) Settle(ctx context.Context) error {
	poll := time.NewTicker(20 * time.Millisecond)
	defer poll.Stop()
	for {
		err := c.settled()
		if err == nil {
			return nil
		}
		select {
		case <-poll.C:
		case <-ctx.Done():
			return fmt.Errorf("brokertest: the cluster does not settle: %w", errors.Join(err, ctx.Err()))
		}
	}
}

// settled says what is missing, if anything is. A server that was cut off may still think that it leads.
func (c *Cluster) settled() error {
	leaders, placed := 0, false
	for _, s := range c.Servers {
		srv := s.running()
		if srv == nil {
			return fmt.Errorf("%s is stopped", s.o.Name)
		}
		if h := srv.Healthz(nil); h.Status != "ok" {
			return fmt.Errorf("%s: %s", s.o.Name, h.Error)
		}
		if n := len(srv.ActivePeers()); n != len(c.Servers) { // whoever leads next will place streams, too
			return fmt.Errorf("%s knows %d servers", s.o.Name, n)
		}
		if srv.JetStreamIsLeader() {
			leaders++
			placed = len(srv.JetStreamClusterPeers()) == len(c.Servers) // streams can be placed on all
		}
	}
	if leaders != 1 || !placed {
		return fmt.Errorf("%d servers lead, and know the others: %v", leaders, placed)
	}
	return nil
}

// Leader returns which server leads a stream, asking none that is stopped or left out; -1 for none, or as long as
// more than one thinks it does.
func (c *Cluster) Leader(account, stream string, leaveOut ...int) int {
	leader := -1
	for i, s := range c.Servers {
		if srv := s.running(); srv != nil && !slices.Contains(leaveOut, i) && srv.JetStreamIsStreamLeader(account, stream) {
			if leader >= 0 {
				return -1
			}
			leader = i
		}
	}
	return leader
}

// each does to every way between server i and another.
func (c *Cluster) each(i int, do func(*Proxy)) {
	for from, ways := range c.ways {
		for to, way := range ways {
			if from == i || to == i {
				do(way)
			}
		}
	}
}

// Isolate breaks every connection between server i and the others, and lets none through. Clients stay with it.
func (c *Cluster) Isolate(i int) { c.each(i, func(p *Proxy) { p.Cut() }) }

// Mute holds up all that server i and the others say to each other, as a network does that loses everything: none
// is told. What was said arrives when it heals.
func (c *Cluster) Mute(i int) { c.each(i, func(p *Proxy) { p.Hold() }) }

// Heal ends what Isolate and Mute did.
func (c *Cluster) Heal(i int) {
	c.each(i, func(p *Proxy) {
		p.Restore()
		p.Release()
	})
}

// Kill stops server i without a word to the others, so that it hands nothing over.
func (c *Cluster) Kill(i int) {
	c.Isolate(i)
	c.listens[i].Set("")
	c.Servers[i].Stop()
}

// Revive starts server i again, on what it had stored.
func (c *Cluster) Revive(i int) error {
	if err := c.Servers[i].Restart(); err != nil {
		return err
	}
	c.listens[i].Set(c.Servers[i].running().ClusterAddr().String())
	c.Heal(i)
	return nil
}

// At is a place to connect to: server i, or while that is stopped the next one that runs.
func (c *Cluster) At(i int) nats.InProcessConnProvider { return place{c, i} }

type place struct {
	c *Cluster
	i int
}

func (p place) InProcessConn() (net.Conn, error) {
	var conn net.Conn
	err := errors.New("brokertest: the cluster is empty")
	for k := range p.c.Servers {
		if conn, err = p.c.Servers[(p.i+k)%len(p.c.Servers)].InProcessConn(); err == nil {
			return conn, nil
		}
	}
	return nil, err
}

// Connect connects to server i, or to the next one that runs, whenever the connection is lost.
func (c *Cluster) Connect(ctx context.Context, i int, o broker.Options) (*broker.Conn, error) {
	o.InProcess = c.At(i)
	return c.Servers[i].Connect(ctx, o)
}

// Close stops all servers.
func (c *Cluster) Close() error {
	var errs []error
	for _, s := range c.Servers {
		if s != nil {
			errs = append(errs, s.Close())
		}
	}
	for _, from := range c.ways {
		for _, way := range from {
			errs = append(errs, way.Close())
		}
	}
	return errors.Join(errs...)
}
