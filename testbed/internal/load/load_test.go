package load

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"

	"dpfpl/testbed/internal/process"
)

// asChild makes the test binary behave as a child of a measurement.
const asChild = "DPFPL_LOAD_CHILD"

func TestMain(m *testing.M) {
	if text := os.Getenv(asChild); text != "" {
		if err := Child(context.Background(), text, os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func options() Options {
	return Options{
		Clients: 60, Payload: 4096, Connections: 4, Buffer: 20, Repeats: 2, Seed: 1,
		Command: func(text string) *exec.Cmd {
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), asChild+"="+text)
			return cmd
		},
	}
}

// TestRun measures little; how fast it is depends on the machine and is not judged.
func TestRun(t *testing.T) {
	r, err := Run(t.Context(), options())
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Passes) != 2 || r.Versions != 3 || r.Raw <= 0 || r.Folded <= 0 || r.Folded > r.Acked || r.Ratio <= 0 {
		t.Errorf("%+v", r)
	}
	var table bytes.Buffer
	if err := Write(&table, []*Result{r}); err != nil || !strings.Contains(table.String(), "default") {
		t.Errorf("%v: %s", err, table.String())
	}
	t.Logf("\n%s", table.String())
}

// TestApart: the same with the aggregator on processors of its own, which everybody gets back.
func TestApart(t *testing.T) {
	before, err := process.Processors()
	if err != nil || len(before) < 2 {
		t.Skipf("NOT TESTED HERE: %d processors: %v", len(before), err)
	}
	o := options()
	o.Apart = true
	r, err := Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if !r.Apart || r.Folded <= 0 || r.sync() != "default, apart" {
		t.Errorf("%+v", r)
	}
	if after, err := process.Processors(); err != nil || len(after) != len(before) {
		t.Errorf("processors %v, before %v: %v", after, before, err)
	}
}

// TestChildFails: the error holds what the child said.
func TestChildFails(t *testing.T) {
	t.Parallel()
	o := options()
	good := o.Command
	o.Command = func(string) *exec.Cmd { return good("{") }
	if _, err := Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), "JSON") {
		t.Errorf("error %v", err)
	}
}

func TestOptions(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(o *Options){
		"clients":     func(o *Options) { o.Clients = 0 },
		"payload":     func(o *Options) { o.Payload = 100 },
		"connections": func(o *Options) { o.Connections = 0 },
		"buffer":      func(o *Options) { o.Buffer = 7 },
		"repeats":     func(o *Options) { o.Repeats = 0 },
	} {
		o := options()
		change(&o)
		if err := o.Check(); !errors.Is(err, ErrOptions) || !strings.Contains(err.Error(), "--"+name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestNoProcessorTime: a measurement that took less than a tick can be written all the same.
func TestNoProcessorTime(t *testing.T) {
	t.Parallel()
	l := loading{task: &task{Options: options()}, result: Result{Passes: []Pass{{1, 1, 2}}}}
	if _, err := json.Marshal(l.summarise()); err != nil {
		t.Error(err)
	}
}

func TestMedian(t *testing.T) {
	t.Parallel()
	if m := median([]float64{3, 1, 2}); m != 2 {
		t.Error(m)
	}
	if m := median([]float64{4, 1, 2, 3}); m != 2.5 {
		t.Error(m)
	}
}
