package web

import (
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestUsers: who is named in the file gets in, by password or token, and nobody else.
func TestUsers(t *testing.T) {
	users, err := ReadUsers(strings.NewReader("# who may look\n\nanna:correct horse battery\nbert:with:colons:in:it:too\na-token-of-some-length\n"))
	if err != nil {
		t.Fatal(err)
	}
	s := serve(t, Config{Users: users})
	basic := func(name, password string) func(*http.Request) {
		return func(r *http.Request) { r.SetBasicAuth(name, password) }
	}
	bearer := func(value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set("Authorization", value) }
	}
	for _, c := range []struct {
		what string
		who  func(*http.Request)
		code int
	}{
		{"nobody", func(*http.Request) {}, 401},
		{"anna", basic("anna", "correct horse battery"), 200},
		{"bert", basic("bert", "with:colons:in:it:too"), 200},
		{"anna with bert's password", basic("anna", "with:colons:in:it:too"), 401},
		{"anna with none", basic("anna", ""), 401},
		{"a stranger", basic("cleo", "correct horse battery"), 401},
		{"a token", bearer("Bearer a-token-of-some-length"), 200},
		{"a wrong token", bearer("Bearer a-token-of-some-lengtH"), 401},
		{"no token", bearer("Bearer "), 401},
		{"a bare token", bearer("a-token-of-some-length"), 401},
		{"a password as a token", bearer("Bearer correct horse battery"), 401},
	} {
		for _, path := range []string{"/", "/view.json", "/static/page.js"} {
			if code, _, header := s.get(path, c.who); code != c.code || code == 401 && header.Get("WWW-Authenticate") == "" {
				t.Errorf("%s %s: %d, want %d", c.what, path, code, c.code)
			}
		}
	}
	if code, _, _ := s.get("/events"); code != 401 {
		t.Error(code)
	}
	if code, _, _ := s.get("/", basic("anna", "correct horse battery"), func(r *http.Request) { r.Host = "monitor.example.org" }); code != 200 {
		t.Errorf("a user under another name of this machine: %d", code)
	}
}

func TestBadUsers(t *testing.T) {
	for text, want := range map[string]string{
		"":                              "there are none",
		"# nobody\n":                    "there are none",
		"anna:short":                    "line 1: want at least 16",
		"\nshort":                       "line 2: want at least 16",
		":correct horse battery staple": "no name",
	} {
		if _, err := ReadUsers(strings.NewReader(text)); !errors.Is(err, ErrUsers) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// TestRebinding: a page elsewhere whose name points here reads nothing.
func TestRebinding(t *testing.T) {
	s := serve(t, Config{})
	for host, code := range map[string]int{"evil.example.org": 403, "evil.example.org:8090": 403, "localhost:1": 200, "127.0.0.1": 200, "[::1]:80": 200, "127.0.0.1.evil.org": 403} {
		for _, path := range []string{"/", "/view.json"} {
			if got, _, _ := s.get(path, func(r *http.Request) { r.Host = host }); got != code {
				t.Errorf("%s%s: %d, want %d", host, path, got, code)
			}
		}
	}
}

// TestOnlyReads: nothing but GET and HEAD means anything, and a request has a size.
func TestOnlyReads(t *testing.T) {
	s := serve(t, Config{})
	for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodDelete} {
		for _, path := range []string{"/", "/view.json", "/events"} {
			if code, _, _ := s.get(path, func(r *http.Request) { r.Method = method }); code != http.StatusMethodNotAllowed {
				t.Errorf("%s %s: %d", method, path, code)
			}
		}
	}
	if code, _, _ := s.get("/", func(r *http.Request) { r.Header.Set("X", strings.Repeat("x", 1<<14)) }); code != http.StatusRequestHeaderFieldsTooLarge {
		t.Error(code)
	}
}

// TestLimit: connection n + 1 is served when another ends.
func TestLimit(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := Server(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok") }))
	done := make(chan error, 1)
	go func() { done <- server.Serve(Limit(inner, 1)) }()
	defer func() {
		server.Close()
		<-done
	}()
	dial := func() net.Conn {
		c, err := net.Dial("tcp", inner.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(c, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
		return c
	}
	one := dial()
	defer one.Close()
	if _, err := one.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	two := dial()
	defer two.Close()
	two.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if _, err := two.Read(make([]byte, 1)); err == nil {
		t.Error("two at a time")
	}
	one.Close()
	two.SetReadDeadline(time.Now().Add(time.Minute))
	if _, err := two.Read(make([]byte, 1)); err != nil {
		t.Error(err)
	}
}
