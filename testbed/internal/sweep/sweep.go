package sweep

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"dpfpl/testbed/internal/data"
	"dpfpl/testbed/internal/process"
	"dpfpl/testbed/internal/report"
)

// Options are one sweep.
type Options struct {
	Grid    *Grid
	Text    []byte // of the grid file
	Folders Folders
	Builtin Builtin
	Dir     string // output folder
	Jobs    int    // processes
	// Command makes the command of a child, which must call Child with the text.
	Command func(text string) *exec.Cmd
	// Say is told what happens, a line each.
	Say func(line string)
}

// Check reads the model and makes every cell's plan, so that whatever is wrong is found before anything is run. Errors are
// the caller's mistakes.
func Check(ctx context.Context, o *Options) (digest string, err error) {
	b, err := newBench(o.Grid, o.Folders, o.Builtin)
	if err != nil {
		return "", err
	}
	defer b.close()
	told := map[string]bool{}
	b.skipped = func(source string, what []string) {
		if !told[source] {
			o.Say(fmt.Sprintf("%s: %d pictures are left out because they cannot be used, the first: %s", source, len(what), what[0]))
		}
		told[source] = true
	}
	cells := o.Grid.Cells()
	if len(cells) == 0 {
		return "", fmt.Errorf("%w: blocks: no cell", ErrGrid)
	}
	return o.Grid.digest(b.model.Digest), b.check(ctx, cells)
}

// check makes the plan of every cell of the first seed.
func (b *bench) check(ctx context.Context, cells []Cell) error {
	sets := map[string]*data.Set{}
	for i := range cells {
		c := &cells[i]
		if c.Seed != cells[0].Seed || c.NoiseOnly || c.Method == report.ControlZeroShot {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if sets[c.Source] == nil {
			set, err := b.open(c.Source, c.Seed)
			if err == nil {
				err = b.fits(set)
			}
			if err != nil {
				return fmt.Errorf("sources: %s: %w", c.Source, err)
			}
			sets[c.Source] = set
		}
		if _, err := b.plan(c, sets[c.Source]); err != nil {
			return fmt.Errorf("%w: blocks[%d]: %w", ErrGrid, c.Block, err)
		}
	}
	return nil
}

// Run runs what is not in the journal yet, and returns every trial in the grid's order. When the context ends it returns
// the context's error, and what is done stays.
func Run(ctx context.Context, o Options, digest string) ([]report.Trial, error) {
	if err := os.MkdirAll(o.Dir, 0o755); err != nil {
		return nil, err
	}
	j, err := openJournal(o.Dir, digest)
	if err != nil {
		return nil, err
	}
	defer j.close()
	r := &runner{Options: o, cells: o.Grid.Cells(), journal: j, progress: newProgress()}
	if err := r.run(ctx); err != nil {
		return nil, err
	}
	return j.trials(r.cells), nil
}

// Done are the finished trials of a grid in a folder, in the grid's order.
func Done(dir string, g *Grid, digest string) ([]report.Trial, error) {
	j, _, err := readJournal(dir, digest)
	if err != nil {
		return nil, err
	}
	return j.trials(g.Cells()), nil
}

// Planned are the trials that a grid asks for, without outcomes.
func (g *Grid) Planned() []report.Trial {
	var out []report.Trial
	for _, c := range g.Cells() {
		out = append(out, *g.trial(&c))
	}
	return out
}

// runner is a sweep that is going on.
type runner struct {
	Options
	cells   []Cell
	journal *journal

	mu       sync.Mutex // of the journal and what follows
	next     int
	progress *progress
}

func (r *runner) run(ctx context.Context) error {
	for i := range r.cells {
		if _, done := r.journal.done[r.cells[i].ID()]; !done {
			r.progress.todo(&r.cells[i])
		}
	}
	r.Say(fmt.Sprintf("%d cells, %d done already, %d processes", len(r.cells), len(r.cells)-r.progress.left, r.jobs()))
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var lanes sync.WaitGroup
	for lane := range r.jobs() {
		lanes.Go(func() {
			if err := r.lane(ctx, lane); err != nil {
				cancel(err)
			}
		})
	}
	lanes.Wait()
	return context.Cause(ctx)
}

func (r *runner) jobs() int { return max(1, min(r.Jobs, r.progress.left)) }

// lane keeps one child busy.
func (r *runner) lane(ctx context.Context, lane int) error {
	text, err := json.Marshal(spec{string(r.Text), r.Folders})
	if err != nil {
		return err
	}
	cmd := r.Command(string(text))
	if len(cmd.Env) == 0 {
		cmd.Env = os.Environ()
	}
	cmd.Env = append(cmd.Env, "GOMAXPROCS=1") // a process a core
	detach(cmd)
	log := filepath.Join(r.Dir, "worker-"+strconv.Itoa(lane+1)+".log")
	child, err := process.Start(cmd, log)
	if err != nil {
		return err
	}
	defer func() {
		child.Kill()
		for range child.Lines() {
		}
		if info, err := os.Stat(log); err == nil && info.Size() == 0 {
			os.Remove(log) //nolint:errcheck // it says nothing
		}
	}()
	for {
		n := r.take()
		if n < 0 || ctx.Err() != nil {
			return nil
		}
		t, err := r.ask(ctx, child, n)
		if err != nil {
			if ctx.Err() != nil {
				return nil // the child was ended with us
			}
			return err
		}
		if err := r.finish(n, t); err != nil {
			return err
		}
	}
}

// take returns the next cell that is not done, -1 if there is none.
func (r *runner) take() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	for ; r.next < len(r.cells); r.next++ {
		if _, done := r.journal.done[r.cells[r.next].ID()]; !done {
			r.next++
			return r.next - 1
		}
	}
	return -1
}

// ask has a child run a cell.
func (r *runner) ask(ctx context.Context, child *process.Child, n int) (*report.Trial, error) {
	child.Tell(fmt.Sprintf("%s %d", wordCell, n))
	for {
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case line, open := <-child.Lines():
			word, rest, _ := strings.Cut(line, " ")
			switch {
			case !open:
				<-child.Exited()
				return nil, fmt.Errorf("sweep: a process ended in %s: %w (its last words are in worker-*.log)", r.cells[n].ID(), errors.Join(child.Err(), process.ErrSilent))
			case word == wordError:
				text, err := strconv.Unquote(rest)
				return nil, errors.Join(errors.New(text), err)
			case word == wordTrial:
				t := new(report.Trial)
				return t, json.Unmarshal([]byte(rest), t)
			}
		}
	}
}

func (r *runner) finish(n int, t *report.Trial) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	c := &r.cells[n]
	if err := r.journal.add(c, t); err != nil {
		return err
	}
	r.progress.done(c, time.Duration(float64(t.Seconds)*float64(time.Second)))
	r.Say(fmt.Sprintf("%d/%d %s: local %.1f %%, neighbour %.1f %%, %.1f s; %s",
		len(r.cells)-r.progress.left, len(r.cells), c.ID(), 100*mean(t.Local), 100*mean(t.Neighbour), float64(t.Seconds), r.progress.remaining(r.jobs())))
	return nil
}

func mean(x []report.Number) float64 {
	sum := 0.0
	for _, v := range x {
		sum += float64(v)
	}
	return sum / float64(len(x))
}
