package telemetry

import (
	"context"
	"crypto/sha256"
	"fmt"

	"go.opentelemetry.io/otel/trace"

	"dpfpl/schemas"
)

// names gives traces and spans their ids. They follow from the plan and from what a span is about, so that processes which
// see the same update, or the same version, agree on them without telling each other: nothing of it is on the wire.
type names struct{ run [sha256.Size]byte }

func newNames(p *schemas.Plan) names {
	return names{sha256.Sum256(fmt.Appendf(nil, "dpfpl trace %s %s %s %d", p.Run, p.Operator, p.Aggregator, p.Seed))}
}

// update is the trace of update k of a client.
func (n names) update(client string, k uint64) trace.TraceID {
	return n.trace(fmt.Appendf(nil, "update %s %d", client, k))
}

// version is the trace of a version of the global prompt.
func (n names) version(v uint64) trace.TraceID { return n.trace(fmt.Appendf(nil, "version %d", v)) }

func (n names) trace(what []byte) (id trace.TraceID) {
	sum := sha256.Sum256(append(n.run[:], what...))
	copy(id[:], sum[:])
	return id
}

// spanOf is the id of a span by what it is in its trace.
func spanOf(id trace.TraceID, what string) (span trace.SpanID) {
	sum := sha256.Sum256(append(id[:], what...))
	copy(span[:], sum[:])
	return span
}

// spanContext names a span of this or another process.
func spanContext(id trace.TraceID, what string) trace.SpanContext {
	return trace.NewSpanContext(trace.SpanContextConfig{TraceID: id, SpanID: spanOf(id, what), TraceFlags: trace.FlagsSampled, Remote: true})
}

// chosen is an IDGenerator that takes what the context says.
type chosen struct{}

type chosenKey struct{}

func withIDs(ctx context.Context, id trace.TraceID, what string) context.Context {
	return context.WithValue(ctx, chosenKey{}, spanContext(id, what))
}

func (chosen) NewIDs(ctx context.Context) (trace.TraceID, trace.SpanID) {
	c := ctx.Value(chosenKey{}).(trace.SpanContext)
	return c.TraceID(), c.SpanID()
}

func (chosen) NewSpanID(ctx context.Context, _ trace.TraceID) trace.SpanID {
	return ctx.Value(chosenKey{}).(trace.SpanContext).SpanID()
}
