package main

import (
	"encoding/json"
	"io"
	"net/http"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"dpfpl/roles/monitor"
)

// monitor starts a monitor with credentials of its own.
func (d *deployment) monitor() *process {
	d.Helper()
	return d.start("dpfpl", slices.Concat([]string{"monitor", "--run", "clinics", "--operator", d.operator, "--http", "127.0.0.1:0",
		"--log-format", "json", "--wait", "1m"}, d.as("monitor"))...)
}

// look waits until a monitor serves, and returns a function that asks it for its view.
func (d *deployment) look(page *process) func(name, password string) (int, monitor.View) {
	d.Helper()
	address, _, _ := strings.Cut(page.await(`"address":"http:`), `"`)
	return func(name, password string) (int, monitor.View) {
		d.Helper()
		r, err := http.NewRequestWithContext(d.Context(), http.MethodGet, "http:"+address+"view.json", nil)
		d.must(err)
		r.SetBasicAuth(name, password)
		answer, err := http.DefaultClient.Do(r)
		d.must(err)
		defer answer.Body.Close()
		raw, err := io.ReadAll(answer.Body)
		d.must(err)
		var v monitor.View
		if answer.StatusCode == http.StatusOK {
			d.must(json.Unmarshal(raw, &v))
		}
		return answer.StatusCode, v
	}
}

// sees waits until a monitor has this headline, in a run that went well.
func (d *deployment) sees(look func(name, password string) (int, monitor.View), name, password, headline string) {
	d.Helper()
	var v monitor.View
	for late := time.Now().Add(time.Minute); v.Headline != headline; {
		if time.Now().After(late) {
			d.Fatalf("a monitor shows %q, want %q", v.Headline, headline)
		}
		time.Sleep(20 * time.Millisecond) // the other process has its own time
		_, v = look(name, password)
	}
	if len(v.Clients) != len(clinics) || len(v.Connection.Unread) > 0 || v.Privacy.Forged > 0 || !v.Privacy.Guaranteed || v.Aggregator.Lag > 0 {
		d.Errorf("a monitor shows %+v", v)
	}
	accepted := uint64(0)
	for _, c := range v.Clients {
		accepted += c.Accepted
		if c.Epsilon == nil || (*c.Epsilon > 0) != (c.Updates > 0) || *c.Epsilon > v.Privacy.Epsilon {
			d.Errorf("%s made %d updates for an epsilon of %v", c.Name, c.Updates, c.Epsilon)
		}
	}
	if accepted == 0 {
		d.Error("no update was accepted")
	}
}

// leave ends a monitor as an orchestrator does.
func (d *deployment) leave(page *process) {
	d.Helper()
	d.must(page.Process.Signal(syscall.SIGTERM))
	if code := page.wait(); code != 0 || strings.Contains(page.output(), "refused by the broker") {
		d.Errorf("an interrupted monitor: exit %d\n%s", code, page.output())
	}
}

// TestMonitorFlags: what would let others look who should not is refused, as is what does not go together.
func TestMonitorFlags(t *testing.T) {
	_, operator := testKey(t, "operator")
	common := []string{"monitor", "--nats", "nats://127.0.0.1:1", "--run", "demo", "--operator", operator}
	for want, more := range map[string][]string{
		"can be reached from elsewhere":  {"--http", ":8090"},
		"can be reached from elsewhere ": {"--http", "0.0.0.0:8090"},
		"belong together":                {"--http-cert", "x"},
		">= 1":                           {"--http-listeners", "0"},
		"no such file":                   {"--http-users", "/nowhere"},
		"no such file ":                  {"--http-cert", "/nowhere", "--http-key", "/nowhere"},
	} {
		var out, err strings.Builder
		if code := run(t.Context(), append(slices.Clone(common), more...), &out, &err); code != exitInput || !strings.Contains(err.String(), strings.TrimSpace(want)) {
			t.Errorf("%v: exit %d, %s", more, code, err.String())
		}
	}
}
