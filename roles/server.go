package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nkeys"
	"github.com/spf13/cobra"

	"dpfpl/broker"
)

// serverFlags say where the broker is and who we are there.
type serverFlags struct {
	url     string
	creds   string
	nkey    string
	ca      string
	context string
}

func (s *serverFlags) register(c *cobra.Command) {
	c.Flags().StringVar(&s.url, "nats", "", "`URL` of the server; several are separated by commas")
	c.Flags().StringVar(&s.creds, "creds", "", "credentials `file` for the server (see dpfpl enroll)")
	c.Flags().StringVar(&s.nkey, "nkey", "", "`file` with the seed of an nkey, for a server without operator")
	c.Flags().StringVar(&s.ca, "ca", "", "PEM `file` of who vouches for the server's certificate, if not the system")
	c.Flags().StringVar(&s.context, "nats-context", "", "`name` of a context of the nats tool, for what these flags leave open")
}

// options errors: inputError for missing or contradicting flags.
func (s *serverFlags) options() (broker.Options, error) {
	if err := s.fill(); err != nil {
		return broker.Options{}, err
	}
	o := broker.Options{URL: s.url, Creds: s.creds, CA: s.ca}
	switch {
	case s.url == "":
		return o, input(errors.New("no server: give --nats or --nats-context"))
	case s.creds != "" && s.nkey != "":
		return o, input(errors.New("either --creds or --nkey, not both"))
	}
	if err := errors.Join(checkServers(s.url), checkAuthority(s.ca)); err != nil {
		return o, input(err)
	}
	if s.creds == "" && s.nkey == "" {
		return o, nil
	}
	key, err := s.key()
	o.NKey = key
	return o, err
}

// checkServers does not repeat URLs: they may hold passwords.
func checkServers(urls string) error {
	for server := range strings.SplitSeq(urls, ",") {
		if server = strings.TrimSpace(server); !strings.Contains(server, "://") {
			server = "nats://" + server
		}
		u, err := url.Parse(server)
		if err != nil || u.Hostname() == "" || !slices.Contains([]string{"nats", "tls", "ws", "wss"}, u.Scheme) {
			return errors.New("--nats: want nats://HOST:PORT or tls://HOST:PORT, several separated by commas")
		}
	}
	return nil
}

func checkAuthority(path string) error {
	if path == "" {
		return nil
	}
	pem, err := os.ReadFile(path)
	switch {
	case err != nil:
		return fmt.Errorf("--ca: %w", err)
	case !x509.NewCertPool().AppendCertsFromPEM(pem):
		return fmt.Errorf("--ca %s: holds no certificate in PEM", path)
	}
	return nil
}

// key is ours: it proves who we are, and signs what we say. Errors: inputError.
func (s *serverFlags) key() (nkeys.KeyPair, error) {
	if err := s.fill(); err != nil {
		return nil, err
	}
	if s.creds == "" && s.nkey == "" {
		return nil, input(errors.New("no key: give --creds or --nkey"))
	}
	return readKey(s.creds + s.nkey)
}

// readKey reads the seed in a credentials or seed file. Errors: inputError.
func readKey(path string) (nkeys.KeyPair, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, input(err)
	}
	key, err := nkeys.ParseDecoratedNKey(b)
	if err != nil {
		return nil, input(fmt.Errorf("%s: holds no key: %w", path, err))
	}
	return key, nil
}

// credentialsName returns the name that a credentials file was made for. Errors: inputError.
func credentialsName(path string) (string, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return "", input(err)
	}
	token, err := nkeys.ParseDecoratedJWT(b)
	if err != nil {
		return "", input(fmt.Errorf("%s: %w", path, err))
	}
	claims, err := jwt.DecodeUserClaims(token)
	if err != nil {
		return "", input(fmt.Errorf("%s: %w", path, err))
	}
	return claims.Name, nil
}

// connect errors: inputError for the flags, and those of broker.Connect.
func (s *serverFlags) connect(ctx context.Context, name string) (*broker.Conn, error) {
	o, err := s.options()
	if err != nil {
		return nil, err
	}
	o.Name = name
	return dial(ctx, o)
}

// dial errors: those of broker.Connect.
func dial(ctx context.Context, o broker.Options) (*broker.Conn, error) {
	conn, err := broker.Connect(ctx, o)
	if _, stranger := errors.AsType[x509.UnknownAuthorityError](err); stranger {
		err = fmt.Errorf("%w; who vouches for this server is given with --ca", err)
	}
	return conn, err
}
