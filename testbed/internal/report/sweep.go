package report

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
)

// The files that Sweep.Write makes in its folder.
const (
	SweepPageFile    = "sweep.html"
	SweepTableFile   = "sweep.csv"
	SweepResultsFile = "sweep.json"
)

// DefaultTarget is the share of the best gain over zero-shot that the comparison of rules asks for, unless told otherwise.
const DefaultTarget = 0.9

var (
	// ErrTrial says that a trial's values cannot be: an accuracy outside [0, 1], no data set, no method.
	ErrTrial = errors.New("report: not a trial")
	// ErrContradiction says that two trials of one setting and one seed have different outcomes.
	ErrContradiction = errors.New("report: trials contradict each other")
)

// Sweep is what a sweep found. The order of Trials does not matter; one that is there twice with equal values counts once.
type Sweep struct {
	Title   string   // heading; empty for "Sweep"
	Command string   // what was typed to make it; may be empty
	Grid    string   // the grid, YAML
	Notes   []string // what differs from the paper; printed with every table
	Target  float64  // share of the best gain over zero-shot that counts as having got there, in (0, 1]; 0 for DefaultTarget

	Trials  []Trial // those that were run
	Planned []Trial // those that the grid asks for, setting and seed alone; nil if that is not known
}

// Write leaves sweep.html, sweep.csv and sweep.json in the folder, none before all are complete on disk. Wall times are
// left out: equal outcomes give equal bytes. A sweep without trials gives a page that says so.
// Expected errors: ErrTrial and ErrContradiction, naming the trial; ErrFolder, naming the path.
func (s *Sweep) Write(dir string) error {
	l, err := s.ledger()
	if err != nil {
		return err
	}
	page, err := l.page()
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	table, err := l.csv()
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	results, err := l.json()
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	return replace(dir, []file{{SweepResultsFile, results}, {SweepTableFile, table}, {SweepPageFile, page}})
}

// Markdown writes the sweep's tables for a document. Expected errors: ErrTrial, ErrContradiction, and those of w.
func (s *Sweep) Markdown(w io.Writer) error {
	l, err := s.ledger()
	if err != nil {
		return err
	}
	_, err = io.WriteString(w, l.markdown())
	return err
}

// ledger is a sweep whose trials were checked, sorted and gathered into cells.
type ledger struct {
	*Sweep
	trials []Trial // in order of setting and seed, without repetitions
	twice  int     // repetitions left out
	cells  []cell
	scenes []scene
	gaps   []string // planned or implied, but not there
}

func (s *Sweep) ledger() (*ledger, error) {
	if s.Target < 0 || s.Target > 1 || s.Target != s.Target {
		return nil, fmt.Errorf("report: target %v: want a share of 1", s.Target)
	}
	l := &ledger{Sweep: s, trials: slices.Clone(s.Trials)}
	for i := range l.trials {
		if err := l.trials[i].check(); err != nil {
			return nil, err
		}
		l.trials[i].Seconds = Unknown
	}
	if err := l.order(); err != nil {
		return nil, err
	}
	l.gather()
	l.stage()
	l.miss()
	return l, nil
}

// json returns the bytes of sweep.json.
func (l *ledger) json() ([]byte, error) {
	out := struct {
		Title   string     `json:"title"`
		Command string     `json:"command,omitempty"`
		Notes   []string   `json:"differs_from_the_paper"`
		Target  float64    `json:"target"`
		Cells   []cellJSON `json:"cells"`
		Missing []string   `json:"missing"`
		Trials  []Trial    `json:"trials"`
		Grid    string     `json:"grid"`
	}{l.title(), l.Command, full(l.Notes), l.target(), []cellJSON{}, full(l.gaps), full(l.trials), l.Grid}
	for i := range l.cells {
		out.Cells = append(out.Cells, l.cells[i].json())
	}
	raw, err := json.MarshalIndent(out, "", " ")
	return append(raw, '\n'), err
}

// full is s, or an empty slice in place of nil: [] in JSON.
func full[T any](s []T) []T {
	if s == nil {
		return []T{}
	}
	return s
}

func (l *ledger) title() string {
	if l.Title == "" {
		return "Sweep"
	}
	return l.Title
}

func (l *ledger) target() float64 {
	if l.Target == 0 {
		return DefaultTarget
	}
	return l.Target
}
