package telemetry

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"dpfpl/broker"
	"dpfpl/schemas"
)

// Account is what a client says of its budget. It follows from the plan, the client's own limits and the number of
// steps, and from nothing else.
type Account struct {
	Run      float64 // epsilon of this run, at the plan's delta
	All      float64 // epsilon of all runs on the client's records, at its own delta
	Writes   uint64  // records written to the ledger since the start
	Finished bool    // no further update will be made
}

// Client is the metrics of a client; see the package's comment for what they may be made from.
type Client struct {
	account func() Account

	models                     prometheus.Counter
	version, arrived           prometheus.Gauge
	updates, attempts, acks    prometheus.Counter
	waiting                    prometheus.Gauge
	retries, verdicts, ignored *prometheus.CounterVec
	publish                    prometheus.Histogram
	epsilon                    *prometheus.GaugeVec
	finished                   atomic.Bool
	writes                     atomic.Uint64
	started                    atomic.Bool

	mu     sync.Mutex
	queued map[uint64]time.Time // when an update came into the outbox, by number
	judged uint64               // highest sequence of a verdict
}

// Client registers the metrics of a client. limit is its budget over all runs, 0 for none. account is asked now, and
// whenever an update is handed over, by whoever does that: its answer is not shown earlier, because the account
// is debited when a step begins.
func (t *Telemetry) Client(plan *schemas.Plan, limit float64, account func() Account) *Client {
	c := &Client{
		account:  account,
		models:   counter("dpfpl_client_models_total", "Versions that came, each newer than all before."),
		version:  gauge("dpfpl_client_model_version", "Newest version that came.", nil),
		arrived:  gauge("dpfpl_client_model_timestamp_seconds", "When it came, in Unix time.", nil),
		updates:  counter("dpfpl_client_updates_total", "Updates handed over for publishing, one a step; also those left from before the start."),
		attempts: counter("dpfpl_client_publish_attempts_total", "Attempts to publish an update."),
		acks:     counter("dpfpl_client_publish_acks_total", "Updates that the broker has stored."),
		waiting:  gauge("dpfpl_client_outbox_updates", "Updates handed over and not known to be stored.", nil),
		retries:  counters("dpfpl_client_publish_retries_total", "Attempts that failed, by reason; each is made again.", "reason", broker.Whys...),
		verdicts: counters("dpfpl_client_verdicts_total", "What the aggregator said of updates.", "verdict",
			schemas.VerdictAccepted, schemas.VerdictStale, schemas.VerdictRefused),
		ignored: counters("dpfpl_client_ignored_messages_total", "Messages that came and do not count, by reason.", "reason", broker.Ignoreds...),
		publish: histogram("dpfpl_client_publish_duration_seconds", "From the handing over of an update until it is known to be stored.",
			prometheus.ExponentialBuckets(0.001, 4, 10)),
		epsilon: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "dpfpl_client_epsilon", Help: "Privacy spent, by Rényi divergence: in this run, at the plan's delta, and in all runs on these records, at the client's.",
		}, []string{"scope"}),
		queued: map[uint64]time.Time{},
	}
	c.settle()
	t.Register(c.models, c.version, c.arrived, c.updates, c.attempts, c.acks, c.waiting, c.retries, c.verdicts, c.ignored, c.publish, c.epsilon,
		gaugeFunc("dpfpl_client_receive_only", "1 when no further update will be made: the budget or the plan grants none.", func() float64 { return truth(c.Finished()) }),
		prometheus.NewCounterFunc(prometheus.CounterOpts{Name: "dpfpl_client_ledger_writes_total", Help: "Records written to the ledger."}, func() float64 { return float64(c.writes.Load()) }),
		constant("dpfpl_client_epsilon_limit", "Largest epsilon of all runs on these records; 0 is no limit.", limit, nil),
		constant("dpfpl_plan_updates", "Most updates of a member in this run.", float64(plan.Updates), nil),
		constant("dpfpl_plan_versions", "Version with which the run ends at the latest.", float64(plan.Versions), nil),
	)
	return c
}

// Events are for the options of broker.Follow.
func (c *Client) Events() broker.FollowEvents {
	return broker.FollowEvents{
		OnModel: func(m schemas.Message) {
			c.started.Store(true)
			c.models.Inc()
			c.version.Set(float64(m.Body.(*schemas.Model).Version))
			c.arrived.Set(unix(time.Now()))
		},
		OnNote:    c.note,
		OnIgnored: func(why broker.Ignored) { c.ignored.WithLabelValues(string(why)).Inc() },
		OnUpdate: func(m schemas.Message) {
			c.updates.Inc()
			c.waiting.Inc()
			c.mu.Lock()
			c.queued[m.Body.(*schemas.Update).K] = time.Now()
			c.mu.Unlock()
			c.settle()
		},
		OnAttempt: func(schemas.Message) { c.attempts.Inc() },
		OnRetry:   func(why broker.Why) { c.retries.WithLabelValues(string(why)).Inc() },
		OnStored:  c.stored,
	}
}

// settle shows the account.
func (c *Client) settle() {
	now := c.account()
	c.epsilon.WithLabelValues("run").Set(now.Run)
	c.epsilon.WithLabelValues("all").Set(now.All)
	c.writes.Store(now.Writes)
	c.finished.Store(now.Finished)
}

// Finished reports that no further update will be made.
func (c *Client) Finished() bool { return c.finished.Load() }

// Started reports that a model has come.
func (c *Client) Started() bool { return c.started.Load() }

// note counts a verdict once, however often it is said.
func (c *Client) note(n *schemas.Note) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if n.Seq > c.judged {
		c.judged = n.Seq
		c.verdicts.WithLabelValues(string(n.Verdict)).Inc()
	}
}

func (c *Client) stored(m schemas.Message) {
	k := m.Body.(*schemas.Update).K
	c.mu.Lock()
	took := time.Since(c.queued[k])
	delete(c.queued, k)
	c.mu.Unlock()
	c.acks.Inc()
	c.waiting.Dec()
	c.publish.Observe(took.Seconds())
}
