package brokertest

import (
	"bytes"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// Link is the wire between one client and the server: it can be cut, restored, slowed down and made to lose things. It is a
// nats.InProcessConnProvider; give it to broker.Options.InProcess. The zero delay adds nothing.
type Link struct {
	to nats.InProcessConnProvider

	mu    sync.Mutex
	cut   bool
	lossy bool
	delay time.Duration
	held  chan struct{} // closed when nothing is held up any more; nil while nothing is
	open  map[*linkConn]bool
}

// NewLink returns an intact link to a server.
func NewLink(to nats.InProcessConnProvider) *Link {
	return &Link{to: to, open: map[*linkConn]bool{}}
}

// ErrCut is what connecting over a cut link says.
var ErrCut = errors.New("brokertest: the link is cut")

// InProcessConn connects over the link.
func (l *Link) InProcessConn() (net.Conn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cut {
		return nil, ErrCut
	}
	conn, err := l.to.InProcessConn()
	if err != nil {
		return nil, err
	}
	c := newLinkConn(conn, l)
	l.open[c] = true
	return c, nil
}

// Cut breaks every connection over the link, in the middle of a message if need be, and lets none through.
func (l *Link) Cut() {
	l.mu.Lock()
	l.cut = true
	open := l.open
	l.open = map[*linkConn]bool{}
	l.mu.Unlock()
	for c := range open {
		c.sever() //nolint:errcheck // a pipe's Close cannot fail
	}
}

// Restore lets connections through again.
func (l *Link) Restore() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut = false
}

// SetLossy makes all that is written vanish, as if the server had died of it; the connection stays. It is for messages
// that are small enough to be written at once: of a longer one, the server would get a part.
func (l *Link) SetLossy(lossy bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lossy = lossy
}

// Hold lets nothing through from now on, in either direction, and breaks nothing: neither side notices but by the
// silence. Not for virtual time, where a write must not wait.
func (l *Link) Hold() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held == nil {
		l.held = make(chan struct{})
	}
}

// Release lets through what was held up.
func (l *Link) Release() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held != nil {
		close(l.held)
		l.held = nil
	}
}

// SetDelay makes everything that is written, and every read, arrive d later. The handshake of a new
// connection is spared: nats.go holds a lock over it, and in virtual time nobody may wait for a lock whose
// holder waits for the clock. For the same reason a write never waits, like one into a socket's buffer.
func (l *Link) SetDelay(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.delay = d
}

func (l *Link) current() (delay time.Duration, lossy bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.delay, l.lossy
}

// linkConn is one connection over a link.
type linkConn struct {
	net.Conn
	link   *Link
	closed chan struct{}
	once   sync.Once

	mu    sync.Mutex
	greet bool     // the handshake is over
	queue []parcel // written, still on its way
	more  chan struct{}
}

// parcel is one delayed write.
type parcel struct {
	due  time.Time
	data []byte
}

func newLinkConn(conn net.Conn, link *Link) *linkConn {
	c := &linkConn{Conn: conn, link: link, closed: make(chan struct{}), more: make(chan struct{}, 1)}
	go c.deliver()
	return c
}

// wait waits while the link is held up.
func (c *linkConn) wait() {
	c.link.mu.Lock()
	held := c.link.held
	c.link.mu.Unlock()
	if held == nil {
		return
	}
	select {
	case <-held:
	case <-c.closed:
	}
}

func (c *linkConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.wait()
	c.mu.Lock()
	greeted := c.greet
	c.greet = c.greet || bytes.Contains(b[:n], []byte("PONG"))
	c.mu.Unlock()
	if d, _ := c.link.current(); d > 0 && greeted && err == nil {
		t := time.NewTimer(d)
		defer t.Stop()
		select {
		case <-t.C:
		case <-c.closed: // what was on its way is lost
			return 0, net.ErrClosed
		}
	}
	return n, err
}

func (c *linkConn) Write(b []byte) (int, error) {
	c.wait()
	d, lossy := c.link.current()
	if lossy {
		return len(b), nil
	}
	c.mu.Lock()
	if !c.greet || d == 0 && len(c.queue) == 0 {
		c.mu.Unlock()
		return c.Conn.Write(b)
	}
	defer c.mu.Unlock()
	select {
	case <-c.closed:
		return 0, net.ErrClosed
	default:
	}
	c.queue = append(c.queue, parcel{time.Now().Add(d), bytes.Clone(b)})
	select {
	case c.more <- struct{}{}:
	default:
	}
	return len(b), nil
}

// deliver writes parcels when they are due, until the connection is closed.
func (c *linkConn) deliver() {
	for {
		c.mu.Lock()
		var next *parcel
		if len(c.queue) > 0 {
			next = &c.queue[0]
		}
		c.mu.Unlock()
		if next == nil {
			select {
			case <-c.more:
				continue
			case <-c.closed:
				return
			}
		}
		t := time.NewTimer(time.Until(next.due))
		select {
		case <-t.C:
		case <-c.closed:
			t.Stop()
			return
		}
		if _, err := c.Conn.Write(next.data); err != nil {
			c.Close() //nolint:errcheck // a pipe's Close cannot fail
			return
		}
		c.mu.Lock()
		c.queue = c.queue[1:]
		c.mu.Unlock()
	}
}

func (c *linkConn) Close() error {
	c.link.mu.Lock()
	delete(c.link.open, c)
	c.link.mu.Unlock()
	return c.sever()
}

// sever breaks the connection.
func (c *linkConn) sever() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}
