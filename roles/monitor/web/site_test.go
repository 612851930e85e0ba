package web

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"dpfpl/broker/brokertest/bubble"
	"dpfpl/roles/monitor"
	"dpfpl/schemas"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

// sample is a view with something in every section; version makes it differ.
func sample(version int64) monitor.View {
	epsilon, took := 3.5, 4.25
	return monitor.View{
		Run: "clinics", State: monitor.Learning, Headline: fmt.Sprintf("Learning: version %d of 60", version),
		Attention: []monitor.Attention{{Level: monitor.Warning, Text: "south is silent", Since: &noon}},
		Version:   version, Versions: 60, ToGo: 300,
		Collecting: monitor.Collecting{Rule: "fedbuff", Version: uint64(version + 1), Held: []string{"north"}, Size: 4, Quorum: 2, Owing: 3, Deadline: &noon},
		History:    []monitor.Version{{Number: 0, At: noon}, {Number: 1, At: noon.Add(time.Minute), Updates: 4, Staleness: 0.5}},
		Counts:     map[monitor.Presence]int{monitor.Present: 1, monitor.Silent: 1},
		Clients: []monitor.Client{
			{Name: "north", Presence: monitor.Present, Updates: 3, Of: 20, Accepted: 2, Waiting: 1, Took: &took, Epsilon: &epsilon, PLD: &epsilon, Share: 0.44},
			{Name: "south", Presence: monitor.Silent, Since: &noon, Updates: 20, Of: 20, Refused: 1, Stale: 1, Spent: true, Share: 1},
		},
		Aggregator: monitor.Aggregator{Known: true, Holder: "one", Standby: []string{"two"}, End: 9, EndAt: &noon, Applied: 8, Judged: 8, Lag: 1},
		Dead: monitor.Dead{Total: 1, Reasons: map[schemas.Reason]uint64{schemas.ReasonRepeat: 1}, Letters: []monitor.Letter{
			{Seq: 7, At: noon, Reason: schemas.ReasonRepeat, Client: "south", Detail: `<script>alert("dead")</script>`},
		}},
		Privacy:    monitor.Privacy{Guaranteed: true, Epsilon: 8, Delta: 1e-5, Adjacency: "zero-out"},
		Promise:    []string{"Run clinics: 2 clients learn.", "Each record is protected."},
		Connection: monitor.Connection{Up: true, Since: &noon},
	}
}

// served is a site on a real server.
type served struct {
	*testing.T
	site   *Site
	server *httptest.Server
}

func serve(t *testing.T, c Config) *served {
	t.Helper()
	return serveView(t, c, sample(1))
}

func serveView(t *testing.T, c Config, v monitor.View) *served {
	t.Helper()
	site, err := New(c, v)
	if err != nil {
		t.Fatal(err)
	}
	s := &served{t, site, httptest.NewUnstartedServer(nil)}
	s.server.Config = Server(site.Handler())
	s.server.Start()
	t.Cleanup(func() {
		site.Close()
		s.server.Close()
		http.DefaultClient.CloseIdleConnections()
	})
	return s
}

func (s *served) get(path string, change ...func(*http.Request)) (int, string, http.Header) {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.Context(), time.Minute)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.server.URL+path, nil)
	if err != nil {
		s.Fatal(err)
	}
	for _, c := range change {
		c(r)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		s.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		s.Fatal(err)
	}
	return answer.StatusCode, string(body), answer.Header
}

// stream is a listener.
type stream struct {
	*testing.T
	lines *bufio.Reader
	close func()
}

// listen begins to listen, after the event last.
func (s *served) listen(last string) *stream {
	s.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	s.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.server.URL+"/events", nil)
	if err != nil {
		s.Fatal(err)
	}
	if last != "" {
		r.Header.Set("Last-Event-ID", last)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { answer.Body.Close() })
	if answer.StatusCode != http.StatusOK || answer.Header.Get("Content-Type") != "text/event-stream" {
		s.Fatalf("%s, %s", answer.Status, answer.Header.Get("Content-Type"))
	}
	return &stream{s.T, bufio.NewReader(answer.Body), cancel}
}

// event is the next event: its kind, id and data.
func (s *stream) event() (kind, id, data string, err error) {
	for {
		line, err := s.lines.ReadString('\n')
		if err != nil {
			return kind, id, data, err
		}
		switch name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": "); name {
		case "id":
			id = value
		case "event":
			kind = value
		case "data":
			data = value
		case "":
			if data != "" {
				return kind, id, data, nil
			}
		}
	}
}

// parts are the sections of the next event that has some.
func (s *stream) parts() (id string, parts map[string]string) {
	s.Helper()
	for {
		kind, id, data, err := s.event()
		if err != nil {
			s.Fatal(err)
		}
		if kind != "" {
			continue
		}
		if err := json.Unmarshal([]byte(data), &parts); err != nil {
			s.Fatal(err)
		}
		return id, parts
	}
}

// TestPage: the page says all that the view does, in words that are safe.
func TestPage(t *testing.T) {
	s := serve(t, Config{})
	code, body, header := s.get("/")
	if code != http.StatusOK {
		t.Fatal(code, body)
	}
	for _, want := range []string{
		"Learning: version 1 of 60", "south is silent", "2026-01-01T12:00:00.000Z", "about 5 min to go", "Collecting version 2", "1 of 4 updates (north); 3 more may come",
		"3 of 20", "2 accepted, 1 waiting", "1 refused", "4.2 s", "3.50", "of 8; PLD 3.50", `<b class="tag">spent</b>`, "<polyline", "two", "1 behind",
		"1 × repeat", "&lt;script&gt;alert(&#34;dead&#34;)&lt;/script&gt;", "Each record is protected.", "connected to the broker",
	} {
		if !strings.Contains(body, want) {
			t.Errorf("%q is not on the page", want)
		}
	}
	if strings.Contains(body, "<script>") || strings.Contains(body, "style=") || strings.Contains(body, "ZgotmplZ") {
		t.Error("the page has what its policy forbids, or what the template refused")
	}
	if csp := header.Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") || strings.Contains(csp, "unsafe") {
		t.Errorf("policy %q", csp)
	}
	for _, path := range []string{"/static/page.js", "/static/page.css", "/static/icon.svg"} {
		code, text, header := s.get(path)
		if code != http.StatusOK || header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: %d", path, code)
		}
		if strings.Contains(strings.ReplaceAll(text, "http://www.w3.org/2000/svg", ""), "://") {
			t.Errorf("%s wants something from elsewhere", path)
		}
	}
	if code, _, _ := s.get("/nothing"); code != http.StatusNotFound {
		t.Error(code)
	}
}

// TestJSON: programs get the very view.
func TestJSON(t *testing.T) {
	s := serve(t, Config{})
	_, body, _ := s.get("/view.json")
	want, err := json.Marshal(sample(1))
	if err != nil {
		t.Fatal(err)
	}
	if strings.TrimSpace(body) != string(want) {
		t.Error(body)
	}
}

// TestEvents: a listener hears what has changed and no more, goes on where it was, and begins anew with another process.
func TestEvents(t *testing.T) {
	s := serve(t, Config{})
	first := s.listen("")
	id, parts := first.parts()
	if len(parts) != len(sections) {
		t.Fatalf("%d sections at first", len(parts))
	}
	s.publish(sample(2))
	id2, parts := first.parts()
	if id2 == id || len(parts) != 2 || !strings.Contains(parts["headline"], "version 2") || !strings.Contains(parts["progress"], "version 3") {
		t.Fatalf("%s after %s: %v", id2, id, parts)
	}
	first.close()
	s.publish(sample(2)) // nothing changes
	changed := sample(2)
	changed.Connection.Up = false
	s.publish(changed)
	if id3, parts := s.listen(id2).parts(); id3 == id2 || len(parts) != 1 || parts["connection"] == "" {
		t.Errorf("going on after %s: %s %v", id2, id3, parts)
	}
	if _, parts := s.listen(id).parts(); len(parts) != 3 {
		t.Errorf("going on after %s: %v", id, parts)
	}
	for _, last := range []string{"otherone-1", "nonsense", "-", s.site.name + "-999"} {
		if _, parts := s.listen(last).parts(); len(parts) != len(sections) {
			t.Errorf("after %s: %d sections", last, len(parts))
		}
	}
	if _, body, _ := s.get("/"); !strings.Contains(body, `data-event="`+s.site.name+`-3"`) {
		t.Error("the page does not say which event it stands for")
	}
}

// TestEarly: while a new process knows less, a page of an earlier one keeps what it shows.
func TestEarly(t *testing.T) {
	s := serveView(t, Config{}, monitor.Before("clinics", nil, noon))
	from := func(last string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set("Last-Event-ID", last) }
	}
	refused := func(when string) {
		t.Helper()
		if code, _, header := s.get("/events", from("earlier-7")); code != http.StatusServiceUnavailable || header.Get("Retry-After") == "" {
			t.Errorf("%s: %d", when, code)
		}
	}
	refused("before there is a plan")
	if _, parts := s.listen("").parts(); !strings.Contains(parts["headline"], "Waiting for the plan") {
		t.Errorf("a new page: %v", parts)
	}
	reading := sample(1)
	reading.State = monitor.Reading
	s.publish(reading)
	refused("while the log is read")
	if _, parts := s.listen(s.site.name + "-1").parts(); len(parts) == 0 {
		t.Error("a page of this process hears nothing")
	}
	s.publish(sample(2))
	if _, parts := s.listen("earlier-7").parts(); len(parts) != len(sections) {
		t.Errorf("afterwards: %d sections", len(parts))
	}
}

func (s *served) publish(v monitor.View) {
	s.Helper()
	if err := s.site.Publish(v); err != nil {
		s.Fatal(err)
	}
}

// alone is a listener for one connection, which lives in memory, so that a bubble's clock rules its deadlines.
type alone struct {
	conn   chan net.Conn
	closed context.Context
	close  context.CancelFunc
}

func (a alone) Accept() (net.Conn, error) {
	select {
	case c := <-a.conn:
		return c, nil
	case <-a.closed.Done():
		return nil, net.ErrClosed
	}
}

func (a alone) Close() error { a.close(); return nil }
func (alone) Addr() net.Addr { return &net.UnixAddr{Name: "memory", Net: "unix"} }

// inBubble has f listen to a site in virtual time, over a connection that holds nothing by itself.
func inBubble(t *testing.T, c Config, f func(t *testing.T, site *Site, c net.Conn)) {
	bubble.Test(t, func(t *testing.T) {
		site, err := New(c, sample(1))
		if err != nil {
			t.Fatal(err)
		}
		server := Server(site.Handler())
		ours, theirs := net.Pipe()
		l := alone{conn: make(chan net.Conn, 1)}
		l.closed, l.close = context.WithCancel(t.Context())
		l.conn <- theirs
		done := make(chan error)
		go func() { done <- server.Serve(l) }()
		defer func() {
			ours.Close()
			server.Close()
			<-done
		}()
		if _, err := io.WriteString(ours, "GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		f(t, site, ours)
	})
}

// TestBeat: a listener hears that the monitor lives even if nothing changes, for longer than a request may take.
func TestBeat(t *testing.T) {
	inBubble(t, Config{Beat: 7 * time.Second}, func(t *testing.T, _ *Site, c net.Conn) {
		answer, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatal(err)
		}
		l := &stream{t, bufio.NewReader(answer.Body), nil}
		l.parts()
		begun := time.Now()
		for range 100 {
			if kind, _, data, err := l.event(); err != nil || kind != "beat" || data != fmt.Sprint(time.Now().UnixMilli()) {
				t.Fatalf("%q %q %v", kind, data, err)
			}
		}
		if took := time.Since(begun); took != 700*time.Second {
			t.Errorf("100 beats took %v", took)
		}
	})
}

// TestTooManyListeners: the last one is sent away, until another leaves; the page is there for all.
func TestTooManyListeners(t *testing.T) {
	s := serve(t, Config{Listeners: 2})
	one, two := s.listen(""), s.listen("")
	one.parts()
	two.parts()
	code, body, header := s.get("/events")
	if code != http.StatusServiceUnavailable || header.Get("Retry-After") == "" {
		t.Errorf("%d %s", code, body)
	}
	if code, _, _ := s.get("/"); code != http.StatusOK {
		t.Error(code)
	}
	one.close()
	s.site.slots <- struct{}{} // waits until the place is free
	<-s.site.slots
	s.listen("").parts()
}

// TestSlowListener: who takes nothing is dropped, and what is published meanwhile waits for nobody and is not kept.
func TestSlowListener(t *testing.T) {
	inBubble(t, Config{Listeners: 1, Patience: 3 * time.Second}, func(t *testing.T, site *Site, c net.Conn) {
		begun := time.Now()
		if _, err := c.Read(make([]byte, 1)); err != nil { // it listens
			t.Fatal(err)
		}
		for version := range int64(100) {
			if err := site.Publish(sample(version)); err != nil {
				t.Fatal(err)
			}
		}
		if took := time.Since(begun); took != 0 {
			t.Errorf("publishing waited %v for a listener", took)
		}
		site.slots <- struct{}{} // waits until the place is free
		if took := time.Since(begun); took != 3*time.Second {
			t.Errorf("who took nothing was dropped after %v", took)
		}
	})
}

// TestClose: listeners are sent away.
func TestClose(t *testing.T) {
	s := serve(t, Config{})
	l := s.listen("")
	l.parts()
	s.site.Close()
	if _, _, _, err := l.event(); !errors.Is(err, io.EOF) {
		t.Error(err)
	}
}

// TestHealth: it is the broker's, and asks nobody's name.
func TestHealth(t *testing.T) {
	users, err := ReadUsers(strings.NewReader("a-token-of-some-length"))
	if err != nil {
		t.Fatal(err)
	}
	s := serve(t, Config{Users: users})
	if code, _, _ := s.get("/healthz"); code != http.StatusOK {
		t.Error(code)
	}
	v := sample(1)
	v.Connection.Up = false
	s.publish(v)
	if code, _, _ := s.get("/healthz"); code != http.StatusServiceUnavailable {
		t.Error(code)
	}
}

// TestManyClients: a page has an end, with the trouble before it.
func TestManyClients(t *testing.T) {
	v := sample(1)
	v.Clients = nil
	for i := range 1000 {
		v.Clients = append(v.Clients, monitor.Client{Name: fmt.Sprintf("c%04d", i), Presence: monitor.Present})
	}
	v.Clients[999].Presence = monitor.Silent
	site, err := New(Config{}, v)
	if err != nil {
		t.Fatal(err)
	}
	now, _ := site.current()
	html := now.parts[3].html
	if n := strings.Count(html, `id="client-`); n != maxRows || !strings.Contains(html, "client-c0999") || !strings.Contains(html, "and 800 more") {
		t.Errorf("%d rows", n)
	}
}
