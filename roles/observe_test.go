package main

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"dpfpl/broker"
)

// labels of a metric.
type labels map[string]string

// shows reads the metrics of a process as Prometheus does, and demands values, and labels on all of ours.
func (d *deployment) shows(endpoint string, on labels, want map[string]float64) {
	d.Helper()
	answer, err := http.Get(endpoint + "/metrics")
	d.must(err)
	defer answer.Body.Close()
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(answer.Body)
	d.must(err)
	for name, f := range families {
		for _, m := range f.Metric {
			have := labels{}
			for _, l := range m.Label {
				have[l.GetName()] = l.GetValue()
			}
			for label, value := range on {
				if strings.HasPrefix(name, "dpfpl_") && have[label] != value {
					d.Errorf("%s%v of %s", name, have, endpoint)
				}
			}
		}
	}
	for name, value := range want {
		f := families[name]
		if f == nil {
			d.Errorf("%s does not show %s", endpoint, name)
			continue
		}
		for _, m := range f.Metric {
			if got := number(m); got != value {
				d.Errorf("%s%v = %v, want %v", name, m.Label, got, value)
			}
		}
	}
}

func number(m *dto.Metric) float64 { return m.GetGauge().GetValue() + m.GetCounter().GetValue() }

// secrets are what looks like a seed or a token wherever it stands.
var secrets = regexp.MustCompile(`S[UAOCNX][A-Z2-7]{56}|eyJ[\w-]{16,}\.[\w-]{16,}|-----BEGIN`)

// keptSecrets holds everything that any process has printed against what the key files hold.
func (d *deployment) keptSecrets() {
	d.Helper()
	var known []string
	for _, pattern := range []string{"*.creds", "authority.json", "*-key.pem"} {
		files, err := filepath.Glob(d.path("keys", pattern))
		d.must(err)
		for _, file := range files {
			b, err := os.ReadFile(file)
			d.must(err)
			found := secrets.FindAllString(string(b), -1)
			if len(found) == 0 {
				d.Errorf("%s: no secret is seen in it", file)
			}
			known = append(known, found...)
			for line := range strings.Lines(string(b)) {
				if line = strings.TrimSpace(line); len(line) > 40 && strings.HasSuffix(file, ".pem") {
					known = append(known, line)
				}
			}
		}
	}
	key, err := os.ReadFile(d.path("box.key"))
	d.must(err)
	known = slices.DeleteFunc(append(known, string(key)), func(s string) bool { return strings.HasPrefix(s, "-----") })
	lines := 0
	for _, p := range d.started {
		out := p.output()
		lines += strings.Count(out, "\n")
		if found := secrets.FindString(out); found != "" {
			d.Errorf("%s prints a secret: %.12s…", p.name, found)
		}
		for _, secret := range known {
			if strings.Contains(out, secret) {
				d.Errorf("%s prints %.12s… of a key file", p.name, secret)
			}
		}
	}
	if len(known) < 12 || lines < 100 {
		d.Errorf("%d secrets and %d lines: the test sees nothing", len(known), lines)
	}
}

// TestNoPasswordInErrors: a URL may hold a password, and an error names the URL.
func TestNoPasswordInErrors(t *testing.T) {
	for _, url := range []string{"nats://anna:hunter2@127.0.0.1:1", "nats://127.0.0.1:1,nats://anna:hunter2@127.0.0.1:1", "nats://hunter2@127.0.0.1:1", "anna:hunter2@127.0.0.1:1",
		"nats://anna:hunter2%zz@127.0.0.1:1"} {
		_, err := broker.Connect(t.Context(), broker.Options{URL: url})
		if err == nil || strings.Contains(err.Error(), "hunter2") || !strings.Contains(err.Error(), "127.0.0.1:1") {
			t.Errorf("%s: %v", url, err)
		}
	}
}

// TestLogIsJSON: with --log-format json every line is an object with the keys of the catalogue and zerolog's own.
func TestLogIsJSON(t *testing.T) {
	known := []string{"time", "level", "message", "error"}
	for _, e := range catalogue(t) {
		known = append(known, e.key)
	}
	var out strings.Builder
	f := roleFlags{run: "demo", logFlags: logFlags{"json", "trace"}}
	log, err := f.logger(&out, "client")
	if err != nil {
		t.Fatal(err)
	}
	log.Info().Msg("hello")
	var object map[string]any
	if err := json.Unmarshal([]byte(out.String()), &object); err != nil {
		t.Fatal(err)
	}
	for key := range object {
		if !slices.Contains(known, key) {
			t.Errorf("key %s", key)
		}
	}
	if object["role"] != "client" || object["run_id"] != "demo" || object["message"] != "hello" {
		t.Errorf("%v", object)
	}
	out.Reset()
	f.format = "console"
	if log, err = f.logger(&out, "client"); err != nil {
		t.Fatal(err)
	}
	log.Info().Msg("hello")
	contains(t, out.String(), "INF hello", "role=client", "run_id=demo")
	for _, f := range []logFlags{{"xml", "info"}, {"json", "loud"}, {"json", ""}} {
		if _, err := f.logger(&out, "client"); exitCode(err) != exitInput {
			t.Errorf("%+v: %v", f, err)
		}
	}
}
