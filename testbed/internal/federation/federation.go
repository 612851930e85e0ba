// Package federation runs every role of a dpfpl federation in one process over an embedded NATS server.
// The roles are the ones that are deployed, and meet only through messages; what is of the testbed is the
// server, the cast of clients that straggle, join late, are cut off or leave, and the record of it all.
package federation

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"dpfpl/broker"
	"dpfpl/broker/brokertest"
	"dpfpl/mathx/clip"
	"dpfpl/mathx/dp"
	"dpfpl/mathx/metrics"
	"dpfpl/mathx/prompt"
	"dpfpl/roles/aggregator"
	"dpfpl/roles/client"
	"dpfpl/roles/client/ledger"
	"dpfpl/roles/planfile"
	"dpfpl/schemas"
	"dpfpl/testbed/internal/seeded"
)

// Config is one run, ready to start.
type Config struct {
	Plan    *schemas.Plan
	Keys    *Keys
	Model   *clip.Model
	Names   [][]int // token ids of every class name with its ending, for the text tower
	Parties []Party
	// Encoder makes a party's text tower; nil means the Model's for Names. An audit scripts gradients with it.
	Encoder func(party string) (prompt.TextEncoder, error)

	// Dir holds what must survive a crash: the server's streams and the clients' ledgers. Empty keeps all of it
	// in memory.
	Dir string
	// Seeded makes noise, batches and all else follow from the plan's seed; it protects nobody and is for
	// virtual time. Otherwise noise comes from the operating system.
	Seeded bool
	// NoiseOnly ignores the data: the control of an experiment.
	NoiseOnly bool
	// Prune is the share of each residual that may be left out of a gradient; nil is the main job's.
	Prune *float64
	// Evaluate, if not nil, chooses the versions at which every client measures its personal prompt, as soon as it has
	// the version: p_L is then what the steps before made it.
	Evaluate func(version uint64) bool

	Recorder *Recorder // may be nil
	// Export, if not nil, receives the run's log file when the run is over.
	Export func(ctx context.Context, c *broker.Conn) error
	Log    zerolog.Logger
}

// Party is one client with its records and its behaviour.
type Party struct {
	ID                     string
	Train, Test, Neighbour []prompt.Example
	Behaviour              Behaviour
}

// Outcome is what is known when a run is over.
type Outcome struct {
	Checkpoint  *schemas.Checkpoint
	Parties     []PartyOutcome // in the order of Config.Parties
	Evaluations []Evaluation   // by version, then party; see Config.Evaluate
}

// Evaluation is one client's personal prompt, measured when a version reached it.
type Evaluation struct {
	Party            int // its position in Config.Parties
	Version          uint64
	At               time.Time
	Local, Neighbour float64
}

// PartyOutcome is where one client ended.
type PartyOutcome struct {
	Personal               []float32 // l×d; nil if it never had a model
	Local, Neighbour       float64   // accuracies of the personal prompt; NaN if there is none
	EpsilonRDP, EpsilonPLD float64   // spent; +Inf without a guarantee
	Debited                uint64    // steps in its ledger, of this run
	Spent                  error     // why it made no further updates, if so
}

// prune is the share of an example's residual that may be left out of its gradient: three in four classes count
// for less than that, and a step takes a quarter of the time.
const prune = 0.05

// ServerName is the aggregator's holder name in the run's lease.
const ServerName = "testbed"

// ErrLost means that Config.Dir does not hold the run any more: clients remember steps, and the streams know of none. To wait for
// versions that follow on those would be to wait for ever.
var ErrLost = errors.New("federation: the streams of the run are gone")

// Run runs the federation to its final version. Errors are the context's, and those of the roles and loops.
func Run(ctx context.Context, cfg Config) (*Outcome, error) {
	r := &running{Config: cfg, gate: newGate(), outcomes: make([]PartyOutcome, len(cfg.Parties))}
	defer r.closeLedgers()
	// Their locks keep a second process away from the folder before it starts a server on the same streams.
	if err := r.openLedgers(); err != nil {
		return nil, err
	}
	if cfg.Dir != "" {
		if err := os.MkdirAll(cfg.path("jetstream"), 0o700); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrLost, err)
		}
	}
	var err error
	r.server, err = brokertest.Start(brokertest.Options{Dir: cfg.path("jetstream"), SyncAlways: cfg.Dir != ""})
	if err != nil {
		return nil, err
	}
	defer r.server.Close()
	return r.run(ctx)
}

// running is a federation that is going on.
type running struct {
	Config
	server   *brokertest.Server
	ledgers  []*ledger.Ledger // of each party
	gate     *gate
	outcomes []PartyOutcome

	mu          sync.Mutex
	evaluations []Evaluation
	costs       map[uint64][2]float64 // epsilons by RDP and PLD after so many steps
}

func (r *running) run(ctx context.Context) (*Outcome, error) {
	conn, err := r.server.Connect(ctx, broker.Options{Name: "aggregator", Logger: &r.Log})
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	if err := r.provision(ctx, conn); err != nil {
		return nil, err
	}
	if err := r.roles(ctx, conn); err != nil {
		return nil, err
	}
	if r.Export != nil {
		if err := r.Export(ctx, conn); err != nil {
			return nil, err
		}
	}
	checkpoint, err := lastCheckpoint(ctx, conn, r.Plan.Run)
	slices.SortFunc(r.evaluations, func(a, b Evaluation) int {
		return cmp.Or(cmp.Compare(a.Version, b.Version), cmp.Compare(a.Party, b.Party))
	})
	return &Outcome{Checkpoint: checkpoint, Parties: r.outcomes, Evaluations: r.evaluations}, err
}

// provision makes the run's streams and publishes its plan, both idempotently.
func (r *running) provision(ctx context.Context, conn *broker.Conn) error {
	system, err := r.server.System(ctx)
	if err != nil {
		return err
	}
	defer system.Close()
	o := broker.StreamOptions{Memory: r.Dir == "", System: system, AllowLax: r.Dir == ""}
	if err := conn.Provision(ctx, r.Plan, o); err != nil {
		return err
	}
	raw, err := schemas.Seal(r.Plan, r.Keys.Operator)
	if err != nil {
		return err
	}
	return conn.PublishPlan(ctx, raw)
}

// roles runs the aggregator and all clients until the final version has reached everyone who is still there.
func (r *running) roles(ctx context.Context, conn *broker.Conn) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var clients sync.WaitGroup
	for i := range r.Parties {
		clients.Go(func() {
			if err := r.client(ctx, i); err != nil && ctx.Err() == nil {
				cancel(fmt.Errorf("%s: %w", r.Parties[i].ID, err))
			}
		})
	}
	err := r.aggregate(ctx, conn)
	if err != nil {
		cancel(err)
	}
	r.gate.pass(math.MaxUint64) // who still waits to join need not
	clients.Wait()
	if cause := context.Cause(ctx); cause != nil {
		return cause
	}
	return err
}

func (r *running) aggregate(ctx context.Context, conn *broker.Conn) error {
	initial, err := planfile.Initial(r.Plan, r.Model)
	if err != nil {
		return err
	}
	role, err := aggregator.New(aggregator.Config{
		Plan: r.Plan, Initial: initial, Key: r.Keys.Aggregator,
		Events: aggregator.Events{OnVersion: r.onVersion, OnVerdict: r.onVerdict},
	})
	if err != nil {
		return err
	}
	switch checkpoint, err := lastCheckpoint(ctx, conn, r.Plan.Run); {
	case err != nil:
		return err
	case checkpoint != nil:
		r.gate.pass(checkpoint.Version)
	default:
		if err := r.untouched(); err != nil {
			return err
		}
	}
	return broker.Fold(ctx, conn, r.Plan.Run, r.Keys.Aggregator, role, broker.FoldOptions{
		Holder: ServerName, Tick: r.Plan.Presence.Heartbeat / 4,
	})
}

// untouched reports a client that has taken steps. Error: ErrLost.
func (r *running) untouched() error {
	for i, l := range r.ledgers {
		if steps := l.Next(r.Plan.Run) - 1; steps > 0 {
			return fmt.Errorf("%w, yet %s has taken %d steps", ErrLost, r.Parties[i].ID, steps)
		}
	}
	return nil
}

func (r *running) onVersion(m *schemas.Model) {
	r.Recorder.Record(time.Now(), Moment{What: MomentVersion, Version: m.Version})
	r.gate.pass(m.Version)
}

func (r *running) onVerdict(n *schemas.Note) {
	m := Moment{What: MomentVerdict, Client: n.Client, K: n.K, Version: n.Version, Verdict: string(n.Verdict), Explanation: string(n.Reason)}
	r.Recorder.Record(time.Now(), m)
}

// client is the life of one client: it comes when its behaviour says so, works, may be cut off, may leave.
func (r *running) client(ctx context.Context, i int) error {
	party := &r.Parties[i]
	out := &r.outcomes[i]
	out.Local, out.Neighbour = math.NaN(), math.NaN()
	if err := r.await(ctx, party, party.Behaviour.JoinAt); err != nil {
		return err
	}
	store := r.ledgers[i]
	encoder, err := r.encoder(party.ID)
	if err != nil {
		return err
	}
	eval := evaluator{party: party, encoder: encoder}
	role, err := r.role(i, store, &eval)
	if err != nil {
		return err
	}
	eval.personal = role.Personal
	err = r.follow(ctx, party, role)
	out.Spent = role.Spent()
	out.Personal = role.Personal(nil)
	if out.Personal != nil {
		out.Local, out.Neighbour = eval.accuracies()
	}
	out.Debited = store.Next(r.Plan.Run) - 1
	out.EpsilonRDP, out.EpsilonPLD = r.spent(out.Debited, role.Account())
	return err
}

func (r *running) encoder(party string) (prompt.TextEncoder, error) {
	if r.Encoder != nil {
		return r.Encoder(party)
	}
	return r.Model.Text.NewEncoder(r.Names, int(r.Plan.Prompt.Context))
}

func (r *running) role(i int, store *ledger.Ledger, eval *evaluator) (*client.Client, error) {
	party := &r.Parties[i]
	cfg := client.Config{
		ID: party.ID, Key: r.Keys.Clients[party.ID], Plan: r.Plan,
		Backbone: r.Model.Digest, Encoder: eval.encoder, LogitScale: r.Model.LogitScale, Data: party.Train,
		Store: store, NoiseOnly: r.NoiseOnly, Software: "testbed", Prune: r.prune(),
		AllowUnprotected: r.Plan.Privacy.Noise == schemas.NoiseNone || r.Plan.Method.Mode == prompt.Paper,
		Events: client.Events{
			OnModel: func(version uint64, _ bool) { r.evaluate(i, version, eval) },
			OnStep: func(s client.Step) {
				if r.Recorder == nil {
					return
				}
				m := Moment{What: MomentStep, Client: party.ID, K: s.K, Version: s.Base, EpsilonRDP: finite(s.Epsilon)}
				local, neighbour := eval.accuracies()
				m.Local, m.Neighbour = finite(local), finite(neighbour)
				r.Recorder.Record(time.Now(), m)
			},
			OnSpent: func(reason error) {
				r.Recorder.Record(time.Now(), Moment{What: MomentSpent, Client: party.ID, Explanation: reason.Error()})
			},
			OnRefused: func(kind schemas.Kind, err error) {
				r.Log.Warn().Str("client", party.ID).Uint8("kind", uint8(kind)).Err(err).Msg("message refused")
			},
		},
	}
	if r.Seeded {
		cfg.Noise = func(k uint64) rand.Source { return seeded.Source(r.Plan.Seed, "noise", party.ID, k) }
	}
	return client.New(cfg)
}

func (c *Config) prune() float64 {
	if c.Prune != nil {
		return *c.Prune
	}
	return prune
}

// evaluate measures a client's personal prompt if this version is one of those that are asked for.
func (r *running) evaluate(party int, version uint64, eval *evaluator) {
	if r.Evaluate == nil || !r.Evaluate(version) {
		return
	}
	e := Evaluation{Party: party, Version: version, At: time.Now()}
	e.Local, e.Neighbour = eval.accuracies()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.evaluations = append(r.evaluations, e)
}

// follow connects the role and keeps it going until the run is over for it.
func (r *running) follow(ctx context.Context, party *Party, role *client.Client) error {
	b := party.Behaviour
	if b.LeaveAt > 0 && r.gate.wait(done(ctx), b.LeaveAt) == nil {
		return nil // a resumed run in which it has left already
	}
	link := brokertest.NewLink(r.server)
	conn, err := r.server.Connect(ctx, broker.Options{
		Name: party.ID, InProcess: link, Logger: &r.Log,
		ReconnectWait: 100*time.Millisecond + b.Offset, ReconnectJitter: time.Nanosecond, // the cast has its own jitter
	})
	if err != nil {
		return err
	}
	defer conn.Close()
	life, leave := context.WithCancel(ctx)
	r.moment(MomentJoin, party.ID)

	var director sync.WaitGroup
	director.Go(func() { r.direct(life, party, link, leave) })
	defer director.Wait()
	defer leave()

	err = broker.Follow(life, conn, r.Plan.Run, party.ID, r.Keys.Clients[party.ID], role, broker.FollowOptions{
		Aggregator: r.Plan.Aggregator,
		Delay:      func(schemas.Message) time.Duration { return b.Think },
		Heartbeat:  r.Plan.Presence.Heartbeat, Tick: r.Plan.Presence.Heartbeat,
		At: func(p broker.Point) {
			if p == broker.PointReturned {
				time.Sleep(b.Offset) // what this update leads to comes first, then the look for a newer model
			}
		},
	})
	switch {
	case err == nil:
		r.moment(MomentDone, party.ID)
	case ctx.Err() == nil && errors.Is(err, context.Canceled):
		r.moment(MomentLeave, party.ID)
		return nil
	}
	return err
}

// direct plays a client's part in the plan of faults.
func (r *running) direct(ctx context.Context, party *Party, link *brokertest.Link, leave func()) {
	b := party.Behaviour
	if b.CutAt > 0 && r.gate.wait(done(ctx), b.BackAt) != nil {
		if r.await(ctx, party, b.CutAt) != nil {
			return
		}
		link.Cut()
		r.moment(MomentCut, party.ID)
		if r.await(ctx, party, b.BackAt) != nil {
			return
		}
		link.Restore()
		r.moment(MomentBack, party.ID)
	}
	if b.LeaveAt > 0 && r.await(ctx, party, b.LeaveAt) == nil {
		leave()
	}
}

// await waits until the global prompt has reached a version, and then the party's own offset.
func (r *running) await(ctx context.Context, party *Party, version uint64) error {
	if err := r.gate.wait(ctx, version); err != nil {
		return err
	}
	select {
	case <-time.After(party.Behaviour.Offset):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (r *running) moment(what, id string) {
	r.Recorder.Record(time.Now(), Moment{What: what, Client: id})
}

// done is a context that has ended already: waiting under it only asks.
func done(ctx context.Context) context.Context {
	ctx, cancel := context.WithCancel(ctx)
	cancel()
	return ctx
}

func (r *running) openLedgers() error {
	for _, p := range r.Parties {
		l, err := r.ledger(p.ID)
		if err != nil {
			return fmt.Errorf("%s: %w", p.ID, err)
		}
		r.ledgers = append(r.ledgers, l)
	}
	return nil
}

func (r *running) closeLedgers() {
	for _, l := range r.ledgers {
		l.Close() //nolint:errcheck // everything in it is on disk already
	}
}

func (r *running) ledger(id string) (*ledger.Ledger, error) {
	var limits ledger.Limits
	if p := r.Plan.Privacy; p.Noise == schemas.NoiseClient && r.Plan.Method.Mode == prompt.Corrected {
		adjacency, err := dp.ParseAdjacency(p.Adjacency)
		if err != nil {
			return nil, err
		}
		limits = ledger.Limits{Adjacency: adjacency, MaxEpsilon: p.Epsilon, Delta: p.Delta}
	}
	if r.Dir == "" {
		return ledger.NewMemory(limits)
	}
	return ledger.Open(r.path(id+".ledger"), limits)
}

// path is a place below Dir; empty if there is no Dir.
func (c *Config) path(name string) string {
	if c.Dir == "" {
		return ""
	}
	return filepath.Join(c.Dir, name)
}

// evaluator measures a client's personal prompt on its own machine.
type evaluator struct {
	party    *Party
	encoder  prompt.TextEncoder
	personal func(dst []float32) []float32
	context  []float32
	measured []float32 // the prompt to which both belongs
	both     []float64
}

func (e *evaluator) accuracies() (local, neighbour float64) {
	e.context = e.personal(e.context)
	if e.both == nil || !slices.Equal(e.context, e.measured) {
		e.measured = append(e.measured[:0], e.context...)
		e.both = Accuracies(e.encoder, e.context, e.party.Test, e.party.Neighbour)
	}
	return e.both[0], e.both[1]
}

// Accuracies returns, for each set of examples, the share that a context classifies right among all classes;
// NaN for an empty set.
func Accuracies(encoder prompt.TextEncoder, context []float32, sets ...[]prompt.Example) []float64 {
	all := slices.Concat(sets...)
	predicted, labels := prompt.Predict(encoder, context, prompt.Features(all)), prompt.Labels(all)
	out := make([]float64, len(sets))
	for i, set := range sets {
		out[i] = metrics.Accuracy(predicted[:len(set)], labels[:len(set)])
		predicted, labels = predicted[len(set):], labels[len(set):]
	}
	return out
}

// spent reads the account of a client after so many steps. All follow one plan, so equal steps cost the same; the tight
// figure takes a moment to compute.
func (r *running) spent(steps uint64, account *dp.Account) (rdp, pld float64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	cost, known := r.costs[steps]
	if !known {
		cost[0], cost[1] = spent(account, r.Plan.Privacy.Delta)
		if r.costs == nil {
			r.costs = map[uint64][2]float64{}
		}
		r.costs[steps] = cost
	}
	return cost[0], cost[1]
}

// spent reads an account; a nil one is that of a run without a guarantee.
func spent(account *dp.Account, delta float64) (rdp, pld float64) {
	if account == nil {
		return math.Inf(1), math.Inf(1)
	}
	rdp, pld = math.Inf(1), math.Inf(1)
	if e, err := account.EpsilonRDP(delta); err == nil {
		rdp = e.Epsilon
	}
	if e, err := account.EpsilonPLD(delta); err == nil {
		pld = e
	}
	return rdp, pld
}

func finite(x float64) *float64 {
	if math.IsInf(x, 0) || math.IsNaN(x) {
		return nil
	}
	return &x
}

// lastCheckpoint returns the newest checkpoint of a run, nil if there is none yet.
func lastCheckpoint(ctx context.Context, conn *broker.Conn, run string) (last *schemas.Checkpoint, err error) {
	for m, err := range conn.ReadCheckpoints(ctx, run) {
		if err != nil {
			return nil, err
		}
		if m.Err != nil {
			return nil, m.Err
		}
		last = m.Body.(*schemas.Checkpoint)
	}
	return last, nil
}
