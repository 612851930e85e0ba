package telemetry

import (
	"maps"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Labels that a role has throughout, beside role and run.
type Labels = prometheus.Labels

// Options tune a Telemetry. The zero value is usable.
type Options struct {
	// Private is for a role that computes on private records. It leaves out what a computation moves:
	// processor time, memory, threads.
	Private bool
	// Labels are added to every metric of the role: client, or nothing. Their values must be few.
	Labels Labels
}

// Telemetry holds the metrics of one role in one run.
type Telemetry struct {
	registry *prometheus.Registry
	register prometheus.Registerer // adds the labels
}

// New returns a Telemetry with what every role shows: what is running, and since when. An empty run is left out.
func New(role, run string, o Options) *Telemetry {
	labels := Labels{"role": role}
	if run != "" {
		labels["run"] = run
	}
	maps.Copy(labels, o.Labels)
	registry := prometheus.NewRegistry()
	t := &Telemetry{registry: registry, register: prometheus.WrapRegistererWith(labels, registry)}
	version, goVersion := build()
	t.register.MustRegister(
		constant("dpfpl_build_info", "What is running; always 1.", 1, Labels{"version": version, "goversion": goVersion}),
		constant("dpfpl_start_timestamp_seconds", "When the role was started, in Unix time.", unix(time.Now()), nil),
	)
	if !o.Private {
		registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	}
	return t
}

// Register adds metrics of the role's own. It panics if one is already there, or is malformed.
func (t *Telemetry) Register(metrics ...prometheus.Collector) { t.register.MustRegister(metrics...) }

// Gatherer reads the metrics.
func (t *Telemetry) Gatherer() prometheus.Gatherer { return t.registry }

// Handler answers with the metrics. It serves few at a time, and none for longer than 5 s.
func (t *Telemetry) Handler() http.Handler {
	return promhttp.HandlerFor(t.registry, promhttp.HandlerOpts{MaxRequestsInFlight: 4, Timeout: 5 * time.Second, EnableOpenMetrics: true})
}

// build returns the version of the program, as far as it was recorded, and that of Go.
func build() (version, goVersion string) {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown", "unknown"
	}
	return info.Main.Version, info.GoVersion
}

func constant(name, help string, value float64, labels Labels) prometheus.Collector {
	g := gauge(name, help, labels)
	g.Set(value)
	return g
}

func gauge(name, help string, labels Labels) prometheus.Gauge {
	return prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: help, ConstLabels: labels})
}

func gaugeFunc(name, help string, value func() float64) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value)
}

func counter(name, help string) prometheus.Counter {
	return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
}

func histogram(name, help string, buckets []float64) prometheus.Histogram {
	return prometheus.NewHistogram(prometheus.HistogramOpts{Name: name, Help: help, Buckets: buckets})
}

// counters returns counters that differ in a label, each with its value from the start, so that a rate sees the first
// event. what lists the values.
func counters[V ~string](name, help, label string, what ...V) *prometheus.CounterVec {
	vec := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, []string{label})
	for _, v := range what {
		vec.WithLabelValues(string(v))
	}
	return vec
}

// unix is a moment as Prometheus writes it.
func unix(t time.Time) float64 { return float64(t.UnixNano()) / 1e9 }

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
