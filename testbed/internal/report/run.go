package report

import (
	"fmt"
	"image"
)

// Run is a run's results and the story of how they came about.
type Run struct {
	Results
	Series   []Point   // in order of version
	Spans    []Span    // when each client was there
	Updates  []Update  // what became of each update, in order of the log
	Events   []Event   // in order of time
	Messages []Traffic // what went over the broker
	Gallery  []Specimen
	Plan     string   // the plan as YAML
	Notes    []string // further sentences about the run: what differs from the paper, what the noise protects, …
}

// Point is how the clients stood at a version of the global prompt.
type Point struct {
	Version uint64
	Seconds float64 // since the run's start, on the run's clock
	// One value for each of Results.Clients, NaN where it is unknown; nil if it was not measured at this version.
	Local, Neighbour []float64 // accuracy
	Epsilon          []float64 // spent so far, by RDP
}

// Span is a time during which a client was connected.
type Span struct {
	Client   string
	From, To float64 // seconds
}

// Update is the verdict on one update.
type Update struct {
	Client    string
	Seconds   float64 // when the aggregator folded or refused it
	Staleness int     // versions between its base and the one it was folded into
	Verdict   string  // "accepted", "stale" or "refused"
}

// Event is something worth telling: a join, a cut, an eviction.
type Event struct {
	Seconds float64
	Client  string // empty if it concerns all
	What    string
}

// Traffic counts messages of one kind.
type Traffic struct {
	Subject string // pattern, e.g. "update.<client>.<k>"
	From    string
	To      string
	Count   int
	Bytes   int64
}

// Specimen is a picture with what was made of it before and after.
type Specimen struct {
	Client        string
	Image         image.Image
	Truth         string
	Before, After string // predicted name: zero-shot, and with the client's personal prompt
}

// validate checks that all parts speak of the same clients.
func (r *Run) validate() error {
	known := map[string]bool{"": true}
	for _, c := range r.Clients {
		known[c.ID] = true
	}
	for _, p := range r.Series {
		for _, series := range [][]float64{p.Local, p.Neighbour, p.Epsilon} {
			if series != nil && len(series) != len(r.Clients) {
				return fmt.Errorf("report: version %d has values of %d clients, there are %d", p.Version, len(series), len(r.Clients))
			}
		}
	}
	unknown := func(what, id string) error {
		if known[id] {
			return nil
		}
		return fmt.Errorf("report: %s of client %q, which the run does not have", what, id)
	}
	for _, s := range r.Spans {
		if err := unknown("a span", s.Client); err != nil {
			return err
		}
	}
	for _, u := range r.Updates {
		if err := unknown("an update", u.Client); err != nil {
			return err
		}
	}
	return nil
}

// index is the position of each client.
func (r *Run) index() map[string]int {
	at := make(map[string]int, len(r.Clients))
	for i, c := range r.Clients {
		at[c.ID] = i
	}
	return at
}
