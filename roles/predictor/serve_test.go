package predictor

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"dpfpl/broker/brokertest/bubble"
)

// pipes is a listener whose connections live in memory, so that a bubble's clock rules their deadlines.
type pipes struct {
	conns chan net.Conn
	once  sync.Once
	done  chan struct{}
}

func newPipes() *pipes { return &pipes{conns: make(chan net.Conn), done: make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { p.once.Do(func() { close(p.done) }); return nil }
func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "unix"} }

func (p *pipes) dial(t *testing.T) net.Conn {
	t.Helper()
	ours, theirs := net.Pipe()
	select {
	case p.conns <- theirs:
	case <-p.done:
		t.Fatal("nobody listens")
	}
	return ours
}

var patience = Patience{Header: 5 * time.Second, Read: 20 * time.Second, Write: 60 * time.Second, Idle: 30 * time.Second, Drain: 25 * time.Second}

// inBubble runs f with a served endpoint in virtual time; stop drains it and returns what Serve did.
func inBubble(t *testing.T, f func(t *testing.T, e *endpoint, l *pipes, stop func() error)) {
	e := newEndpoint(t, func(o *Options) { o.Requests = 1 })
	bubble.Test(t, func(t *testing.T) {
		l := newPipes()
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- Serve(ctx, l, e.Handler, patience) }()
		stopped := false
		stop := func() error {
			stopped = true
			cancel()
			return <-ended
		}
		f(t, e, l, stop)
		if !stopped {
			if err := stop(); err != nil {
				t.Error(err)
			}
		}
	})
}

// until sends, and returns after how long the other side closed the connection and what it said.
func until(c net.Conn, send func()) (time.Duration, string) {
	began := time.Now()
	var sender sync.WaitGroup
	sender.Go(send)
	text, _ := io.ReadAll(c)
	took := time.Since(began)
	c.Close()
	sender.Wait()
	return took, string(text)
}

// TestSlowLoris: who sends a byte now and then is cut off, by the header's deadline and by that of the whole request.
func TestSlowLoris(t *testing.T) {
	inBubble(t, func(t *testing.T, _ *endpoint, l *pipes, _ func() error) {
		if took, _ := until(l.dial(t), func() {}); took != patience.Header {
			t.Errorf("a silent connection was open for %v", took)
		}
		c := l.dial(t)
		if took, _ := until(c, func() { drip(c, "POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nX-Long: "+strings.Repeat("a", 1000)) }); took != patience.Header {
			t.Errorf("a slow header was read for %v", took)
		}
		body := l.dial(t)
		took, text := until(body, func() {
			io.WriteString(body, "POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\nContent-Length: 100000\r\n\r\n")
			drip(body, strings.Repeat("a", 1000))
		})
		if took > patience.Read+time.Second || !strings.Contains(text, "408") {
			t.Errorf("a slow body was read for %v: %.40q", took, text)
		}
		large := l.dial(t)
		_, text = until(large, func() {
			io.WriteString(large, "GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Large: "+strings.Repeat("a", 100<<10)) //nolint:errcheck // cut off
		})
		if !strings.Contains(text, "431") {
			t.Errorf("a large header: %.40q", text)
		}
	})
}

// drip sends a byte a second for as long as anybody reads.
func drip(c net.Conn, text string) {
	for i := range text {
		if _, err := c.Write([]byte(text[i : i+1])); err != nil {
			return
		}
		time.Sleep(time.Second)
	}
}

// request sends the head of a request and the first half of its body; finish sends the rest and returns the answer.
func request(t *testing.T, l *pipes, body []byte) (finish func() (*http.Response, error)) {
	t.Helper()
	c := l.dial(t)
	fmt.Fprintf(c, "POST /v1/predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: image/png\r\nContent-Length: %d\r\n\r\n", len(body))
	c.Write(body[:len(body)/2]) //nolint:errcheck // the answer tells
	return func() (*http.Response, error) {
		var sender sync.WaitGroup
		sender.Go(func() { c.Write(body[len(body)/2:]) }) //nolint:errcheck // the answer tells
		answer, err := http.ReadResponse(bufio.NewReader(c), nil)
		c.Close()
		sender.Wait()
		return answer, err
	}
}

// TestTooManyAtATime: one request is being read, the next is told to come back, and after the first it is welcome.
func TestTooManyAtATime(t *testing.T) {
	inBubble(t, func(t *testing.T, _ *endpoint, l *pipes, _ func() error) {
		first := request(t, l, drawing(t, 0))
		synctest.Wait()
		got, err := request(t, l, drawing(t, 1))()
		if err != nil || got.StatusCode != 503 || got.Header.Get("Retry-After") != "1" {
			t.Errorf("%+v, %v", got, err)
		}
		if got, err := first(); err != nil || got.StatusCode != 200 {
			t.Errorf("%+v, %v", got, err)
		}
		synctest.Wait()
		if got, err := request(t, l, drawing(t, 1))(); err != nil || got.StatusCode != 200 {
			t.Errorf("%+v, %v", got, err)
		}
	})
}

// TestDrain: a request that has begun is answered after the end was called, and no other is taken.
func TestDrain(t *testing.T) {
	inBubble(t, func(t *testing.T, _ *endpoint, l *pipes, stop func() error) {
		finish := request(t, l, drawing(t, 0))
		synctest.Wait()
		ended := make(chan error, 1)
		go func() { ended <- stop() }()
		synctest.Wait()
		select {
		case l.conns <- nil:
			t.Error("still listening")
		case <-l.done:
		}
		if got, err := finish(); err != nil || got.StatusCode != 200 {
			t.Errorf("%+v, %v", got, err)
		}
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
}

// TestDrainIsBounded: a request that never comes to its end does not keep the process.
func TestDrainIsBounded(t *testing.T) {
	e := newEndpoint(t, unchanged)
	bubble.Test(t, func(t *testing.T) {
		l := newPipes()
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- Serve(ctx, l, e.Handler, Patience{Drain: 3 * time.Second}) }()
		request(t, l, drawing(t, 0))
		synctest.Wait()
		cancel()
		began := time.Now()
		if err := <-ended; err == nil || time.Since(began) < 3*time.Second || time.Since(began) > 4*time.Second {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
	})
}
