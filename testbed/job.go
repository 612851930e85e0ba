package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/rs/zerolog"
	"github.com/spf13/pflag"

	"dpfpl/broker"
	"dpfpl/broker/brokertest"
	"dpfpl/mathx/clip"
	"dpfpl/mathx/prompt"
	"dpfpl/roles/client/ledger"
	"dpfpl/schemas"
	"dpfpl/testbed/internal/data"
	"dpfpl/testbed/internal/federation"
	"dpfpl/testbed/internal/report"
)

// logFile is the run's exported log in the output folder.
const logFile = "run.dpfpl"

// runJob is the main job. Whatever is wrong with what was given is an inputError, found before anything is
// written.
func runJob(ctx context.Context, o *options, flags *pflag.FlagSet, stdout io.Writer) error {
	j, err := prepare(o, flags, stdout)
	if err != nil {
		return input(err)
	}
	defer j.model.Close()
	if err := j.embed(ctx); err != nil {
		return err
	}
	if err := j.open(); err != nil {
		return input(err)
	}
	return j.run(ctx)
}

// job is the main job once its input is known to be sound.
type job struct {
	o      *options
	screen *screen
	model  *clip.Model
	set    *data.Set
	// skipped are pictures of the set that were left out by choice.
	skipped []string
	names   [][]int // tokens of the class names
	state   state   // plan file, keys, start
	plan    *schemas.Plan

	features   federation.Features
	parties    []federation.Party
	zeroShot   [][]float64 // local and neighbour accuracy of each client with the hand-written context
	transcript *federation.Transcript
}

// prepare reads and checks everything that the job is given, and writes nothing but the empty output folder.
func prepare(o *options, flags *pflag.FlagSet, stdout io.Writer) (*job, error) {
	j := &job{o: o}
	old, err := readState(o.Out)
	switch {
	case err != nil:
		return nil, err
	case o.Resume && o.VirtualTime:
		return nil, errors.New("--resume: a run in virtual time keeps nothing to go on from; it takes seconds to run again")
	case o.Resume && (old == nil || old.Finished):
		return nil, fmt.Errorf("--resume: no unfinished run in %s", o.Out)
	case !o.Resume && old != nil && !old.Finished:
		return nil, fmt.Errorf("%s holds an unfinished run: go on with --resume, choose another --out, or remove the folder", o.Out)
	case o.Resume:
		if err := old.agrees(o, flags); err != nil {
			return nil, err
		}
		out, plain := o.Out, o.Plain
		*o = old.Options
		o.Out, o.Plain, o.Resume = out, plain, true
		j.state = *old
	default:
		if err := o.check(flags.Changed); err != nil {
			return nil, err
		}
		if j.state.Plan, err = o.plan(flags.Changed); err != nil {
			return nil, err
		}
	}
	if old == nil {
		if err := foreign(o.Out); err != nil {
			return nil, err
		}
	}
	j.state.Options = *o
	if err := j.load(); err != nil {
		return nil, err
	}
	if err := report.Prepare(o.Out); err != nil {
		return nil, err
	}
	j.screen = newScreen(stdout, o.Plain || o.VirtualTime, j.title())
	return j, nil
}

// load opens model and data and settles the plan.
func (j *job) load() (err error) {
	if j.model, err = openModel(j.o.Model); err != nil {
		return fmt.Errorf("model: %w", err)
	}
	model := "model " + cmp.Or(j.o.Model, "tinyclip, which is built in")
	if err := j.o.needs(j.model); err != nil {
		return fmt.Errorf("%s: %w", model, err)
	}
	if j.set, j.skipped, err = j.o.openSet(j.state.Plan.Seed); err != nil {
		return err
	}
	if err := fits(j.set, j.model); err != nil {
		return fmt.Errorf("%s: %w", model, err)
	}
	if j.names, err = federation.Tokens(j.model, j.set); err != nil {
		return fmt.Errorf("%s: %w", model, err)
	}
	if !j.o.Resume {
		if err := j.settle(); err != nil {
			return err
		}
	}
	if err := j.state.Keys.Complete(j.set.IDs()); err != nil { // of a resumed run
		return fmt.Errorf("%s: %w", filepath.Join(j.o.Out, stateFolder, stateFile), err)
	}
	name := fmt.Sprintf("%s-%d", j.set.Name, j.state.Plan.Seed)
	if j.plan, err = j.state.Plan.Plan(name, j.set, j.model, j.state.Keys); err != nil {
		return fmt.Errorf("plan: %w", err)
	}
	return nil
}

// settle completes a new run's plan file and makes its keys.
func (j *job) settle() (err error) {
	if v := &j.state.Plan.Privacy; v.Batch == 0 {
		v.Batch = typicalBatch(j.set, v.Rate)
	}
	if err := j.state.Plan.Settle(len(j.set.Clients), j.model.Text.Config().Width); err != nil {
		return fmt.Errorf("plan: %w", err)
	}
	j.state.Keys, err = j.makeKeys()
	return err
}

func (j *job) makeKeys() (*federation.Keys, error) {
	if j.o.VirtualTime {
		return federation.SeededKeys(j.set.IDs(), j.state.Plan.Seed)
	}
	return federation.FreshKeys(j.set.IDs())
}

// embed applies the frozen image tower to every picture, once, and measures the hand-written context.
func (j *job) embed(ctx context.Context) (err error) {
	j.features, err = federation.ComputeFeatures(ctx, j.model, j.set, j.screen.embedding)
	if err != nil {
		return err
	}
	cast := federation.Behaviours(len(j.set.Clients), uint64(j.state.Plan.Versions), j.o.Pace)
	for i, c := range j.set.Clients {
		j.parties = append(j.parties, federation.Party{
			ID: c.ID, Behaviour: cast[i],
			Train: j.features.Examples(c.Train), Test: j.features.Examples(c.Test), Neighbour: j.features.Examples(c.Neighbour),
		})
	}
	words, encoder, err := j.handwritten()
	if err != nil {
		return err
	}
	for _, p := range j.parties {
		j.zeroShot = append(j.zeroShot, federation.Accuracies(encoder, words, p.Test, p.Neighbour))
	}
	return nil
}

// handwritten is the zero-shot classifier: the set's words as a context, and an encoder of that length.
func (j *job) handwritten() ([]float32, prompt.TextEncoder, error) {
	words, err := j.model.Words(j.set.Words)
	if err != nil {
		return nil, nil, err
	}
	encoder, err := j.model.Text.NewEncoder(j.names, len(words)/j.model.Text.Config().Width)
	return words, encoder, err
}

// open readies the output folder: what an earlier, finished run left is removed.
func (j *job) open() error {
	if j.o.Resume {
		return nil
	}
	for _, name := range []string{stateFolder, logFile, report.ResultsFile, report.PageFile} {
		if err := os.RemoveAll(filepath.Join(j.o.Out, name)); err != nil {
			return err
		}
	}
	if j.o.VirtualTime {
		return nil
	}
	j.state.Started = time.Now()
	return j.state.write(j.o.Out)
}

func (j *job) run(ctx context.Context) error {
	began := time.Now()
	outcome, recorder, err := j.federate(ctx)
	if err != nil {
		return j.advise(err)
	}
	proof, err := j.proof(outcome)
	if err != nil {
		return err
	}
	j.screen.say("%s", proof)
	control, err := j.control(ctx)
	if err != nil {
		return fmt.Errorf("noise-only control: %w", err)
	}
	story, err := j.story(outcome, control, recorder.Moments(), time.Since(began))
	if err != nil {
		return err
	}
	if err := story.Write(j.o.Out); err != nil {
		return err
	}
	if !j.o.VirtualTime {
		j.state.Finished = true
		if err := j.state.write(j.o.Out); err != nil {
			return err
		}
	}
	return j.screen.finish(story, j.o.Out)
}

// lost are errors of a run that has lost what it would go on from.
var lost = []error{federation.ErrLost, ledger.ErrDamaged, broker.ErrRolledBack, broker.ErrTrimmed}

// advise adds to what a run ended with whether it can go on.
func (j *job) advise(err error) error {
	switch {
	case j.o.VirtualTime, errors.Is(err, federation.ErrInUse):
		return err
	case slices.ContainsFunc(lost, func(target error) bool { return errors.Is(err, target) }):
		return fmt.Errorf("%w\nthe run cannot go on: choose another --out, or remove %s", err, j.o.Out)
	}
	return fmt.Errorf("%w\nthe run can go on: go run ./testbed --resume --out %s", err, j.o.Out)
}

// federate is the run itself, in real or in virtual time.
func (j *job) federate(ctx context.Context) (outcome *federation.Outcome, recorder *federation.Recorder, err error) {
	cfg := federation.Config{
		Plan: j.plan, Keys: j.state.Keys, Model: j.model, Names: j.names, Parties: j.parties,
		Seeded: j.o.VirtualTime, Export: j.export, Log: zerolog.Nop(),
	}
	j.screen.begin(j.plan, j.parties)
	if j.o.VirtualTime {
		err = brokertest.VirtualTime(func(inside context.Context) error {
			inside, cancel := brokertest.Linked(inside, ctx)
			defer cancel()
			recorder = federation.NewRecorder(time.Now(), j.screen.show)
			cfg.Recorder = recorder
			outcome, err = federation.Run(inside, cfg)
			return err
		})
		return outcome, recorder, err
	}
	cfg.Dir = filepath.Join(j.o.Out, stateFolder)
	recorder, err = federation.OpenRecorder(filepath.Join(cfg.Dir, momentsFile), j.state.Started, j.set.IDs(), j.screen.show)
	if err != nil {
		return nil, nil, err
	}
	if err := recorder.Damage(); err != nil {
		j.screen.say("warning: %v", err)
	}
	if j.o.Resume {
		recorder.Record(time.Now(), federation.Moment{What: federation.MomentResume})
	}
	cfg.Recorder = recorder
	outcome, err = federation.Run(ctx, cfg)
	return outcome, recorder, errors.Join(err, recorder.Close())
}

// control repeats a private run without data: what is left of accuracy when only noise moves the prompts. It
// runs in virtual time and in memory, since nothing in it is worth keeping. Nil for a run without noise.
func (j *job) control(ctx context.Context) (outcome *federation.Outcome, err error) {
	if j.plan.Privacy.Noise == schemas.NoiseNone || j.o.NoControl {
		return nil, nil
	}
	j.screen.say("noise-only control: the same run, with zero in place of every gradient")
	err = brokertest.VirtualTime(func(inside context.Context) error {
		inside, cancel := brokertest.Linked(inside, ctx)
		defer cancel()
		outcome, err = federation.Run(inside, federation.Config{
			Plan: j.plan, Keys: j.state.Keys, Model: j.model, Names: j.names, Parties: j.parties,
			Seeded: j.o.VirtualTime, NoiseOnly: true, Log: zerolog.Nop(),
		})
		return err
	})
	return outcome, err
}

// export writes the log file, whole or not at all.
func (j *job) export(ctx context.Context, conn *broker.Conn) error {
	path := filepath.Join(j.o.Out, logFile)
	file, err := os.CreateTemp(j.o.Out, logFile+".*")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name())
	defer file.Close()
	if j.transcript, err = federation.Export(ctx, conn, j.plan.Run, file); err != nil {
		return err
	}
	if err := errors.Join(file.Sync(), file.Close()); err != nil {
		return err
	}
	return os.Rename(file.Name(), path)
}
