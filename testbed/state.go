package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"dpfpl/testbed/internal/federation"
	"dpfpl/testbed/internal/report"
)

// state is what an ordinary run keeps in its output folder so that it can go on after an interruption: beside
// this file the server's streams, the clients' ledgers and the record of what happened.
type state struct {
	Options  options
	Plan     federation.PlanFile // settled
	Keys     *federation.Keys
	Started  time.Time
	Finished bool
}

// The names in the output folder that hold a run's state.
const (
	stateFolder = "state"
	stateFile   = "run.json"
	momentsFile = "moments.jsonl"
)

// readState returns the state in an output folder, nil if there is none.
func readState(out string) (*state, error) {
	path := filepath.Join(out, stateFolder, stateFile)
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var s state
	if err := json.Unmarshal(raw, &s); err != nil || s.Keys == nil || s.Started.IsZero() {
		return nil, fmt.Errorf("%s is damaged, its run cannot go on: choose another --out, or remove %s", path, out)
	}
	return &s, nil
}

// foreign reports what is in an output folder under the names of a run's state, and is none of ours: it would be removed.
func foreign(out string) error {
	dir := filepath.Join(out, stateFolder)
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), ".") { // a run that was killed at once leaves a beginning of its file
			return fmt.Errorf("%s is there and is not a run's: choose another --out", dir)
		}
	}
	if info, err := os.Lstat(filepath.Join(out, logFile)); err == nil && !info.Mode().IsRegular() {
		return fmt.Errorf("%s is there and is not a file: choose another --out", filepath.Join(out, logFile))
	}
	return nil
}

// write stores the state; it holds signing keys, so nobody else may read it.
func (s *state) write(out string) error {
	raw, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	dir := filepath.Join(out, stateFolder)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return report.WriteFile(dir, stateFile, raw)
}

// agrees reports a flag that was given and says something else than the run that is to go on.
func (s *state) agrees(o *options, flags *pflag.FlagSet) error {
	var then options
	old := pflag.NewFlagSet("", pflag.ContinueOnError)
	then.register(old)
	then = s.Options
	var errs []error
	flags.Visit(func(f *pflag.Flag) {
		for _, name := range local {
			if f.Name == name {
				return
			}
		}
		if before := old.Lookup(f.Name); before.Value.String() != f.Value.String() {
			errs = append(errs, fmt.Errorf("--%s %s: the run in %s has %s", f.Name, f.Value, o.Out, before.Value))
		}
	})
	return errors.Join(errs...)
}
