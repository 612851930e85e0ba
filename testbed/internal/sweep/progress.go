package sweep

import (
	"fmt"
	"time"

	"dpfpl/mathx/prompt"
	"dpfpl/testbed/internal/report"
)

// progress estimates the time left from the cells of each kind that are done.
type progress struct {
	left  int
	kinds map[string]*kind
}

// kind is cells that take about equally long.
type kind struct {
	left, done int
	took       time.Duration
}

func newProgress() *progress { return &progress{kinds: map[string]*kind{}} }

func kindOf(c *Cell) string {
	switch {
	case c.Method == report.ControlZeroShot, c.NoiseOnly:
		return "control " + c.Source
	case c.Mode == prompt.Paper:
		return "batch " + c.Source
	}
	return "records " + c.Source
}

func (p *progress) of(c *Cell) *kind {
	k := p.kinds[kindOf(c)]
	if k == nil {
		k = new(kind)
		p.kinds[kindOf(c)] = k
	}
	return k
}

func (p *progress) todo(c *Cell) {
	p.left++
	p.of(c).left++
}

func (p *progress) done(c *Cell, took time.Duration) {
	k := p.of(c)
	p.left--
	k.left--
	k.done++
	k.took += took
}

// remaining says how long so many processes need for the rest. A kind that has not been seen is taken to be the slowest.
func (p *progress) remaining(jobs int) string {
	if p.left == 0 {
		return "done"
	}
	slowest := time.Duration(0)
	for _, k := range p.kinds {
		if k.done > 0 {
			slowest = max(slowest, k.took/time.Duration(k.done))
		}
	}
	var total time.Duration
	for _, k := range p.kinds {
		each := slowest
		if k.done > 0 {
			each = k.took / time.Duration(k.done)
		}
		total += time.Duration(k.left) * each
	}
	return fmt.Sprintf("about %v left", (total / time.Duration(jobs)).Round(time.Second))
}
