package planfile

import (
	"fmt"
	"os"
	"time"

	"github.com/goccy/go-yaml"

	"dpfpl/mathx/dp"
	"dpfpl/mathx/prompt"
	"dpfpl/schemas"
)

// File is what a plan on disk may fix: everything but who takes part, with which keys and which model.
// What it leaves out keeps the default.
type File struct {
	Method   schemas.MethodPlan  `yaml:"method"`
	Prompt   schemas.PromptPlan  `yaml:"prompt"`
	Rule     schemas.RulePlan    `yaml:"rule"`
	Server   schemas.ServerPlan  `yaml:"server"`
	Privacy  schemas.PrivacyPlan `yaml:"privacy"`
	Presence schemas.TimingPlan  `yaml:"presence"`
	Versions uint32              `yaml:"versions"`
	Updates  uint32              `yaml:"updates"` // 0: as many as the rule can use
	Seed     uint64              `yaml:"seed"`
}

// FromWords is the plan for so many clients, of so many records each, that did best on CLIP features at every
// epsilon from 8 to 1 (testbed/BENCHMARK.md): five steps of all records, with a small clip norm, from a context of
// words that make a good prompt already.
func FromWords(clients int, pace time.Duration, records int) File {
	f := FromRandom(clients, pace)
	f.Method.Rank, f.Method.Rate = 4, 0.667
	f.Prompt = schemas.PromptPlan{Context: 4, Init: "words", Words: "a photo of a"}
	f.Rule = schemas.RulePlan{Name: "sync", Quorum: 1, Deadline: 12 * pace}
	f.Server.Rate = 0.067
	f.Privacy.Rate, f.Privacy.Batch = 1, float64(records)
	f.Privacy.ClipU, f.Privacy.ClipV, f.Privacy.ClipG = 0.3, 0.3, 0.3
	f.Versions = 5
	return f
}

// FromRandom is a plan for so many clients, whose steps take about pace: many small batches from a random start,
// without anybody waiting for the slowest. On the testbed's built-in model it is the better one.
func FromRandom(clients int, pace time.Duration) File {
	return File{
		Method: schemas.MethodPlan{Name: prompt.DPFPL, Mode: prompt.Corrected, Rank: 8, Rate: 1, Momentum: 0},
		Prompt: schemas.PromptPlan{Context: 16, Init: "random", Std: 0.02},
		Rule: schemas.RulePlan{
			Name: "fedbuff", Buffer: uint32(max(1, clients/2)), Quorum: 1,
			Deadline: 12 * pace, MaxStaleness: 25, Trim: 1,
		},
		Server: schemas.ServerPlan{Rate: 0.3, Momentum: 0},
		Privacy: schemas.PrivacyPlan{
			Noise: schemas.NoiseClient, Adjacency: dp.ZeroOut.String(), Epsilon: 8, Delta: 1e-5,
			Rate: 0.25, Batch: 32, ClipU: 1, ClipV: 1, ClipG: 1,
		},
		Presence: schemas.TimingPlan{Heartbeat: 4 * pace, Silence: 14 * pace},
		Versions: 60,
		Seed:     1,
	}
}

// Read lays a YAML file over f. Errors name the file and the place in it.
func (f *File) Read(path string) error { return read(path, f) }

// YAML returns the plan as a file that Read accepts.
func (f *File) YAML() string {
	b, err := yaml.Marshal(f)
	if err != nil {
		panic("planfile: plan does not marshal: " + err.Error())
	}
	return string(b)
}

// read lays a YAML file over v; a field that v does not have is an error.
func read(path string, v any) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := Decode(b, v); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}
