package telemetry_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"dpfpl/roles/telemetry"
	"dpfpl/schemas"
)

var plan = &schemas.Plan{Members: []schemas.Member{{ID: "anna"}, {ID: "bert"}}, Versions: 3, Updates: 3}

// roles are the metrics of every role.
func roles() map[string]*telemetry.Telemetry {
	aggregator := telemetry.New("aggregator", "demo", telemetry.Options{})
	aggregator.Connection()
	aggregator.Aggregator(plan)
	client := telemetry.New("client", "demo", telemetry.Options{Private: true, Labels: telemetry.Labels{"client": "anna"}})
	client.Connection()
	client.Client(plan, 8, func() telemetry.Account { return telemetry.Account{} })
	return map[string]*telemetry.Telemetry{"aggregator": aggregator, "client": client}
}

// TestConventions holds names, units and help texts to what Prometheus asks for.
func TestConventions(t *testing.T) {
	for role, m := range roles() {
		problems, err := testutil.GatherAndLint(m.Gatherer())
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range problems {
			t.Errorf("%s: %s: %s", role, p.Metric, p.Text)
		}
	}
}

// TestLabels: every metric of ours says of which role and run it is, and a client's of which client. What the Go
// runtime and the process show is not shown by a client.
func TestLabels(t *testing.T) {
	for role, m := range roles() {
		families, err := m.Gatherer().Gather()
		if err != nil {
			t.Fatal(err)
		}
		ours, others := 0, 0
		for _, f := range families {
			if !strings.HasPrefix(f.GetName(), "dpfpl_") {
				others++
				continue
			}
			ours++
			for _, metric := range f.Metric {
				labels := map[string]string{}
				for _, l := range metric.Label {
					labels[l.GetName()] = l.GetValue()
				}
				if labels["role"] != role || labels["run"] != "demo" || role == "client" && labels["client"] != "anna" {
					t.Errorf("%s: %s%v", role, f.GetName(), labels)
				}
			}
		}
		if ours < 10 || (others > 0) != (role == "aggregator") {
			t.Errorf("%s: %d metrics of ours, %d others", role, ours, others)
		}
	}
}

func TestHandler(t *testing.T) {
	server := httptest.NewServer(roles()["aggregator"].Handler())
	defer server.Close()
	answer, err := http.Get(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`dpfpl_aggregator_leads{role="aggregator",run="demo"} 0`, "process_start_time_seconds "} {
		if !strings.Contains(string(text), want) {
			t.Errorf("no %s in\n%s", want, text)
		}
	}
}
