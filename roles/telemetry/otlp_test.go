package telemetry_test

import (
	"context"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	sdk "go.opentelemetry.io/otel/sdk/trace"
	pb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"

	"dpfpl/broker"
	"dpfpl/roles/telemetry"
	"dpfpl/schemas"
)

// receiver is a collector that keeps what it is sent.
type receiver struct {
	status    int
	resources []*pb.ResourceSpans
	headers   http.Header
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	body, err := io.ReadAll(request.Body)
	var data pb.TracesData
	if err != nil || request.Method != http.MethodPost || request.URL.Path != "/v1/traces" ||
		request.Header.Get("Content-Type") != "application/x-protobuf" || proto.Unmarshal(body, &data) != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	r.headers = request.Header
	if r.status == 0 {
		r.resources = append(r.resources, data.ResourceSpans...)
	} else {
		w.WriteHeader(r.status)
	}
}

// TestSpansArrive sends the spans of an update from the client that made it and the aggregator that folded it, which know
// nothing of each other, and reads them as a collector does.
func TestSpansArrive(t *testing.T) {
	var got receiver
	server := httptest.NewServer(&got)
	defer server.Close()
	lookup := map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": server.URL, "OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer%20x,tenant=a"}
	c, err := telemetry.CollectorOf("", func(name string) string { return lookup[name] })
	if err != nil {
		t.Fatal(err)
	}
	c.OnTrouble = func(err error) { t.Error(err) }
	plan := &schemas.Plan{Header: schemas.Header{Run: "demo"}, Seed: 1}
	anna, leader := telemetry.NewTracer(c.Exporter(), "client", "anna", plan), telemetry.NewTracer(c.Exporter(), "aggregator", "one", plan)

	header := schemas.Header{Run: "demo", Sender: "anna"}
	update := schemas.Message{Body: &schemas.Update{Header: header, K: 3, Base: 7}}
	update.Subject = schemas.Subject(update.Body)
	follow := anna.FollowEvents("anna")
	follow.OnUpdate(update)
	follow.OnAttempt(update)
	follow.OnRetry(broker.WhyTimeout)
	follow.OnAttempt(update)
	follow.OnStored(update)

	stored := update
	stored.Seq, stored.Time, stored.Body = 12, time.Now().Add(time.Hour), nil // a broker whose clock is ahead
	leader.Verdict(&schemas.Note{Seq: 12, Verdict: schemas.VerdictAccepted, Version: 8})
	leader.FoldEvents().OnFolded(stored)
	model := schemas.Message{Body: &schemas.Model{Version: 8, Folded: []schemas.Folded{{Client: "anna", K: 3, Seq: 12}}}}
	leader.FoldEvents().OnCommitted(broker.Stored{Model: model, Took: time.Second})
	follow.OnModel(model)
	for _, tracer := range []*telemetry.Tracer{anna, leader} {
		if err := tracer.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
	}

	spans := map[string]*pb.Span{}
	by := map[string]string{}
	for _, r := range got.resources {
		for _, a := range r.Resource.Attributes {
			by[a.Key] += a.Value.GetStringValue() + " "
		}
		for _, scope := range r.ScopeSpans {
			for _, s := range scope.Spans {
				spans[s.Name] = s
			}
		}
	}
	if len(spans) != 4 || by["service.name"] != "dpfpl-client dpfpl-aggregator " || by["service.instance.id"] != "anna one " {
		t.Fatalf("%d spans of %v", len(spans), by)
	}
	publish, fold, commit, receive := spans["publish update"], spans["fold update"], spans["commit version"], spans["receive version"]
	same := func(what string, a, b []byte) {
		t.Helper()
		if len(a) == 0 || string(a) != string(b) {
			t.Errorf("%s: %s and %s", what, hex.EncodeToString(a), hex.EncodeToString(b))
		}
	}
	same("trace of the update", publish.TraceId, fold.TraceId)
	same("fold is below publish", fold.ParentSpanId, publish.SpanId)
	same("trace of the version", commit.TraceId, receive.TraceId)
	same("receive is below commit", receive.ParentSpanId, commit.SpanId)
	same("the version links to the fold", commit.Links[0].SpanId, fold.SpanId)
	same("of this trace", commit.Links[0].TraceId, fold.TraceId)
	if string(publish.Links[0].TraceId) == string(commit.TraceId) || len(publish.ParentSpanId) != 0 || len(commit.ParentSpanId) != 0 {
		t.Error("an update answers another version than that which it leads to, and both begin a trace")
	}
	if fold.StartTimeUnixNano > fold.EndTimeUnixNano || commit.EndTimeUnixNano-commit.StartTimeUnixNano != uint64(time.Second) {
		t.Errorf("fold from %d to %d, commit took %d", fold.StartTimeUnixNano, fold.EndTimeUnixNano, commit.EndTimeUnixNano-commit.StartTimeUnixNano)
	}
	var events []string
	for _, e := range publish.Events {
		events = append(events, e.Name)
	}
	if strings.Join(events, " ") != "attempt failed attempt" {
		t.Error(events)
	}
	if got.headers.Get("Authorization") != "Bearer x" || got.headers.Get("Tenant") != "a" {
		t.Error(got.headers)
	}
}

// TestTroubleIsToldOnce: a collector that refuses is told of when it begins to, and when it ends.
func TestTroubleIsToldOnce(t *testing.T) {
	got := receiver{status: http.StatusServiceUnavailable}
	server := httptest.NewServer(&got)
	defer server.Close()
	var said []string
	c := &telemetry.Collector{URL: server.URL + "/v1/traces", OnTrouble: func(err error) {
		if err == nil {
			said = append(said, "well")
			return
		}
		said = append(said, err.Error())
	}}
	exporter := c.Exporter()
	send := func() {
		tracer := telemetry.NewTracer(keepOpen{exporter}, "client", "anna", &schemas.Plan{})
		tracer.FollowEvents("anna").OnModel(schemas.Message{Body: &schemas.Model{}})
		if err := tracer.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
	send()
	send()
	got.status = 0
	send()
	send()
	if strings.Join(said, "; ") != "the collector answers 503 Service Unavailable; well" {
		t.Error(said)
	}
	server.Close()
	send()
	if len(said) != 3 || strings.Contains(said[2], "http://") {
		t.Error(said)
	}
}

// TestCollectorOf reads what OpenTelemetry's variables say.
func TestCollectorOf(t *testing.T) {
	const base, whole, headers = "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_HEADERS"
	for _, c := range []struct {
		flag      string
		variables map[string]string
		want, err string
	}{
		{want: ""},
		{flag: "http://a:1", want: "http://a:1/v1/traces"},
		{flag: "https://a:1/x/", variables: map[string]string{base: "http://b"}, want: "https://a:1/x/v1/traces"},
		{variables: map[string]string{base: "http://b:4318"}, want: "http://b:4318/v1/traces"},
		{variables: map[string]string{base: "http://b", whole: "http://c/t"}, want: "http://c/t"},
		{flag: "a:1", err: "--otlp: want http"},
		{flag: "http://%zz:hunter2@a", err: "--otlp: want http"},
		{variables: map[string]string{whole: "grpc://c"}, err: whole},
		{variables: map[string]string{base: "http://b", headers: "novalue"}, err: headers},
		{variables: map[string]string{base: "http://b", headers: "a=%zz"}, err: headers},
	} {
		got, err := telemetry.CollectorOf(c.flag, func(name string) string { return c.variables[name] })
		switch {
		case c.err != "":
			if err == nil || !strings.Contains(err.Error(), c.err) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("%+v: %v", c, err)
			}
		case err != nil:
			t.Errorf("%+v: %v", c, err)
		case c.want == "":
			if got != nil {
				t.Errorf("%+v: %+v", c, got)
			}
		case got.URL != c.want:
			t.Errorf("%+v: %+v", c, got)
		}
	}
}

// TestNoTracer: without a collector nothing is made.
func TestNoTracer(t *testing.T) {
	var none *telemetry.Tracer
	none.Verdict(&schemas.Note{})
	if none.FoldEvents().OnFolded != nil || none.FollowEvents("anna").OnUpdate != nil || none.Close(t.Context()) != nil {
		t.Error("a tracer that is not there listens")
	}
}

// keepOpen is an exporter that outlives its tracers.
type keepOpen struct{ sdk.SpanExporter }

func (keepOpen) Shutdown(context.Context) error { return nil }
