package soak

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"time"

	"dpfpl/broker"
	"dpfpl/schemas"
)

// witness stands between a client and the loop that sends for it, and notes in a file of its own every update that
// the client holds ready, before it can be sent: what was ready once must be in the log at the end, with those bytes.
type witness struct {
	broker.Follower
	file *os.File
}

func newWitness(f broker.Follower, path string) (*witness, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	return &witness{f, file}, err
}

func (w *witness) Step(now time.Time, m schemas.Message) ([]schemas.Message, error) {
	out, err := w.Follower.Step(now, m)
	for _, m := range out {
		w.note(m)
	}
	return out, err
}

func (w *witness) Pending() []schemas.Message {
	out := w.Follower.Pending()
	for _, m := range out {
		w.note(m)
	}
	return out
}

// note writes one line in one write, which outlives the process. The disk may be full: then there is no note.
func (w *witness) note(m schemas.Message) {
	u, ok := m.Body.(*schemas.Update)
	if !ok {
		return
	}
	fmt.Fprintf(w.file, "%d %x\n", u.K, schemas.Digest(m.Raw)) //nolint:errcheck // see above
}

// sighting is one line of a witness: update k was ready to be sent as the bytes with this digest.
type sighting struct {
	k      uint64
	digest string
}

// readWitness reads what a witness noted. A line that a full disk cut short is none.
func readWitness(path string) ([]sighting, error) {
	content, err := os.ReadFile(path)
	if os.IsNotExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var all []sighting
	for s := bufio.NewScanner(bytes.NewReader(content)); s.Scan(); {
		var v sighting
		if n, err := fmt.Sscanf(s.Text(), "%d %64s", &v.k, &v.digest); n == 2 && err == nil && len(v.digest) == 64 {
			all = append(all, v)
		}
	}
	return all, nil
}
