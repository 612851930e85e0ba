package audit

import (
	"slices"
	"testing"

	"dpfpl/mathx/dp"
	"dpfpl/mathx/prompt"
)

// TestTowerScriptsGradients takes each record through a learner without noise: its release of the global group
// is the scripted gradient, clipped to the norm 1, and that of a batch is their sum.
func TestTowerScriptsGradients(t *testing.T) {
	script := []Gradient{{3, 0.5}, {0, -0.25}, {5, 7}}
	tower := NewTower(2, 4, script)
	learner, err := prompt.NewLearner(prompt.Config{
		Method: prompt.PromptFL, Mode: prompt.Corrected, Batch: 1, Clip: prompt.Norms{G: 1}, Unprotected: true,
	}, 2, 4, 0, public())
	if err != nil {
		t.Fatal(err)
	}
	release := func(batch []prompt.Example) []float64 {
		n, err := learner.Step(tower, LogitScale, make([]float32, 8), batch, dp.CryptoSource(), public())
		if err != nil {
			t.Fatal(err)
		}
		return n.Float(nil, 0)
	}
	records := tower.Records()
	for i, want := range [][]float64{{0, 0, 0, 0.5, 0, 0, 0, 0}, {-0.25, 0, 0, 0, 0, 0, 0, 0}, {0, 0, 0, 0, 0, 1, 0, 0}} {
		if got := release(records[i : i+1]); !slices.Equal(got, want) {
			t.Errorf("record %d releases %v, want %v", i, got, want)
		}
	}
	if got, want := release(records), []float64{-0.25, 0, 0, 0.5, 0, 1, 0, 0}; !slices.Equal(got, want) {
		t.Errorf("the batch releases %v, want %v", got, want)
	}
}
