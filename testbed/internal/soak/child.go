package soak

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"dpfpl/broker"
	"dpfpl/mathx/dp"
	"dpfpl/roles/aggregator"
	"dpfpl/roles/client"
	"dpfpl/roles/client/ledger"
	"dpfpl/schemas"
	"dpfpl/testbed/internal/federation"
	"dpfpl/testbed/internal/process"
)

// spec is what a child is told at its start.
type spec struct {
	Name    string
	Role    string // "server", "aggregator", "client" or "disks"
	Dir     string // of logs, and of what witnesses note
	Disk    string // of streams and ledgers; the same folder where there are no disks that can be filled up
	Disks   process.DisksSpec
	URL     string
	Seed    uint64
	Clients int
	Think   time.Duration // what a client's step takes on top of its arithmetic
	// Last is for the end of a soak: clients send what they have and take no further step, and the
	// aggregator stops the run when nothing comes any more.
	Last bool
}

// Child is the life of one child, which Run starts with the text of its spec. Its parent may tell it over stdin to
// "die" or to "stall" at a point, and that its disk is "full".
func Child(ctx context.Context, text string, stdin io.Reader, stdout io.Writer) error {
	var s spec
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		return err
	}
	switch s.Role {
	case disksName:
		return process.KeepDisks(ctx, s.Disks, stdin, stdout)
	case serverName:
		return process.Serve(ctx, process.ServerSpec{Dir: filepath.Join(s.Disk, storeName), SyncAlways: true}, stdin, stdout)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c := &child{spec: s, stdout: stdout}
	go func() {
		process.Obey(stdin, c.obey)
		os.Exit(1) // an orphan has nothing to prove
	}()
	err := c.run(ctx)
	if ctx.Err() != nil {
		return nil // asked to end
	}
	return err
}

// child is an aggregator or a client.
type child struct {
	spec
	stdout io.Writer
	fuse   atomic.Value // an order
}

// order is what to do at a point.
type order struct {
	verb string
	at   broker.Point // empty for nowhere
}

// What a child can be told to do at a point, and what it says before and after a stall.
const (
	die     = "die"
	stall   = "stall"
	stalled = "stalled"
	goesOn  = "goes on"
)

func (c *child) obey(word, rest string) {
	switch word {
	case die, stall:
		c.fuse.Store(order{word, broker.Point(rest)})
	case "full":
		room, _ := strconv.ParseInt(rest, 10, 64)
		size := int64(0)
		if info, err := os.Stat(c.ledger()); err == nil {
			size = info.Size()
		}
		if err := process.Full(size + room); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}
}

// at does what it was told to do at p.
func (c *child) at(p broker.Point) {
	if c.fuse.Load() == (order{die, p}) {
		process.KillSelf()
	}
	if c.fuse.CompareAndSwap(order{stall, p}, order{}) {
		fmt.Fprintln(c.stdout, stalled)
		process.PauseSelf()
		fmt.Fprintln(c.stdout, goesOn)
	}
}

func (s *spec) ledger() string { return filepath.Join(s.Disk, s.Name+".ledger") }

func (c *child) run(ctx context.Context) error {
	keys, err := keys(c.Seed, c.Clients)
	if err != nil {
		return err
	}
	log := zerolog.New(os.Stderr).With().Timestamp().Logger()
	conn, err := broker.Connect(ctx, broker.Options{
		Name: c.Name, URL: c.URL, Patience: time.Minute, Timeout: 2 * time.Second,
		ReconnectWait: 50 * time.Millisecond, ReconnectJitter: 50 * time.Millisecond, Logger: &log,
	})
	if err != nil {
		return err
	}
	defer conn.Close()
	plan, err := fetchPlan(ctx, conn, federation.Public(keys.Operator))
	if err != nil {
		return err
	}
	if c.Role == "aggregator" {
		return c.aggregate(ctx, conn, plan, keys)
	}
	return c.follow(ctx, conn, plan, keys)
}

// fetchPlan asks for the plan until the server answers.
func fetchPlan(ctx context.Context, conn *broker.Conn, operator string) (*schemas.Plan, error) {
	for {
		m, err := conn.Plan(ctx, runName)
		if err == nil && m.Err == nil {
			return m.Body.(*schemas.Plan), schemas.Verify(m.Raw, operator)
		}
		select {
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), err)
		}
	}
}

func (c *child) aggregate(ctx context.Context, conn *broker.Conn, plan *schemas.Plan, keys *federation.Keys) error {
	cfg := aggregator.Config{Plan: plan, Initial: initial(plan), Key: keys.Aggregator, Patience: -1}
	if c.Last {
		cfg.Patience = lease
	}
	role, err := aggregator.New(cfg)
	if err != nil {
		return err
	}
	for {
		err := broker.Fold(ctx, conn, runName, keys.Aggregator, role, broker.FoldOptions{
			Holder: c.Name, Lease: lease, Tick: 200 * time.Millisecond, Retry: 50 * time.Millisecond, At: c.at,
			Events: []broker.FoldEvents{{
				OnLead: func() { fmt.Fprintln(c.stdout, "leads") },
				OnLost: func(err error) { fmt.Fprintln(c.stdout, "lost:", err) },
			}},
		})
		if !errors.Is(err, broker.ErrNoJetStream) && !errors.Is(err, broker.ErrUnknownRun) {
			return err
		}
		select { // a server that is only starting says so, too
		case <-time.After(100 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (c *child) follow(ctx context.Context, conn *broker.Conn, plan *schemas.Plan, keys *federation.Keys) error {
	limits := ledger.Limits{MaxEpsilon: plan.Privacy.Epsilon, Delta: plan.Privacy.Delta, Adjacency: adjacency(plan)}
	if c.Last {
		limits.MaxSteps = 1
	}
	store, err := ledger.Open(c.ledger(), limits)
	if err != nil {
		return err
	}
	defer store.Close()
	tower, records := newTower()
	role, err := client.New(client.Config{
		ID: c.Name, Key: keys.Clients[c.Name], Plan: plan, Backbone: model, Encoder: tower, LogitScale: 1,
		Data: records, Store: store, Software: "soak",
		Noise: func(uint64) rand.Source {
			c.at(PointDebited)
			return dp.CryptoSource()
		},
		Events: client.Events{OnStep: func(client.Step) { c.at(PointDurable) }},
	})
	if err != nil {
		return err
	}
	seen, err := newWitness(role, filepath.Join(c.Dir, c.Name+".ready"))
	if err != nil {
		return err
	}
	defer seen.file.Close()
	return broker.Follow(ctx, conn, runName, c.Name, keys.Clients[c.Name], seen, broker.FollowOptions{
		Aggregator: plan.Aggregator, Delay: func(schemas.Message) time.Duration { return c.Think },
		Heartbeat: plan.Presence.Heartbeat, Tick: time.Second, CatchUp: 2 * time.Second,
		Retry: 50 * time.Millisecond, At: c.at,
	})
}
