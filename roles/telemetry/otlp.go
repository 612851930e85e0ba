package telemetry

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"go.opentelemetry.io/otel/exporters/otlp/otlptrace"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	pb "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// Collector is where spans go, over HTTP in OpenTelemetry's protocol (OTLP). It stands in for otlptracehttp, which
// brings gRPC into the program, 9 MB, to send the same bytes.
type Collector struct {
	// URL is complete, for example http://127.0.0.1:4318/v1/traces.
	URL string
	// Headers go with every request; they may hold a secret.
	Headers map[string]string
	// OnTrouble is told why spans are lost from now on, and nil when they arrive again. Optional.
	OnTrouble func(error)
}

// CollectorOf reads what OpenTelemetry's variables say, of which lookup returns the values, but for the address if one
// is given. No address means no collector: it is nil. Errors name the variable.
func CollectorOf(address string, lookup func(string) string) (*Collector, error) {
	const base, whole = "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
	c := &Collector{Headers: map[string]string{}}
	what, from := "--otlp: ", address
	switch {
	case address != "":
	case lookup(whole) != "":
		what, from = whole+": ", lookup(whole)
	case lookup(base) != "":
		what, from = base+": ", lookup(base)
	default:
		return nil, nil
	}
	u, err := url.Parse(from)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("%swant http://HOST:PORT or https://HOST:PORT", what) // the value may hold a password
	}
	if what != whole+": " {
		u = u.JoinPath("v1/traces")
	}
	c.URL = u.String()
	for _, name := range []string{"OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS"} {
		for pair := range strings.SplitSeq(lookup(name), ",") {
			key, value, ok := strings.Cut(pair, "=")
			if strings.TrimSpace(pair) == "" {
				continue
			}
			text, err := url.PathUnescape(strings.TrimSpace(value))
			if !ok || err != nil {
				return nil, fmt.Errorf("%s: want name=value,…", name)
			}
			c.Headers[strings.TrimSpace(key)] = text
		}
	}
	return c, nil
}

// Exporter returns what a Tracer needs.
func (c *Collector) Exporter() sdk.SpanExporter {
	return otlptrace.NewUnstarted(&upload{Collector: c, client: http.Client{Timeout: 10 * time.Second}})
}

// upload sends spans. What cannot be sent is lost: a trace is worth no memory.
type upload struct {
	*Collector
	client  http.Client
	trouble bool
}

func (u *upload) Start(context.Context) error { return nil }

func (u *upload) Stop(context.Context) error {
	u.client.CloseIdleConnections()
	return nil
}

// UploadTraces sends a request that is, by the protocol's definition, the same as TracesData. It returns no error, which
// OpenTelemetry would print.
func (u *upload) UploadTraces(ctx context.Context, spans []*pb.ResourceSpans) error {
	err := u.send(ctx, spans)
	if trouble := err != nil; trouble != u.trouble {
		u.trouble = trouble
		if u.OnTrouble != nil {
			u.OnTrouble(err)
		}
	}
	return nil
}

func (u *upload) send(ctx context.Context, spans []*pb.ResourceSpans) error {
	body, err := proto.Marshal(&pb.TracesData{ResourceSpans: spans})
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, u.URL, bytes.NewReader(body))
	if err != nil {
		return err
	}
	for key, value := range u.Headers {
		request.Header.Set(key, value)
	}
	request.Header.Set("Content-Type", "application/x-protobuf")
	answer, err := u.client.Do(request)
	if err != nil {
		if in, ok := errors.AsType[*url.Error](err); ok {
			err = in.Err // without the URL, which may hold a password
		}
		return err
	}
	defer answer.Body.Close()
	io.Copy(io.Discard, io.LimitReader(answer.Body, 1<<16)) //nolint:errcheck // so that the connection can be used again
	if answer.StatusCode/100 != 2 {
		return fmt.Errorf("the collector answers %s", answer.Status)
	}
	return nil
}
