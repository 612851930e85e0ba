package brokertest

import (
	"fmt"
	"io"
	"net"
	"sync"

	"github.com/nats-io/nats.go"
)

// Proxy is a way to a server for who can only dial an address: a fixed one of 127.0.0.1, whose connections can be
// slowed down, held up and cut, and which stays when the server comes back at another. It works in real time only.
type Proxy struct {
	*Link
	listener net.Listener
	running  sync.WaitGroup
}

// NewProxy listens on a free port.
func NewProxy(to nats.InProcessConnProvider) (*Proxy, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("brokertest: %w", err)
	}
	p := &Proxy{Link: NewLink(to), listener: l}
	p.running.Go(p.accept)
	return p, nil
}

// Address is where the proxy listens, host:port.
func (p *Proxy) Address() string { return p.listener.Addr().String() }

// URL is the same for a client.
func (p *Proxy) URL() string { return "nats://" + p.Address() }

// Close takes no more connections, breaks those there are, and waits until they have ended.
func (p *Proxy) Close() error {
	err := p.listener.Close()
	p.Cut()
	p.running.Wait()
	return err
}

func (p *Proxy) accept() {
	for {
		near, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.running.Go(func() { p.carry(near) })
	}
}

// carry passes bytes both ways until either side ends.
func (p *Proxy) carry(near net.Conn) {
	far, err := p.InProcessConn()
	if err != nil {
		near.Close() //nolint:errcheck // that is the answer
		return
	}
	var both sync.WaitGroup
	pass := func(to, from net.Conn) {
		io.Copy(to, from) //nolint:errcheck // however it ends, it ends both
		to.Close()        //nolint:errcheck
		from.Close()      //nolint:errcheck
	}
	both.Go(func() { pass(far, near) })
	both.Go(func() { pass(near, far) })
	both.Wait()
}

// Address is where a server listens at present, host:port; it is a nats.InProcessConnProvider for a Link. The zero
// value has none.
type Address struct {
	mu  sync.Mutex
	now string
}

// Set says where the server listens from now on; empty is nowhere.
func (a *Address) Set(hostport string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.now = hostport
}

// InProcessConn connects to the server.
func (a *Address) InProcessConn() (net.Conn, error) {
	a.mu.Lock()
	at := a.now
	a.mu.Unlock()
	if at == "" {
		return nil, fmt.Errorf("brokertest: the server is down")
	}
	return net.Dial("tcp", at)
}
