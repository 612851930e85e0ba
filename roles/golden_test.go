package main

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"dpfpl/roles/replayer"
	"dpfpl/roles/roletest"
	"dpfpl/schemas"
)

// goldenRun is a run that was recorded once, on amd64 without fused instructions.
const goldenRun = "testdata/golden.dpfpl"

// rough is a run whose rates, momentum and staleness weights are no short binary fractions, so that each rounding
// of the fold shows in the bits of a version.
func rough(t testing.TB) *scene {
	ids := []string{"anna", "bert", "cleo", "dora", "emil"}
	s := newScene(t, ids, 2, 3, schemas.RulePlan{Name: "fedbuff", Buffer: 3, MaxStaleness: 2}, func(p *schemas.Plan) {
		p.Server = schemas.ServerPlan{Rate: 0.37, Momentum: 0.83}
		p.Privacy.Batch, p.Privacy.ClipG, p.Privacy.ZG = 7.3, 0.3, 1.1
	})
	r := rand.New(rand.NewPCG(1, 2))
	for i := range uint64(60) {
		ints := make([]int32, 6)
		for j := range ints {
			ints[j] = int32(r.Uint32()) >> 8
		}
		version := uint64(len(s.states)/2 - 1)
		s.sum(ids[i%5], i/5+1, version-min(version, i%2), ints, ids[i%5])
	}
	return s
}

// TestGoldenRun: what was recorded elsewhere folds to the same bits here, whatever the machine and its compiler,
// and the aggregator makes the same file of it again: not only the prompts, whose last rounding hides much, but
// also the velocities in the checkpoints, in float64.
func TestGoldenRun(t *testing.T) {
	again := filepath.Join(t.TempDir(), "again.dpfpl")
	writeTo(t, again, rough(t).messages())
	ours, err := os.ReadFile(again)
	if err != nil {
		t.Fatal(err)
	}
	if *roletest.Rewrite {
		writeBytes(t, goldenRun, ours)
	}
	golden, err := os.ReadFile(goldenRun)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(ours, golden) {
		t.Errorf("%s is not what the aggregator makes of its updates here", goldenRun)
	}
	src, done, err := openFile(goldenRun, false)
	if err != nil {
		t.Fatal(err)
	}
	defer done()
	result, err := replayer.Replay(src, newFold, 0)
	if err != nil || result.Divergence != nil || result.Agreed < 10 || result.Accepted < 40 {
		t.Fatalf("%+v, %v", result, err)
	}
}
