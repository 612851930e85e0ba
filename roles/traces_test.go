package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	pb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// collector is a collector of OpenTelemetry that keeps the spans of all processes.
type collector struct {
	*httptest.Server
	mu    sync.Mutex
	spans map[string]map[string]*pb.Span // by name, then by trace and span
}

func newCollector(t *testing.T) *collector {
	c := &collector{spans: map[string]map[string]*pb.Span{}}
	c.Server = httptest.NewServer(http.HandlerFunc(c.receive))
	t.Cleanup(c.Close)
	return c
}

func (c *collector) receive(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	var data pb.TracesData
	if err != nil || proto.Unmarshal(body, &data) != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, resource := range data.ResourceSpans {
		for _, scope := range resource.ScopeSpans {
			for _, s := range scope.Spans {
				if c.spans[s.Name] == nil {
					c.spans[s.Name] = map[string]*pb.Span{}
				}
				c.spans[s.Name][string(s.TraceId)+string(s.SpanId)] = s
			}
		}
	}
}

// traced demands that spans of different processes have found each other: a client's publishing of an update and its folding by the
// aggregator, the aggregator's version and its receipt by a client, and, over its links, the version and the updates in it.
func (d *deployment) traced() {
	d.Helper()
	d.traces.mu.Lock()
	defer d.traces.mu.Unlock()
	spans := d.traces.spans
	joined := map[string]int{}
	for child, parent := range map[string]string{"fold update": "publish update", "receive version": "commit version"} {
		for _, s := range spans[child] {
			if spans[parent][string(s.TraceId)+string(s.ParentSpanId)] != nil {
				joined[child]++
			}
		}
	}
	for from, to := range map[string]string{"commit version": "fold update", "publish update": "commit version"} {
		for _, s := range spans[from] {
			for _, l := range s.Links {
				if spans[to][string(l.TraceId)+string(l.SpanId)] != nil {
					joined[from]++
				}
			}
		}
	}
	for _, name := range []string{"fold update", "receive version", "commit version", "publish update"} {
		if joined[name] == 0 {
			d.Errorf("no span %q has found another: %d publish, %d fold, %d commit, %d receive", name,
				len(spans["publish update"]), len(spans["fold update"]), len(spans["commit version"]), len(spans["receive version"]))
		}
	}
}
