package telemetry

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Predictor is the metrics of an endpoint that answers what is on pictures.
type Predictor struct {
	requests *prometheus.CounterVec
	pictures *prometheus.CounterVec
	took     prometheus.Histogram
}

// Whether a picture could be read.
type legible string

const (
	read   legible = "read"
	unread legible = "unread"
)

// Predictor registers the metrics of the endpoint.
func (t *Telemetry) Predictor() *Predictor {
	p := &Predictor{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "dpfpl_predict_requests_total", Help: "Requests to predict, by the status of the answer."}, []string{"status"}),
		pictures: counters("dpfpl_predict_pictures_total", "Pictures in requests to predict, and whether they could be read.", "outcome", read, unread),
		took:     histogram("dpfpl_predict_duration_seconds", "From the header of a request to its answer.", prometheus.ExponentialBuckets(0.005, 2, 14)),
	}
	t.Register(p.requests, p.pictures, p.took)
	return p
}

// Served counts one request.
func (p *Predictor) Served(status, pictures, unreadable int, took time.Duration) {
	p.requests.WithLabelValues(strconv.Itoa(status)).Inc()
	p.pictures.WithLabelValues(string(read)).Add(float64(pictures - unreadable))
	p.pictures.WithLabelValues(string(unread)).Add(float64(unreadable))
	p.took.Observe(took.Seconds())
}
