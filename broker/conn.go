package broker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"
	"github.com/rs/zerolog"
)

// Options says how to reach a broker. The zero value of each field is a usable default.
type Options struct {
	Name string // shown by the server; default "dpfpl"
	URL  string // servers, separated by commas; default nats.DefaultURL

	// One of the following proves who we are, or none.
	Creds          string        // path of a credentials file (JWT and seed)
	NKey           nkeys.KeyPair // signs the server's challenge
	User, Password string

	// CA is a PEM file of who vouches for the server, instead of whom the system trusts; it demands TLS.
	CA string

	// InProcess connects to an embedded server without a socket; URL is then not used.
	InProcess nats.InProcessConnProvider
	// InboxPrefix is where replies come in, default "_INBOX". A client that may subscribe to its own
	// prefix only cannot read the replies of others.
	InboxPrefix string
	// APIPrefix is where this account finds the JetStream API, default "$JS.API". A client account
	// without JetStream imports the two calls it needs under another name.
	APIPrefix string

	// Patience is how long to keep trying for the first connection. 0 means one attempt.
	Patience time.Duration
	// Timeout bounds one request with all its tries, a publish included; default 30 s, because a burst of publishers waits.
	Timeout time.Duration
	// ReconnectWait and ReconnectJitter space attempts to reconnect, which go on for ever; default 500 ms each.
	ReconnectWait, ReconnectJitter time.Duration

	// Logger hears what has no caller to return to: disconnects, and permissions the server refused.
	Logger *zerolog.Logger
	// Events are told what happens to the connection, one after the other.
	Events []ConnEvents
}

// serverAPI is where an account with JetStream finds it.
const serverAPI = "$JS.API"

// Conn is a connection to the broker. Its methods may be called concurrently.
type Conn struct {
	nc      *nats.Conn
	js      jetstream.JetStream
	prefix  string
	timeout time.Duration
	log     zerolog.Logger
	events  []ConnEvents

	mu      sync.Mutex
	asking  asking
	session context.Context // ends, and another begins, when the connection has been lost and is back
	end     context.CancelFunc
}

// Connect connects. Expected errors: ctx's, and what nats says about servers and credentials.
func Connect(ctx context.Context, o Options) (*Conn, error) {
	o.setDefaults()
	c := &Conn{prefix: o.APIPrefix, timeout: o.Timeout, log: *o.Logger, events: o.Events, asking: asking{inbox: o.InboxPrefix}}
	c.session, c.end = context.WithCancel(context.Background())
	deadline := time.Now().Add(o.Patience)
	for {
		nc, err := nats.Connect(o.URL, c.natsOptions(o)...)
		if err == nil {
			c.nc = nc
			break
		}
		if repeats, ok := errors.AsType[*url.Error](err); ok {
			err = repeats.Err // without the URL, which may hold a password
		}
		if errors.Is(err, nats.ErrAuthorization) || !time.Now().Before(deadline) {
			return nil, fmt.Errorf("broker: connect to %s: %w", o.where(), err)
		}
		if err := pause(ctx, o.ReconnectWait); err != nil {
			return nil, fmt.Errorf("broker: connect to %s: %w", o.where(), err)
		}
	}
	js, err := jetstream.NewWithAPIPrefix(c.nc, o.APIPrefix, jetstream.WithDefaultTimeout(o.Timeout))
	if err != nil {
		c.nc.Close()
		return nil, fmt.Errorf("broker: %w", err)
	}
	c.js = js
	return c, nil
}

func (o *Options) setDefaults() {
	defaultTo(&o.Name, "dpfpl")
	defaultTo(&o.URL, nats.DefaultURL)
	defaultTo(&o.APIPrefix, serverAPI)
	defaultTo(&o.InboxPrefix, nats.InboxPrefix[:len(nats.InboxPrefix)-1])
	defaultTo(&o.Timeout, 30*time.Second)
	defaultTo(&o.ReconnectWait, 500*time.Millisecond)
	defaultTo(&o.ReconnectJitter, 500*time.Millisecond)
	if o.Logger == nil {
		nop := zerolog.Nop()
		o.Logger = &nop
	}
}

// defaultTo sets *v to d where it is zero.
func defaultTo[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}

func (o *Options) where() string {
	if o.InProcess != nil {
		return "the embedded server"
	}
	servers := strings.Split(o.URL, ",")
	for i, server := range servers {
		servers[i] = withoutPassword(server)
	}
	return strings.Join(servers, ",")
}

// withoutPassword returns a server's URL for people to read. What cannot be understood is not repeated.
func withoutPassword(server string) string {
	u, err := url.Parse(server)
	switch {
	case !strings.Contains(server, "@"):
		return server
	case err != nil || u.User == nil:
		return "…@" + server[strings.LastIndex(server, "@")+1:]
	}
	if _, ok := u.User.Password(); !ok {
		u.User = url.User("xxxxx") // a token
	}
	return u.Redacted()
}

// A server that is not there is given up for the next one soon; one that is there may have much else to do before it answers.
const (
	dialTime   = 2 * time.Second
	answerTime = 10 * time.Second
)

func (c *Conn) natsOptions(o Options) []nats.Option {
	opts := []nats.Option{
		nats.Name(o.Name),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(o.ReconnectWait),
		nats.ReconnectJitter(o.ReconnectJitter, o.ReconnectJitter),
		nats.CustomInboxPrefix(o.InboxPrefix),
		nats.ReconnectBufSize(-1), // a publish without connection fails at once, so its outcome is known
		nats.PermissionErrOnSubscribe(true),
		nats.ReconnectHandler(c.onReconnect),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil { // it was not our own Close
				c.log.Warn().Err(err).Msg("disconnected")
			}
			for _, e := range c.events {
				call(e.OnDisconnect, err)
			}
		}),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			c.log.Warn().Err(err).Msg("refused by the broker")
			c.asking.refuse(err)
			for _, e := range c.events {
				call(e.OnError, err)
			}
		}),
	}
	if o.InProcess != nil {
		opts = append(opts, nats.InProcessServer(o.InProcess))
	} else {
		opts = append(opts, nats.SetCustomDialer(&net.Dialer{Timeout: dialTime}), nats.Timeout(answerTime))
	}
	if o.CA != "" {
		opts = append(opts, nats.RootCAs(o.CA))
	}
	switch {
	case o.Creds != "":
		opts = append(opts, nats.UserCredentials(o.Creds))
	case o.NKey != nil:
		if public, err := o.NKey.PublicKey(); err == nil {
			opts = append(opts, nats.Nkey(public, o.NKey.Sign))
		}
	case o.User != "":
		opts = append(opts, nats.UserInfo(o.User, o.Password))
	}
	return opts
}

func (c *Conn) onReconnect(*nats.Conn) {
	c.log.Info().Msg("reconnected")
	for _, e := range c.events {
		notify(e.OnReconnect)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.end()
	c.session, c.end = context.WithCancel(context.Background())
}

// current returns a context that ends when the connection has been lost and is back.
func (c *Conn) current() context.Context {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.session
}

// Renewed returns a channel that is closed when the connection has been lost and is back.
func (c *Conn) Renewed() <-chan struct{} { return c.current().Done() }

// NATS returns the underlying connection, for what this package does not cover.
func (c *Conn) NATS() *nats.Conn { return c.nc }

// Close ends the connection at once. What was published with an ack is stored; nothing else is waited for.
func (c *Conn) Close() { c.nc.Close() }

// limit bounds ctx by the timeout of one request.
func (c *Conn) limit(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, c.timeout)
}

// pause waits for d, or for ctx, whose error it then returns.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
