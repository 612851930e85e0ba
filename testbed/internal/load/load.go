package load

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"text/tabwriter"
	"time"

	"dpfpl/broker"
	"dpfpl/schemas"
	"dpfpl/testbed/internal/process"
)

// Options choose a measurement.
type Options struct {
	Clients     int
	Payload     int // bytes of numbers in an update
	Connections int
	Buffer      int  // updates that make a version
	Repeats     int  // of each half of the comparison, in turn
	SyncAlways  bool // whether the server syncs every message to disk before it acknowledges it
	Seed        uint64
	// Apart gives the aggregator one half of the processors, and server and clients the other, with and without an
	// aggregator: as if it had a machine of its own.
	Apart bool

	// Command makes the command that runs Child with a text.
	Command func(text string) *exec.Cmd
}

// ErrOptions reports options that make no measurement.
var ErrOptions = errors.New("load: invalid option")

// Check reports an option outside its domain. Error: ErrOptions.
func (o *Options) Check() error {
	unit := 4 * rows
	switch {
	case o.Clients < 1 || o.Clients > 50000:
		return fmt.Errorf("%w: --clients %d: want 1 to 50000", ErrOptions, o.Clients)
	case o.Payload < unit || o.Payload > 4*schemas.MaxValues || o.Payload%unit != 0:
		return fmt.Errorf("%w: --payload %d: want a multiple of %d up to %d", ErrOptions, o.Payload, unit, 4*schemas.MaxValues)
	case o.Connections < 1 || o.Connections > 1000:
		return fmt.Errorf("%w: --connections %d: want 1 to 1000", ErrOptions, o.Connections)
	case o.Buffer < 1 || o.Buffer > o.Clients || o.Clients%o.Buffer != 0:
		return fmt.Errorf("%w: --buffer %d: want a divisor of %d clients", ErrOptions, o.Buffer, o.Clients)
	case o.Repeats < 1 || o.Repeats > 100:
		return fmt.Errorf("%w: --repeats %d: want 1 to 100", ErrOptions, o.Repeats)
	}
	return nil
}

// Result is what one server did. Rates are medians over the repeats.
type Result struct {
	SyncAlways bool    `json:"sync_always"`
	Clients    int     `json:"clients"`
	Payload    int     `json:"payload"`
	Versions   int     `json:"versions"`
	Raw        float64 `json:"raw_per_s"`    // published to a log that nobody reads
	Acked      float64 `json:"acked_per_s"`  // published to the log that is folded
	Folded     float64 `json:"folded_per_s"` // until the last version is committed
	Ratio      float64 `json:"ratio"`        // Folded over Raw, of the same repeat
	Retries    Retries `json:"retries"`      // over all repeats

	ServerPeak     int64 `json:"server_peak_bytes"`     // resident
	AggregatorPeak int64 `json:"aggregator_peak_bytes"` // resident
	// Processor time for one update, in microseconds.
	ServerRaw     float64 `json:"server_raw_us"`
	ServerFolded  float64 `json:"server_folded_us"`
	ClientsRaw    float64 `json:"clients_raw_us"` // to publish what was sealed before
	ClientsFolded float64 `json:"clients_folded_us"`
	Aggregator    float64 `json:"aggregator_us"`
	// What Ratio comes to where processor time is the limit: shared by all, or the aggregator's being its own. Zero where
	// no processor time was counted.
	Shared float64 `json:"ratio_shared"`
	Own    float64 `json:"ratio_own"`
	Apart  bool    `json:"apart"`

	Passes []Pass `json:"passes"`
}

// Pass is one repeat, in seconds.
type Pass struct {
	Raw    float64 `json:"raw_s"`
	Acked  float64 `json:"acked_s"`
	Folded float64 `json:"folded_s"`
}

// Run measures. Errors: ErrOptions, ctx's, and those of broker and children.
func Run(ctx context.Context, o Options) (*Result, error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	t, err := newTask(o)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "dpfpl-load-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	l := &loading{task: t, dir: dir}
	if o.Apart {
		restore, err := l.part()
		if err != nil {
			return nil, err
		}
		defer restore()
	}
	server, url, err := l.start(spec{Server: &process.ServerSpec{Dir: filepath.Join(dir, "jetstream"), SyncAlways: o.SyncAlways}}, process.Ready)
	if err != nil {
		return nil, err
	}
	defer stop(server)
	l.server, l.url = server, url
	return l.run(ctx)
}

// loading is a measurement that is going on.
type loading struct {
	*task
	dir    string
	server *process.Child
	url    string
	conn   *broker.Conn
	fleet  fleet
	result Result
	cpu    struct{ serverRaw, serverFolded, clientsRaw, clientsFolded, aggregator time.Duration }
	// Where the aggregator and everybody else run; nil is anywhere.
	its, others []int
}

// part splits the processors.
func (l *loading) part() (restore func(), err error) {
	all, err := process.Processors()
	if err != nil {
		return nil, err
	}
	if len(all) < 2 {
		return nil, fmt.Errorf("%w: --apart: want two processors, there is %d", ErrOptions, len(all))
	}
	half := len(all) / 2
	l.others, l.its = all[:half], all[half:]
	return func() { process.Keep(all) }, process.Keep(l.others) //nolint:errcheck // it could before
}

// start starts a child and waits for its word.
func (l *loading) start(s spec, word string) (*process.Child, string, error) {
	text, err := json.Marshal(s)
	if err != nil {
		return nil, "", err
	}
	log := filepath.Join(l.dir, "children.log")
	var child *process.Child
	begin := func() (err error) {
		child, err = process.Start(l.Command(string(text)), log)
		return err
	}
	if l.its != nil && s.Server == nil {
		err = process.On(l.its, begin)
	} else {
		err = begin()
	}
	if err != nil {
		return nil, "", err
	}
	rest, err := child.Await(word)
	if err != nil {
		said, _ := os.ReadFile(log)
		return nil, "", fmt.Errorf("%w\n%s", err, said)
	}
	return child, rest, nil
}

// stop ends a child and waits until it is gone.
func stop(c *process.Child) {
	c.Kill()
	for range c.Lines() { // what it still says is of no interest
	}
	<-c.Exited()
}

func (l *loading) run(ctx context.Context) (_ *Result, err error) {
	if l.conn, err = broker.Connect(ctx, broker.Options{Name: "load", URL: l.url}); err != nil {
		return nil, err
	}
	defer l.conn.Close()
	fleet, hangUp, err := dial(ctx, l.url, l.Connections)
	if err != nil {
		return nil, err
	}
	defer hangUp()
	l.fleet = fleet
	l.result = Result{SyncAlways: l.SyncAlways, Apart: l.Apart, Clients: l.Clients, Payload: l.Payload, Versions: l.Clients / l.Buffer}
	for i := range l.Repeats {
		if err := l.pass(ctx, i); err != nil {
			return nil, err
		}
	}
	return l.summarise(), nil
}

// pass publishes to a log that nobody reads, then to one that is folded.
func (l *loading) pass(ctx context.Context, i int) error {
	raw, _, _, err := l.measure(ctx, fmt.Sprint("raw-", i), false)
	if err != nil {
		return err
	}
	acked, all, usage, err := l.measure(ctx, fmt.Sprint("folded-", i), true)
	if err != nil {
		return err
	}
	l.result.Passes = append(l.result.Passes, Pass{raw.Seconds(), acked.Seconds(), all.Seconds()})
	l.result.AggregatorPeak = max(l.result.AggregatorPeak, usage.Peak)
	return nil
}

// measure lets everybody publish once to a run of its own, which an aggregator may fold, and says how long it took
// until all was acknowledged and until all was folded.
func (l *loading) measure(ctx context.Context, run string, fold bool) (acked, all time.Duration, usage process.Usage, err error) {
	plan, err := l.plan(run)
	if err != nil {
		return 0, 0, usage, err
	}
	parcels, err := l.seal(plan)
	if err != nil {
		return 0, 0, usage, err
	}
	if err := l.provision(ctx, plan); err != nil {
		return 0, 0, usage, err
	}
	var reader *process.Child
	if fold {
		if reader, _, err = l.start(spec{URL: l.url, Run: run, Seed: l.Seed}, reading); err != nil {
			return 0, 0, usage, err
		}
		defer stop(reader)
		usage = reader.Usage()
	}
	before, own := l.server.Usage().CPU, process.OwnCPU()
	began := time.Now()
	retries, err := l.fleet.publish(ctx, parcels)
	if err != nil {
		return 0, 0, usage, err
	}
	acked = time.Since(began)
	l.result.Retries.add(retries)
	if !fold {
		l.cpu.serverRaw += l.server.Usage().CPU - before
		l.cpu.clientsRaw += process.OwnCPU() - own
		return acked, acked, usage, nil
	}
	if _, err := reader.Await(folded); err != nil {
		return 0, 0, usage, err
	}
	all = time.Since(began)
	l.cpu.serverFolded += l.server.Usage().CPU - before
	l.cpu.clientsFolded += process.OwnCPU() - own
	idle := usage.CPU
	usage = reader.Usage()
	l.cpu.aggregator += usage.CPU - idle
	l.result.ServerPeak = l.server.Usage().Peak
	return acked, all, usage, l.complete(ctx, run)
}

func (l *loading) provision(ctx context.Context, plan *schemas.Plan) error {
	// The sync policy is the measurement's own choice, so there is no need to ask the server for it.
	if err := l.conn.Provision(ctx, plan, broker.StreamOptions{AllowLax: true}); err != nil {
		return err
	}
	raw, err := schemas.Seal(plan, l.keys.Operator)
	if err != nil {
		return err
	}
	return l.conn.PublishPlan(ctx, raw)
}

// complete makes sure that every client's update was accepted.
func (l *loading) complete(ctx context.Context, run string) error {
	accepted := uint64(0)
	for m, err := range l.conn.ReadCheckpoints(ctx, run) {
		if err = errors.Join(err, m.Err); err != nil {
			return err
		}
		if c := m.Body.(*schemas.Checkpoint); c.Final {
			for _, r := range c.Members {
				accepted += r.Accepted
			}
		}
	}
	if accepted != uint64(l.Clients) {
		return fmt.Errorf("load: %d of %d updates were accepted", accepted, l.Clients)
	}
	return nil
}

func (l *loading) summarise() *Result {
	r := &l.result
	n := float64(l.Clients)
	rate := func(of func(Pass) float64) float64 {
		var all []float64
		for _, p := range r.Passes {
			all = append(all, of(p))
		}
		return median(all)
	}
	r.Raw = rate(func(p Pass) float64 { return n / p.Raw })
	r.Acked = rate(func(p Pass) float64 { return n / p.Acked })
	r.Folded = rate(func(p Pass) float64 { return n / p.Folded })
	r.Ratio = rate(func(p Pass) float64 { return p.Raw / p.Folded })
	each := func(d time.Duration) float64 { return float64(d.Microseconds()) / n / float64(l.Repeats) }
	r.ServerRaw, r.ClientsRaw = each(l.cpu.serverRaw), each(l.cpu.clientsRaw)
	r.ServerFolded, r.ClientsFolded, r.Aggregator = each(l.cpu.serverFolded), each(l.cpu.clientsFolded), each(l.cpu.aggregator)
	raw, rest := r.ServerRaw+r.ClientsRaw, r.ServerFolded+r.ClientsFolded
	if rest > 0 { // processor time counts in ticks, and on some systems not at all
		r.Shared, r.Own = raw/(rest+r.Aggregator), raw/max(rest, r.Aggregator)
	}
	return r
}

func median(x []float64) float64 {
	slices.Sort(x)
	n := len(x)
	return (x[(n-1)/2] + x[n/2]) / 2
}

// Write prints results as a table.
func Write(w io.Writer, results []*Result) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "sync\tclients\tKiB\traw/s\tacked/s\tfolded/s\tratio\tall folded\t429\tother\tserver RSS\taggregator RSS\t")
	for _, r := range results {
		fmt.Fprintf(t, "%s\t%d\t%.4g\t%.0f\t%.0f\t%.0f\t%.2f\t%.2f s\t%d\t%d\t%d MB\t%d MB\t\n",
			r.sync(), r.Clients, float64(r.Payload)/1024, r.Raw, r.Acked, r.Folded, r.Ratio, float64(r.Clients)/r.Folded,
			r.Retries.Busy, r.Retries.Other, r.ServerPeak>>20, r.AggregatorPeak>>20)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(w, "\nratio: folded and committed, over published to a log that nobody reads, in the same run\n\nprocessor time for one update, µs:")
	fmt.Fprintln(t, "sync\tserver raw\tclients raw\tserver\tclients\taggregator\tratio if shared\tif the aggregator has its own\t")
	for _, r := range results {
		fmt.Fprintf(t, "%s\t%.0f\t%.0f\t%.0f\t%.0f\t%.0f\t%.2f\t%.2f\t\n", r.sync(), r.ServerRaw, r.ClientsRaw, r.ServerFolded, r.ClientsFolded, r.Aggregator, r.Shared, r.Own)
	}
	if err := t.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintln(w, "\nclients only publish what was sealed before, in both; the ratios are those of processor time, for as long as nothing else is the limit")
	return err
}

// sync names how the server syncs, and whether the aggregator runs apart.
func (r *Result) sync() string {
	name := "default"
	if r.SyncAlways {
		name = "always"
	}
	if r.Apart {
		name += ", apart"
	}
	return name
}
