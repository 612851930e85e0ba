package main

import (
	"path/filepath"
	"testing"
	"time"

	"dpfpl/roles/planfile"
	"dpfpl/testbed/internal/data"
	"dpfpl/testbed/internal/federation"
)

// TestPlans: the plan files that come with the testbed keep what they promise, and promise no more than they spend.
func TestPlans(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("plans/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal("no plan files", err)
	}
	model, err := openModel("")
	if err != nil {
		t.Fatal(err)
	}
	defer model.Close()
	set, err := data.Open("fashion", openData(""), data.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ids := set.IDs()
	keys, err := federation.SeededKeys(ids, 1)
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		p := federation.DefaultPlan("fashion", len(ids), time.Second)
		if err := p.Read(file); err != nil {
			t.Error(err)
			continue
		}
		if err := p.Settle(len(ids), model.Text.Config().Width); err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		plan, err := p.Plan("test", set, model, keys)
		if err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		promise, err := planfile.Examine(plan, time.Second)
		if err != nil {
			t.Errorf("%s: %v", file, err)
		} else if spent := promise.Statement.Renyi.Epsilon; spent < 0.99*plan.Privacy.Epsilon {
			t.Errorf("%s: %v is promised and %v spent: noise for nothing", file, plan.Privacy.Epsilon, spent)
		}
	}
}
