package soak

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"dpfpl/broker"
	"dpfpl/testbed/internal/process"
)

// director carries out the plan of faults.
type director struct {
	h        *herd
	patience time.Duration // that a boundary may take to be reached
	healed   chan struct{} // closed when every fault that lasts is to end
	lasting  sync.WaitGroup
	done     map[Kind]int
	hits     map[broker.Point]int
	starved  bool // a client has ended for want of room
}

// newDirector allows for two take-overs, and for steps that take so long.
func newDirector(h *herd, think time.Duration) *director {
	return &director{h: h, patience: 10*time.Second + 2*think, healed: make(chan struct{}), done: map[Kind]int{}, hits: map[broker.Point]int{}}
}

// do carries out one fault. It waits for a boundary to be reached, and for a stall to end; what else lasts goes on
// beside the faults that follow.
func (d *director) do(ctx context.Context, f Fault) {
	if f.Kind == Boundary || f.Kind == Stall {
		if d.boundary(ctx, f) {
			d.done[f.Kind]++
		}
		return
	}
	p := d.h.procs[f.Target]
	child := p.alive(ctx)
	if child == nil {
		return
	}
	switch f.Kind {
	case Kill:
		p.kill(f.For)
	case Pause:
		child.Pause()
		d.later(f.For, child.Resume)
	case Slow:
		p.proxy.SetDelay(f.Delay)
		d.later(f.For, func() { p.proxy.SetDelay(0) })
	case Cut:
		p.proxy.Cut()
		d.later(f.For, p.proxy.Restore)
	case Full:
		full, err := p.fill(f.Room)
		switch {
		case err != nil:
			d.h.cancel(fmt.Errorf("fill the disk of %s: %w", f.Target, err))
		case f.Target == serverName: // it stays up, and must be started anew to have room again
			d.later(f.For, func() { p.kill(d.h.rest) })
		case full == nil || !d.ends(ctx, full): // a client ends where it would have stored a step
			return
		default:
			d.starved = true
		}
	}
	d.done[f.Kind]++
}

// ends waits for a life to end.
func (d *director) ends(ctx context.Context, life *process.Child) bool {
	t := time.NewTimer(d.patience)
	defer t.Stop()
	select {
	case <-life.Exited():
		return true
	case <-t.C:
	case <-ctx.Done():
	}
	return false
}

// boundary kills or stalls whoever it is for at the fault's point, and reports whether that came about.
func (d *director) boundary(ctx context.Context, f Fault) bool {
	targets := []string{f.Target}
	if f.Target == aggregators {
		targets = aggregatorNames
	}
	o := order{die, f.Point}
	if f.Kind == Stall {
		o.verb = stall
	}
	done := make([]chan struct{}, 2) // the second may stay nil, and so never comes
	for i, name := range targets {
		done[i] = make(chan struct{})
		d.h.procs[name].arm(o, f.Tear, f.For, done[i])
	}
	if f.Point == broker.PointRestored { // comes only with a change of leader
		for _, name := range targets {
			if p := d.h.procs[name]; p.leader() {
				p.kill(f.For)
			}
		}
	}
	t := time.NewTimer(d.patience)
	defer t.Stop()
	select {
	case <-done[0]:
	case <-done[1]:
	case <-t.C:
	case <-ctx.Done():
	}
	came := false
	for _, name := range targets {
		p := d.h.procs[name]
		if p.disarm() {
			continue
		}
		came = true
		if f.Kind == Boundary {
			d.hits[f.Point]++
		} else {
			sleep(ctx, f.For) // undisturbed, so that another leads by then
			p.wakeStalled()
		}
	}
	return came
}

// later ends a fault when it has lasted.
func (d *director) later(after time.Duration, end func()) {
	d.lasting.Go(func() {
		t := time.NewTimer(after)
		defer t.Stop()
		select {
		case <-t.C:
		case <-d.healed:
		}
		end()
	})
}

// heal ends every fault that lasts.
func (d *director) heal() {
	close(d.healed)
	d.lasting.Wait()
}

// missing lists what has not come about yet: boundaries, and faults of every other kind.
func (d *director) missing() (what []string) {
	for _, p := range slices.Concat(aggregatorPoints, clientPoints) {
		if d.hits[p] == 0 {
			what = append(what, fmt.Sprintf("%s at %q", Boundary, p))
		}
	}
	for _, k := range []Kind{Kill, Pause, Stall, Slow, Cut} {
		if d.done[k] == 0 {
			what = append(what, string(k))
		}
	}
	if !d.starved {
		what = append(what, string(Full))
	}
	return what
}
