package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/VictoriaMetrics/metricsql"
	"github.com/goccy/go-yaml"
)

// dashboard is what the tests look at.
type dashboard struct {
	Title, UID    string
	SchemaVersion int
	Templating    struct {
		List []struct{ Name, Query string }
	}
	Panels []struct {
		ID      int
		Title   string
		Type    string
		GridPos struct{ X, Y, W, H int }
		Targets []struct{ RefID, Expr string }
	}
}

func readDashboard(t *testing.T) (d dashboard) {
	t.Helper()
	raw, err := os.ReadFile("grafana/dashboard.json")
	if err == nil {
		err = json.Unmarshal(raw, &d)
	}
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// readYAML reads a file that may hold nothing which v does not.
func readYAML(t *testing.T, path string, v any) {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.UnmarshalWithOptions(raw, v, yaml.Strict()); err != nil {
		t.Fatal(yaml.FormatError(err, false, true))
	}
}

// alert is a rule.
type alert struct {
	Alert, Expr, For    string
	Labels, Annotations map[string]string
}

func readRules(t *testing.T) []alert {
	t.Helper()
	var file struct {
		Groups []struct {
			Name  string
			Rules []alert
		}
	}
	readYAML(t, "grafana/rules.yaml", &file)
	if len(file.Groups) != 1 || len(file.Groups[0].Rules) < 5 {
		t.Fatalf("%+v", file)
	}
	return file.Groups[0].Rules
}

// TestDashboard: the dashboard is one that Grafana reads, and every expression in it is of metrics and labels that are shown.
func TestDashboard(t *testing.T) {
	d := readDashboard(t)
	ids := map[int]bool{}
	for _, p := range d.Panels {
		if ids[p.ID] || p.Title == "" || p.Type == "" || p.GridPos.X+p.GridPos.W > 24 || p.GridPos.W == 0 || len(p.Targets) == 0 {
			t.Errorf("panel %+v", p)
		}
		ids[p.ID] = true
		for _, target := range p.Targets {
			checkExpression(t, p.Title, target.Expr)
		}
	}
	if d.Title == "" || d.UID == "" || d.SchemaVersion == 0 || len(d.Panels) < 10 || len(d.Templating.List) != 2 {
		t.Errorf("%d panels, %+v", len(d.Panels), d.Templating)
	}
}

// TestAlertRules: the rules are as Prometheus wants them.
func TestAlertRules(t *testing.T) {
	for _, r := range readRules(t) {
		if r.For != "" {
			if _, err := time.ParseDuration(r.For); err != nil {
				t.Error(err)
			}
		}
		if !strings.HasPrefix(r.Alert, "Dpfpl") || r.Labels["severity"] == "" || r.Annotations["summary"] == "" {
			t.Errorf("%+v", r)
		}
		checkExpression(t, r.Alert, r.Expr)
	}
	var sample struct {
		RuleFiles     []string `yaml:"rule_files"`
		ScrapeConfigs []struct {
			JobName        string                       `yaml:"job_name"`
			ScrapeInterval string                       `yaml:"scrape_interval"`
			StaticConfigs  []struct{ Targets []string } `yaml:"static_configs"`
		} `yaml:"scrape_configs"`
	}
	readYAML(t, "grafana/prometheus.yaml", &sample)
	for _, f := range sample.RuleFiles {
		if _, err := os.Stat("grafana/" + f); err != nil {
			t.Error(err)
		}
	}
}

// TestRuleTests: rules_test.yaml, which is for Prometheus' own promtool, has every alert fire, and keep silent, on series that
// roles show, and evaluates every expression of the dashboard. Where there is a promtool, it runs.
func TestRuleTests(t *testing.T) {
	var file struct {
		RuleFiles  []string `yaml:"rule_files"`
		Evaluation string   `yaml:"evaluation_interval"`
		Tests      []struct {
			Name, Interval string
			Input          []struct{ Series, Values string } `yaml:"input_series"`
			Alerts         []struct {
				At       string `yaml:"eval_time"`
				Name     string `yaml:"alertname"`
				Expected []struct {
					Labels      map[string]string `yaml:"exp_labels"`
					Annotations map[string]string `yaml:"exp_annotations"`
				} `yaml:"exp_alerts"`
			} `yaml:"alert_rule_test"`
			Expressions []struct {
				At       string `yaml:"eval_time"`
				Expr     string
				Expected []struct {
					Labels string
					Value  float64
				} `yaml:"exp_samples"`
			} `yaml:"promql_expr_test"`
		}
	}
	readYAML(t, "grafana/rules_test.yaml", &file)
	fires, silent, evaluated := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for _, test := range file.Tests {
		for _, s := range test.Input {
			checkExpression(t, test.Name, s.Series)
		}
		for _, a := range test.Alerts {
			fires[a.Name] = fires[a.Name] || len(a.Expected) > 0
			silent[a.Name] = silent[a.Name] || len(a.Expected) == 0
		}
		for _, e := range test.Expressions {
			evaluated[e.Expr] = len(e.Expected) > 0
		}
	}
	for _, r := range readRules(t) {
		if !fires[r.Alert] || !silent[r.Alert] {
			t.Errorf("%s: fires %v, silent %v", r.Alert, fires[r.Alert], silent[r.Alert])
		}
	}
	for _, p := range readDashboard(t).Panels {
		for _, target := range p.Targets {
			if !evaluated[strings.ReplaceAll(target.Expr, "$run", "clinics")] {
				t.Errorf("%s is not evaluated: %s", p.Title, target.Expr)
			}
		}
	}
	t.Run("promtool", func(t *testing.T) {
		promtool, err := exec.LookPath("promtool")
		if err != nil {
			t.Skip("no rule is evaluated: ", err)
		}
		if out, err := exec.CommandContext(t.Context(), promtool, "test", "rules", "grafana/rules_test.yaml").CombinedOutput(); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
	})
}

// checkExpression parses PromQL and looks for each metric and label among those that are shown.
func checkExpression(t *testing.T, where, text string) {
	t.Helper()
	expression, err := metricsql.Parse(text)
	if err != nil {
		t.Errorf("%s: %s: %v", where, text, err)
		return
	}
	all, found := shown(t), 0
	known := []string{"role", "run", "client", "instance", "job", "le", "__name__"}
	for _, m := range all {
		known = append(known, m.labels...)
	}
	labels := func(names ...string) {
		for _, name := range names {
			if !slices.Contains(known, name) {
				t.Errorf("%s: %s: no label %s", where, text, name)
			}
		}
	}
	metricsql.VisitAll(expression, func(e metricsql.Expr) {
		switch e := e.(type) {
		case *metricsql.MetricExpr:
			for _, filters := range e.LabelFilterss {
				for _, f := range filters {
					labels(f.Label)
					if f.Label != "__name__" {
						continue
					}
					found++
					if !slices.ContainsFunc(all, func(m metric) bool { return f.Value == m.name || f.Value == m.name+"_bucket" }) {
						t.Errorf("%s: %s: nobody shows %s", where, text, f.Value)
					}
				}
			}
		case *metricsql.AggrFuncExpr:
			labels(e.Modifier.Args...)
		case *metricsql.BinaryOpExpr:
			labels(e.GroupModifier.Args...)
		}
	})
	if found == 0 {
		t.Errorf("%s: %s: no metric", where, text)
	}
}
