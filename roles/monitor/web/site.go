package web

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"dpfpl/roles/monitor"
)

// Config tunes a site. The zero value of each field is a usable default.
type Config struct {
	// Listeners is how many pages may be kept up to date at a time; default 64.
	Listeners int
	// Beat is how often a listener hears something even if nothing changes; default 15 s.
	Beat time.Duration
	// Patience is how long a listener may take nothing until it is dropped; default 10 s.
	Patience time.Duration
	// Users may look; nil lets everybody, who must then ask for this machine by name.
	Users *Users
}

// Site shows the newest view that was published.
type Site struct {
	config  Config
	name    string        // of this process, in event ids
	slots   chan struct{} // one for each listener
	ended   chan struct{}
	endOnce sync.Once

	mu      sync.Mutex
	now     *snapshot
	changed chan struct{} // closed, and replaced, when there is another snapshot
}

// snapshot is a published view, rendered. It does not change.
type snapshot struct {
	revision uint64
	parts    []part
	json     []byte
	up       bool
	early    bool // less is known than a page of an earlier process may show
}

// part is a section of the page, and the revision that it last changed in.
type part struct {
	name, html string
	revision   uint64
}

// New returns a site that shows v.
func New(c Config, v monitor.View) (*Site, error) {
	if c.Listeners <= 0 {
		c.Listeners = 64
	}
	if c.Beat <= 0 {
		c.Beat = 15 * time.Second
	}
	if c.Patience <= 0 {
		c.Patience = 10 * time.Second
	}
	name := make([]byte, 4)
	rand.Read(name) //nolint:errcheck // never fails
	s := &Site{
		config: c, name: hex.EncodeToString(name), slots: make(chan struct{}, c.Listeners), ended: make(chan struct{}),
		now: &snapshot{}, changed: make(chan struct{}),
	}
	return s, s.Publish(v)
}

// Publish shows another view. Errors are those of rendering, and leave the old one.
func (s *Site) Publish(v monitor.View) error {
	old, _ := s.current()
	next := &snapshot{revision: old.revision, up: v.Connection.Up, early: len(v.Clients) == 0 || v.State == monitor.Reading}
	var err error
	if next.json, err = json.Marshal(v); err != nil {
		return fmt.Errorf("web: %w", err)
	}
	for i, name := range sections {
		var b bytes.Buffer
		if err := page.ExecuteTemplate(&b, name, v); err != nil {
			return fmt.Errorf("web: %w", err)
		}
		p := part{name: name, html: b.String(), revision: old.revision + 1}
		if i < len(old.parts) && old.parts[i].html == p.html {
			p.revision = old.parts[i].revision
		}
		next.revision = max(next.revision, p.revision)
		next.parts = append(next.parts, p)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now = next
	if next.revision != old.revision {
		close(s.changed)
		s.changed = make(chan struct{})
	}
	return nil
}

// Close sends every listener away.
func (s *Site) Close() { s.endOnce.Do(func() { close(s.ended) }) }

func (s *Site) current() (*snapshot, <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now, s.changed
}

// Handler answers requests.
func (s *Site) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.servePage)
	mux.HandleFunc("GET /events", s.serveEvents)
	mux.HandleFunc("GET /view.json", s.serveJSON)
	mux.Handle("GET /static/", http.FileServerFS(static))
	open := http.NewServeMux() // to whoever may connect, for health checks
	open.HandleFunc("GET /healthz", s.serveHealth)
	open.Handle("/", s.guard(mux))
	return headers(open)
}

func (s *Site) servePage(w http.ResponseWriter, _ *http.Request) {
	now, _ := s.current()
	var b bytes.Buffer
	if err := page.ExecuteTemplate(&b, "page", now.forPage(s.name)); err != nil {
		http.Error(w, "the page cannot be made", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Write(b.Bytes()) //nolint:errcheck // whoever asked is gone
}

func (s *Site) serveJSON(w http.ResponseWriter, _ *http.Request) {
	now, _ := s.current()
	w.Header().Set("Content-Type", "application/json")
	w.Write(append(now.json, '\n')) //nolint:errcheck // whoever asked is gone
}

func (s *Site) serveHealth(w http.ResponseWriter, _ *http.Request) {
	if now, _ := s.current(); !now.up {
		http.Error(w, "the broker cannot be reached", http.StatusServiceUnavailable)
		return
	}
	w.Write([]byte("ok\n")) //nolint:errcheck // whoever asked is gone
}

// serveEvents tells a listener what changes, beginning after the event that it has had last. To a page of an earlier process it
// says nothing until it knows as much: what the page shows would go, and come back.
func (s *Site) serveEvents(w http.ResponseWriter, r *http.Request) {
	told, known := s.told(r)
	if now, _ := s.current(); now.early && !known {
		later(w, "the run has not been read yet")
		return
	}
	select {
	case s.slots <- struct{}{}:
		defer func() { <-s.slots }()
	default:
		later(w, "too many listeners")
		return
	}
	l := &listener{w: w, control: http.NewResponseController(w), patience: s.config.Patience}
	l.control.SetReadDeadline(time.Time{}) //nolint:errcheck // the request is read; the server's limit would end the answer
	w.Header().Set("Content-Type", "text/event-stream")
	if l.say("retry: 2000\n\n") != nil {
		return
	}
	beat := time.NewTicker(s.config.Beat)
	defer beat.Stop()
	for {
		now, changed := s.current()
		if now.revision > told {
			if l.say(now.event(s.name, told)) != nil {
				return
			}
			told = now.revision
		}
		select {
		case <-changed:
		case <-beat.C:
			if l.say(fmt.Sprintf("event: beat\ndata: %d\n\n", time.Now().UnixMilli())) != nil {
				return
			}
		case <-r.Context().Done():
			return
		case <-s.ended:
			return
		}
	}
}

// later asks to come back.
func later(w http.ResponseWriter, why string) {
	w.Header().Set("Retry-After", "10")
	http.Error(w, why, http.StatusServiceUnavailable)
}

// told returns the revision that a listener has had, 0 if it is of another process, or of none; of another it is not known.
func (s *Site) told(r *http.Request) (revision uint64, known bool) {
	last := r.Header.Get("Last-Event-ID")
	if last == "" {
		last = r.URL.Query().Get("last")
	}
	name, number, _ := strings.Cut(last, "-")
	revision, err := strconv.ParseUint(number, 10, 64)
	if now, _ := s.current(); name != s.name || err != nil || revision > now.revision {
		return 0, last == ""
	}
	return revision, true
}

// listener is somebody who is told.
type listener struct {
	w        http.ResponseWriter
	control  *http.ResponseController
	patience time.Duration
}

// say sends text now, or fails if it is not taken in time.
func (l *listener) say(text string) error {
	if err := l.control.SetWriteDeadline(time.Now().Add(l.patience)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	if _, err := l.w.Write([]byte(text)); err != nil {
		return err
	}
	return l.control.Flush()
}

// event is what has changed since a revision: the sections by name.
func (n *snapshot) event(name string, since uint64) string {
	changed := map[string]string{}
	for _, p := range n.parts {
		if p.revision > since {
			changed[p.name] = p.html
		}
	}
	data, err := json.Marshal(changed)
	if err != nil {
		panic("web: strings do not marshal: " + err.Error())
	}
	return fmt.Sprintf("id: %s\ndata: %s\n\n", n.id(name), data)
}

// id names the snapshot to a listener.
func (n *snapshot) id(name string) string { return fmt.Sprintf("%s-%d", name, n.revision) }
