package replayer

import (
	"iter"
	"runtime"
	"sync"

	"dpfpl/schemas"
)

// item is a message of a source on its way to the fold.
type item struct {
	schemas.Message
	err error // of the source

	// What can be known of a log message by itself.
	checked error
	digest  [32]byte

	ready chan struct{} // closed when all of it is known
}

// log reports whether the item belongs to the log.
func (it *item) log() bool {
	kind, _, _, _, err := schemas.ParseSubject(it.Subject)
	return err != nil || kind == schemas.KindUpdate || kind == schemas.KindControl
}

func (it *item) prepare(examine func(schemas.Message) ([32]byte, error)) {
	defer close(it.ready)
	if it.err != nil {
		return
	}
	it.Message = opened(it.Message)
	if it.log() {
		it.digest, it.checked = examine(it.Message)
	}
}

// ahead yields the items of a source in order, prepared by as many goroutines as there are processors. It
// reads a little ahead of what it has yielded.
func ahead(src Source, examine func(schemas.Message) ([32]byte, error)) iter.Seq2[*item, error] {
	return func(yield func(*item, error) bool) {
		workers := runtime.GOMAXPROCS(0)
		order, todo, done := make(chan *item, 16*workers), make(chan *item), make(chan struct{})
		var group sync.WaitGroup
		defer group.Wait()
		defer close(done)
		group.Go(func() {
			defer close(todo)
			defer close(order)
			for m, err := range src {
				it := &item{Message: m, err: err, ready: make(chan struct{})}
				if !send(order, it, done) || !send(todo, it, done) || err != nil {
					return
				}
			}
		})
		for range workers {
			group.Go(func() {
				for it := range todo {
					it.prepare(examine)
				}
			})
		}
		for it := range order {
			<-it.ready
			if !yield(it, it.err) || it.err != nil {
				return
			}
		}
	}
}

// send reports false if the receiver is done.
func send(c chan<- *item, it *item, done <-chan struct{}) bool {
	select {
	case c <- it:
		return true
	case <-done:
		return false
	}
}
