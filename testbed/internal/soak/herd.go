package soak

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"dpfpl/broker/brokertest"
	"dpfpl/testbed/internal/process"
)

// herd keeps the processes of a soak running: whoever is killed is started again.
type herd struct {
	command func(text string) *exec.Cmd
	server  brokertest.Address
	procs   map[string]*proc
	cancel  context.CancelCauseFunc // ends the soak with the reason
	living  sync.WaitGroup
	rest    time.Duration // between an end and the next start, if nobody says otherwise
}

// proc is one process over all its lives.
type proc struct {
	h     *herd
	proxy *brokertest.Proxy // its way to the server; nil for the server

	mu     sync.Mutex
	spec   spec
	child  *process.Child // nil while there is none
	starts int
	down   time.Duration // until the next start
	killed bool          // this life was ended by us
	asked  bool          // this life was asked to end
	full   bool          // this life may fail for want of room
	doomed bool          // this life was told to die at a point, and may yet have when the order was taken back
	leads  bool
	order  order         // what it is to do, in this life or a later one
	tear   int           // of its ledger when it dies
	done   chan struct{} // closed when the order is carried out
	woke   chan struct{} // closed when it goes on after a stall
	ready  chan struct{} // closed when a server has first accepted connections
	over   bool          // it has ended for good, and well
}

// add makes a process that has yet to be started.
func (h *herd) add(s spec) (*proc, error) {
	p := &proc{h: h, spec: s, ready: make(chan struct{})}
	if s.Role != serverName {
		var err error
		if p.proxy, err = brokertest.NewProxy(&h.server); err != nil {
			return nil, err
		}
		p.spec.URL = p.proxy.URL()
	}
	h.procs[s.Name] = p
	return p, nil
}

// keep runs p, and again whenever it has been ended, until ctx ends or its last life ends well.
func (h *herd) keep(ctx context.Context, p *proc) {
	h.living.Go(func() {
		for ctx.Err() == nil {
			child, err := p.start()
			if err != nil {
				h.cancel(fmt.Errorf("%s: %w", p.spec.Name, err))
				return
			}
			unhook := context.AfterFunc(ctx, child.Kill)
			for line := range child.Lines() {
				p.hear(line)
			}
			<-child.Exited()
			unhook()
			wait, again, err := p.ended(child)
			if err != nil && ctx.Err() == nil {
				h.cancel(fmt.Errorf("%s ended by itself: %w\n%s", p.spec.Name, err, p.lastWords()))
			}
			if !again || err != nil {
				return
			}
			sleep(ctx, wait)
		}
	})
}

// start begins a life.
func (p *proc) start() (*process.Child, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.hasDisk() {
		if err := process.EmptyDisk(p.spec.Disk); err != nil {
			return nil, err
		}
	}
	text, err := json.Marshal(p.spec)
	if err != nil {
		return nil, err
	}
	child, err := process.Start(p.h.command(string(text)), p.log())
	if err != nil {
		return nil, err
	}
	p.starts++
	p.child, p.down = child, p.h.rest
	p.killed, p.asked, p.full, p.doomed, p.leads = false, false, false, false, false
	if p.order.at != "" {
		p.tell()
	}
	return child, nil
}

func (p *proc) log() string { return filepath.Join(p.spec.Dir, p.spec.Name+".log") }

// hear takes in what the process says.
func (p *proc) hear(line string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	word, rest, _ := strings.Cut(line, " ")
	switch {
	case word == process.Ready:
		p.h.server.Set(strings.TrimPrefix(rest, "nats://"))
		if p.starts == 1 {
			close(p.ready)
		}
	case line == "leads":
		p.leads = true
	case line == stalled:
		p.woke = make(chan struct{})
		if p.order.verb == stall {
			p.order = order{}
			close(p.done)
		} else { // the order was taken back too late
			child, woke := p.child, p.woke
			p.h.living.Go(func() { wake(child, woke) })
		}
	case line == goesOn:
		close(p.woke)
	default:
		p.leads = false
	}
}

// wakeStalled ends a stall.
func (p *proc) wakeStalled() {
	p.mu.Lock()
	child, woke := p.child, p.woke
	p.mu.Unlock()
	if child != nil {
		wake(child, woke)
	}
}

// wake resumes a child until it says that it goes on: it says that it stalls before it does, so that the first time may be too
// early.
func wake(child *process.Child, woke <-chan struct{}) {
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for {
		child.Resume()
		select {
		case <-woke:
			return
		case <-child.Exited():
			return
		case <-again.C:
		}
	}
}

var errQuit = errors.New("exit code 0 before the run was over")

// ended closes a life: it says whether there is another and after how long, or that the process ended for no reason
// that the soak gave it.
func (p *proc) ended(child *process.Child) (wait time.Duration, again bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.child = nil
	if p.spec.Role == serverName {
		p.h.server.Set("")
	}
	switch err := child.Err(); {
	case p.killed, p.full && err != nil, p.asked:
		return p.down, true, nil
	case p.order.verb == die && p.order.at != "" && child.Signaled():
		if err := tear(p.spec.ledger(), p.tear); err != nil {
			return 0, false, err
		}
		p.order, p.tear = order{}, 0
		close(p.done)
		return p.down, true, nil
	case p.doomed && child.Signaled(): // it came to the point before it heard that it need not die
		return p.down, true, nil
	case err == nil && p.spec.Last:
		p.over = true
		return 0, false, nil
	case err == nil:
		return 0, false, errQuit
	default:
		return 0, false, err
	}
}

// kill ends this life, the next beginning after down.
func (p *proc) kill(down time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.child != nil {
		p.killed, p.down = true, down
		p.child.Kill()
	}
}

// finish asks this life to end; the next is the last.
func (p *proc) finish() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.spec.Last, p.spec.Think = true, 0
	if p.child != nil {
		p.asked = true
		p.child.Resume()
		p.child.Terminate()
	}
}

// arm gives the process an order for this life, or the next that comes to its point. done is closed when it has been
// carried out; a life that ends by it is followed by the next after down.
func (p *proc) arm(o order, tear int, down time.Duration, done chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.order, p.tear, p.done = o, tear, done
	if p.child != nil {
		p.down = down
		p.tell()
	}
}

// disarm takes the order back, and reports whether it was still to be carried out.
func (p *proc) disarm() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	armed := p.order.at != ""
	p.order, p.tear = order{verb: die}, 0
	if p.child != nil {
		p.tell()
	}
	return armed
}

// tell passes the order on to this life.
func (p *proc) tell() {
	if p.order.verb == die && p.order.at != "" {
		p.doomed = true
	}
	p.child.Tell(p.order.verb + " " + string(p.order.at))
}

// finished reports whether the last life has ended, and well.
func (p *proc) finished() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.over
}

// hasDisk reports whether the process has a disk of its own that can be filled up.
func (p *proc) hasDisk() bool { return p.spec.Disk != p.spec.Dir }

// fill leaves so many bytes of room on the process's disk, for this life, and returns that life; nil for none. A disk
// has room for whole pages only; a limit on the size of files is exact.
func (p *proc) fill(room int) (*process.Child, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.child == nil {
		return nil, nil
	}
	p.full = true
	if p.hasDisk() {
		return p.child, process.FillDisk(p.spec.Disk, int64(room%3))
	}
	p.child.Tell(fmt.Sprint("full ", room))
	return p.child, nil
}

// alive waits for a life of the process; nil if ctx ends first.
func (p *proc) alive(ctx context.Context) *process.Child {
	for ctx.Err() == nil {
		p.mu.Lock()
		child := p.child
		p.mu.Unlock()
		if child != nil {
			return child
		}
		sleep(ctx, 5*time.Millisecond)
	}
	return nil
}

func (p *proc) leader() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.leads && p.child != nil
}

// lastWords are the last lines of the process's log.
func (p *proc) lastWords() string {
	content, err := os.ReadFile(p.log())
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(content)), "\n")
	return strings.Join(lines[max(0, len(lines)-5):], "\n")
}

// sleep waits for d or for ctx to end.
func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
