package broker_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"
	_ "unsafe" // for go:linkname

	"dpfpl/broker"
	"dpfpl/broker/brokertest"
	"dpfpl/schemas"
)

// The server's timings of elections, which it has no option for. Its own are 4 to 9 s without a word from a leader,
// of which there should be one a second, and 1 s before a lost route is tried again.
var (
	//go:linkname minElectionTimeout github.com/nats-io/nats-server/v2/server.minElectionTimeout
	minElectionTimeout time.Duration
	//go:linkname maxElectionTimeout github.com/nats-io/nats-server/v2/server.maxElectionTimeout
	maxElectionTimeout time.Duration
	//go:linkname hbInterval github.com/nats-io/nats-server/v2/server.hbInterval
	hbInterval time.Duration
	//go:linkname lostQuorumInterval github.com/nats-io/nats-server/v2/server.lostQuorumInterval
	lostQuorumInterval time.Duration
	//go:linkname lostQuorumCheck github.com/nats-io/nats-server/v2/server.lostQuorumCheck
	lostQuorumCheck time.Duration
	//go:linkname routeConnectDelay github.com/nats-io/nats-server/v2/server.routeConnectDelay
	routeConnectDelay time.Duration
	//go:linkname routeReconnectDelay github.com/nats-io/nats-server/v2/server.routeReconnectDelay
	routeReconnectDelay time.Duration
)

// hasten makes elections so many times as fast, for the test.
func hasten(t *testing.T, times time.Duration) {
	t.Helper()
	if minElectionTimeout < time.Second {
		t.Fatal("the server's timings have changed")
	}
	for _, d := range []*time.Duration{
		&minElectionTimeout, &maxElectionTimeout, &hbInterval, &lostQuorumInterval, &lostQuorumCheck, &routeConnectDelay, &routeReconnectDelay,
	} {
		*d /= times
		t.Cleanup(func() { *d *= times })
	}
}

// TestCluster replicates a run over three servers, whose clients and aggregators are spread over them, and in the
// middle of it loses servers in every way: cut off from the others, unheard by them, killed, and one after the other.
// The run goes on without the lost server, whatever it leads; at the end every version equals a sequential fold of
// the log, and no update that was acknowledged is missing or counted twice.
func TestCluster(t *testing.T) {
	if testing.Short() {
		t.Skip("half a minute of elections: left out with -short only")
	}
	hasten(t, 4)
	t.Logf("a version %v after a loss", playCluster(t).Round(time.Millisecond))
}

// BenchmarkCluster is the same with the server's own timings. It reports the time from a loss to the next version.
func BenchmarkCluster(b *testing.B) {
	for b.Loop() {
		b.ReportMetric(playCluster(b).Seconds(), "s/failover")
	}
}

// play is a run over a cluster, which goes on until it is stopped.
type play struct {
	testing.TB
	ctx     context.Context // ends with the first failure, its cause
	fail    context.CancelCauseFunc
	cluster *brokertest.Cluster
	plan    *schemas.Plan
	disks   map[string]*disk
	running sync.WaitGroup
	valve   *valve
	commits chan string // the name of an aggregator for each version that it stored

	losses   int
	failover time.Duration // of all losses
}

func playCluster(t testing.TB) (failover time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
	defer cancel()
	cluster, err := brokertest.StartCluster(ctx, 3, brokertest.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close() //nolint:errcheck // temporary folders
	p := &play{
		TB: t, cluster: cluster, plan: newPlan(6, 1<<20, 1000), disks: map[string]*disk{},
		valve: newValve(), commits: make(chan string, 1<<16),
	}
	p.ctx, p.fail = context.WithCancelCause(ctx)
	defer p.running.Wait()
	defer p.fail(errors.New("the test has ended"))
	p.provision()
	leader := p.settle()
	p.begin(leader)

	p.lose("cut off", leader, cluster.Isolate) // and with it the aggregator that leads, and two clients
	p.healed(leader)
	leader = p.settle()
	p.lose("unheard", leader, cluster.Mute)
	p.healed(leader)
	leader = p.settle()
	p.lose("killed", leader, cluster.Kill)
	p.revived(leader)
	leader = p.settle()
	p.lose("cut off", leader, cluster.Isolate)
	cluster.Heal(leader)
	next := p.leader(leader)
	p.lose("killed while another one catches up", next, cluster.Kill)
	p.revived(next)
	p.settle()
	p.end()
	return p.failover / time.Duration(p.losses)
}

// connect connects to a server, or while that is stopped to another.
func (p *play) connect(i int) *broker.Conn {
	p.Helper()
	c, err := p.cluster.Connect(p.ctx, i%3, broker.Options{ReconnectWait: 50 * time.Millisecond, ReconnectJitter: 50 * time.Millisecond})
	if err != nil {
		p.Fatal(err)
	}
	p.Cleanup(c.Close)
	return c
}

// provision makes the run's streams. Servers that have just met may take each other for lost once more, or choose
// another leader, and then do not do as they are asked for a moment.
func (p *play) provision() {
	p.Helper()
	conn := p.connect(0)
	for {
		err := conn.Provision(p.ctx, p.plan, broker.StreamOptions{AllowLax: true, Replicas: 3})
		if err == nil {
			return
		}
		p.Log("the streams are made again: ", err)
		if err := p.cluster.Settle(p.ctx); err != nil {
			p.Fatal(err)
		}
	}
}

// begin starts an aggregator and two clients on every server. The aggregator at server i is the first to lead.
func (p *play) begin(i int) {
	p.Helper()
	key, _ := seedKey("aggregator")
	leads := make(chan string, 1<<16)
	for n := range 3 {
		conn, name := p.connect(i+n), fmt.Sprint("aggregator at ", (i+n)%3+1)
		p.start(name, func() error {
			return broker.Fold(p.ctx, conn, p.plan.Run, key, newSummer(p.plan, 2), broker.FoldOptions{
				Holder: name, Retry: 50 * time.Millisecond,
				Events: []broker.FoldEvents{{OnLead: func() { leads <- name }}},
				At: func(at broker.Point) {
					if at == broker.PointCommitted {
						p.commits <- name
					}
				},
			})
		})
		if n == 0 {
			p.await(leads)
		}
	}
	for n := range p.plan.Members {
		conn, w := p.connect(i+n), newWorker(p.plan, clientID(n), newDisk())
		p.disks[w.id] = w.disk
		p.start(w.id, func() error {
			return broker.Follow(p.ctx, conn, p.plan.Run, w.id, w.key, w, broker.FollowOptions{
				Aggregator: p.plan.Aggregator, CatchUp: time.Second, Retry: 50 * time.Millisecond, GiveUp: time.Hour,
				Delay: func(schemas.Message) time.Duration { return 100 * time.Millisecond }, // so that N is not used up
				At: func(at broker.Point) {
					if at == broker.PointModel {
						p.valve.pass(p.ctx)
					}
				},
			})
		})
	}
}

// start runs somebody, whose failure is the play's.
func (p *play) start(name string, run func() error) {
	p.running.Go(func() {
		if err := run(); err != nil {
			p.fail(fmt.Errorf("%s: %w", name, err))
		}
	})
}

// await waits for one word.
func (p *play) await(from <-chan string) string {
	p.Helper()
	select {
	case word := <-from:
		return word
	case <-p.ctx.Done():
		p.Fatal(context.Cause(p.ctx))
		return ""
	}
}

// version waits for a new version, and returns who stored it.
func (p *play) version() string {
	p.Helper()
	for len(p.commits) > 0 {
		<-p.commits
	}
	return p.await(p.commits)
}

// lose loses server i while everybody works, and waits until the others have stored versions without it.
func (p *play) lose(how string, i int, lose func(int)) {
	p.Helper()
	p.valve.open()
	p.version()
	p.version()
	lose(i)
	begun := time.Now()
	who := p.version()
	took := time.Since(begun)
	p.losses, p.failover = p.losses+1, p.failover+took
	p.Logf("server %d %s: a version by the %s after %v", i+1, how, who, took.Round(time.Millisecond))
	p.version()
	p.version()
	p.leader(i)
}

// healed and revived bring server i back while everybody works.
func (p *play) healed(i int) {
	p.Helper()
	p.cluster.Heal(i)
	p.version()
}

func (p *play) revived(i int) {
	p.Helper()
	if err := p.cluster.Revive(i); err != nil {
		p.Fatal(err)
	}
	p.version()
}

// settle lets everybody rest until all servers have all that is stored, and returns which leads the log.
func (p *play) settle() int {
	p.Helper()
	p.valve.shut()
	if err := p.cluster.Settle(p.ctx); err != nil {
		p.Fatal(errors.Join(err, context.Cause(p.ctx)))
	}
	return p.leader()
}

// leader waits until a server leads the log, of those that are not left out.
func (p *play) leader(leaveOut ...int) int {
	p.Helper()
	poll := time.NewTicker(10 * time.Millisecond)
	defer poll.Stop()
	for {
		if i := p.cluster.Leader("DPFPL", "DPFPL_LOG_test", leaveOut...); i >= 0 {
			return i
		}
		select {
		case <-poll.C:
		case <-p.ctx.Done():
			p.Fatal("no server leads the log")
		}
	}
}

// end stops the run, waits until everybody has gone home, and holds what is stored against the log.
func (p *play) end() {
	p.Helper()
	p.valve.open()
	p.version()
	c := p.connect(0)
	p.stop(c)
	if err := context.Cause(p.ctx); err != nil {
		p.Fatal(err)
	}
	p.settle()
	log := checkRun(p.ctx, p, c, p.plan, 2)
	p.Logf("%d updates made, %d messages in the log", checkDisks(p, log, p.disks), len(log))
	m, ok, err := c.Model(p.ctx, p.plan.Run)
	if err != nil || !ok || !m.Body.(*schemas.Model).Final {
		p.Errorf("the newest model is not the last: %v, %v", ok, err)
	}
}

// stop says that the run is over, again and again, since whoever leads the log may just have gone, until all have heard.
func (p *play) stop(c *broker.Conn) {
	p.Helper()
	operator, _ := seedKey("operator")
	stop := &schemas.Control{Header: schemas.Header{Run: p.plan.Run, Sender: "operator"}, N: 1, Event: schemas.EventStop}
	raw, err := schemas.Seal(stop, operator)
	if err != nil {
		p.Fatal(err)
	}
	over := make(chan struct{})
	go func() {
		p.running.Wait()
		close(over)
	}()
	again := time.NewTicker(time.Second)
	defer again.Stop()
	for {
		if err := c.NATS().Publish(schemas.Subject(stop), raw); err != nil {
			p.Log("the end is said again: ", err)
		}
		select {
		case <-over:
			return
		case <-again.C:
		}
	}
}

// valve lets clients take up models, or makes them wait.
type valve struct {
	mu   sync.Mutex
	flow chan struct{} // closed while it is open
}

func newValve() *valve { return &valve{flow: make(chan struct{})} }

func (v *valve) pass(ctx context.Context) {
	v.mu.Lock()
	flow := v.flow
	v.mu.Unlock()
	select {
	case <-flow:
	case <-ctx.Done():
	}
}

func (v *valve) open() {
	v.mu.Lock()
	defer v.mu.Unlock()
	select {
	case <-v.flow:
	default:
		close(v.flow)
	}
}

func (v *valve) shut() {
	v.mu.Lock()
	defer v.mu.Unlock()
	select {
	case <-v.flow:
		v.flow = make(chan struct{})
	default:
	}
}
