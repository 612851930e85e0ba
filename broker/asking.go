package broker

import (
	"context"
	"errors"
	"strings"
	"sync"

	"github.com/nats-io/nats.go"
)

// asking are the requests that wait for an answer. The server tells of a permission that is missing beside the request,
// which then nobody answers.
type asking struct {
	inbox string // where answers come in

	mu      sync.Mutex
	waiting map[*question]bool
}

// question is one request.
type question struct {
	subject string
	end     context.CancelCauseFunc
}

// heed returns a context that ends, with what the server says, when it refuses a request or its answer. done must be called.
func (a *asking) heed(ctx context.Context, subject string) (heeding context.Context, done func()) {
	heeding, end := context.WithCancelCause(ctx)
	q := &question{subject, end}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.waiting == nil {
		a.waiting = map[*question]bool{}
	}
	a.waiting[q] = true
	return heeding, func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		delete(a.waiting, q)
		end(nil)
	}
}

// refuse ends the requests that err is about.
func (a *asking) refuse(err error) {
	if !errors.Is(err, nats.ErrPermissionViolation) {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for q := range a.waiting {
		if strings.Contains(err.Error(), `"`+q.subject+`"`) || strings.Contains(err.Error(), `"`+a.inbox+".") {
			q.end(err)
		}
	}
}
