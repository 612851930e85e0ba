package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/csv"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nkeys"

	"dpfpl/roles/enroll"
	"dpfpl/roles/promptfile"
	"dpfpl/schemas"
)

// newExported has a prompt file of anna's and her pictures.
func newExported(t *testing.T) *exporter {
	e := newExporter(t, newWitness(t, keep), 1)
	e.export()
	return e
}

// predict runs dpfpl predict with anna's prompt.
func (e *exporter) predict(code int, args ...string) (stdout, stderr string) {
	e.Helper()
	return command(e.test(), code, append([]string{"predict", "--prompt", e.path("anna.safetensors"), "--model", tinyModel}, args...)...)
}

// resealed writes a changed copy of anna's prompt, signed by her.
func (e *exporter) resealed(name string, change func(*promptfile.File)) string {
	e.Helper()
	f, _, err := readPrompt(e.path("anna.safetensors"), "")
	if err != nil {
		e.Fatal(err)
	}
	change(f)
	key, _ := testKey(e, "anna")
	raw, err := f.Seal(key)
	if err != nil {
		e.Fatal(err)
	}
	writeInto(e.test(), e.path(name), raw)
	return e.path(name)
}

func TestPredictPictures(t *testing.T) {
	e := newExported(t)
	_, anna := testKey(t, "anna")
	one := e.picture()
	stdout, stderr := e.predict(exitOK, one)
	contains(t, stdout, one+": ", " %, ")
	contains(t, stderr, "warning: the prompt is signed by "+anna, "1 pictures, 0 not read")
	if strings.Count(stdout, " %") != 5 {
		t.Errorf("five of six classes are to be named: %s", stdout)
	}
	_, stderr = e.predict(exitOK, "--signer", anna, one)
	if strings.Contains(stderr, "warning") {
		t.Error(stderr)
	}
	stdout, _ = e.predict(exitOK, "--min-probability", "1", one)
	contains(t, stdout, one+": unsure: ")

	// A folder, however it is asked for, gives what each picture gives alone.
	alone := map[string]string{}
	pictures, _ := filepath.Glob(e.path("pictures/*/*.png"))
	for _, p := range pictures {
		stdout, _ := e.predict(exitOK, "--format", "jsonl", p)
		alone[p] = stdout
	}
	for _, workers := range []string{"1", "3"} {
		stdout, stderr = e.predict(exitOK, "--format", "jsonl", "--workers", workers, e.path("pictures"))
		contains(t, stderr, "12 pictures, 0 not read")
		lines := slices.Collect(strings.Lines(stdout))
		for i, p := range pictures {
			if lines[i] != alone[p] {
				t.Errorf("%s among others: %s, alone %s", p, lines[i], alone[p])
			}
		}
	}

	// Columns for other programs.
	stdout, _ = e.predict(exitOK, "--format", "csv", "--top", "2", e.path("pictures"))
	rows, err := csv.NewReader(strings.NewReader(stdout)).ReadAll()
	if err != nil || len(rows) != 13 || !slices.Equal(rows[0], []string{"file", "answer", "class_1", "probability_1", "class_2", "probability_2"}) || rows[1][1] != rows[1][2] {
		t.Errorf("%v: %s", err, stdout)
	}
}

func TestPredictClasses(t *testing.T) {
	e := newExported(t)
	writeInto(t, e.path("few"), []byte(e.plan.Classes[3]+"\n\n  "+e.plan.Classes[1]+"  \n"))
	stdout, stderr := e.predict(exitOK, "--classes", e.path("few"), e.picture())
	if strings.Contains(stderr, "classes are not among") || strings.Count(stdout, " %") != 2 {
		t.Errorf("%s%s", stdout, stderr)
	}
	writeInto(t, e.path("other"), []byte(e.plan.Classes[3]+"\na thing of no kind\n"))
	stdout, stderr = e.predict(exitOK, "--classes", e.path("other"), e.picture())
	contains(t, stdout, "a thing of no kind")
	contains(t, stderr, `warning: 1 of 2 classes are not among those that the prompt was learned with, the first is "a thing of no kind"`)
	writeInto(t, e.path("twice"), []byte("a\na\n"))
	writeInto(t, e.path("none"), []byte("\n \n"))
	for file, reason := range map[string]string{"twice": `"a" is there twice`, "none": "no class names", "absent": "no such file"} {
		_, stderr = e.predict(exitInput, "--classes", e.path(file), e.picture())
		contains(t, stderr, reason)
	}
}

func TestPredictRefuses(t *testing.T) {
	e := newExported(t)
	_, bert := testKey(t, "bert")
	other := strings.Repeat("ab", 32)
	foreign := e.resealed("foreign.safetensors", func(f *promptfile.File) { f.Backbone = other })
	wide := e.resealed("wide.safetensors", func(f *promptfile.File) { f.Rows, f.Width = 2, 2*f.Width })
	long := e.resealed("long.safetensors", func(f *promptfile.File) {
		f.Rows = schemas.MaxContext
		f.Context = make([]float32, f.Rows*f.Width)
	})
	raw, err := os.ReadFile(e.path("anna.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	raw[len(raw)-1] ^= 1
	writeBytes(t, e.path("changed.safetensors"), raw)
	for _, c := range []struct {
		reason string
		args   []string
	}{
		{"the prompt is for backbone " + other + ", the model is " + e.plan.Backbone, []string{"--prompt", foreign, e.picture()}},
		{"width 192", []string{"--prompt", wide, e.picture()}},
		{"positions", []string{"--prompt", long, e.picture()}},
		{"wrong signature", []string{"--prompt", e.path("changed.safetensors"), e.picture()}},
		{"signed by ", []string{"--signer", bert, e.picture()}},
		{"want a public key", []string{"--signer", "me", e.picture()}},
		{"no such file", []string{"--prompt", e.path("absent"), e.picture()}},
		{"not a prompt file", []string{"--prompt", e.picture(), e.picture()}},
		{"no prompt", []string{"--prompt", "", e.picture()}},
		{"no model", []string{"--model", "", e.picture()}},
		{"either pictures, or --listen", nil},
		{"either pictures, or --listen", []string{"--listen", "127.0.0.1:0", e.picture()}},
		{"--format", []string{"--format", "xml", e.picture()}},
		{"--top", []string{"--top", "0", e.picture()}},
		{"--min-probability", []string{"--min-probability", "1.5", e.picture()}},
		{"--workers", []string{"--workers", "-1", e.picture()}},
		{"--max-pixels", []string{"--max-pixels", "0", e.picture()}},
		{"are for --listen", []string{"--token-file", "x", e.picture()}},
		{"belong together", []string{"--listen", "127.0.0.1:0", "--tls-key", "x"}},
		{"other machines can reach it", []string{"--listen", "0.0.0.0:0"}},
		{"other machines can reach it", []string{"--listen", ":0", "--token-file", "x"}},
		{"other machines can reach it", []string{"--listen", "[::]:0", "--tls-cert", "x", "--tls-key", "x"}},
		{"--listen", []string{"--listen", "nowhere"}},
		{"--max-batch 0", []string{"--listen", "127.0.0.1:0", "--max-batch", "0"}},
		{"--read-timeout", []string{"--listen", "127.0.0.1:0", "--read-timeout", "0s"}},
		{"--log-format", []string{"--listen", "127.0.0.1:0", "--log-format", "xml"}},
		{"no such file", []string{"--listen", "127.0.0.1:0", "--token-file", e.path("absent")}},
		{"a token of 10 bytes", []string{"--listen", "127.0.0.1:0", "--token-file", few(t, e)}},
		{"--tls-cert", []string{"--listen", "127.0.0.1:0", "--tls-cert", e.picture(), "--tls-key", e.picture()}},
	} {
		_, stderr := e.predict(exitInput, c.args...)
		contains(t, stderr, c.reason)
	}
}

func few(t *testing.T, e *exporter) string {
	writeInto(t, e.path("few"), []byte("0123456789\n"))
	return e.path("few")
}

// serving is dpfpl predict --listen in this process.
type serving struct {
	address string
	log     *bytes.Buffer
	stop    func() int
}

// listen starts the endpoint with anna's prompt.
func (e *exporter) listen(args ...string) *serving {
	e.Helper()
	ctx, cancel := context.WithCancel(e.Context())
	up := make(chan net.Addr, 1)
	s := &serving{log: new(bytes.Buffer)}
	c := newPredictCommandOn(func(a net.Addr) { up <- a })
	c.SetArgs(append([]string{"--prompt", e.path("anna.safetensors"), "--model", tinyModel, "--log-format", "json"}, args...))
	c.SetErr(s.log)
	ended := make(chan int, 1)
	go func() { ended <- exitCode(c.ExecuteContext(ctx)) }()
	s.stop = func() int {
		cancel()
		return <-ended
	}
	select {
	case a := <-up:
		s.address = a.String()
	case code := <-ended:
		e.Fatalf("exit %d: %s", code, s.log)
	}
	return s
}

// TestPredictServes: over HTTP a picture shows what it shows from a file; the log tells of no name and no picture.
func TestPredictServes(t *testing.T) {
	e := newExported(t)
	s := e.listen("--listen", "127.0.0.1:0")
	picture, err := os.ReadFile(e.picture())
	if err != nil {
		t.Fatal(err)
	}
	url := "http://" + s.address
	got, err := http.Post(url+"/v1/predict?top=3", "image/png", bytes.NewReader(picture))
	if err != nil {
		t.Fatal(err)
	}
	over, _ := io.ReadAll(got.Body)
	alone, _ := e.predict(exitOK, "--format", "jsonl", "--top", "3", e.picture())
	_, want, _ := strings.Cut(alone, `"answer"`)
	contains(t, string(over), strings.TrimSpace(want))

	command(t, exitOK, "health", url+"/healthz")
	command(t, exitOK, "health", url+"/readyz")
	got, err = http.Get(url + "/v1/prompt")
	var about map[string]any
	if err != nil || json.NewDecoder(got.Body).Decode(&about) != nil || about["client"] != "anna" {
		t.Errorf("%v, %v", about, err)
	}
	got, err = http.Get(url + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	metrics, _ := io.ReadAll(got.Body)
	contains(t, string(metrics), `dpfpl_predict_requests_total{role="predict",status="200"} 1`, `dpfpl_predict_pictures_total{outcome="read",role="predict"} 1`)
	http.DefaultClient.CloseIdleConnections()
	if code := s.stop(); code != exitOK {
		t.Errorf("exit %d", code)
	}
	contains(t, s.log.String(), `"message":"listening"`, `"status":200`, `"message":"interrupted, drained"`)
	if strings.Contains(s.log.String(), filepath.Base(e.picture())) || strings.Contains(s.log.String(), e.plan.Classes[0]) {
		t.Errorf("the log tells too much: %s", s.log)
	}
}

// TestPredictServesOthers: with TLS and a token it may be reached from elsewhere, and then answers to who has the token.
func TestPredictServesOthers(t *testing.T) {
	e := newExported(t)
	authority, err := enroll.NewCertificates([]string{"127.0.0.1"}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	writeInto(t, e.path("cert"), authority.Cert)
	writeInto(t, e.path("tls-key"), authority.Key)
	writeInto(t, e.path("token"), []byte("a token of some length\n"))
	s := e.listen("--listen", "0.0.0.0:0", "--tls-cert", e.path("cert"), "--tls-key", e.path("tls-key"), "--token-file", e.path("token"))
	_, port, err := net.SplitHostPort(s.address)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(authority.CA)
	caller := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, DisableKeepAlives: true}}
	for token, want := range map[string]int{"": 401, "a token of some lengtH": 401, "a token of some length": 200} {
		for _, path := range []string{"/v1/prompt", "/metrics"} {
			r, err := http.NewRequestWithContext(t.Context(), "GET", "https://127.0.0.1:"+port+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			if token != "" {
				r.Header.Set("Authorization", "Bearer "+token)
			}
			got, err := caller.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			got.Body.Close()
			if got.StatusCode != want {
				t.Errorf("token %q at %s: %d, want %d", token, path, got.StatusCode, want)
			}
		}
	}
	if plain, err := http.Get("http://127.0.0.1:" + port + "/healthz"); err == nil && plain.StatusCode == 200 {
		t.Error("it answers without TLS")
	}
	if code := s.stop(); code != exitOK {
		t.Errorf("exit %d", code)
	}
	if strings.Contains(s.log.String(), "some length") {
		t.Error("the log tells the token")
	}
}

// TestPromptImport: only what is whole, of the right hand and for this model is kept, as it came.
func TestPromptImport(t *testing.T) {
	e := newExported(t)
	_, anna := testKey(t, "anna")
	_, bert := testKey(t, "bert")
	_, operator := testKey(t, "operator")
	file, kept := e.path("anna.safetensors"), e.path("kept")
	importing := func(code int, file string, args ...string) string {
		t.Helper()
		stdout, stderr := command(t, code, append([]string{"prompt", "import", file, "--model", tinyModel, "--out", kept}, args...)...)
		if _, err := os.Stat(kept); (err == nil) != (code == exitOK) {
			t.Errorf("exit %d, and the file: %v", code, err)
		}
		return stdout + stderr
	}
	ofPlan := []string{"--log", e.path("run.dpfpl"), "--operator", operator}

	for _, c := range []struct {
		code   int
		reason string
		args   []string
	}{
		{exitInput, "whose signature counts", nil},
		{exitInput, "whose signature counts", []string{"--signer", anna, "--operator", operator}},
		{exitInput, "no run", []string{"--operator", operator}},
		{exitInput, "signed by " + anna + ", want " + bert, []string{"--signer", bert}},
		{exitFailure, "not signed by the operator", []string{"--log", e.path("run.dpfpl"), "--operator", bert}},
		{exitInput, "no model", []string{"--signer", anna, "--model", ""}},
		{exitInput, "no place", []string{"--signer", anna, "--out", ""}},
	} {
		contains(t, importing(c.code, file, c.args...), c.reason)
	}
	contains(t, importing(exitInput, e.resealed("foreign", func(f *promptfile.File) { f.Backbone = strings.Repeat("ab", 32) }), "--signer", anna), "the prompt is for backbone abab")

	// What does not agree with the plan.
	for field, change := range map[string]func(*promptfile.File){
		"client":        func(f *promptfile.File) { f.Client = "carl" },
		"signer":        func(f *promptfile.File) { f.Client = "bert" }, // anna's signature under bert's name
		"plan":          func(f *promptfile.File) { f.Plan = strings.Repeat("0", 64) },
		"classes":       func(f *promptfile.File) { f.Classes = slices.Clone(f.Classes); slices.Reverse(f.Classes) },
		"method":        func(f *promptfile.File) { f.Method = "fedotp" },
		"context":       func(f *promptfile.File) { f.Rows, f.Width = 2, 2*f.Width },
		"backbone":      func(f *promptfile.File) { f.Backbone = strings.Repeat("ab", 32) },
		"model_version": func(f *promptfile.File) { f.Version = 1 << 40 },
	} {
		contains(t, importing(exitInput, e.resealed(field, change), ofPlan...), "does not agree with the plan: "+field)
	}
	contains(t, importing(exitFailure, e.resealed("run", func(f *promptfile.File) { f.Run = "other" }), ofPlan...), "plan of run other")

	contains(t, importing(exitOK, file, ofPlan...), "Personal prompt of client anna")
	was, _ := os.ReadFile(file)
	if is, _ := os.ReadFile(kept); !bytes.Equal(is, was) {
		t.Error("kept with other bytes")
	}
	_, stderr := command(t, exitInput, "prompt", "import", file, "--model", tinyModel, "--out", kept, "--signer", anna)
	contains(t, stderr, "exists; give --force")
	t.Setenv("DPFPL_OPERATOR", anna) // as everybody has it who takes part in a run: a signer comes before it
	command(t, exitOK, "prompt", "import", file, "--model", tinyModel, "--out", kept, "--signer", anna, "--force")
	command(t, exitInput, "prompt", "inspect", file, "--signer", bert)
	command(t, exitInput, "prompt", "inspect", e.picture())
	if !nkeys.IsValidPublicUserKey(anna) {
		t.Error(anna)
	}
}
