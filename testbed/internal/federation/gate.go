package federation

import (
	"context"
	"sync"
)

// gate lets goroutines wait until the global prompt has reached a version.
type gate struct {
	mu      sync.Mutex
	reached uint64
	open    bool
	changed chan struct{}
}

func newGate() *gate { return &gate{changed: make(chan struct{})} }

// pass says that version v is there. Versions never go back.
func (g *gate) pass(v uint64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.open && v <= g.reached {
		return
	}
	g.open, g.reached = true, v
	close(g.changed)
	g.changed = make(chan struct{})
}

// wait blocks until version v is there, or returns the context's error.
func (g *gate) wait(ctx context.Context, v uint64) error {
	for {
		g.mu.Lock()
		there, changed := g.open && g.reached >= v, g.changed
		g.mu.Unlock()
		if there {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
