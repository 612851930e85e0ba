package main

import (
	"cmp"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/spf13/cobra"

	"dpfpl/roles/enroll"
	"dpfpl/roles/planfile"
	"dpfpl/schemas"
)

// The files of an enrolment beside one NAME.creds for each user.
const (
	authorityFile = "authority.json"
	serverFile    = "server.conf"
	rosterFile    = "roster.yaml"
	operatorFile  = "operator.env"
	usersFile     = "users"
	caFile        = "ca.pem"
	certFile      = "server.pem"
	certKeyFile   = "server-key.pem"
)

func newEnrollCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "enroll",
		Short: "keys and credentials of a federation: init, add, rotate, revoke",
		Long: `Makes what a NATS server and the members of a federation need to know each other, in one folder:

  authority.json  the secret keys of the authority; keep it away from the server and everybody else
  server.conf     the configuration of the server; holds no secrets. With --cluster NAME.conf for each of the
                  others: three servers that keep three copies of a run bear the loss of one
  roster.yaml     public keys of all members, for dpfpl plan init
  operator.env    DPFPL_OPERATOR=KEY, what every member must pin
  users           name and password for the page of dpfpl monitor, where others can reach it
  ca.pem, server.pem, server-key.pem   certificates, with --tls-hosts
  NAME.creds      for each client, and for operator, aggregator, monitor and system: give it to whom it is
                  for, and delete it here

Both aggregators of a run, the leader and its standby, share aggregator.creds. A member's key also signs its
messages and stands in the plan, so a new key takes part from the next plan on.`,
		Example: `  dpfpl enroll init keys --clients north,south,east --tls-hosts broker.example.org
  dpfpl enroll add keys west
  dpfpl enroll revoke keys south && nats-server --signal reload`,
		Args: inputArgs(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newEnrollInitCommand(), newEnrollAddCommand(), newEnrollRotateCommand(), newEnrollRevokeCommand())
	return c
}

// enrolment is a folder with an authority and the server that it configures.
type enrolment struct {
	dir       string
	Authority *enroll.Authority
	Server    enroll.Server
}

func newEnrollInitCommand() *cobra.Command {
	var clients []string
	var run string
	var hosts []string
	var server enroll.Server
	c := &cobra.Command{
		Use:   "init FOLDER",
		Short: "make an authority, a server configuration, and credentials",
		Long: `Makes an authority, a server configuration, and credentials. TLS needs the server's certificate: give the
paths of one that you have, as the server finds it, with --tls-cert and --tls-key; or let one be made with
--tls-hosts, that whoever connects accepts with --ca ca.pem. With both, the certificate is made, and the paths are
where you put it.`,
		Example: `  dpfpl enroll init keys --clients north,south,east --tls-hosts broker.example.org,10.0.0.7
  dpfpl enroll init keys --clients north,south,east --tls-cert /tls/server.pem --tls-key /tls/server-key.pem
  dpfpl enroll init keys --clients north,south,east --tls-hosts nats-1,nats-2,nats-3 --cluster nats-1,nats-2,nats-3`,
		Args: inputArgs(cobra.ExactArgs(1)),
		RunE: func(c *cobra.Command, args []string) error {
			if (server.Cert == "") != (server.Key == "") {
				return input(errors.New("--tls-cert and --tls-key belong together"))
			}
			if len(server.Cluster) > 0 && c.Flags().Changed("server-name") {
				return input(errors.New("--cluster names the servers; leave out --server-name"))
			}
			authority, err := enroll.New(run)
			if err != nil {
				return input(err)
			}
			e := &enrolment{dir: args[0], Authority: authority, Server: server}
			if _, err := os.Stat(e.path(authorityFile)); !errors.Is(err, fs.ErrNotExist) {
				return input(fmt.Errorf("%s exists: an authority is not replaced", e.path(authorityFile)))
			}
			if len(hosts) > 0 {
				e.placeCertificates()
			}
			if err := e.Server.Check(); err != nil {
				return input(err)
			}
			names := append([]string{enroll.System, enroll.Operator, enroll.Aggregator, enroll.Monitor}, clients...)
			if err := checkNames(names); err != nil {
				return err
			}
			if err := os.MkdirAll(e.dir, 0o700); err != nil {
				return input(err)
			}
			if err := e.certify(hosts, time.Now()); err != nil {
				return err
			}
			if err := placeFile(e.path(usersFile), 0o600, content([]byte(enroll.Operator+":"+rand.Text()+"\n"))); err != nil {
				return err
			}
			if err := e.issue(names...); err != nil {
				return err
			}
			_, err = fmt.Fprintf(c.OutOrStdout(), "%s: %s, %s and credentials of %d clients\noperator %s\n",
				e.dir, serverFile, rosterFile, len(authority.Members()), authority.Public(enroll.Operator))
			return err
		},
	}
	c.Flags().StringSliceVar(&clients, "clients", nil, "`names` of clients, separated by commas")
	c.Flags().StringVar(&run, "run", "", "confine everybody to one `name` of a run; empty is all runs")
	c.Flags().StringVar(&server.Name, "server-name", "dpfpl", "`name` of the server")
	c.Flags().StringVar(&server.Listen, "listen", "0.0.0.0:4222", "`address` on which the server listens")
	c.Flags().StringVar(&server.Monitoring, "monitoring", "127.0.0.1:8222", "`address` of the server's health checks")
	c.Flags().StringVar(&server.Store, "store", "/data", "`folder` of the server's streams")
	c.Flags().StringVar(&server.Cert, "tls-cert", "", "PEM `file` with the server's certificate, as the server finds it")
	c.Flags().StringVar(&server.Key, "tls-key", "", "PEM `file` with its key")
	c.Flags().StringVar(&server.CA, "tls-ca", "", "PEM `file` with the authority of the certificates, as the servers of a cluster find it")
	c.Flags().StringSliceVar(&server.Cluster, "cluster", nil, "`hosts` of three or five servers that reach each other under these names")
	c.Flags().StringVar(&server.Routes, "routes", "0.0.0.0:6222", "`address` on which the servers of a cluster listen for each other")
	c.Flags().StringSliceVar(&hosts, "tls-hosts", nil, "make a certificate for these `names` and addresses of the server")
	return c
}

// placeCertificates lets the server find the certificates where they are made, if it was not told where.
func (e *enrolment) placeCertificates() {
	folder, err := filepath.Abs(e.dir)
	if err != nil {
		folder = e.dir
	}
	if e.Server.Cert == "" {
		e.Server.Cert, e.Server.Key = filepath.Join(folder, certFile), filepath.Join(folder, certKeyFile)
	}
	if len(e.Server.Cluster) > 0 {
		e.Server.CA = cmp.Or(e.Server.CA, filepath.Join(folder, caFile))
	}
}

// certify makes certificates if hosts asks for them. Errors: inputError for a bad host, and those of the file system.
func (e *enrolment) certify(hosts []string, now time.Time) error {
	if len(hosts) == 0 {
		return nil
	}
	made, err := enroll.NewCertificates(hosts, now)
	if err != nil {
		return inputIf(err, enroll.ErrName)
	}
	return errors.Join(
		os.WriteFile(e.path(caFile), made.CA, 0o644), os.WriteFile(e.path(certFile), made.Cert, 0o644), placeFile(e.path(certKeyFile), 0o600, content(made.Key)))
}

func newEnrollAddCommand() *cobra.Command {
	return changing(&cobra.Command{
		Use:     "add FOLDER NAME...",
		Short:   "enrol further clients; the server need not know",
		Example: "  dpfpl enroll add keys west",
	}, func(e *enrolment, names []string) error {
		for _, name := range names {
			if e.Authority.Public(name) != "" {
				return input(fmt.Errorf("%s is enrolled; see dpfpl enroll rotate", name))
			}
		}
		return e.issue(names...)
	})
}

func newEnrollRotateCommand() *cobra.Command {
	return changing(&cobra.Command{
		Use:     "rotate FOLDER NAME...",
		Short:   "give a user a new key and revoke the old one; then reload the server",
		Example: "  dpfpl enroll rotate keys north && nats-server --signal reload",
	}, func(e *enrolment, names []string) error {
		for _, name := range names {
			if e.Authority.Public(name) == "" {
				return input(fmt.Errorf("%w: %q", enroll.ErrUnknown, name))
			}
		}
		return e.issue(names...)
	})
}

func newEnrollRevokeCommand() *cobra.Command {
	return changing(&cobra.Command{
		Use:     "revoke FOLDER NAME...",
		Short:   "take back a user's key; then reload the server",
		Example: "  dpfpl enroll revoke keys south && nats-server --signal reload",
	}, func(e *enrolment, names []string) error {
		for _, name := range names {
			if err := e.Authority.Revoke(name); err != nil {
				return input(err)
			}
		}
		return e.save()
	})
}

// changing lets a command change an enrolment for the names that it is given.
func changing(c *cobra.Command, change func(e *enrolment, names []string) error) *cobra.Command {
	c.Args = inputArgs(cobra.MinimumNArgs(2))
	c.RunE = func(_ *cobra.Command, args []string) error {
		e, err := openEnrolment(args[0])
		if err != nil {
			return err
		}
		return change(e, args[1:])
	}
	return c
}

// openEnrolment errors: inputError.
func openEnrolment(dir string) (*enrolment, error) {
	e := &enrolment{dir: dir}
	b, err := os.ReadFile(e.path(authorityFile))
	if err != nil {
		return nil, input(err)
	}
	if err := json.Unmarshal(b, e); err != nil {
		return nil, input(fmt.Errorf("%s: %w: %w", e.path(authorityFile), enroll.ErrFormat, err))
	}
	if e.Authority == nil {
		return nil, input(fmt.Errorf("%s: %w", e.path(authorityFile), enroll.ErrFormat))
	}
	return e, nil
}

func (e *enrolment) path(name string) string { return filepath.Join(e.dir, name) }

// checkNames errors: inputError for one that is none, or that is there twice.
func checkNames(names []string) error {
	for i, name := range names {
		if !schemas.ValidName(name) {
			return input(fmt.Errorf("%w: %.80q: want 1 to %d of A-Z a-z 0-9 _ -", enroll.ErrName, name, schemas.MaxName))
		}
		if slices.Contains(names[:i], name) {
			return input(fmt.Errorf("%s is there twice (%s, %s, %s and %s are there anyway)", name, enroll.System, enroll.Operator, enroll.Aggregator, enroll.Monitor))
		}
	}
	return nil
}

// issue makes credentials for names, the authority being saved first: a key that it does not know could not be
// revoked.
func (e *enrolment) issue(names ...string) error {
	if err := checkNames(names); err != nil {
		return err
	}
	creds := map[string][]byte{}
	for _, name := range names {
		var err error
		if creds[name], err = e.Authority.Issue(name); err != nil {
			return inputIf(err, enroll.ErrName)
		}
	}
	if err := e.save(); err != nil {
		return err
	}
	for _, name := range names {
		if err := placeFile(e.path(name+".creds"), 0o600, content(creds[name])); err != nil {
			return err
		}
	}
	return nil
}

// save writes the authority and what follows from it.
func (e *enrolment) save() error {
	authority, err := json.MarshalIndent(e, "", "  ")
	if err != nil {
		return err
	}
	if err := placeFile(e.path(authorityFile), 0o600, content(append(authority, '\n'))); err != nil {
		return err
	}
	if err := e.configure(); err != nil {
		return err
	}
	roster, err := yaml.Marshal(planfile.Roster{
		Aggregator: e.Authority.Public(enroll.Aggregator), Operator: e.Authority.Public(enroll.Operator), Members: e.Authority.Members(),
	})
	if err != nil {
		return err
	}
	operator := variable("operator") + "=" + e.Authority.Public(enroll.Operator) + "\n"
	return errors.Join(os.WriteFile(e.path(rosterFile), roster, 0o644), os.WriteFile(e.path(operatorFile), []byte(operator), 0o644))
}

// configure writes the configuration of every server.
func (e *enrolment) configure() error {
	for i, node := range e.Server.Nodes() {
		config, err := e.Authority.Config(node)
		if err != nil {
			return err
		}
		name := serverFile
		if i > 0 {
			name = node.Name + ".conf"
		}
		if err := os.WriteFile(e.path(name), []byte(config), 0o644); err != nil {
			return err
		}
	}
	return nil
}
