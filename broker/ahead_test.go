package broker_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"dpfpl/broker"
	"dpfpl/broker/brokertest"
	"dpfpl/schemas"
)

// preparer is a summer that wants every log message prepared, and takes its time over it: later messages
// are often ready first.
type preparer struct {
	*summer
	running, most, restoring atomic.Int32
	broken                   atomic.Bool // Prepare and Restore met
}

// ready is a body that was prepared.
type ready struct{ schemas.Body }

func (p *preparer) Prepare(m schemas.Message) schemas.Message {
	n := p.running.Add(1)
	defer p.running.Add(-1)
	for most := p.most.Load(); n > most && !p.most.CompareAndSwap(most, n); most = p.most.Load() {
	}
	time.Sleep(time.Duration(m.Seq*7%5) * time.Second)
	if p.restoring.Load() > 0 {
		p.broken.Store(true)
	}
	m.Body = ready{m.Body}
	return m
}

func (p *preparer) Restore(now time.Time, checkpoint, model schemas.Message) ([]schemas.Message, error) {
	p.restoring.Add(1)
	defer p.restoring.Add(-1)
	if p.running.Load() > 0 {
		p.broken.Store(true)
	}
	return p.summer.Restore(now, checkpoint, model)
}

func (p *preparer) Step(now time.Time, m schemas.Message) ([]schemas.Message, error) {
	if m.Seq > 0 {
		r, ok := m.Body.(ready)
		if !ok {
			return nil, fmt.Errorf("message %d is not prepared", m.Seq)
		}
		m.Body = r.Body
	}
	return p.summer.Step(now, m)
}

// TestPrepare: messages are prepared side by side, no more at a time than there are processors, and folded
// in the order of the log; when the fold starts over, nothing that was prepared before is folded after.
func TestPrepare(t *testing.T) {
	plan := newPlan(5, 20, 12)
	virtually(t, plan, brokertest.Options{}, func(ctx context.Context, s *brokertest.Server, c *broker.Conn) error {
		if err := fill(ctx, c, plan, 1, 12); err != nil {
			return err
		}
		link := brokertest.NewLink(s)
		conn, err := s.Connect(ctx, broker.Options{InProcess: link, Timeout: time.Second})
		if err != nil {
			return err
		}
		defer conn.Close()
		key, _ := seedKey("aggregator")
		p := &preparer{summer: newSummer(plan, 3)}
		stepped, lost := 0, 0
		o := broker.FoldOptions{
			Events: []broker.FoldEvents{{OnLost: func(error) { lost++ }}},
			At: func(point broker.Point) {
				if point != broker.PointStepped {
					return
				}
				if stepped++; stepped%7 == 0 && stepped < 40 {
					link.Cut()
					link.Restore()
				}
			},
		}
		if err := broker.Fold(ctx, conn, plan.Run, key, p, o); err != nil {
			return err
		}
		most := int(p.most.Load())
		t.Logf("restored %d times, up to %d messages prepared at a time", p.restores, most)
		if procs := runtime.GOMAXPROCS(0); most > procs || procs > 1 && most < 2 {
			t.Errorf("up to %d messages prepared at a time on %d processors", most, procs)
		}
		if p.broken.Load() {
			t.Error("a message was prepared during a restore")
		}
		if p.restores < 3 || p.restores > lost+1 {
			t.Errorf("restored %d times after %d losses", p.restores, lost)
		}
		checkRun(ctx, t, c, plan, 3)
		return errors.Join(finished(ctx, c, plan), ctx.Err())
	})
}
