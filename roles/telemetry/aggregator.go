package telemetry

import (
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"dpfpl/broker"
	"dpfpl/schemas"
)

// Aggregator is the metrics of an aggregator. A fold that starts over reads and judges messages again; each counts
// once.
type Aggregator struct {
	leads                     prometheus.Gauge
	restarts                  prometheus.Counter
	versions                  prometheus.Counter
	version, released         prometheus.Gauge
	position                  prometheus.Gauge
	updates                   *prometheus.CounterVec
	dead                      *prometheus.CounterVec
	active                    *prometheus.GaugeVec
	staleness, cohort, commit prometheus.Histogram

	judged, buried uint64 // highest sequence of a verdict, of a dead letter

	mu     sync.Mutex
	unread []broker.Position // read and not folded in, in the order of the log
	behind uint64            // what the log holds after these, or after what was folded last
}

// Aggregator registers the metrics of the aggregator of a plan.
func (t *Telemetry) Aggregator(plan *schemas.Plan) *Aggregator {
	a := &Aggregator{
		leads:    gauge("dpfpl_aggregator_leads", "1 while this aggregator folds, 0 while it stands by.", nil),
		restarts: counter("dpfpl_aggregator_restarts_total", "How often the fold started over from what is stored."),
		versions: counter("dpfpl_aggregator_versions_total", "Versions that this aggregator stored."),
		version:  gauge("dpfpl_aggregator_model_version", "Newest version that this aggregator knows of.", nil),
		released: gauge("dpfpl_aggregator_model_timestamp_seconds", "When that version was stored, in Unix time.", nil),
		position: gauge("dpfpl_aggregator_fold_position", "Sequence number of the last log message folded in.", nil),
		updates: counters("dpfpl_aggregator_updates_total", "Updates of members by verdict.", "verdict",
			schemas.VerdictAccepted, schemas.VerdictStale, schemas.VerdictRefused),
		dead: counters("dpfpl_aggregator_dead_letters_total", "Messages that were refused and kept for the operator, by reason.", "reason",
			schemas.ReasonDecode, schemas.ReasonVersion, schemas.ReasonSender, schemas.ReasonSignature, schemas.ReasonShape,
			schemas.ReasonMechanism, schemas.ReasonFuture, schemas.ReasonRepeat),
		active: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "dpfpl_aggregator_member_active", Help: "1 while the member counts for the quorum.",
		}, []string{"client"}),
		staleness: histogram("dpfpl_aggregator_staleness_versions", "How many versions an update that was folded in was behind.",
			[]float64{0, 1, 2, 3, 5, 8, 13, 21, 34}),
		cohort: histogram("dpfpl_aggregator_cohort_updates", "Updates in a version.",
			prometheus.ExponentialBuckets(1, 2, 11)),
		commit: histogram("dpfpl_aggregator_commit_duration_seconds", "How long the broker took to store a version.",
			prometheus.ExponentialBuckets(0.001, 2, 15)),
	}
	for _, m := range plan.Members {
		a.active.WithLabelValues(m.ID).Set(1)
	}
	t.Register(a.leads, a.restarts, a.versions, a.version, a.released, a.position, a.updates, a.dead, a.active, a.staleness, a.cohort, a.commit,
		gaugeFunc("dpfpl_aggregator_fold_lag_messages", "Log messages that are not folded in, as far as this aggregator has heard.", a.lagMessages),
		gaugeFunc("dpfpl_aggregator_fold_lag_seconds", "Age of the oldest log message that was read and is not folded in.", a.lagSeconds),
		constant("dpfpl_plan_members", "Members of the run.", float64(len(plan.Members)), nil),
		constant("dpfpl_plan_versions", "Version with which the run ends at the latest.", float64(plan.Versions), nil),
	)
	return a
}

// Events are for the options of the fold.
func (a *Aggregator) Events() broker.FoldEvents {
	return broker.FoldEvents{
		OnLead: func() { a.leads.Set(1) },
		OnLost: func(error) {
			a.leads.Set(0)
			a.restarts.Inc()
			a.forget()
		},
		OnRestored: a.restored,
		OnRead:     a.read,
		OnFolded:   func(m schemas.Message) { a.folded(m.Seq) },
		OnCommitted: func(s broker.Stored) {
			a.versions.Inc()
			a.commit.Observe(s.Took.Seconds())
			model := s.Model.Body.(*schemas.Model)
			if model.Version > 0 {
				a.cohort.Observe(float64(len(model.Folded)))
			}
			for _, f := range model.Folded {
				a.staleness.Observe(float64(f.Staleness))
			}
			a.stored(s, time.Now())
		},
	}
}

// Verdict counts what became of an update.
func (a *Aggregator) Verdict(n *schemas.Note) {
	if n.Seq > a.judged {
		a.judged = n.Seq
		a.updates.WithLabelValues(string(n.Verdict)).Inc()
	}
}

// Dead counts a message that was refused.
func (a *Aggregator) Dead(d *schemas.Dead) {
	if d.Seq > a.buried {
		a.buried = d.Seq
		a.dead.WithLabelValues(string(d.Reason)).Inc()
	}
}

// Control takes up who counts.
func (a *Aggregator) Control(c *schemas.Control) {
	if c.Event == schemas.EventAdmit || c.Event == schemas.EventEvict {
		a.active.WithLabelValues(c.Client).Set(truth(c.Event == schemas.EventAdmit))
	}
}

func (a *Aggregator) restored(s broker.Stored) {
	a.forget()
	if s.Checkpoint.Body != nil {
		a.stored(s, s.Checkpoint.Time)
	}
}

// stored takes up a version that was stored at a time.
func (a *Aggregator) stored(s broker.Stored, at time.Time) {
	c := s.Checkpoint.Body.(*schemas.Checkpoint)
	a.version.Set(float64(c.Version))
	a.released.Set(unix(at))
	a.position.Set(float64(c.Applied))
	for _, m := range c.Members {
		a.active.WithLabelValues(m.ID).Set(truth(m.Active))
	}
}

// forget drops what was read and will be read again.
func (a *Aggregator) forget() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.unread, a.behind = nil, 0
}

func (a *Aggregator) read(p broker.Position) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.unread, a.behind = append(a.unread, p), p.Behind
}

func (a *Aggregator) folded(seq uint64) {
	a.position.Set(float64(seq))
	a.mu.Lock()
	defer a.mu.Unlock()
	for len(a.unread) > 0 && a.unread[0].Seq <= seq {
		a.unread = a.unread[1:]
	}
}

func (a *Aggregator) lagMessages() float64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return float64(uint64(len(a.unread)) + a.behind)
}

func (a *Aggregator) lagSeconds() float64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.unread) == 0 {
		return 0
	}
	return max(0, time.Since(a.unread[0].Time).Seconds())
}
