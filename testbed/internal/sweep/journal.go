package sweep

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"dpfpl/testbed/internal/process"
	"dpfpl/testbed/internal/report"
)

// TrialsFile is the journal's name in the output folder.
const TrialsFile = "trials.jsonl"

// ErrJournal is wrapped by errors about the journal of an earlier sweep.
var ErrJournal = errors.New("sweep: the journal does not fit")

// entry is a line of the journal.
type entry struct {
	Grid string `json:"grid"` // digest of the grid's text, the model and the journal's format
	Cell string `json:"cell"`
	report.Trial
}

// journal keeps a line for each finished cell. It is not safe for concurrent use.
type journal struct {
	grid string
	done map[string]report.Trial // by the cell's ID
	file *os.File
}

// readJournal reads what is there; whole is the length of its whole lines. A torn last line, of a sweep that was killed or
// is writing, does not count. Error: ErrJournal.
func readJournal(dir, grid string) (j *journal, whole int64, err error) {
	path := filepath.Join(dir, TrialsFile)
	old, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, 0, err
	}
	j = &journal{grid: grid, done: map[string]report.Trial{}}
	whole = int64(bytes.LastIndexByte(old, '\n') + 1)
	if err := j.load(old[:whole]); err != nil {
		return nil, 0, fmt.Errorf("%w: %s, %w", ErrJournal, path, err)
	}
	return j, whole, nil
}

// openJournal goes on after what is there, and drops a torn last line. Error: ErrJournal, also while another process has it
// open.
func openJournal(dir, grid string) (*journal, error) {
	path := filepath.Join(dir, TrialsFile)
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, err
	}
	if err := process.Lock(file); err != nil {
		return nil, errors.Join(fmt.Errorf("%w: %s: another sweep is writing it: %w", ErrJournal, path, err), file.Close())
	}
	j, whole, err := readJournal(dir, grid)
	if err == nil {
		err = file.Truncate(whole)
	}
	if err == nil {
		_, err = file.Seek(whole, io.SeekStart)
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	j.file = file
	return j, nil
}

func (j *journal) load(b []byte) error {
	lines := bufio.NewScanner(bytes.NewReader(b))
	lines.Buffer(nil, 1<<24)
	for n := 1; lines.Scan(); n++ {
		var e entry
		if err := json.Unmarshal(lines.Bytes(), &e); err != nil {
			return fmt.Errorf("line %d is damaged (%w): remove it, and its cell runs again, or choose another --out", n, err)
		}
		if e.Grid != j.grid {
			return fmt.Errorf("line %d: it is of another grid, model or program (%s, this is %s): choose another folder", n, e.Grid, j.grid)
		}
		j.done[e.Cell] = e.Trial
	}
	return lines.Err()
}

// add writes a trial; once it returns the trial is on disk.
func (j *journal) add(c *Cell, t *report.Trial) error {
	line, err := json.Marshal(entry{j.grid, c.ID(), *t})
	if err != nil {
		return err
	}
	if _, err := j.file.Write(append(line, '\n')); err != nil {
		return err
	}
	j.done[c.ID()] = *t
	return j.file.Sync()
}

func (j *journal) close() error { return j.file.Close() }

// trials are the finished ones of a grid's cells, in their order.
func (j *journal) trials(cells []Cell) []report.Trial {
	var out []report.Trial
	for i := range cells {
		if t, ok := j.done[cells[i].ID()]; ok {
			out = append(out, t)
		}
	}
	return out
}
