package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"dpfpl/broker"
	"dpfpl/broker/logkey"
	"dpfpl/roles/enroll"
	"dpfpl/roles/loopback"
	"dpfpl/roles/monitor"
	"dpfpl/roles/monitor/web"
	"dpfpl/roles/planfile"
	"dpfpl/schemas"
)

// maxConnections is how many connections to the page may be open at a time, beside those that listen.
const maxConnections = 64

// monitorFlags are those of dpfpl monitor.
type monitorFlags struct {
	roleFlags
	address   string
	cert, key string
	users     string
	listeners int
}

func newMonitorCommand() *cobra.Command {
	var f monitorFlags
	c := &cobra.Command{
		Use:   "monitor",
		Short: "show a run as a live page",
		Long: `Serves a page that shows how a run is doing, and keeps it up to date: who is there, versions, staleness, what each
client has spent of its budget, dead letters, and what needs attention. /view.json has the same for programs.

It only reads, all of it from the broker, so that it can be stopped and started at any time; monitor.creds, made
by dpfpl enroll, allow no more. It needs no network but the broker's and its reader's.

It answers on this machine only, to whoever asks. Any other address needs --http-users, a file of who may look,
and should have --http-cert and --http-key: without them passwords travel in the clear.

Every flag may be given as an environment variable, --http as DPFPL_HTTP. It goes on when the run is over, until
it is interrupted (SIGINT, SIGTERM), with exit code 0. Exit code 1 is a failure, 2 a wrong flag or file.`,
		Example: `  dpfpl monitor --nats tls://broker:4222 --creds monitor.creds --run clinics --operator UABC…
  dpfpl monitor --nats tls://broker:4222 --creds monitor.creds --run clinics --operator UABC… \
      --http 0.0.0.0:8443 --http-cert page.pem --http-key page-key.pem --http-users users`,
		Args: inputArgs(cobra.NoArgs),
		RunE: func(c *cobra.Command, _ []string) error { return f.serve(c) },
	}
	f.register(c)
	c.Flags().StringVar(&f.address, "http", "127.0.0.1:8090", "`address` of the page")
	c.Flags().StringVar(&f.cert, "http-cert", "", "PEM `file` with the page's certificate, for https")
	c.Flags().StringVar(&f.key, "http-key", "", "PEM `file` with its key")
	c.Flags().StringVar(&f.users, "http-users", "", "`file` of who may look: a line is name:password, or a token for Authorization: Bearer")
	c.Flags().IntVar(&f.listeners, "http-listeners", 64, "how many pages are kept up to date at a time")
	return c
}

func (f *monitorFlags) serve(c *cobra.Command) error {
	ctx, cancel := context.WithCancel(c.Context())
	defer cancel()
	if err := f.checkOwn(); err != nil {
		return err
	}
	log, err := f.logger(c.ErrOrStderr(), "monitor")
	if err != nil {
		return err
	}
	o, err := f.brokerOptions()
	if err != nil {
		return err
	}
	o.Name, o.Logger = "monitor", &log
	site, closeSite, err := f.open(ctx, log)
	if err != nil {
		return err
	}
	defer closeSite()
	run, err := f.join(ctx, o)
	if err != nil {
		return ended(ctx, log, err)
	}
	defer run.Close()
	role, err := newMonitor(ctx, run.plan)
	if err != nil {
		return err
	}
	run.await(func(context.Context) error { return nil })
	err = broker.Watch(ctx, run.Conn, f.run, role, broker.WatchOptions{After: func(now time.Time) {
		if err := site.Publish(role.View(now)); err != nil {
			log.Error().Err(err).Msg("the page cannot be made")
		}
	}})
	return ended(ctx, log, err)
}

// checkOwn reports what is wrong with the flags by themselves. Errors: inputError.
func (f *monitorFlags) checkOwn() error {
	if err := f.check(); err != nil {
		return err
	}
	if err := listenable("http", f.address); err != nil {
		return err
	}
	switch {
	case (f.cert == "") != (f.key == ""):
		return input(errors.New("--http-cert and --http-key belong together"))
	case f.listeners < 1:
		return flagError("http-listeners", f.listeners, ">= 1")
	case !loopback.Is(f.address) && f.users == "":
		return input(fmt.Errorf("--http %s: can be reached from elsewhere; say with --http-users who may look, or take 127.0.0.1", f.address))
	}
	return nil
}

// brokerOptions takes the way of a monitor if the credentials are one's. Others, such as the operator's, can read
// where the streams are. Errors: inputError.
func (f *monitorFlags) brokerOptions() (broker.Options, error) {
	o, err := f.options()
	if err != nil || f.creds == "" {
		return o, err
	}
	name, err := credentialsName(f.creds)
	if name == enroll.Monitor {
		o = broker.MonitorOptions(o)
	}
	return o, err
}

// open serves the page, which says that it waits. Errors: inputError.
func (f *monitorFlags) open(ctx context.Context, log zerolog.Logger) (site *web.Site, close func(), err error) {
	config := web.Config{Listeners: f.listeners}
	if f.users != "" {
		file, err := os.Open(f.users)
		if err != nil {
			return nil, nil, input(fmt.Errorf("--http-users: %w", err))
		}
		defer file.Close()
		if config.Users, err = web.ReadUsers(file); err != nil {
			return nil, nil, input(fmt.Errorf("--http-users %s: %w", f.users, err))
		}
	}
	if site, err = web.New(config, monitor.Before(f.run, nil, time.Now())); err != nil {
		return nil, nil, err
	}
	server := web.Server(site.Handler())
	scheme := "http"
	if f.cert != "" {
		pair, err := tls.LoadX509KeyPair(f.cert, f.key)
		if err != nil {
			return nil, nil, input(fmt.Errorf("--http-cert, --http-key: %w", err))
		}
		server.TLSConfig, scheme = &tls.Config{Certificates: []tls.Certificate{pair}}, "https"
	} else if !loopback.Is(f.address) {
		log.Warn().Msg("passwords to the page travel in the clear: see --http-cert")
	}
	listener, err := new(net.ListenConfig).Listen(ctx, "tcp", f.address)
	if err != nil {
		return nil, nil, input(fmt.Errorf("--http: %w", err))
	}
	log.Info().Str(logkey.Address, scheme+"://"+listener.Addr().String()+"/").Msg("serves the page")
	done := make(chan struct{})
	go func() {
		defer func() { done <- struct{}{} }()
		limited := web.Limit(listener, f.listeners+maxConnections)
		serve := func() error { return server.Serve(limited) }
		if scheme == "https" {
			serve = func() error { return server.ServeTLS(limited, "", "") }
		}
		if err := serve(); !errors.Is(err, http.ErrServerClosed) {
			log.Error().Err(err).Msg("the page is not served any more")
		}
	}()
	return site, func() {
		site.Close()
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		if server.Shutdown(ctx) != nil {
			server.Close()
		}
		<-done
	}, nil
}

// newMonitor returns the role for a plan; ctx ends its reckoning.
func newMonitor(ctx context.Context, plan *schemas.Plan) (*monitor.Monitor, error) {
	var words strings.Builder
	promise, err := planfile.Examine(plan, 0)
	switch {
	case errors.Is(err, planfile.ErrContradiction): // a run goes on by its plan, whatever it is worth
		fmt.Fprintf(&words, "This plan does not hold what it promises: %v", err)
	case err != nil:
		return nil, err
	default:
		if err := promise.Write(&words); err != nil {
			return nil, err
		}
	}
	cost, err := newCosts(ctx, plan)
	if err != nil {
		return nil, err
	}
	return monitor.New(monitor.Config{Plan: plan, Cost: cost.of, Promise: paragraphs(words.String())})
}

// paragraphs splits a text at its empty lines.
func paragraphs(text string) []string {
	var list []string
	for p := range strings.SplitSeq(text, "\n\n") {
		if p = strings.TrimSpace(p); p != "" {
			list = append(list, p)
		}
	}
	return list
}
