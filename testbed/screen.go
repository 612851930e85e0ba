package main

import (
	"fmt"
	"io"
	"math"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"

	"dpfpl/schemas"
	"dpfpl/testbed/internal/federation"
	"dpfpl/testbed/internal/report"
)

// screen shows a run while it goes on: a block that is drawn over itself on a terminal, plain lines elsewhere.
// Its methods may be called concurrently.
type screen struct {
	w    io.Writer
	live bool

	mu       sync.Mutex
	versions uint64
	version  uint64
	rows     []row
	index    map[string]int
	drawn    int // lines of the block on the terminal
	last     time.Time
	shown    uint64 // version of the last plain line
	percent  int    // of pictures embedded, when last said
}

// row is one client's line.
type row struct {
	id, state string
	version   uint64
	updates   int
	accepted  int
	local     float64
	epsilon   float64
}

func newScreen(w io.Writer, plain bool, title string) *screen {
	s := &screen{w: w, index: map[string]int{}, percent: -1}
	if f, ok := w.(*os.File); ok && !plain {
		s.live = term.IsTerminal(int(f.Fd()))
	}
	s.say("%s", title)
	return s
}

// title says what the job is about to do.
func (j *job) title() string {
	p := j.state.Plan
	private := fmt.Sprintf("epsilon at most %g at delta %g; a record is %s", p.Privacy.Epsilon, p.Privacy.Delta, j.set.Record)
	switch {
	case p.Privacy.Noise == schemas.NoiseNone:
		private = "no noise: NO PRIVACY"
	case j.o.VirtualTime:
		private += " (noise is seeded under --virtual-time: it protects nobody)"
	}
	return fmt.Sprintf("dpfpl: %d clients learn %d context vectors for a frozen CLIP on %s (%d class names)\n"+
		"%s rank %d, rule %s, %d versions; %s",
		len(j.set.Clients), p.Prompt.Context, j.set.Name, len(j.set.Classes), p.Method.Name, p.Method.Rank, p.Rule.Name, p.Versions, private)
}

// say prints a line of its own.
func (s *screen) say(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wipe()
	fmt.Fprintf(s.w, format+"\n", args...)
	s.draw()
}

// embedding shows how many pictures have been through the image tower.
func (s *screen) embedding(done, all int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	percent := 100 * done / all
	if s.live && percent != s.percent {
		fmt.Fprintf(s.w, "\rimage features: %d of %d", done, all)
	}
	if done == all {
		if s.live {
			fmt.Fprint(s.w, "\r\x1b[K")
		}
		fmt.Fprintf(s.w, "image features of %d pictures computed once by the frozen image tower\n", all)
	}
	s.percent = percent
}

// begin lays out the block.
func (s *screen) begin(plan *schemas.Plan, parties []federation.Party) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.versions = uint64(plan.Versions)
	for i, p := range parties {
		s.rows = append(s.rows, row{id: p.ID, state: "not there yet", local: math.NaN()})
		s.index[p.ID] = i
	}
}

// show takes in a moment of the run.
func (s *screen) show(m federation.Moment) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i, ok := s.index[m.Client]; ok {
		s.rows[i].take(m)
	}
	if m.What == federation.MomentVersion {
		s.version = m.Version
	}
	if s.live {
		s.refresh()
		return
	}
	s.plain(m)
}

func (r *row) take(m federation.Moment) {
	switch m.What {
	case federation.MomentStep:
		r.updates, r.version, r.epsilon = int(m.K), m.Version, math.Inf(1)
		if m.EpsilonRDP != nil {
			r.epsilon = *m.EpsilonRDP
		}
		if m.Local != nil {
			r.local = *m.Local
		}
	case federation.MomentVerdict:
		if m.Verdict == string(schemas.VerdictAccepted) {
			r.accepted++
		}
	case federation.MomentJoin, federation.MomentBack:
		r.state = "there"
	case federation.MomentCut:
		r.state = "cut off"
	case federation.MomentLeave:
		r.state = "left"
	case federation.MomentDone:
		r.state = "done"
	case federation.MomentSpent:
		r.state = "budget spent, listens"
	}
}

// told says in plain words what is worth a line of its own.
var told = map[string]string{
	federation.MomentJoin:  "joins",
	federation.MomentCut:   "is cut off",
	federation.MomentBack:  "is back",
	federation.MomentLeave: "leaves for good",
	federation.MomentSpent: "has spent its budget and only listens from here on",
}

func (s *screen) plain(m federation.Moment) {
	if words, ok := told[m.What]; ok {
		fmt.Fprintf(s.w, "version %3d  %s %s\n", s.version, m.Client, words)
	}
	every := max(1, s.versions/12)
	if m.What == federation.MomentVersion && m.Version > 0 && (m.Version%every == 0 || m.Version == s.versions) && m.Version != s.shown {
		s.shown = m.Version
		local, epsilon := s.summary()
		fmt.Fprintf(s.w, "version %3d/%d  mean local accuracy %s  most spent epsilon %s\n", m.Version, s.versions, local, epsilon)
	}
}

// summary is the mean local accuracy of those that have one and the largest epsilon spent.
func (s *screen) summary() (local, epsilon string) {
	sum, n, most := 0.0, 0, 0.0
	for _, r := range s.rows {
		most = max(most, r.epsilon)
		if !math.IsNaN(r.local) {
			sum += r.local
			n++
		}
	}
	if n == 0 {
		return "-", "-"
	}
	return share(sum / float64(n)), number(most)
}

// refresh draws the block anew, a few times a second at the most.
func (s *screen) refresh() {
	if now := time.Now(); now.Sub(s.last) > 150*time.Millisecond || s.version == s.versions {
		s.last = now
		s.wipe()
		s.draw()
	}
}

func (s *screen) wipe() {
	if s.drawn > 0 {
		fmt.Fprintf(s.w, "\x1b[%dA\x1b[J", s.drawn)
		s.drawn = 0
	}
}

func (s *screen) draw() {
	if !s.live || len(s.rows) == 0 {
		return
	}
	const width = 40
	full := int(width * s.version / max(1, s.versions))
	lines := []string{
		fmt.Sprintf("version %3d/%d  %s%s", s.version, s.versions, strings.Repeat("█", full), strings.Repeat("░", width-full)),
		"client       base  updates  accepted   local   epsilon  ",
	}
	for _, r := range s.rows {
		lines = append(lines, fmt.Sprintf("%-11s %5d %8d %9d  %6s  %8s  %s", r.id, r.version, r.updates, r.accepted, share(r.local), number(r.epsilon), r.state))
	}
	columns, rows := 100, 40
	if f, ok := s.w.(*os.File); ok {
		if c, r, err := term.GetSize(int(f.Fd())); err == nil {
			columns, rows = c, r
		}
	}
	if len(lines) >= rows {
		lines = lines[:max(1, rows-1)]
	}
	for _, line := range lines {
		fmt.Fprintln(s.w, fit(line, columns))
	}
	s.drawn = len(lines)
}

// fit cuts a line to the terminal's width, so that a block has as many lines as were written.
func fit(line string, columns int) string {
	if runes := []rune(line); len(runes) > columns-1 {
		return string(runes[:max(0, columns-1)])
	}
	return line
}

// finish prints the outcome and where the files are.
func (s *screen) finish(story *report.Run, out string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wipe()
	fmt.Fprintln(s.w)
	if err := report.Table(s.w, &story.Results); err != nil {
		return err
	}
	_, err := fmt.Fprintf(s.w, "\n%s/%s  the whole story, for a browser\n%s/%s  the figures, for programs\n%s/%s  the run's log, to replay\n",
		out, report.PageFile, out, report.ResultsFile, out, logFile)
	return err
}

func share(x float64) string {
	if math.IsNaN(x) {
		return "-"
	}
	return fmt.Sprintf("%.1f %%", 100*x)
}

func number(x float64) string {
	switch {
	case math.IsInf(x, 1):
		return "infinite"
	case x == 0:
		return "0"
	default:
		return fmt.Sprintf("%.2f", x)
	}
}
