package main

import (
	"fmt"
	"os"
	"path/filepath"

	"dpfpl/roles/aggregator"
	"dpfpl/roles/replayer"
	"dpfpl/schemas"
	"dpfpl/schemas/logfile"
	"dpfpl/testbed/internal/federation"
)

// proof holds a finished run against what it left behind: the exported log must fold to exactly the recorded
// versions, and no client's ledger may show less than the client published.
func (j *job) proof(outcome *federation.Outcome) (string, error) {
	path := filepath.Join(j.o.Out, logFile)
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	reader, err := logfile.NewReader(file)
	if err != nil {
		return "", fmt.Errorf("%s: %w", path, err)
	}
	fold := func(p *schemas.Plan, initial []float32) (replayer.Fold, error) { return aggregator.NewFold(p, initial) }
	result, err := replayer.Replay(reader.All(), fold, 0)
	switch {
	case err != nil:
		return "", fmt.Errorf("%s: %w", path, err)
	case result.Divergence != nil:
		return "", fmt.Errorf("%s does not fold to the recorded versions: %v", path, result.Divergence)
	case result.Agreed != outcome.Checkpoint.Version:
		return "", fmt.Errorf("%s folds to version %d, the run ended with %d", path, result.Agreed, outcome.Checkpoint.Version)
	}
	for i, p := range j.parties {
		if logged, spent := j.transcript.Updates[p.ID], outcome.Parties[i].Debited; logged > spent {
			return "", fmt.Errorf("%s: %d updates in the log, but its ledger shows %d: it is not the one that the run began with", p.ID, logged, spent)
		}
	}
	return fmt.Sprintf("proof: the log's %d messages fold to the same %d versions, bit for bit; every ledger covers what its client published",
		result.Messages, result.Agreed), nil
}
