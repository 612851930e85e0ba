package broker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// tryTime is how long the first try of a request waits for an answer; each further one waits moreTime longer, since the
// answer may merely be slow. So tries begin after 0, 3, 7, 12, 18 and 25 s; a cluster takes 4 to 9 s to choose a leader.
const (
	tryTime  = 3 * time.Second
	moreTime = time.Second
)

// An answer that does not come leaves the outcome unknown: the request may have been lost on its way, or the answer.
var (
	errUnanswered = fmt.Errorf("broker: no answer in time: %w", context.DeadlineExceeded)
	errCutOff     = fmt.Errorf("broker: the connection was lost before the answer came: %w", nats.ErrDisconnected)
)

// unanswered reports that err leaves the outcome of a try unknown.
func unanswered(err error) bool { return errors.Is(err, errUnanswered) || errors.Is(err, errCutOff) }

// try does a request once, and waits for the answer no longer than limit, nor when the connection has been lost and is
// back: what was asked over the old one is not answered over the new one.
func (c *Conn) try(ctx context.Context, limit time.Duration, request func(context.Context) error) error {
	connected, cut := context.WithCancelCause(ctx)
	defer cut(nil)
	defer context.AfterFunc(c.current(), func() { cut(errCutOff) })()
	trying, cancel := context.WithTimeoutCause(connected, min(limit, c.timeout), errUnanswered)
	defer cancel()
	err := request(trying)
	if ctx.Err() != nil || trying.Err() == nil || !errors.Is(err, trying.Err()) {
		return err
	}
	if err = context.Cause(trying); errors.Is(err, errUnanswered) {
		c.listen(ctx)
	}
	return err
}

// listen connects anew if nothing comes over the connection, as when a machine is gone: nobody is left to break it.
func (c *Conn) listen(ctx context.Context) {
	session := c.current()
	pinging, cancel := context.WithTimeoutCause(ctx, answerTime, errUnanswered)
	defer cancel()
	c.nc.FlushWithContext(pinging) //nolint:errcheck // only silence counts
	if !errors.Is(context.Cause(pinging), errUnanswered) || !c.nc.IsConnected() {
		return
	}
	c.log.Warn().Msg("the server is not heard any more")
	c.nc.ForceReconnect() //nolint:errcheck // it may have been closed
	select {
	case <-session.Done():
	case <-time.After(answerTime):
	case <-ctx.Done():
	}
}

// insist tries a request until it is answered, for as long as one may take. So it must be one that may be carried out
// twice: a read, or a message that is stored once however often it comes.
func (c *Conn) insist(ctx context.Context, request func(context.Context) error) error {
	ctx, cancel := c.limit(ctx)
	defer cancel()
	for limit := tryTime; ; limit += moreTime {
		if err := c.try(ctx, limit, request); !unanswered(err) || ctx.Err() != nil {
			return err
		}
	}
}

// asked is insist for a request whose answer is wanted.
func asked[T any](ctx context.Context, c *Conn, request func(context.Context) (T, error)) (answer T, err error) {
	err = c.insist(ctx, func(ctx context.Context) (err error) {
		answer, err = request(ctx)
		return err
	})
	return answer, err
}

// stream asks for a stream and what it holds.
func (c *Conn) stream(ctx context.Context, name string) (jetstream.Stream, error) {
	return asked(ctx, c, func(ctx context.Context) (jetstream.Stream, error) { return c.js.Stream(ctx, name) })
}

// message asks for one message of a stream where it is written.
func (c *Conn) message(ctx context.Context, s jetstream.Stream, seq uint64) (*jetstream.RawStreamMsg, error) {
	return asked(ctx, c, func(ctx context.Context) (*jetstream.RawStreamMsg, error) { return s.GetMsg(ctx, seq) })
}
