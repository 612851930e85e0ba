package federation

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
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

// ErrInUse means that another process has the run's folder open.
var ErrInUse = errors.New("in use by another process")

// Recorder keeps a run's moments in memory and, when it has a file, on disk, so that a resumed run's report
// tells the whole story. It is safe for concurrent use.
type Recorder struct {
	mu      sync.Mutex
	start   time.Time
	moments []Moment
	file    *os.File
	damage  error
	listen  func(Moment)
	err     error
}

// NewRecorder records in memory alone. listen, if not nil, is told every moment as it happens.
func NewRecorder(start time.Time, listen func(Moment)) *Recorder {
	return &Recorder{start: start, listen: listen}
}

// OpenRecorder records a run of these clients to a file as well, going on after what is already there. Lines that cannot be
// read are set aside; see Damage. Error: ErrInUse, and those of the file system.
func OpenRecorder(path string, start time.Time, clients []string, listen func(Moment)) (*Recorder, error) {
	r := NewRecorder(start, listen)
	var err error
	if r.file, err = os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644); err != nil {
		return nil, fmt.Errorf("%w; it only holds what the report tells: move it away", err)
	}
	if err := r.resume(clients); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", path, err), r.file.Close())
	}
	return r, nil
}

// resume takes in what the file holds, and goes on after it.
func (r *Recorder) resume(clients []string) error {
	if err := process.Lock(r.file); err != nil {
		return fmt.Errorf("%w: %w", ErrInUse, err)
	}
	old, err := io.ReadAll(r.file)
	if err != nil {
		return err
	}
	var good []byte
	all, bad := 0, 0
	for line := range bytes.Lines(old) {
		all++
		m, ok := parseMoment(line, clients)
		if !ok {
			bad++
			continue
		}
		r.moments = append(r.moments, m)
		good = append(good, line...)
	}
	if bad == 0 {
		return nil
	}
	aside, err := r.setAside(old, good)
	r.damage = fmt.Errorf("%s: %d of %d lines cannot be read, so the report does not tell of them; the damaged file is kept as %s", r.file.Name(), bad, all, aside)
	return err
}

// parseMoment reads a line with its end, and tells whether a Recorder of a run of these clients may have written it.
func parseMoment(line []byte, clients []string) (m Moment, ok bool) {
	if err := json.Unmarshal(line, &m); err != nil || line[len(line)-1] != '\n' {
		return m, false
	}
	switch m.What {
	case MomentVersion, MomentResume:
		return m, m.Client == ""
	case MomentStep, MomentVerdict, MomentJoin, MomentCut, MomentBack, MomentLeave, MomentSpent, MomentDone:
		return m, slices.Contains(clients, m.Client)
	default:
		return m, false
	}
}

// setAside copies what the file held to a file beside it, and then leaves the good lines in it.
func (r *Recorder) setAside(old, good []byte) (path string, err error) {
	aside, err := os.CreateTemp(filepath.Dir(r.file.Name()), filepath.Base(r.file.Name())+".damaged-*")
	if err != nil {
		return "", err
	}
	_, err = aside.Write(old)
	if err := errors.Join(err, aside.Sync(), aside.Close()); err != nil {
		return "", err
	}
	if err := r.file.Truncate(0); err != nil {
		return "", err
	}
	if _, err := r.file.Seek(0, io.SeekStart); err != nil {
		return "", err
	}
	_, err = r.file.Write(good)
	return aside.Name(), err
}

// Damage says what of the file could not be read and where it is kept, nil if all of it could.
func (r *Recorder) Damage() error { return r.damage }

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
