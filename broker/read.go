package broker

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"dpfpl/schemas"
)

// errNothing means that a subject has no message.
var errNothing = errors.New("broker: no message at that subject")

// idle is how long the server keeps a reader that has stopped asking.
const idle = 30 * time.Second

// heartbeat is how often a reader without messages hears from the server that serves it. Twice as long without
// a word, and that server is lost: of a cluster, another then serves the reader.
const heartbeat = 2 * time.Second

// receive turns stored bytes into a message. It never fails: what is wrong is in Err.
func receive(subject string, raw []byte, seq uint64, at time.Time) schemas.Message {
	m := schemas.Message{Raw: raw, Subject: subject, Seq: seq, Time: at}
	m.Body, m.Err = schemas.Open(raw)
	if m.Err != nil {
		m.Body = nil
	}
	return m
}

// last reads the newest message at a subject of one of the run's streams by a direct get, whose request subject
// names what is read, so that a client's permissions can be as narrow as that. Any server that has the stream may
// answer, so it may be old, or not be there yet; but what is there is stored.
func (c *Conn) last(ctx context.Context, run, stream, what string) (schemas.Message, error) {
	m, err := asked(ctx, c, func(ctx context.Context) (schemas.Message, error) {
		return c.direct(ctx, stream+"."+subject(run, what), nil)
	})
	if errors.Is(err, nats.ErrNoResponders) {
		return schemas.Message{}, c.whyNoStream(ctx, run)
	}
	if errors.Is(err, errNothing) {
		return schemas.Message{}, err
	}
	return m, explain(err, run)
}

// get reads the message of a stream that a direct get's request asks for. Errors: errNothing, nats'.
func (c *Conn) get(ctx context.Context, stream, request string) (schemas.Message, error) {
	return c.direct(ctx, stream, []byte(request))
}

// direct asks for one stored message. Errors: errNothing, nats'.
func (c *Conn) direct(ctx context.Context, what string, request []byte) (schemas.Message, error) {
	subject := c.prefix + ".DIRECT.GET." + what
	heeding, done := c.asking.heed(ctx, subject)
	defer done()
	reply, err := c.nc.RequestWithContext(heeding, subject, request)
	if errors.Is(err, context.Canceled) {
		err = context.Cause(heeding)
	}
	if err != nil {
		return schemas.Message{}, err
	}
	switch status := reply.Header.Get("Status"); {
	case status == "404":
		return schemas.Message{}, fmt.Errorf("%w: %s", errNothing, what)
	case status != "":
		return schemas.Message{}, fmt.Errorf("read %s: %s %s", what, status, reply.Header.Get("Description"))
	}
	seq, err := strconv.ParseUint(reply.Header.Get(jetstream.SequenceHeader), 10, 64)
	if err != nil {
		return schemas.Message{}, fmt.Errorf("read %s: the answer is none of JetStream's: is this the account of the run?", what)
	}
	stored, err := time.Parse(time.RFC3339Nano, reply.Header.Get(jetstream.TimeStampHeaer))
	if err != nil {
		return schemas.Message{}, fmt.Errorf("read %s: time: %v", what, err)
	}
	return receive(reply.Header.Get(jetstream.SubjectHeader), reply.Data, seq, stored), nil
}

// whyNoStream tells a server without JetStream from a run without streams.
func (c *Conn) whyNoStream(ctx context.Context, run string) error {
	if c.prefix != serverAPI { // a client's account, which may ask nothing more
		return explain(jetstream.ErrStreamNotFound, run)
	}
	_, err := c.stream(ctx, stateStream(run))
	if err == nil {
		err = errors.New("its state stream does not answer")
	}
	return explain(err, run)
}

// ReadLog yields the run's updates and control messages from a sequence on, in log order, up to what is
// the end when it is called. It ends with the first error: ErrUnknownRun, ErrNoJetStream, ctx's.
func (c *Conn) ReadLog(ctx context.Context, run string, from uint64) iter.Seq2[schemas.Message, error] {
	return c.readStream(ctx, run, logStream(run), "", from)
}

// ReadModels yields every stored version of the global prompt, as ReadLog does.
func (c *Conn) ReadModels(ctx context.Context, run string) iter.Seq2[schemas.Message, error] {
	return c.readStream(ctx, run, stateStream(run), subject(run, "model"), 1)
}

// ReadCheckpoints yields every stored checkpoint, as ReadLog does.
func (c *Conn) ReadCheckpoints(ctx context.Context, run string) iter.Seq2[schemas.Message, error] {
	return c.readStream(ctx, run, stateStream(run), subject(run, "checkpoint"), 1)
}

// ReadDead yields every dead letter that is still kept, as ReadLog does.
func (c *Conn) ReadDead(ctx context.Context, run string) iter.Seq2[schemas.Message, error] {
	return c.readStream(ctx, run, deadStream(run), "", 1)
}

func (c *Conn) readStream(ctx context.Context, run, stream, filter string, from uint64) iter.Seq2[schemas.Message, error] {
	return func(yield func(schemas.Message, error) bool) {
		s, err := c.stream(ctx, stream)
		if err != nil {
			yield(schemas.Message{}, explain(err, run))
			return
		}
		info, err := asked(ctx, c, func(ctx context.Context) (*jetstream.StreamInfo, error) {
			return s.Info(ctx, jetstream.WithSubjectFilter(filter))
		})
		if err != nil {
			yield(schemas.Message{}, explain(err, run))
			return
		}
		if info.State.LastSeq < from || filter != "" && info.State.Subjects[filter] == 0 {
			return
		}
		read := reading{c: c, stream: s, filter: filter, next: from, last: info.State.LastSeq, yield: yield}
		if err := read.all(ctx); err != nil {
			yield(schemas.Message{}, explain(err, run))
		}
	}
}

// reading is a stream that is being read, up to a message.
type reading struct {
	c          *Conn
	stream     jetstream.Stream
	filter     string
	next, last uint64
	yield      func(schemas.Message, error) bool
}

// all replaces readers that fail, until there was no message for as long as a request may take.
func (r *reading) all(ctx context.Context) error {
	for {
		since, begun := r.next, time.Now()
		for r.next == since {
			more, err := r.some(ctx)
			switch {
			case !more:
				return nil
			case ctx.Err() != nil, r.next == since && time.Since(begun) > r.c.timeout:
				return err
			}
			r.c.log.Debug().Err(err).Msg("read again")
			if err := pause(ctx, 50*time.Millisecond); err != nil {
				return err
			}
		}
	}
}

// some reads until a reader fails, or, when there is no more, to the end.
func (r *reading) some(ctx context.Context) (more bool, err error) {
	reader, err := r.c.openReader(ctx, r.stream, r.filter, r.next)
	if err != nil {
		return true, err
	}
	defer reader.stop()
	for {
		d, err := reader.next(ctx)
		if err != nil {
			return true, err
		}
		if d.seq > r.last || !r.yield(d.message(), nil) || d.behind == 0 {
			return false, nil
		}
		r.next = d.seq + 1
	}
}

// reader delivers every message of a stream once, in order, over a consumer that the server keeps in memory.
// jetstream's ordered consumer would do, but waits for up to 10 s for a server that does not answer.
type reader struct {
	it   jetstream.MessagesContext
	last uint64 // how many the consumer has delivered
}

func (c *Conn) openReader(ctx context.Context, s jetstream.Stream, filter string, from uint64) (*reader, error) {
	consumer, err := asked(ctx, c, func(ctx context.Context) (jetstream.Consumer, error) { // one that nobody hears of is soon idle
		return s.CreateConsumer(ctx, jetstream.ConsumerConfig{
			DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: max(from, 1), FilterSubject: filter,
			AckPolicy: jetstream.AckNonePolicy, MemoryStorage: true, Replicas: 1, InactiveThreshold: idle,
		})
	})
	if err != nil {
		return nil, err
	}
	it, err := consumer.Messages(jetstream.PullHeartbeat(heartbeat))
	if err != nil {
		return nil, err
	}
	return &reader{it: it}, nil
}

// delivery is a stored message as it was read. behind is the number of messages that the stream holds after
// it.
type delivery struct {
	raw    jetstream.Msg
	seq    uint64
	time   time.Time
	behind uint64
}

// message decodes what was read.
func (d *delivery) message() schemas.Message {
	return receive(d.raw.Subject(), d.raw.Data(), d.seq, d.time)
}

// next waits for the next message. After an error the reader is of no more use.
func (r *reader) next(ctx context.Context) (delivery, error) {
	raw, err := r.it.Next(jetstream.NextContext(ctx))
	if err != nil {
		return delivery{}, err
	}
	meta, err := raw.Metadata()
	if err != nil {
		return delivery{}, err
	}
	if r.last++; meta.Sequence.Consumer != r.last {
		return delivery{}, fmt.Errorf("broker: message %d of a consumer came where %d belongs", meta.Sequence.Consumer, r.last)
	}
	return delivery{raw, meta.Sequence.Stream, meta.Timestamp, meta.NumPending}, nil
}

// stop ends the reading; a next that waits returns.
func (r *reader) stop() { r.it.Stop() }
