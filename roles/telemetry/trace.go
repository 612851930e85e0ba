package telemetry

import (
	"context"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"dpfpl/broker"
	"dpfpl/schemas"
)

// The spans, which are also their names.
//
//	trace of an update:   publish, of the client; fold, of the aggregator, below it
//	trace of a version:   commit, of the aggregator; receive, of each client, below it
//
// A commit links to the folds of the updates in it, a publish to the commit of the version that it answers. There is no span for
// a step: how long one takes tells how large its batch was. See the package's comment.
const (
	spanPublish = "publish update"
	spanFold    = "fold update"
	spanCommit  = "commit version"
	spanReceive = "receive version"
)

// Tracer makes spans of what a role does. A nil Tracer makes none.
type Tracer struct {
	names    names
	provider *sdk.TracerProvider
	tracer   trace.Tracer

	verdict *schemas.Note // the newest

	mu         sync.Mutex
	publishing map[uint64]trace.Span
	attempted  uint64
}

// NewTracer returns a tracer of one role in the run of a plan; instance names this process among those of its kind.
// The exporter is the tracer's to shut down.
func NewTracer(exporter sdk.SpanExporter, role, instance string, plan *schemas.Plan) *Tracer {
	provider := sdk.NewTracerProvider(
		sdk.WithBatcher(exporter),
		sdk.WithIDGenerator(chosen{}),
		sdk.WithResource(resource.NewSchemaless(
			attribute.String("service.namespace", "dpfpl"),
			attribute.String("service.name", "dpfpl-"+role),
			attribute.String("service.instance.id", instance),
			attribute.String("dpfpl.run", plan.Run),
		)),
	)
	return &Tracer{
		names: newNames(plan), provider: provider, tracer: provider.Tracer("dpfpl/roles/telemetry"), publishing: map[uint64]trace.Span{},
	}
}

// Close sends what is left, as long as ctx allows.
func (t *Tracer) Close(ctx context.Context) error {
	if t == nil {
		return nil
	}
	return t.provider.Shutdown(ctx)
}

// start starts a span of a trace. Without a parent it is the first one.
func (t *Tracer) start(id trace.TraceID, parent, name, what string, at time.Time, o ...trace.SpanStartOption) trace.Span {
	ctx := withIDs(context.Background(), id, what)
	if parent != "" {
		ctx = trace.ContextWithRemoteSpanContext(ctx, spanContext(id, parent))
	}
	_, span := t.tracer.Start(ctx, name, append(o, trace.WithTimestamp(at))...)
	return span
}

func number(key string, v uint64) attribute.KeyValue { return attribute.Int64("dpfpl."+key, int64(v)) }

// FollowEvents are for the options of a client's broker.Follow.
func (t *Tracer) FollowEvents(client string) broker.FollowEvents {
	if t == nil {
		return broker.FollowEvents{}
	}
	return broker.FollowEvents{
		OnModel: func(m schemas.Message) {
			v, now := m.Body.(*schemas.Model).Version, time.Now()
			t.start(t.names.version(v), spanCommit, spanReceive, spanReceive+" "+client, now, trace.WithSpanKind(trace.SpanKindConsumer),
				trace.WithAttributes(number("version", v), attribute.String("dpfpl.client", client))).End(trace.WithTimestamp(now))
		},
		OnUpdate:  t.publish,
		OnAttempt: t.attempt,
		OnRetry:   t.retry,
		OnStored:  t.stored,
	}
}

func (t *Tracer) publish(m schemas.Message) {
	u := m.Body.(*schemas.Update)
	span := t.start(t.names.update(u.Sender, u.K), "", spanPublish, spanPublish, time.Now(), trace.WithSpanKind(trace.SpanKindProducer),
		trace.WithLinks(trace.Link{SpanContext: spanContext(t.names.version(u.Base), spanCommit)}),
		trace.WithAttributes(attribute.String("dpfpl.client", u.Sender), number("k", u.K), number("base", u.Base)))
	t.mu.Lock()
	defer t.mu.Unlock()
	t.publishing[u.K] = span
}

func (t *Tracer) attempt(m schemas.Message) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.attempted = m.Body.(*schemas.Update).K
	if span := t.publishing[t.attempted]; span != nil {
		span.AddEvent("attempt")
	}
}

func (t *Tracer) retry(why broker.Why) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if span := t.publishing[t.attempted]; span != nil {
		span.AddEvent("failed", trace.WithAttributes(attribute.String("dpfpl.reason", string(why))))
	}
}

func (t *Tracer) stored(m schemas.Message) {
	k := m.Body.(*schemas.Update).K
	t.mu.Lock()
	defer t.mu.Unlock()
	if span := t.publishing[k]; span != nil {
		span.End()
		delete(t.publishing, k)
	}
}

// FoldEvents are for the options of an aggregator's broker.Fold.
func (t *Tracer) FoldEvents() broker.FoldEvents {
	if t == nil {
		return broker.FoldEvents{}
	}
	return broker.FoldEvents{OnFolded: t.folded, OnCommitted: t.committed}
}

// Verdict is what became of an update, whose fold span has yet to come.
func (t *Tracer) Verdict(n *schemas.Note) {
	if t != nil {
		t.verdict = n
	}
}

// folded makes the span of an update, from when it was stored in the log until it was folded in.
func (t *Tracer) folded(m schemas.Message) {
	kind, _, client, k, err := schemas.ParseSubject(m.Subject)
	if err != nil || kind != schemas.KindUpdate {
		return
	}
	now := time.Now()
	begun := m.Time
	if begun.After(now) { // the broker's clock is ahead of ours
		begun = now
	}
	about := []attribute.KeyValue{attribute.String("dpfpl.client", client), number("k", k), number("seq", m.Seq)}
	if n := t.verdict; n != nil && n.Seq == m.Seq {
		about = append(about, attribute.String("dpfpl.verdict", string(n.Verdict)), number("version", n.Version))
		if n.Reason != "" {
			about = append(about, attribute.String("dpfpl.reason", string(n.Reason)))
		}
	}
	t.start(t.names.update(client, k), spanPublish, spanFold, spanFold, begun, trace.WithSpanKind(trace.SpanKindConsumer),
		trace.WithAttributes(about...)).End(trace.WithTimestamp(now))
}

func (t *Tracer) committed(s broker.Stored) {
	m, now := s.Model.Body.(*schemas.Model), time.Now()
	var folds []trace.Link
	for _, f := range m.Folded {
		folds = append(folds, trace.Link{SpanContext: spanContext(t.names.update(f.Client, f.K), spanFold)})
	}
	t.start(t.names.version(m.Version), "", spanCommit, spanCommit, now.Add(-s.Took), trace.WithSpanKind(trace.SpanKindProducer),
		trace.WithLinks(folds...),
		trace.WithAttributes(number("version", m.Version), number("updates", uint64(len(m.Folded))), attribute.Bool("dpfpl.final", m.Final))).End(trace.WithTimestamp(now))
}
