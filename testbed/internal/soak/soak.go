package soak

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"dpfpl/broker"
	"dpfpl/broker/brokertest"
	"dpfpl/schemas"
	"dpfpl/testbed/internal/federation"
	"dpfpl/testbed/internal/process"
)

// Options choose a soak.
type Options struct {
	Seed    uint64
	Clients int
	// Faults is how long faults go on at least; they go on until there was every kind of fault, and every boundary.
	Faults time.Duration
	// Dir receives everything: logs, ledgers, streams, the exported run. It must not hold an earlier soak.
	Dir string
	// Command makes the command that runs Child with a text.
	Command func(text string) *exec.Cmd
	// NoDisks goes without disks that can be filled up, as on a system that does not allow to mount any.
	NoDisks bool
	// Say hears the plan of faults as it is carried out, line by line.
	Say func(line string)
}

// ErrOptions reports options that make no soak.
var ErrOptions = errors.New("soak: invalid option")

// Check reports an option outside its domain. Error: ErrOptions.
func (o *Options) Check() error {
	switch {
	case !process.Supported:
		return fmt.Errorf("%w: this system cannot pause processes", ErrOptions)
	case o.Clients < 2 || o.Clients > 50:
		return fmt.Errorf("%w: --clients %d: want 2 to 50", ErrOptions, o.Clients)
	case o.Faults < time.Second || o.Faults > 24*time.Hour:
		return fmt.Errorf("%w: --minutes %g: want a second to a day", ErrOptions, o.Faults.Minutes())
	}
	return nil
}

// Result is what a soak went through and left.
type Result struct {
	Tally
	Took       time.Duration
	Faults     map[Kind]int
	Boundaries map[broker.Point]int
	Starts     map[string]int
	// Disk says what made disks full: a disk without room, or why only a limit on the size of files.
	Disk string
	// NoSpace is how many lines the processes' logs hold of a disk without room.
	NoSpace int
}

// settling is how long the processes may take, without faults, to end the run.
const settling = 10 * time.Minute

// Run soaks. The error is ctx's, or says what did not hold.
func Run(ctx context.Context, o Options) (*Result, error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return nil, err
	}
	o.Dir = dir
	ctx, cancel := context.WithCancelCause(ctx)
	s := &soaking{Options: o, cancel: cancel, began: time.Now()}
	r, err := s.run(ctx)
	if cause := context.Cause(ctx); cause != nil {
		err = cause // the first thing that went wrong
	}
	cancel(nil)
	s.herd.living.Wait()
	if err != nil {
		err = errors.Join(err, s.fetch()) // to be looked at
	}
	s.close()
	return r, err
}

// soaking is a soak that is going on.
type soaking struct {
	Options
	cancel context.CancelCauseFunc
	began  time.Time
	keys   *federation.Keys
	plan   *schemas.Plan
	herd   herd
	disks  *process.Disks    // nil where there are none
	disk   string            // what makes disks full
	own    *brokertest.Proxy // our own way to the server
}

func (s *soaking) run(ctx context.Context) (*Result, error) {
	if err := s.prepare(); err != nil {
		return nil, err
	}
	s.mount()
	if err := s.begin(ctx); err != nil {
		return nil, err
	}
	d := newDirector(&s.herd, s.think())
	s.direct(ctx, d)
	d.heal()
	if err := s.end(ctx); err != nil {
		return nil, err
	}
	tally, err := s.judge(ctx)
	r := &Result{Tally: tally, Took: time.Since(s.began), Faults: d.done, Boundaries: d.hits, Starts: map[string]int{}, Disk: s.disk, NoSpace: s.count("no space left on device")}
	for name, p := range s.herd.procs {
		r.Starts[name] = p.starts
	}
	if missing := d.missing(); err == nil && len(missing) > 0 {
		err = fmt.Errorf("in %v there was no %s", r.Took.Round(time.Second), strings.Join(missing, ", no "))
	}
	if err == nil && tally.Accepted == 0 {
		err = errors.New("no update was accepted: the soak proves nothing")
	}
	return r, err
}

func (s *soaking) prepare() (err error) {
	s.herd = herd{command: s.Command, procs: map[string]*proc{}, cancel: s.cancel, rest: 100 * time.Millisecond}
	if s.keys, err = keys(s.Seed, s.Clients); err != nil {
		return err
	}
	if s.plan, err = newPlan(s.Seed, s.Clients, s.keys); err != nil {
		return err
	}
	if err = os.MkdirAll(s.Dir, 0o755); err != nil {
		return fmt.Errorf("%w: %w", ErrOptions, err)
	}
	if old, err := os.ReadDir(s.Dir); err != nil || len(old) > 0 {
		return errors.Join(err, fmt.Errorf("%w: %s is not empty", ErrOptions, s.Dir))
	}
	s.own, err = brokertest.NewProxy(&s.herd.server)
	return err
}

// begin starts the server, makes the run, and starts everybody else.
func (s *soaking) begin(ctx context.Context) error {
	server, err := s.herd.add(s.spec(serverName, serverName))
	if err != nil {
		return err
	}
	s.herd.keep(ctx, server)
	select {
	case <-server.ready:
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := s.provision(ctx); err != nil {
		return err
	}
	for _, name := range aggregatorNames {
		if err := s.launch(ctx, name, "aggregator"); err != nil {
			return err
		}
	}
	for i := range s.Clients {
		if err := s.launch(ctx, clientName(i), "client"); err != nil {
			return err
		}
	}
	return nil
}

func (s *soaking) launch(ctx context.Context, name, role string) error {
	p, err := s.herd.add(s.spec(name, role))
	if err == nil {
		s.herd.keep(ctx, p)
	}
	return err
}

func (s *soaking) spec(name, role string) spec {
	return spec{Name: name, Role: role, Dir: s.Dir, Disk: s.diskOf(name), Seed: s.Seed, Clients: s.Clients, Think: s.think()}
}

// think paces clients so that N updates last through the soak.
func (s *soaking) think() time.Duration { return max(30*time.Millisecond, s.Faults/(updates*3/4)) }

func (s *soaking) connect(ctx context.Context, user string) (*broker.Conn, error) {
	return broker.Connect(ctx, broker.Options{Name: "soak", URL: s.own.URL(), Patience: time.Minute, User: user, Password: user})
}

func (s *soaking) provision(ctx context.Context) error {
	system, err := s.connect(ctx, "sys")
	if err != nil {
		return err
	}
	defer system.Close()
	conn, err := s.connect(ctx, "dpfpl")
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.Provision(ctx, s.plan, broker.StreamOptions{System: system}); err != nil {
		return err
	}
	raw, err := schemas.Seal(s.plan, s.keys.Operator)
	if err != nil {
		return err
	}
	return conn.PublishPlan(ctx, raw)
}

// direct carries out faults for long enough, for a whole round, and until none is missing; but no longer than
// thrice that and ten minutes, which is for machines that are very slow.
func (s *soaking) direct(ctx context.Context, d *director) {
	p := newPlanner(s.Seed, s.Clients)
	start := time.Now()
	for ctx.Err() == nil {
		switch past := time.Since(start); {
		case past > s.Faults && p.round > 1 && len(d.missing()) == 0, past > 3*s.Faults+10*time.Minute:
			return
		}
		f := p.next()
		sleep(ctx, f.Pause)
		if ctx.Err() != nil {
			return
		}
		s.Say(fmt.Sprintf("%8.2fs  %v", time.Since(s.began).Seconds(), f))
		d.do(ctx, f)
	}
}

// end lets everybody but the server finish: clients send what they have, the aggregator ends the run.
func (s *soaking) end(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, settling)
	defer cancel()
	var left []string
	for name, p := range s.herd.procs {
		if name != serverName {
			p.finish()
			left = append(left, name)
		}
	}
	slices.Sort(left)
	for len(left) > 0 {
		if s.herd.procs[left[0]].finished() {
			left = left[1:]
			continue
		}
		sleep(ctx, 20*time.Millisecond)
		if ctx.Err() != nil {
			return fmt.Errorf("%s did not end in %v without faults: %w\n%s", left[0], settling, ctx.Err(), s.herd.procs[left[0]].lastWords())
		}
	}
	return nil
}

// judge exports the run and checks everything that is left.
func (s *soaking) judge(ctx context.Context) (Tally, error) {
	if err := errors.Join(s.export(ctx), s.fetch()); err != nil {
		return Tally{}, err
	}
	e, err := gather(s.Dir, s.Clients)
	if err != nil {
		return Tally{}, err
	}
	return e.check()
}

func (s *soaking) export(ctx context.Context) (err error) {
	conn, err := s.connect(ctx, "dpfpl")
	if err != nil {
		return err
	}
	defer conn.Close()
	file, err := os.Create(filepath.Join(s.Dir, logName))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, file.Close()) }()
	_, err = federation.Export(ctx, conn, runName, file)
	return err
}

func (s *soaking) close() {
	if s.own != nil {
		s.own.Close() //nolint:errcheck // nobody uses it any more
	}
	for _, p := range s.herd.procs {
		if p.proxy != nil {
			p.proxy.Close() //nolint:errcheck // as above
		}
	}
	if s.disks != nil {
		s.disks.Close()
	}
}

// Write prints the result for people.
func (r *Result) Write(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(name string, format string, args ...any) { fmt.Fprintf(t, name+"\t"+format+"\n", args...) }
	row("took", "%v", r.Took.Round(time.Second))
	row("faults", "%s", counts(r.Faults))
	row("killed at", "%s", counts(r.Boundaries))
	row("lives", "%s", counts(r.Starts))
	row("disk full", "%s; %d log lines of it", r.Disk, r.NoSpace)
	row("log", "%d updates, %d control messages", r.Updates, r.Controls)
	row("verdicts", "%d accepted, %d stale, %d refused, %d after the end", r.Accepted, r.Stale, r.Refused, r.After)
	row("versions", "%d, each equal to a sequential fold of the log, bit for bit", r.Versions)
	return t.Flush()
}

// counts lists how often of what, by name.
func counts[K ~string](m map[K]int) string {
	var parts []string
	for k, n := range m {
		parts = append(parts, fmt.Sprintf("%s %d", k, n))
	}
	slices.Sort(parts)
	return strings.Join(parts, ", ")
}
