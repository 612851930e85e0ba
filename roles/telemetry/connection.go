package telemetry

import (
	"sync/atomic"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"

	"dpfpl/broker"
)

// Connection is the metrics of a connection to the broker.
type Connection struct {
	conn        atomic.Pointer[broker.Conn]
	disconnects prometheus.Counter
	errors      prometheus.Counter
}

// Connection registers the metrics of a connection, which counts as lost until Set.
func (t *Telemetry) Connection() *Connection {
	c := &Connection{
		disconnects: counter("dpfpl_broker_disconnects_total", "How often the connection to the broker was lost."),
		errors:      counter("dpfpl_broker_errors_total", "What the broker refused unasked: a permission, a slow consumer."),
	}
	const messages, bytes = "dpfpl_broker_messages_total", "dpfpl_broker_bytes_total"
	const messagesHelp, bytesHelp = "Messages from and to the broker.", "Bytes of messages from and to the broker."
	t.Register(c.disconnects, c.errors,
		gaugeFunc("dpfpl_broker_connected", "1 while there is a connection to the broker.", func() float64 { return truth(c.Connected()) }),
		c.counted(messages, messagesHelp, "in", func(s nats.Statistics) uint64 { return s.InMsgs }),
		c.counted(messages, messagesHelp, "out", func(s nats.Statistics) uint64 { return s.OutMsgs }),
		c.counted(bytes, bytesHelp, "in", func(s nats.Statistics) uint64 { return s.InBytes }),
		c.counted(bytes, bytesHelp, "out", func(s nats.Statistics) uint64 { return s.OutBytes }),
	)
	return c
}

// counted is what the connection counts itself.
func (c *Connection) counted(name, help, direction string, value func(nats.Statistics) uint64) prometheus.Collector {
	o := prometheus.CounterOpts{Name: name, Help: help, ConstLabels: Labels{"direction": direction}}
	return prometheus.NewCounterFunc(o, func() float64 {
		conn := c.conn.Load()
		if conn == nil {
			return 0
		}
		return float64(value(conn.NATS().Stats()))
	})
}

// Events are for the Options that the connection is made with.
func (c *Connection) Events() broker.ConnEvents {
	return broker.ConnEvents{
		OnDisconnect: func(error) { c.disconnects.Inc() },
		OnError:      func(error) { c.errors.Inc() },
	}
}

// Set says which connection it is.
func (c *Connection) Set(conn *broker.Conn) { c.conn.Store(conn) }

// Connected reports whether there is a connection just now.
func (c *Connection) Connected() bool {
	conn := c.conn.Load()
	return conn != nil && conn.NATS().IsConnected()
}
