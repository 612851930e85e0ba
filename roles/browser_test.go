package main

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"dpfpl/broker"
	"dpfpl/broker/brokertest"
	"dpfpl/roles/aggregator"
	"dpfpl/schemas"
)

// chromiumVariable names the browser to test with; without it, one that is found as chromium is taken.
const chromiumVariable = "DPFPL_CHROMIUM"

// screenshotsVariable names a folder for pictures of every situation, at two widths, light and dark.
const screenshotsVariable = "DPFPL_SCREENSHOTS"

// TestMonitorInBrowser looks at a run in a real browser, while clients join, straggle, vanish and spend what they have,
// and while the monitor itself is gone for a while.
func TestMonitorInBrowser(t *testing.T) {
	b := findBrowser(t)
	s := newStage(t)
	address, leave := s.monitor(reserved(t, "127.0.0.1")) // twice
	b.open("http://" + address + "/")

	b.until(`h1("0 of 4 clients present")`)
	for _, id := range []string{"anna", "bert", "cleo"} {
		s.here(id)
	}
	b.until(`h1("3 of 4 clients present") && row("dora", "never seen") && says("dora has never been seen")`)
	b.eval(`window.sameDocument = true; document.querySelector("#clients summary").click(); document.querySelector("#clients summary").focus()`)
	b.picture("join")

	for round := range uint64(2) {
		s.update("anna", round+1, round)
		s.update("bert", round+1, round)
		s.version(round + 1)
	}
	b.until(`h1("Learning: version 2 of 6") && row("cleo", "0 of 3") && says("cleo is more than 1 version behind")`)
	b.until(`document.querySelector("#progress svg.line") && row("anna", "2 accepted")`)
	s.update("cleo", 1, 0)
	b.until(`row("cleo", "1 of 3")`)
	b.picture("straggle")

	s.gone("bert")
	b.until(`row("bert", "silent") && says("bert is silent") && h1("2 of 4 clients present")`)
	b.picture("vanish")

	s.update("anna", 3, 2)
	b.until(`row("anna", "spent") && row("anna", "3 of 3") && says("anna has no update left")`)
	s.raw("cleo", 2)
	b.until(`says("dead letter") && document.querySelector("#dead").textContent.includes("decode")`)
	b.picture("spent")

	leave()
	b.until(`document.querySelector("#live").textContent.startsWith("Not live")`)
	s.here("dora")
	b.picture("cut")
	_, leave = s.monitor(address)
	defer leave()
	b.until(`document.querySelector("#live").textContent === "Live." && row("dora", "present")`)
	b.picture("again")

	for _, kept := range []string{`window.sameDocument`, `document.querySelector("#clients details").open`, `document.activeElement.matches("#clients summary")`} {
		if !b.is(kept) {
			t.Errorf("the page was loaded anew, or lost what was opened or in focus: not %s", kept)
		}
	}
	if got := b.eval(`window.violations.join("; ")`); got != "" {
		t.Errorf("the page breaks its own policy: %v", got)
	}
	b.size(375)
	if !b.is(`document.documentElement.scrollWidth <= 375`) {
		t.Errorf("a phone has to scroll sideways: %v", b.eval(`document.documentElement.scrollWidth`))
	}
	if !b.is(`[...document.querySelectorAll("section")].every(s => s.getAttribute("aria-label") || document.getElementById(s.getAttribute("aria-labelledby")))`) {
		t.Error("a section has no name")
	}
}

// stage is a federation with a real broker, a real aggregator and a real monitor, whose clients say what they are told to.
type stage struct {
	*testing.T
	server *brokertest.Server
	conn   *broker.Conn
	plan   *schemas.Plan
	beats  map[string]context.CancelFunc
}

func newStage(t *testing.T) *stage {
	t.Helper()
	scene := newScene(t, []string{"anna", "bert", "cleo", "dora"}, 2, 3, schemas.RulePlan{Name: "fedbuff", Buffer: 2, Quorum: 1, MaxStaleness: 1},
		func(p *schemas.Plan) {
			p.Versions, p.Updates, p.Privacy.Epsilon = 6, 3, 100
			p.Presence = schemas.TimingPlan{Heartbeat: 200 * time.Millisecond, Silence: 2 * time.Second}
		})
	s := &stage{T: t, plan: scene.plan, beats: map[string]context.CancelFunc{}}
	var err error
	if s.server, err = brokertest.Start(brokertest.Options{Listen: "127.0.0.1:0"}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.server.Close() })
	s.conn = s.connect()
	s.must(s.conn.Provision(t.Context(), s.plan, broker.StreamOptions{AllowLax: true}))
	s.must(s.conn.PublishPlan(t.Context(), scene.head.Raw))
	key, _ := testKey(t, "aggregator")
	role, err := aggregator.New(aggregator.Config{Plan: s.plan, Initial: make([]float32, 6), Key: key, Patience: -1})
	s.must(err)
	s.background(func(ctx context.Context) {
		broker.Fold(ctx, s.connect(), s.plan.Run, key, role, broker.FoldOptions{Holder: "one", Tick: 100 * time.Millisecond}) //nolint:errcheck // ends with the test
	})
	return s
}

func (s *stage) must(err error) {
	s.Helper()
	if err != nil {
		s.Fatal(err)
	}
}

func (s *stage) connect() *broker.Conn {
	conn, err := s.server.Connect(s.Context(), broker.Options{})
	if err != nil {
		s.Error(err)
		return nil
	}
	return conn
}

// background runs f until what it returns is called, at the latest when the test ends.
func (s *stage) background(f func(context.Context)) (stop context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		f(ctx)
	}()
	stop = func() {
		cancel()
		<-done
	}
	s.Cleanup(stop)
	return stop
}

// monitor starts a monitor, and returns where it serves and what ends it.
func (s *stage) monitor(address string) (string, context.CancelFunc) {
	s.Helper()
	_, operator := testKey(s, "operator")
	out, in := io.Pipe()
	stop := s.background(func(ctx context.Context) {
		code := run(ctx, []string{"monitor", "--nats", s.server.URL(), "--run", s.plan.Run, "--operator", operator, "--http", address, "--log-format", "json"}, io.Discard, in)
		in.CloseWithError(fmt.Errorf("exit code %d", code))
	})
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		if _, rest, ok := strings.Cut(lines.Text(), `"address":"http://`); ok {
			go io.Copy(io.Discard, out) //nolint:errcheck // ends with the monitor
			address, _, _ = strings.Cut(rest, "/")
			return address, stop
		}
	}
	s.Fatalf("no monitor at %s: %v", address, lines.Err())
	return "", nil
}

func (s *stage) say(subject string, b schemas.Body, id string) {
	key, _ := testKey(s, id)
	raw, err := schemas.Seal(b, key)
	s.must(err)
	s.must(s.conn.NATS().Publish(subject, raw))
}

// here has a client say that it is there, again and again.
func (s *stage) here(id string) {
	s.beats[id] = s.background(func(ctx context.Context) {
		tick := time.NewTicker(200 * time.Millisecond)
		defer tick.Stop()
		for {
			p := &schemas.Presence{Header: schemas.Header{Run: s.plan.Run, Sender: id}, State: schemas.StateHeartbeat, Modality: "image", Software: "actor"}
			s.say(schemas.Subject(p), p, id)
			select {
			case <-tick.C:
			case <-ctx.Done():
				return
			}
		}
	})
}

// gone silences a client.
func (s *stage) gone(id string) { s.beats[id]() }

func (s *stage) update(id string, k, base uint64) {
	s.Helper()
	p := s.plan
	u := &schemas.Update{
		Header: schemas.Header{Run: p.Run, Sender: id}, K: k, Base: base,
		Sum:       schemas.NewLattice(2, 3, float64(p.Privacy.ZG*p.Privacy.ClipG)/65536, make([]int32, 6)),
		Mechanism: schemas.Mechanism{Noise: "client", Adjacency: "zero-out", Rate: p.Privacy.Rate, ZG: p.Privacy.ZG, Z: p.Privacy.ZG},
	}
	s.say(schemas.Subject(u), u, id)
}

// raw publishes what is no update.
func (s *stage) raw(id string, k uint64) {
	s.must(s.conn.NATS().Publish(schemas.UpdateSubject(s.plan.Run, id, k), []byte("no update")))
}

// version waits for a version.
func (s *stage) version(n uint64) {
	s.Helper()
	for late := time.Now().Add(time.Minute); time.Now().Before(late); {
		if m, ok, err := s.conn.Model(s.Context(), s.plan.Run); err == nil && ok && m.Body.(*schemas.Model).Version >= n {
			return
		}
	}
	s.Fatalf("no version %d", n)
}

// browser is Chromium, spoken to over a pipe in the words of its DevTools.
type browser struct {
	in      io.Writer
	out     *os.File
	lines   *bufio.Reader
	errors  string // file with what it prints
	calls   int
	session string
}

// findBrowser starts the browser. One that was asked for must be there; one that happens to be there may be of no use.
func findBrowser(t *testing.T) *page {
	t.Helper()
	path := os.Getenv(chromiumVariable)
	asked, err := path != "", error(nil)
	if !asked {
		path, err = exec.LookPath("chromium")
	}
	var b *browser
	if err == nil {
		b, err = startBrowser(t, path)
	}
	switch {
	case err == nil:
		return &page{t, b}
	case asked:
		t.Fatal(err)
	}
	fmt.Fprintf(os.Stderr, "NOT TESTED: the monitor's page in a browser; say with %s where there is one. %v\n", chromiumVariable, err)
	t.Skip(err)
	return nil
}

// startBrowser starts Chromium with a profile of its own, and has it show something. Errors hold what it printed.
func startBrowser(t *testing.T, path string) (*browser, error) {
	t.Helper()
	profile, err := os.MkdirTemp("", "dpfpl-chromium-") // not the test's, which must be empty when nothing of it runs any more
	if err != nil {
		t.Fatal(err)
	}
	printed, err := os.Create(filepath.Join(profile, "stderr"))
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command(path, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-quic", "--no-first-run",
		"--disable-background-networking", "--disable-breakpad", "--disable-component-update", "--disable-sync", "--hide-scrollbars", "--no-proxy-server",
		"--remote-debugging-pipe", "--user-data-dir="+profile, "about:blank")
	c.Env = append(os.Environ(), "HOME="+profile, "XDG_CONFIG_HOME="+profile, "XDG_CACHE_HOME="+profile)
	c.Stderr = printed
	c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // with its helpers
	theirIn, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	out, theirOut, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	c.ExtraFiles = []*os.File{theirIn, theirOut} // descriptors 3 and 4
	err = c.Start()
	theirIn.Close()
	theirOut.Close()
	t.Cleanup(func() {
		if c.Process != nil {
			syscall.Kill(-c.Process.Pid, syscall.SIGKILL) //nolint:errcheck // it may have ended
			c.Wait()                                      //nolint:errcheck // it was killed
		}
		for _, f := range []*os.File{in, out, printed} {
			f.Close()
		}
		os.RemoveAll(profile) //nolint:errcheck // what is left is a temporary file
	})
	if err != nil {
		return nil, err
	}
	b := &browser{in: in, out: out, lines: bufio.NewReader(out), errors: printed.Name()}
	return b, b.begin()
}

// begin opens a page, which shows a text.
func (b *browser) begin() error {
	var target struct{ TargetID string }
	if err := b.call("Target.createTarget", map[string]any{"url": "data:text/html,<h1>text</h1>"}, &target); err != nil {
		return err
	}
	var attached struct{ SessionID string }
	if err := b.call("Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &attached); err != nil {
		return err
	}
	b.session = attached.SessionID
	if err := b.call("Inspector.enable", nil, nil); err != nil { // so that it tells of a crash
		return err
	}
	return b.call("Page.captureScreenshot", nil, nil)
}

// browserPatience is how long the browser may take for anything.
const browserPatience = 3 * time.Minute

// call has the browser do something; result may be nil.
func (b *browser) call(method string, params map[string]any, result any) error {
	b.calls++
	message := map[string]any{"id": b.calls, "method": method, "params": params}
	if b.session != "" {
		message["sessionId"] = b.session
	}
	raw, err := json.Marshal(message)
	if err != nil {
		return err
	}
	b.out.SetReadDeadline(time.Now().Add(browserPatience)) //nolint:errcheck // a pipe has deadlines
	if _, err = b.in.Write(append(raw, 0)); err != nil {
		return b.lost(method, err)
	}
	for {
		raw, err := b.lines.ReadBytes(0)
		if err != nil {
			return b.lost(method, err)
		}
		var answer struct {
			ID            int
			Method        string
			Error, Result json.RawMessage
		}
		if err := json.Unmarshal(raw[:len(raw)-1], &answer); err != nil {
			return err
		}
		switch {
		case answer.Method == "Inspector.targetCrashed":
			return b.lost(method, errors.New("the page crashed"))
		case answer.ID != b.calls: // an event
		case answer.Error != nil:
			return fmt.Errorf("%s %v: %s", method, params, answer.Error)
		case result == nil:
			return nil
		default:
			return json.Unmarshal(answer.Result, result)
		}
	}
}

// lost says what the browser printed before it was of no use any more.
func (b *browser) lost(method string, err error) error {
	printed, _ := os.ReadFile(b.errors)
	return fmt.Errorf("chromium does not answer %s: %w\n%s", method, err, printed)
}

// page is what a test looks at in a browser.
type page struct {
	*testing.T
	browser *browser
}

// call has the browser do something; result may be nil.
func (b *page) call(method string, params map[string]any, result any) {
	b.Helper()
	if err := b.browser.call(method, params, result); err != nil {
		b.Fatal(err)
	}
}

// words are what conditions are made of.
const words = `
window.violations = [];
document.addEventListener("securitypolicyviolation", (e) => violations.push(e.violatedDirective + " " + e.blockedURI));
window.addEventListener("error", (e) => violations.push(e.message));
window.h1 = (text) => document.querySelector("h1")?.textContent.includes(text);
window.says = (text) => document.querySelector("#attention")?.textContent.includes(text);
window.row = (id, text) => document.querySelector("#client-" + id)?.textContent.includes(text);
`

func (b *page) open(url string) {
	b.Helper()
	b.call("Page.enable", nil, nil)
	b.call("Page.addScriptToEvaluateOnNewDocument", map[string]any{"source": words}, nil)
	b.size(1280)
	b.call("Page.navigate", map[string]any{"url": url}, nil)
}

// eval returns what an expression is, once it is something.
func (b *page) eval(expression string) any {
	b.Helper()
	var answer struct {
		Result           struct{ Value any }
		ExceptionDetails json.RawMessage
	}
	b.call("Runtime.evaluate", map[string]any{"expression": expression, "returnByValue": true, "awaitPromise": true}, &answer)
	if answer.ExceptionDetails != nil {
		b.Fatalf("%s: %s", expression, answer.ExceptionDetails)
	}
	return answer.Result.Value
}

func (b *page) is(condition string) bool { return b.eval("Boolean("+condition+")") == true }

// until waits in the page until a condition holds.
func (b *page) until(condition string) {
	b.Helper()
	if held := b.eval(`new Promise((done) => {
		const late = Date.now() + 120000;
		const look = setInterval(() => {
			let held = false;
			try { held = Boolean(` + condition + `) } catch {}
			if (held || Date.now() > late) { clearInterval(look); done(held) }
		}, 50);
	})`); held != true {
		b.Fatalf("never: %s\n%v", condition, b.eval(`document.body.innerText`))
	}
}

func (b *page) size(width int) {
	b.Helper()
	b.call("Emulation.setDeviceMetricsOverride", map[string]any{"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 600}, nil)
}

// picture keeps what there is to see, if anybody wants to see it.
func (b *page) picture(name string) {
	b.Helper()
	folder := os.Getenv(screenshotsVariable)
	if folder == "" {
		return
	}
	for _, scheme := range []string{"light", "dark"} {
		b.call("Emulation.setEmulatedMedia", map[string]any{"features": []map[string]string{{"name": "prefers-color-scheme", "value": scheme}}}, nil)
		for _, width := range []int{1280, 375} {
			b.size(width)
			var shot struct{ Data string }
			b.call("Page.captureScreenshot", map[string]any{"format": "png", "captureBeyondViewport": true}, &shot)
			raw, err := base64.StdEncoding.DecodeString(shot.Data)
			if err == nil {
				err = os.WriteFile(filepath.Join(folder, fmt.Sprintf("%s-%d-%s.png", name, width, scheme)), raw, 0o644)
			}
			if err != nil {
				b.Fatal(err)
			}
		}
	}
	b.size(1280)
}
