package brokertest

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"dpfpl/broker"
)

// Options describes an embedded server. The zero value of each field is a usable default.
type Options struct {
	// Dir is where streams are stored; empty makes a temporary folder that Close removes.
	Dir string
	// SyncAlways makes an acknowledged message survive a power failure.
	SyncAlways bool
	// Listen is a TCP address such as "127.0.0.1:0"; empty means in-process connections only.
	Listen string
	// Config replaces the accounts of the server configuration; default DefaultAccounts.
	Config string
	// Name is the server's name, which must be unique in a cluster; default "embedded".
	Name string
	// Cluster is the body of the configuration's cluster block; empty for a single server.
	Cluster string
	// NotStrict takes requests to the JetStream API that hold more than they may, as servers before 2.12 did.
	NotStrict bool
	// MaxStore bounds the store in bytes; 0 leaves it to the server.
	MaxStore int64
}

// DefaultAccounts has one account, DPFPL, that everybody is in who does not say otherwise, and the system
// account.
const DefaultAccounts = `
accounts {
  DPFPL: { jetstream: enabled, users: [ { user: dpfpl, password: dpfpl } ] }
  SYS:   { users: [ { user: sys, password: sys } ] }
}
system_account: SYS
no_auth_user: dpfpl
`

// Server is an embedded NATS server with JetStream. It can be stopped and started again on the same store.
type Server struct {
	o    Options
	dir  string
	temp bool

	mu  sync.Mutex
	srv *server.Server // nil while stopped
}

// Start starts a server and waits until it accepts connections.
func Start(o Options) (*Server, error) {
	s := &Server{o: o, dir: o.Dir}
	if s.dir == "" {
		dir, err := os.MkdirTemp("", "dpfpl-broker-")
		if err != nil {
			return nil, fmt.Errorf("brokertest: %w", err)
		}
		s.dir, s.temp = dir, true
	}
	if err := s.Restart(); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// Restart starts the server again after Stop, on the same store and, if it listens, the same address; but in a cluster,
// at one that is free.
func (s *Server) Restart() error {
	if s.running() != nil {
		return errors.New("brokertest: the server is running")
	}
	opts := &server.Options{}
	if err := opts.ProcessConfigString(s.config()); err != nil {
		return fmt.Errorf("brokertest: server configuration: %w", err)
	}
	opts.NoLog, opts.NoSigs, opts.DontListen = true, true, s.o.Listen == ""
	srv, err := server.NewServer(opts)
	if err != nil {
		return fmt.Errorf("brokertest: %w", err)
	}
	srv.Start() // comes back when the server runs or has failed; only the routes take longer
	if !srv.ReadyForConnections(20 * time.Second) {
		srv.Shutdown()
		return errors.New("brokertest: the server did not get ready")
	}
	if s.o.Listen != "" && s.o.Cluster == "" {
		s.o.Listen = srv.Addr().String() // a restart keeps the port
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.srv = srv
	return nil
}

// config renders the server's configuration file.
func (s *Server) config() string {
	var b strings.Builder
	name := s.o.Name
	if name == "" {
		name = "embedded"
	}
	fmt.Fprintf(&b, "server_name: %q\nmax_payload: 8MB\n", name)
	if s.o.Cluster != "" {
		fmt.Fprintf(&b, "cluster {\n%s\n}\n", s.o.Cluster)
	}
	if s.o.Listen != "" {
		listen := s.o.Listen
		if host, ok := strings.CutSuffix(listen, ":0"); ok {
			listen = host + ":-1" // to the server, 0 means its default port
		}
		fmt.Fprintf(&b, "listen: %q\n", listen)
	}
	fmt.Fprintf(&b, "jetstream {\n  store_dir: %q\n  max_buffered_size: 512MB\n", s.dir)
	if s.o.NotStrict {
		b.WriteString("  strict: false\n")
	}
	if s.o.MaxStore > 0 {
		fmt.Fprintf(&b, "  max_file_store: %d\n", s.o.MaxStore)
	}
	if s.o.SyncAlways {
		b.WriteString("  sync_interval: always\n")
	}
	b.WriteString("}\n")
	if s.o.Config == "" {
		b.WriteString(DefaultAccounts)
	}
	b.WriteString(s.o.Config)
	return b.String()
}

// InProcessConn connects to the running server; it makes a Server a nats.InProcessConnProvider that
// outlives restarts.
func (s *Server) InProcessConn() (net.Conn, error) {
	srv := s.running()
	if srv == nil {
		return nil, errors.New("brokertest: the server is stopped")
	}
	return srv.InProcessConn()
}

// running returns the running server, nil while it is stopped.
func (s *Server) running() *server.Server {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.srv
}

// patience is how long to try to connect where the options do not say: on a busy machine, client and server may not
// have greeted each other within the two seconds that either gives the other.
const patience = time.Minute

// Connect connects to the server in process. o.InProcess may be set to a Link of this server.
func (s *Server) Connect(ctx context.Context, o broker.Options) (*broker.Conn, error) {
	if o.InProcess == nil {
		o.InProcess = s
	}
	if o.Patience == 0 {
		o.Patience = patience
	}
	return broker.Connect(ctx, o)
}

// System connects to the system account of DefaultAccounts.
func (s *Server) System(ctx context.Context) (*broker.Conn, error) {
	return s.Connect(ctx, broker.Options{Name: "system", User: "sys", Password: "sys"})
}

// URL returns where the server listens, empty if it does not.
func (s *Server) URL() string {
	if s.o.Listen == "" {
		return ""
	}
	return "nats://" + s.o.Listen
}

// Dir returns where the streams are stored.
func (s *Server) Dir() string { return s.dir }

// Stop stops the server and waits until it has ended. Connections try to reconnect.
func (s *Server) Stop() {
	s.mu.Lock()
	srv := s.srv
	s.srv = nil
	s.mu.Unlock()
	if srv != nil { // not under the lock, on which somebody may wait: virtual time stands still meanwhile
		srv.Shutdown()
		srv.WaitForShutdown()
	}
}

// Close stops the server and removes its store if it was temporary.
func (s *Server) Close() error {
	s.Stop()
	if s.temp {
		return os.RemoveAll(s.dir)
	}
	return nil
}
