package broker

import (
	"context"
	"runtime"
	"sync"

	"dpfpl/schemas"
)

// Preparer is a Folder that can do a part of its work on a log message before the message's turn.
type Preparer interface {
	// Prepare returns the message that Step gets instead of m, which changes nothing but the time that Step
	// takes. It is called concurrently, with itself and with Step, but not with Restore; what was prepared
	// before a Restore does not come after it.
	Prepare(m schemas.Message) schemas.Message
}

// depth bounds the messages that are read before their turn, and with them the memory.
const depth = 64

// arrival is a log message with the number of messages behind it.
type arrival struct {
	schemas.Message
	behind uint64
}

// ahead reads the log before its turn: as many messages as there are processors are decoded and prepared
// at a time, and all come in the order of the log.
type ahead struct {
	// turns holds a channel for every message that was read, in order, each good for one arrival.
	turns chan chan arrival
	// failed says once why no more are read.
	failed chan error

	reader  *reader
	cancel  context.CancelFunc
	running sync.WaitGroup
}

// job is a message that was read, and where it goes when it is prepared.
type job struct {
	delivery
	turn chan<- arrival
}

// readAhead takes over r. prepare may be nil; read is told every place in the log.
func readAhead(ctx context.Context, r *reader, prepare func(schemas.Message) schemas.Message, read func(Position)) *ahead {
	ctx, cancel := context.WithCancel(ctx)
	a := &ahead{turns: make(chan chan arrival, depth), failed: make(chan error, 1), reader: r, cancel: cancel}
	jobs := make(chan job, depth)
	a.running.Go(func() {
		defer close(jobs)
		a.failed <- a.read(ctx, jobs, read)
	})
	for range runtime.GOMAXPROCS(0) {
		a.running.Go(func() {
			for j := range jobs {
				m := j.message()
				if prepare != nil {
					m = prepare(m)
				}
				j.turn <- arrival{m, j.behind}
			}
		})
	}
	return a
}

// read reads until it fails. A turn that was handed out is always kept.
func (a *ahead) read(ctx context.Context, jobs chan<- job, read func(Position)) error {
	for {
		d, err := a.reader.next(ctx)
		if err != nil {
			return err
		}
		read(Position{d.seq, d.time, d.behind})
		turn := make(chan arrival, 1)
		select {
		case a.turns <- turn:
			jobs <- job{d, turn}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// stop ends the reading and waits until nothing of it is left.
func (a *ahead) stop() {
	a.cancel()
	a.running.Wait()
	a.reader.stop()
}
