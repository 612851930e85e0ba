package soak

import (
	"fmt"
	"math/rand/v2"
	"time"

	"dpfpl/broker"
	"dpfpl/testbed/internal/seeded"
)

// Kind is a kind of fault.
type Kind string

// The kinds of faults.
const (
	Kill     Kind = "kill"     // at any moment
	Boundary Kind = "boundary" // killed by itself at a named point
	Pause    Kind = "pause"    // stopped, then going on as if nothing had been
	Stall    Kind = "stall"    // stopped by itself at a named point, for longer than the lease lasts
	Slow     Kind = "slow"     // everything over the network is late
	Cut      Kind = "cut"      // no network
	Full     Kind = "full"     // no room on the disk
)

// Points of a client beyond those of broker.Follow.
const (
	PointDebited broker.Point = "debited" // the step is spent, no noise was drawn
	PointDurable broker.Point = "durable" // the update is durable, nobody has seen it
)

// Boundaries are the named points at which a process of each kind is killed, and tearable those of which the last
// record in the ledger has not been acted on.
var (
	aggregatorPoints = []broker.Point{
		broker.PointRestored, broker.PointStepped, broker.PointCommit, broker.PointCommitted, broker.PointSent,
	}
	clientPoints = []broker.Point{
		broker.PointModel, PointDebited, PointDurable, broker.PointReturned, broker.PointPublished, broker.PointAcked,
	}
	tearable = map[broker.Point]bool{PointDebited: true, PointDurable: true, broker.PointAcked: true}
)

// Names of the processes that are no clients. A boundary of the aggregators is for whichever leads.
const (
	serverName  = "server"
	aggregators = "aggregators"
)

var aggregatorNames = []string{"aggregator-a", "aggregator-b"}

// Fault is one entry of the plan of faults.
type Fault struct {
	Pause  time.Duration // since the fault before
	Kind   Kind
	Target string
	For    time.Duration // how long it lasts; of a kill, until the process is started again
	Point  broker.Point  // of a boundary or a stall
	Tear   int           // of a client killed at a boundary: bytes cut off its ledger; below 0, bytes zeroed
	Room   int           // of a full disk: bytes that still fit
	Delay  time.Duration // of a slow network
}

func (f Fault) String() string {
	s := fmt.Sprintf("%-8s %s", f.Kind, f.Target)
	switch f.Kind {
	case Boundary:
		s += fmt.Sprintf(" at %q", f.Point)
		if f.Tear > 0 {
			s += fmt.Sprintf(", last %d bytes of its ledger lost", f.Tear)
		} else if f.Tear < 0 {
			s += fmt.Sprintf(", last %d bytes of its ledger zero", -f.Tear)
		}
	case Stall:
		s += fmt.Sprintf(" at %q", f.Point)
	case Full:
		s += fmt.Sprintf(" after %d more bytes", f.Room)
	case Slow:
		s += fmt.Sprintf(" by %v", f.Delay)
	}
	return s + fmt.Sprintf(", for %v", f.For.Round(time.Millisecond))
}

// planner draws the plan of faults: equal seeds and numbers of clients give equal plans. It goes in rounds, in each of
// which everything comes once: every boundary, and every other fault of every kind of process that it fits.
type planner struct {
	r       *rand.Rand
	clients int
	round   int
	due     []Fault // of this round
}

func newPlanner(seed uint64, clients int) *planner {
	return &planner{r: rand.New(seeded.Source(seed, "faults", "", 0)), clients: clients}
}

// next is the next fault.
func (p *planner) next() Fault {
	if len(p.due) == 0 {
		p.round++
		p.due = append(p.boundaries(), p.others()...)
		p.r.Shuffle(len(p.due), func(i, j int) { p.due[i], p.due[j] = p.due[j], p.due[i] })
	}
	f := p.due[0]
	p.due = p.due[1:]
	f.Pause = p.between(50*time.Millisecond, 400*time.Millisecond)
	return f
}

func (p *planner) boundaries() (all []Fault) {
	for _, point := range aggregatorPoints {
		all = append(all, Fault{Kind: Boundary, Target: aggregators, Point: point, For: p.rest()})
	}
	for _, point := range clientPoints {
		f := Fault{Kind: Boundary, Target: p.client(), Point: point, For: p.rest()}
		if tearable[point] {
			f.Tear = 1 + p.r.IntN(12)
			if p.r.IntN(4) == 0 {
				f.Tear = -4 // the sum behind the record
			}
		}
		all = append(all, f)
	}
	return all
}

func (p *planner) others() (all []Fault) {
	for _, target := range []string{p.client(), p.aggregator(), serverName} {
		all = append(all,
			Fault{Kind: Kill, Target: target, For: p.rest()},
			Fault{Kind: Pause, Target: target, For: p.between(200*time.Millisecond, 5*lease/2)})
	}
	// A leader that is about to commit while another has long taken its place: only the fence is against it.
	all = append(all, Fault{Kind: Stall, Target: aggregators, Point: broker.PointCommit, For: p.between(2*lease, 3*lease)})
	for _, target := range []string{p.client(), p.aggregator()} {
		all = append(all,
			Fault{Kind: Slow, Target: target, For: p.between(500*time.Millisecond, 2*time.Second), Delay: p.between(10*time.Millisecond, 100*time.Millisecond)},
			Fault{Kind: Cut, Target: target, For: p.between(200*time.Millisecond, 5*lease/2)})
	}
	for _, target := range []string{p.client(), serverName} {
		all = append(all, Fault{Kind: Full, Target: target, For: p.between(200*time.Millisecond, time.Second), Room: p.r.IntN(1500)})
	}
	return all
}

func (p *planner) client() string     { return clientName(p.r.IntN(p.clients)) }
func (p *planner) aggregator() string { return aggregatorNames[p.r.IntN(len(aggregatorNames))] }

// rest is the time between an end and the next start.
func (p *planner) rest() time.Duration { return p.between(50*time.Millisecond, 600*time.Millisecond) }

func (p *planner) between(a, b time.Duration) time.Duration {
	return a + time.Duration(p.r.Int64N(int64(b-a)))
}
