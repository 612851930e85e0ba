package web

import (
	"bufio"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"dpfpl/roles/loopback"
)

// ErrUsers reports a file of users that cannot be used; the message names the line.
var ErrUsers = errors.New("web: bad users")

// minSecret is the shortest password or token, in bytes: guessing must be hopeless without counting attempts.
const minSecret = 16

// Users are who may look. Passwords are kept as digests.
type Users struct {
	basic  map[string][32]byte // digest of the password by name
	bearer [][32]byte          // digests of tokens
}

// ReadUsers reads a user a line, name:password for a browser that asks, or a token alone for "Authorization: Bearer".
// Empty lines and those that begin with # count for nothing. Errors: ErrUsers, and r's.
func ReadUsers(r io.Reader) (*Users, error) {
	u := &Users{basic: map[string][32]byte{}}
	scan := bufio.NewScanner(io.LimitReader(r, 1<<20))
	for n := 1; scan.Scan(); n++ {
		text := strings.TrimSpace(scan.Text())
		if text == "" || text[0] == '#' {
			continue
		}
		name, secret, named := strings.Cut(text, ":")
		if !named {
			secret = text
		}
		switch {
		case len(secret) < minSecret:
			return nil, fmt.Errorf("%w: line %d: want at least %d characters", ErrUsers, n, minSecret)
		case named && name == "":
			return nil, fmt.Errorf("%w: line %d: no name before the colon", ErrUsers, n)
		case named:
			u.basic[name] = sha256.Sum256([]byte(secret))
		default:
			u.bearer = append(u.bearer, sha256.Sum256([]byte(secret)))
		}
	}
	if err := scan.Err(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrUsers, err)
	}
	if len(u.basic)+len(u.bearer) == 0 {
		return nil, fmt.Errorf("%w: there are none", ErrUsers)
	}
	return u, nil
}

// knows reports whether a request comes from a user. It takes as long for a wrong secret as for a right one.
func (u *Users) knows(r *http.Request) bool {
	if name, password, ok := r.BasicAuth(); ok {
		want, known := u.basic[name]
		return equal(want, password) && known
	}
	token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	found := false
	for _, want := range u.bearer {
		found = equal(want, token) || found
	}
	return ok && found
}

func equal(want [32]byte, secret string) bool {
	got := sha256.Sum256([]byte(secret))
	return subtle.ConstantTimeCompare(want[:], got[:]) == 1
}

// guard lets users in, or, if there are none, whoever asks for this machine by name: a page elsewhere whose name was
// made to point here does not.
func (s *Site) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case s.config.Users == nil && !loopback.Is(r.Host):
			http.Error(w, "ask for localhost", http.StatusForbidden)
		case s.config.Users != nil && !s.config.Users.knows(r):
			w.Header().Set("WWW-Authenticate", `Basic realm="dpfpl monitor", charset="UTF-8"`)
			http.Error(w, "who are you?", http.StatusUnauthorized)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// policy is what the page may do: show what comes from here, and have its own script, only, write into it.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; " +
	"frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types dpfpl"

func headers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Security-Policy", policy)
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("Cross-Origin-Opener-Policy", "same-origin")
		h.Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

// Server returns a server with limits on everything that a client can make it wait or keep.
func Server(h http.Handler) *http.Server {
	return &http.Server{
		Handler: h, MaxHeaderBytes: 8 << 10,
		ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second, WriteTimeout: 20 * time.Second, IdleTimeout: time.Minute,
	}
}

// Limit accepts at most n connections at a time; others wait.
func Limit(l net.Listener, n int) net.Listener { return &limited{l, make(chan struct{}, n)} }

type limited struct {
	net.Listener
	slots chan struct{}
}

func (l *limited) Accept() (net.Conn, error) {
	l.slots <- struct{}{}
	c, err := l.Listener.Accept()
	if err != nil {
		<-l.slots
		return nil, err
	}
	return &counted{Conn: c, slots: l.slots}, nil
}

type counted struct {
	net.Conn
	once  sync.Once
	slots chan struct{}
}

func (c *counted) Close() error {
	defer c.once.Do(func() { <-c.slots })
	return c.Conn.Close()
}
