package enroll

import (
	"cmp"
	"fmt"
	"maps"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
)

// Server is what the configuration of a server says beside who may connect. Empty fields have a default.
type Server struct {
	Name       string // default "dpfpl"
	Listen     string // default "0.0.0.0:4222"
	Monitoring string // default "127.0.0.1:8222": health checks
	Store      string // folder of the streams; default "/data"
	Cert, Key  string // PEM files; without them connections are not encrypted

	// Cluster names the servers of a cluster, this one among them, by the hosts under which they reach each other;
	// empty for a single server. They need TLS, and know each other by certificates of the authority in CA.
	Cluster []string
	CA      string // PEM file
	Routes  string // address for the other servers; default "0.0.0.0:6222"
}

// Nodes returns the servers of the cluster, each by its own name; for a single server that one.
func (s Server) Nodes() []Server {
	if len(s.Cluster) == 0 {
		return []Server{s}
	}
	nodes := make([]Server, len(s.Cluster))
	for i, name := range s.Cluster {
		nodes[i] = s
		nodes[i].Name = name
	}
	return nodes
}

// Check reports servers that cannot form a cluster. Errors: ErrName, ErrCluster.
func (s Server) Check() error {
	if len(s.Cluster) == 0 {
		return nil
	}
	if len(s.Cluster) < 3 || len(s.Cluster)%2 == 0 {
		return fmt.Errorf("%w: %d servers; a majority of them must be there, so that 3 bear the loss of one and 4 no more than that", ErrCluster, len(s.Cluster))
	}
	if s.Cert == "" || s.CA == "" {
		return fmt.Errorf("%w: its servers know each other by their certificates: give certificate, key and authority", ErrCluster)
	}
	for i, name := range s.Cluster {
		if u, err := url.Parse("tls://" + name); err != nil || u.Host != name || u.Port() != "" || name != filepath.Base(name) {
			return fmt.Errorf("%w: server %.80q: want the name of a host", ErrName, name)
		}
		if slices.Contains(s.Cluster[:i], name) {
			return fmt.Errorf("%w: %s is there twice", ErrCluster, name)
		}
	}
	return nil
}

// Config renders the configuration of a nats-server: operator mode, with the accounts in it and nothing
// secret. It changes when a key is revoked, and not when a client is added.
// Errors: ErrCluster, ErrName.
func (a *Authority) Config(s Server) (string, error) {
	if err := s.Check(); err != nil {
		return "", err
	}
	accounts, err := a.Accounts()
	if err != nil {
		return "", err
	}
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("# Made by dpfpl enroll. Holds no secrets.")
	line("# A client %s.", scopeText(a.clientScope()))
	line("server_name: %q", cmp.Or(s.Name, "dpfpl"))
	line("listen: %q", cmp.Or(s.Listen, "0.0.0.0:4222"))
	line("http: %q", cmp.Or(s.Monitoring, "127.0.0.1:8222"))
	line("max_payload: %d", maxPayload)
	line("jetstream {")
	line("  store_dir: %q", cmp.Or(s.Store, "/data"))
	line("  sync_interval: always # an acknowledged update survives a power cut")
	line("}")
	if s.Cert != "" {
		line("tls {")
		line("  cert_file: %q", s.Cert)
		line("  key_file: %q", s.Key)
		line("  timeout: 5")
		line("}")
	}
	if len(s.Cluster) > 0 {
		s.cluster(line)
	}
	b.WriteString(accounts)
	return b.String(), nil
}

// cluster writes how a server finds the others, and whom it takes for one.
func (s Server) cluster(line func(format string, args ...any)) {
	listen := cmp.Or(s.Routes, "0.0.0.0:6222")
	port := listen[strings.LastIndexByte(listen, ':')+1:]
	line("cluster {")
	line("  name: \"dpfpl\"")
	line("  listen: %q", listen)
	line("  routes: [")
	for _, other := range s.Cluster {
		if other != s.Name {
			line("    %q", "tls://"+other+":"+port)
		}
	}
	line("  ]")
	line("  tls {")
	line("    cert_file: %q", s.Cert)
	line("    key_file: %q", s.Key)
	line("    ca_file: %q", s.CA)
	line("    verify: true # whoever has no certificate of this authority is no server")
	line("    timeout: 5")
	line("  }")
	line("}")
}

// Accounts renders the part of the configuration that says who may connect and what for.
func (a *Authority) Accounts() (string, error) {
	accounts, err := a.accounts()
	if err != nil {
		return "", err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "operator: %s\nsystem_account: %s\nresolver: MEMORY\nresolver_preload: {\n", a.token, publicKey(a.system))
	for _, account := range slices.Sorted(maps.Keys(accounts)) {
		fmt.Fprintf(&b, "  %s: %s\n", account, accounts[account])
	}
	b.WriteString("}\n")
	return b.String(), nil
}
