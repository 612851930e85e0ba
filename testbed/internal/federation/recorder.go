package federation

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"dpfpl/testbed/internal/process"
)

// Moment is one thing that happened in a run. Which fields are set depends on What.
type Moment struct {
	At   float64 `json:"at"` // seconds since the run began
	What string  `json:"what"`

	Client  string `json:"client,omitempty"`
	Version uint64 `json:"version,omitempty"`

	// Of a step: the local accuracies of the personal prompt after it, and what the client has spent.
	K           uint64   `json:"k,omitempty"`
	Local       *float64 `json:"local,omitempty"`
	Neighbour   *float64 `json:"neighbour,omitempty"`
	EpsilonRDP  *float64 `json:"epsilon_rdp,omitempty"` // nil: infinite
	EpsilonPLD  *float64 `json:"epsilon_pld,omitempty"`
	Staleness   uint32   `json:"staleness,omitempty"`
	Verdict     string   `json:"verdict,omitempty"`
	Explanation string   `json:"explanation,omitempty"`
}

// What a Moment is about.
const (
	MomentVersion = "version" // a global prompt version is complete
	MomentStep    = "step"    // a client has made an update
	MomentVerdict = "verdict" // the aggregator has judged an update
	MomentJoin    = "join"    // a client is connected and takes part
	MomentCut     = "cut"     // a client lost its connection
	MomentBack    = "back"    // and has it again
	MomentLeave   = "leave"   // a client left for good
	MomentSpent   = "spent"   // a client's budget is spent; it only listens from here on
	MomentDone    = "done"    // a client has the final version
	MomentResume  = "resume"  // the whole run went on after an interruption
)

// Recorder keeps a run's moments in memory and, when it has a file, on disk, so that a resumed run's report
// tells the whole story. It is safe for concurrent use.
type Recorder struct {
	mu      sync.Mutex
	start   time.Time
	moments []Moment
	file    *os.File
	listen  func(Moment)
	err     error
}

// NewRecorder records in memory alone. listen, if not nil, is told every moment as it happens.
func NewRecorder(start time.Time, listen func(Moment)) *Recorder {
	return &Recorder{start: start, listen: listen}
}

// OpenRecorder records to a file as well, going on after what is already there. It fails while another process has the file
// open.
func OpenRecorder(path string, start time.Time, listen func(Moment)) (*Recorder, error) {
	r := NewRecorder(start, listen)
	var err error
	if r.file, err = os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644); err != nil {
		return nil, err
	}
	if err := r.resume(); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", path, err), r.file.Close())
	}
	return r, nil
}

// resume takes in what the file holds, and goes on after it.
func (r *Recorder) resume() error {
	if err := process.Lock(r.file); err != nil {
		return fmt.Errorf("in use by another process: %w", err)
	}
	old, err := io.ReadAll(r.file)
	if err != nil {
		return err
	}
	whole, err := r.load(old)
	if err != nil {
		return err
	}
	if err := r.file.Truncate(whole); err != nil {
		return err
	}
	_, err = r.file.Seek(whole, io.SeekStart)
	return err
}

// load takes in whole lines and returns how many bytes they are; a torn last line is dropped.
func (r *Recorder) load(b []byte) (int64, error) {
	whole := int64(bytes.LastIndexByte(b, '\n') + 1)
	lines := bufio.NewScanner(bytes.NewReader(b[:whole]))
	for n := 1; lines.Scan(); n++ {
		var m Moment
		if err := json.Unmarshal(lines.Bytes(), &m); err != nil {
			return 0, fmt.Errorf("line %d: %w", n, err)
		}
		r.moments = append(r.moments, m)
	}
	return whole, lines.Err()
}

// Record adds a moment that happens now. A nil Recorder forgets it.
func (r *Recorder) Record(now time.Time, m Moment) {
	if r == nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	m.At = now.Sub(r.start).Seconds()
	r.moments = append(r.moments, m)
	if r.file != nil && r.err == nil {
		line, err := json.Marshal(m)
		if err == nil {
			_, err = r.file.Write(append(line, '\n'))
		}
		r.err = err
	}
	if r.listen != nil {
		r.listen(m)
	}
}

// Moments returns everything recorded, in order of time; what happened at one instant is ordered by client
// and kind, so that the order does not depend on scheduling.
func (r *Recorder) Moments() []Moment {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := slices.Clone(r.moments)
	slices.SortStableFunc(all, func(a, b Moment) int {
		switch {
		case a.At < b.At:
			return -1
		case a.At > b.At:
			return 1
		case a.Client != b.Client:
			return strings.Compare(a.Client, b.Client)
		default:
			return strings.Compare(a.What, b.What)
		}
	})
	return all
}

// Close reports the first write that failed.
func (r *Recorder) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.file == nil {
		return r.err
	}
	return errors.Join(r.err, r.file.Close())
}
