package soak

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"dpfpl/schemas"
	"dpfpl/testbed/internal/process"
)

// asChild makes the test binary behave as a child of a soak.
const asChild = "DPFPL_SOAK_CHILD"

func TestMain(m *testing.M) {
	if text := os.Getenv(asChild); text == dawdler {
		dawdle()
	} else if text != "" {
		if err := Child(context.Background(), text, os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// dawdler is the text of a child that says that it stalls long before it does: it waits for a word first.
const dawdler = "dawdler"

func dawdle() {
	fmt.Println(stalled)
	bufio.NewScanner(os.Stdin).Scan()
	process.PauseSelf()
	fmt.Println(goesOn)
	os.Exit(0)
}

func command(text string) *exec.Cmd {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), asChild+"="+text)
	return cmd
}

// TestSoak is a short soak, one round of every fault; then the evidence is doctored, which must not go unnoticed.
func TestSoak(t *testing.T) {
	const clients = 3
	dir := t.TempDir()
	r, err := Run(t.Context(), Options{
		Seed: 1, Clients: clients, Faults: time.Second, Dir: dir, Command: command, Say: func(line string) { t.Log(line) },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v", r)
	for _, kind := range []Kind{Kill, Boundary, Pause, Stall, Slow, Cut, Full} {
		if r.Faults[kind] == 0 {
			t.Errorf("no %s in a whole round", kind)
		}
	}
	if imitated := strings.HasPrefix(r.Disk, "EFBIG"); imitated {
		t.Logf("NOT TESTED HERE: a disk without room: %s", r.Disk)
	} else if r.NoSpace == 0 {
		t.Errorf("full %d times, yet nobody met a disk without room", r.Faults[Full])
	}
	for name, c := range map[string]struct {
		doctor func(e *evidence)
		check  func(e *evidence) error
		want   string
	}{
		"update missing from the log":     {dropUpdate, (*evidence).replay, "not fold"},
		"update missing from a version":   {func(e *evidence) { e.full()[0].drop() }, tallied, "is in no version"},
		"update in two versions":          {func(e *evidence) { v := e.full(); v[1].add(v[0].Folded[0]) }, tallied, "counted twice"},
		"version holds what is no update": {func(e *evidence) { v := e.full(); v[0].add(schemas.Folded{Client: "client-1", K: 1, Seq: 1 << 40}) }, tallied, "was not accepted"},
		"counter too high":                {miscount, tallied, "the last checkpoint counts"},
		"debit missing":                   {func(e *evidence) { clear(e.debits["client-1"]) }, tallied, "not in its ledger"},
		"update lost": {func(e *evidence) {
			e.ready["client-2"] = append(e.ready["client-2"], sighting{updates + 1, strings.Repeat("0", 64)})
		}, tallied, "is not in the log"},
		"update changed on a retry": {func(e *evidence) { e.ready["client-3"][0].digest = strings.Repeat("0", 64) }, tallied, "with digest"},
		"outbox not empty":          {func(e *evidence) { e.pending["client-1"]++ }, tallied, "does not know to be stored"},
	} {
		e, err := gather(dir, clients)
		if err != nil {
			t.Fatal(err)
		}
		c.doctor(e)
		if err := c.check(e); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

// TestNoDisks: without disks a limit on the size of files must do, which the soak says aloud.
func TestNoDisks(t *testing.T) {
	said := ""
	s := soaking{Options: Options{Dir: t.TempDir(), Clients: 2, NoDisks: true, Say: func(line string) { said += line }}}
	s.mount()
	if !strings.HasPrefix(said, "WARNING") || !strings.HasPrefix(s.disk, "EFBIG") || s.diskOf("client-1") != s.Dir {
		t.Errorf("said %q, disk %q", said, s.disk)
	}
	s.NoDisks, s.Command = false, func(string) *exec.Cmd { return command("{") }
	s.mount()
	if !strings.Contains(s.disk, "no small disks") {
		t.Errorf("disk %q", s.disk)
	}
}

// begin begins a life of a process that runs the child with this text.
func begin(t *testing.T, text string) (*proc, *process.Child) {
	t.Helper()
	h := &herd{command: func(string) *exec.Cmd { return command(text) }, procs: map[string]*proc{}, cancel: func(err error) { t.Error(err) }}
	p, err := h.add(spec{Name: "x", Role: serverName, Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	p.spec.Disk = p.spec.Dir
	child, err := p.start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		child.Kill()
		<-child.Exited()
		h.living.Wait()
	})
	return p, child
}

// TestLateDeath: an order to die is taken back while it is being carried out. That is no end for no reason.
func TestLateDeath(t *testing.T) {
	t.Parallel()
	for _, late := range []bool{true, false} {
		p, child := begin(t, dawdler)
		if late {
			p.arm(order{die, PointDebited}, 0, time.Minute, make(chan struct{}))
			if !p.disarm() {
				t.Fatal("carried out at once")
			}
		}
		child.Kill() // as it would itself
		for range child.Lines() {
		}
		<-child.Exited()
		if wait, again, err := p.ended(child); again != late || (err == nil) != late || late && wait != time.Minute {
			t.Errorf("told to die %v: again %v after %v, %v", late, again, wait, err)
		}
	}
}

// TestLateStall: a child that stops itself only after it was resumed goes on all the same.
func TestLateStall(t *testing.T) {
	t.Parallel()
	p, child := begin(t, dawdler)
	defer time.AfterFunc(2*time.Minute, child.Kill).Stop()
	var said []string
	for line := range child.Lines() {
		said = append(said, line)
		p.hear(line)
		child.Tell("now")
	}
	if <-child.Exited(); !slices.Equal(said, []string{stalled, goesOn}) || child.Err() != nil {
		t.Errorf("said %q, ended with %v", said, child.Err())
	}
}

func tallied(e *evidence) error {
	_, err := e.count()
	return err
}

// version is a stored version that can be doctored.
type version struct{ *schemas.Model }

func (v version) drop()                { v.Folded = v.Folded[1:] }
func (v version) add(f schemas.Folded) { v.Folded = append(v.Folded, f) }

// full lists the versions that hold updates.
func (e *evidence) full() (all []version) {
	for _, m := range e.all {
		if b, ok := m.Body.(*schemas.Model); ok && len(b.Folded) > 0 {
			all = append(all, version{b})
		}
	}
	return all
}

func dropUpdate(e *evidence) {
	seq := e.full()[0].Folded[0].Seq
	for i, m := range e.all {
		if _, ok := m.Body.(*schemas.Update); ok && m.Seq == seq {
			e.all = append(e.all[:i:i], e.all[i+1:]...)
			return
		}
	}
}

func miscount(e *evidence) {
	for _, m := range e.all {
		if b, ok := m.Body.(*schemas.Checkpoint); ok {
			b.Members[0].Accepted++
		}
	}
}

// TestPlanner: equal seeds give equal plans, others others, and every round has everything.
func TestPlanner(t *testing.T) {
	t.Parallel()
	a, b, c := newPlanner(7, 5), newPlanner(7, 5), newPlanner(8, 5)
	points, kinds, same := map[string]int{}, map[string]int{}, true
	for a.round < 4 {
		x := a.next()
		if y := b.next(); !reflect.DeepEqual(x, y) {
			t.Fatalf("%v and %v", x, y)
		}
		same = same && x == c.next()
		if a.round < 4 {
			points[string(x.Point)]++
			kinds[string(x.Kind)+" "+strings.TrimRight(x.Target, "-0123456789ab")]++
		}
	}
	if same {
		t.Error("two seeds give one plan")
	}
	if n := len(points) - 1; n != len(aggregatorPoints)+len(clientPoints) { // "" is for the others
		t.Errorf("%d boundaries: %v", n, points)
	}
	for what, n := range kinds {
		if n < 3 {
			t.Errorf("%s comes %d times in 3 rounds", what, n)
		}
	}
}

// TestChildFails: a process that ends for no reason of the soak's ends the soak, which says which and why.
func TestChildFails(t *testing.T) {
	t.Parallel()
	_, err := Run(t.Context(), Options{
		Seed: 1, Clients: 2, Faults: time.Second, Dir: t.TempDir(), Say: func(string) {},
		Command: func(string) *exec.Cmd { return command("{") },
	})
	if err == nil || !strings.Contains(err.Error(), "server ended by itself") || !strings.Contains(err.Error(), "JSON") {
		t.Errorf("error %v", err)
	}
}

func TestOptions(t *testing.T) {
	t.Parallel()
	full := t.TempDir()
	if err := os.WriteFile(full+"/x", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, o := range []Options{
		{Clients: 1, Faults: time.Minute, Dir: t.TempDir()},
		{Clients: 51, Faults: time.Minute, Dir: t.TempDir()},
		{Clients: 3, Dir: t.TempDir()},
		{Clients: 3, Faults: time.Minute, Dir: full},
	} {
		if _, err := Run(t.Context(), o); !errors.Is(err, ErrOptions) {
			t.Errorf("%+v: %v", o, err)
		}
	}
}
