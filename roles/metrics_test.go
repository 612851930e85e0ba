package main

import (
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"dpfpl/roles/telemetry"
	"dpfpl/schemas"
)

// metric is what a role shows under one name.
type metric struct {
	name, help string
	labels     []string // beside role, run, and a client's client
	roles      []string
}

// shown lists those of every role, beside what Go and the process show.
func shown(t testing.TB) []metric {
	t.Helper()
	plan := &schemas.Plan{Members: []schemas.Member{{ID: "anna"}}}
	aggregator, anna := newFront("aggregator", "demo", telemetry.Options{}), newFront("client", "demo", (&clientFlags{memberFlags: memberFlags{id: "anna"}}).show())
	aggregator.metrics.Aggregator(plan)
	anna.metrics.Client(plan, 8, func() telemetry.Account { return telemetry.Account{} })
	answers := telemetry.New("predict", "", telemetry.Options{}) // without a broker
	answers.Predictor().Served(200, 1, 0, time.Second)
	monitor := newFront("monitor", "demo", telemetry.Options{})
	byName := map[string]*metric{}
	for role, shows := range map[string]*telemetry.Telemetry{"aggregator": aggregator.metrics, "client": anna.metrics, "monitor": monitor.metrics, "predict": answers} {
		families, err := shows.Gatherer().Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, family := range families {
			if !strings.HasPrefix(family.GetName(), "dpfpl_") {
				continue
			}
			m := byName[family.GetName()]
			if m == nil {
				m = &metric{name: family.GetName(), help: family.GetHelp()}
				byName[m.name] = m
			}
			m.roles = append(m.roles, role)
			slices.Sort(m.roles)
			for _, l := range family.Metric[0].Label {
				if name := l.GetName(); name != "role" && name != "run" && !(name == "client" && role == "client") && !slices.Contains(m.labels, name) {
					m.labels = append(m.labels, name)
				}
			}
		}
	}
	var all []metric
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		all = append(all, *byName[name])
	}
	return all
}

// TestMetricTable holds the guide's table to what is shown. What a client shows must come with the reason why it may be
// shown, which is for people to check.
func TestMetricTable(t *testing.T) {
	guide, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := regexp.MustCompile("(?m)^\\| `(dpfpl_\\w+)` \\| (.*?) \\| (.*?) \\| (.*?) \\|(?: (.*?) \\|)?$").FindAllStringSubmatch(string(guide), -1)
	have := map[string][]string{}
	for _, row := range rows {
		have[row[1]] = row[2:]
	}
	for _, m := range shown(t) {
		want := []string{strings.Join(m.labels, ", "), strings.Join(m.roles, ", "), m.help}
		row := have[m.name]
		delete(have, m.name)
		if len(row) != 4 || !slices.Equal(row[:3], want) || slices.Contains(m.roles, "client") && len(row[3]) < 10 {
			t.Errorf("README.md: want\n| `%s` | %s | why a client may show it |\nhave %q", m.name, strings.Join(want, " | "), row)
		}
	}
	for name := range have {
		t.Errorf("README.md: nobody shows %s", name)
	}
}
