package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"dpfpl/broker"
)

// TestDeployment runs what one deploys, with the binaries that one deploys. They are the same under the race detector, so
// that -short leaves them out.
func TestDeployment(t *testing.T) {
	if testing.Short() {
		t.Skip("the binaries are built without the flags of the test")
	}
	binaries := t.TempDir()
	build(t, binaries, "dpfpl", ".")
	build(t, binaries, "nats-server", "github.com/nats-io/nats-server/v2")
	build(t, binaries, "testbed", "../testbed")
	for name, test := range map[string]func(*testing.T, string){"operator": testOperator, "compose": testCompose, "cluster": testComposeCluster, "tutorial": testTutorial} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, binaries)
		})
	}
}

// testOperator does what an operator does: it enrols three clients, starts a nats-server with the generated
// configuration and TLS, publishes a plan, runs two aggregators, of which the leading one is killed, and the
// clients as processes on pictures until the run is over, and replays the exported log. At last a client is revoked.
func testOperator(t *testing.T, binaries string) {
	d := newDeployment(t, binaries)
	d.finish(0, d.start("testbed", "pictures", "--most", "4"))
	d.enroll()
	server := d.startServer()
	d.publish()

	page := d.monitor()
	d.interrupted()
	standby := d.outlived()
	running := []*process{standby}
	for _, id := range clinics {
		running = append(running, d.client(id))
	}
	for _, p := range running {
		if code := p.wait(); code != 0 {
			t.Errorf("%s: exit %d\n%s", p.name, code, p.output())
		}
		contains(t, p.output(), `"message":"run is over"`)
	}
	contains(t, standby.output(), `"message":"leads"`)
	for _, p := range running[1:] {
		contains(t, p.output(), `"message":"update made"`, `"epsilon_all_runs"`)
	}

	for _, page := range []*process{page, d.monitor()} { // who comes late sees the same
		d.sees(d.look(page), "", "", "Over: version 3 of 3")
		d.leave(page)
	}

	d.dpfpl(0, slices.Concat([]string{"log", "export", "run.dpfpl", "--run", "clinics"}, d.as("operator"))...)
	contains(t, d.dpfpl(0, "log", "verify", "run.dpfpl"), "whole and authentic: run clinics")
	contains(t, d.dpfpl(0, "replay", "--log", "run.dpfpl"), "run clinics: 4 versions agree bit for bit")
	for _, id := range clinics {
		d.retrace(id)
	}
	d.prompt()
	contains(t, d.dpfpl(0, slices.Concat([]string{"plan", "show", "--words", "--run", "clinics"}, d.as("operator"))...), "Run clinics: 3 clients")

	if strings.Contains(server.output(), "Violation") {
		t.Errorf("somebody was refused what he needs:\n%s", server.output())
	}

	d.revoke(server)
	d.keptSecrets()
	d.traced()
}

var clinics = []string{"east", "north", "south"}

// deployment is a folder with what an operator keeps there.
type deployment struct {
	*testing.T
	binaries string
	dir      string
	url      string
	operator string // public key
	started  []*process
	traces   *collector
}

func newDeployment(t *testing.T, binaries string) *deployment {
	t.Helper()
	d := &deployment{T: t, binaries: binaries, dir: t.TempDir()}
	d.traces = newCollector(t)
	writeInto(t, d.path("box.key"), bytes.Repeat([]byte("0f"), 32))
	return d
}

func (d *deployment) path(elements ...string) string {
	return filepath.Join(append([]string{d.dir}, elements...)...)
}

func (d *deployment) must(err error) {
	d.Helper()
	if err != nil {
		d.Fatal(err)
	}
}

func build(t *testing.T, dir, name, pkg string) {
	t.Helper()
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-buildvcs=false", "-o", filepath.Join(dir, name), pkg).CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", pkg, err, out)
	}
}

// finish runs a process to its end, demands its exit code and returns what it printed.
func (d *deployment) finish(code int, p *process) string {
	d.Helper()
	if got := p.wait(); got != code {
		d.Fatalf("%s: exit %d, want %d\n%s", p.name, got, code, p.output())
	}
	return p.output()
}

// dpfpl runs a command to its end.
func (d *deployment) dpfpl(code int, args ...string) string {
	d.Helper()
	return d.finish(code, d.start("dpfpl", args...))
}

func (d *deployment) enroll() {
	d.Helper()
	out := d.dpfpl(0, "enroll", "init", "keys", "--clients", strings.Join(clinics, ","), "--listen", "127.0.0.1:-1", "--monitoring", "127.0.0.1:-1",
		"--store", d.path("store"), "--tls-hosts", "127.0.0.1")
	_, operator, _ := strings.Cut(out, "operator ")
	d.operator = strings.TrimSpace(operator)
	for _, name := range []string{authorityFile, "operator.creds", "north.creds", certKeyFile} {
		if info, err := os.Stat(d.path("keys", name)); err != nil || info.Mode().Perm() != 0o600 {
			d.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
	d.dpfpl(2, "enroll", "init", "keys")
}

// startServer starts the server and waits until it says where it listens.
func (d *deployment) startServer() *process {
	d.Helper()
	server := d.start("nats-server", "--config", "keys/"+serverFile)
	line := server.await("Listening for client connections on ")
	d.url = "tls://" + strings.TrimSpace(line)
	server.await("Server is ready")
	return server
}

// healthy asks a health endpoint until it says yes: the broker, which it asks in turn, may have much else to do.
func (d *deployment) healthy(health ...string) {
	d.Helper()
	for late := time.Now().Add(time.Minute); ; {
		p := d.start("dpfpl", health...)
		switch code := p.wait(); {
		case code == 0:
			return
		case time.Now().After(late):
			d.Fatalf("%s: exit %d\n%s", p.name, code, p.output())
		}
	}
}

// as lists the flags of a command that is given the credentials of name.
func (d *deployment) as(name string) []string {
	return []string{"--nats", d.url, "--ca", "keys/ca.pem", "--creds", "keys/" + name + ".creds"}
}

// amend replaces lines of a file, given as what is there once and what is to be there.
func (d *deployment) amend(file string, changes ...string) {
	d.Helper()
	raw, err := os.ReadFile(d.path(file))
	d.must(err)
	text := string(raw)
	for pair := range slices.Chunk(changes, 2) {
		if strings.Count(text, pair[0]+"\n") != 1 {
			d.Fatalf("%s does not say %q once:\n%s", file, pair[0], text)
		}
		text = strings.Replace(text, pair[0]+"\n", pair[1]+"\n", 1)
	}
	d.must(os.WriteFile(d.path(file), []byte(text), 0o600))
}

// publish writes a plan, of three versions to which every client contributes however late it comes, and publishes it twice.
func (d *deployment) publish() {
	d.Helper()
	model, err := filepath.Abs(tinyModel)
	d.must(err)
	d.dpfpl(0, "plan", "init", "--start", "random", "--run", "clinics", "--model", model, "--classes-from", "pictures/classes", "--roster", "keys/"+rosterFile,
		"--step", "500ms", "--out", "plan.yaml")
	d.amend("plan.yaml", "versions: 60", "versions: 3", "buffer: 1", "buffer: 3", "quorum: 1", "quorum: 3")
	contains(d.T, d.dpfpl(0, "plan", "check", "plan.yaml"), "Each record of every client is protected", "proven by Rényi", "3 versions")
	publish := slices.Concat([]string{"plan", "publish", "plan.yaml"}, d.as("operator"))
	contains(d.T, d.dpfpl(1, publish...), "sync always")
	contains(d.T, d.dpfpl(2, slices.Concat([]string{"plan", "publish", "plan.yaml"}, d.as("aggregator"))...), "the plan names operator "+d.operator)
	for range 2 {
		contains(d.T, d.dpfpl(0, append(publish, "--system", "keys/system.creds")...), "run clinics: published for 3 members")
	}
}

// aggregator starts one, with a lease that it does not lose to a machine that has much else to do.
func (d *deployment) aggregator(holder string) *process {
	return d.start("dpfpl", slices.Concat([]string{"aggregator", "--run", "clinics", "--operator", d.operator, "--holder", holder,
		"--lease", "15s", "--log-format", "json", "--log-level", "trace", "--health", "127.0.0.1:0", "--wait", "2m"}, d.as("aggregator"))...)
}

func (d *deployment) client(id string, more ...string) *process {
	d.Helper()
	model, err := filepath.Abs(tinyModel)
	d.must(err)
	return d.start("dpfpl", slices.Concat([]string{"client", "--run", "clinics", "--operator", d.operator, "--model", model,
		"--data", "pictures/" + id + "/train", "--ledger", id + ".ledger", "--max-epsilon", "8", "--log-format", "json", "--log-level", "trace",
		"--health", "127.0.0.1:0", "--wait", "2m", "--black-box", id + ".box", "--black-box-key", "box.key"}, d.as(id), more)...)
}

// retrace computes a client's steps again from what it kept for itself.
func (d *deployment) retrace(id string) {
	d.Helper()
	model, err := filepath.Abs(tinyModel)
	d.must(err)
	out := d.dpfpl(0, "replay", "client", "--log", "run.dpfpl", "--client", id, "--ledger", id+".ledger", "--model", model,
		"--data", "pictures/"+id+"/train", "--black-box", id+".box", "--black-box-key", "box.key")
	contains(d.T, out, "steps are in the log as the bytes that the ledger committed", "agrees")
}

// prompt gives a personal prompt away: the client exports it with its own credentials, somebody who trusts the operator
// imports it, and it answers.
func (d *deployment) prompt() {
	d.Helper()
	model, err := filepath.Abs(tinyModel)
	d.must(err)
	export := slices.Concat([]string{"prompt", "export", "--run", "clinics", "--operator", d.operator, "--ledger", "north.ledger"}, d.as("north"))
	contains(d.T, d.dpfpl(1, append(export, "--max-epsilon", "0.1", "--out", "north.safetensors")...), "the budget is exceeded")
	contains(d.T, d.dpfpl(0, append(export, "--max-epsilon", "8", "--out", "north.safetensors")...), "Personal prompt of client north in run clinics",
		"Each record of client north is protected against whoever holds this prompt")
	d.dpfpl(0, slices.Concat([]string{"prompt", "import", "north.safetensors", "--run", "clinics", "--operator", d.operator, "--model", model,
		"--out", "kept.safetensors"}, d.as("operator"))...)
	contains(d.T, d.dpfpl(0, "predict", "--prompt", "kept.safetensors", "--model", model, "--top", "1", "pictures/north"), " pictures, 0 not read")
}

// interrupted starts a client, and an aggregator, and ends them as an orchestrator does: they drain, and that is no failure.
func (d *deployment) interrupted() {
	d.Helper()
	north := d.client("north")
	endpoint := north.endpoint()
	north.await(`"message":"client started"`)
	d.shows(endpoint, labels{"role": "client", "run": "clinics", "client": "north"}, map[string]float64{
		"dpfpl_broker_connected": 1, "dpfpl_client_updates_total": 0, "dpfpl_client_epsilon_limit": 8, "dpfpl_client_receive_only": 0,
	})
	contains(d.T, d.dpfpl(1, "health", endpoint+"/readyz"), "waits for a model")
	d.must(north.Process.Signal(syscall.SIGTERM))
	if code := north.wait(); code != 0 || !strings.Contains(north.output(), "interrupted, drained") {
		d.Errorf("an interrupted client: exit %d\n%s", code, north.output())
	}
	zero := d.aggregator("zero")
	zero.await(`"message":"leads"`)
	d.must(zero.Process.Signal(syscall.SIGTERM))
	if code := zero.wait(); code != 0 || !strings.Contains(zero.output(), "interrupted, drained") {
		d.Errorf("an interrupted aggregator: exit %d\n%s", code, zero.output())
	}
}

// outlived starts two aggregators and kills the one that leads.
func (d *deployment) outlived() (standby *process) {
	d.Helper()
	leader := d.aggregator("one")
	first := leader.endpoint()
	leader.await(`"message":"leads"`)
	standby = d.aggregator("two")
	second := standby.endpoint()
	standby.await(`"message":"stands by"`)
	for endpoint, leads := range map[string]float64{first: 1, second: 0} {
		d.shows(endpoint, labels{"role": "aggregator", "run": "clinics"}, map[string]float64{
			"dpfpl_broker_connected": 1, "dpfpl_aggregator_leads": leads, "dpfpl_plan_members": 3,
		})
		d.healthy("health", endpoint+"/readyz")
	}
	d.holdsBack()
	if strings.Contains(standby.output(), `"message":"leads"`) {
		d.Errorf("two lead at a time\n%s", standby.output())
	}
	d.must(leader.Process.Kill())
	leader.wait()
	return standby
}

// holdsBack starts a client that keeps its first update to itself for longer than it lives, and is interrupted: what it
// shows of it is nothing, and what it sends when it is started again are the same bytes.
func (d *deployment) holdsBack() {
	d.Helper()
	south := d.client("south", "--hold", "1h")
	endpoint := south.endpoint()
	south.await(`"message":"update made"`)
	d.shows(endpoint, labels{"role": "client", "client": "south"}, map[string]float64{
		"dpfpl_client_models_total": 1, "dpfpl_client_model_version": 0, "dpfpl_client_updates_total": 0, "dpfpl_client_epsilon": 0, "dpfpl_client_ledger_writes_total": 0,
	})
	d.healthy("health", endpoint+"/readyz")
	d.must(south.Process.Signal(syscall.SIGTERM))
	if code := south.wait(); code != 0 {
		d.Errorf("exit %d\n%s", code, south.output())
	}
}

// revoke takes a client's key back: the server reads its new configuration and lets the others in alone.
func (d *deployment) revoke(server *process) {
	d.Helper()
	connected, err := broker.Connect(d.Context(), broker.ClientOptions(broker.Options{
		URL: d.url, CA: d.path("keys", caFile), Creds: d.path("keys", "south.creds"),
	}, "south", nil))
	d.must(err)
	defer connected.Close()
	out := connected.NATS().StatusChanged(nats.RECONNECTING, nats.CLOSED)
	d.dpfpl(0, "enroll", "revoke", "keys", "south")
	d.dpfpl(2, "enroll", "revoke", "keys", "south")
	d.must(server.Process.Signal(syscall.SIGHUP))
	server.await("Reloaded server configuration")
	select {
	case <-out:
	case <-server.done:
		d.Error("a revoked client stays connected")
	}
	south := d.client("south")
	if code := south.wait(); code != 1 || !strings.Contains(south.output(), "Authorization Violation") {
		d.Errorf("a revoked client: exit %d\n%s", code, south.output())
	}
	// Who is added needs nothing of the server, and is still no member of this run.
	d.dpfpl(0, "enroll", "add", "keys", "west")
	d.must(os.CopyFS(d.path("pictures", "west"), os.DirFS(d.path("pictures", "north"))))
	west := d.client("west")
	if code := west.wait(); code != 1 || !strings.Contains(west.output(), "no member west") {
		d.Errorf("who is no member: exit %d\n%s", code, west.output())
	}
	north := d.client("north") // the run is over, and so is its part
	if code := north.wait(); code != 0 {
		d.Errorf("exit %d\n%s", code, north.output())
	}
}

// reserved returns an address of this machine, by the name that is given for it, which nothing gets by chance before the test
// is over, and whoever asks for that very address: on Linux, a socket that is bound and does not listen has this
// effect. Elsewhere the address is merely free.
func reserved(t *testing.T, host string) string {
	t.Helper()
	syscall.ForkLock.RLock()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err == nil {
		syscall.CloseOnExec(fd)
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		t.Fatal(err)
	}
	free := func() { syscall.Close(fd) }
	if runtime.GOOS == "linux" {
		t.Cleanup(free)
	} else {
		defer free()
	}
	err = syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1)
	if err == nil {
		err = syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}})
	}
	if err != nil {
		t.Fatal(err)
	}
	name, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	return net.JoinHostPort(host, strconv.Itoa(name.(*syscall.SockaddrInet4).Port))
}

// TestReserved: who asks for the address gets it, again and again.
func TestReserved(t *testing.T) {
	address := reserved(t, "127.0.0.1")
	for range 3 {
		l, err := net.Listen("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		if other := reserved(t, "127.0.0.1"); other == address {
			t.Errorf("%s is given twice", address)
		}
		l.Close()
	}
}

// process is a command that runs, with what it has printed so far.
type process struct {
	*exec.Cmd
	t    *testing.T
	name string

	mu      sync.Mutex
	printed bytes.Buffer
	lines   chan string // what is printed, until nobody listens
	done    chan struct{}
}

// untilLate is a context that ends early enough before the test is ended to say why, and not with the test.
func untilLate(t *testing.T) (context.Context, context.CancelFunc) {
	late, ok := t.Deadline()
	if !ok {
		return context.WithCancel(context.Background())
	}
	return context.WithDeadline(context.Background(), late.Add(-20*time.Second))
}

// start starts a binary in the deployment's folder; it is ended with the test at the latest.
func (d *deployment) start(binary string, args ...string) *process {
	d.Helper()
	return d.startIn(nil, binary, args...)
}

// startIn starts a binary with DPFPL_ variables.
func (d *deployment) startIn(environment []string, binary string, args ...string) *process {
	d.Helper()
	ctx, cancel := untilLate(d.T)
	p := &process{
		Cmd: exec.CommandContext(ctx, filepath.Join(d.binaries, binary), args...), t: d.T, name: binary + " " + strings.Join(args, " "),
		lines: make(chan string, 1<<16), done: make(chan struct{}),
	}
	d.started = append(d.started, p)
	p.Dir = d.dir
	p.Env = append(os.Environ(), "OTEL_EXPORTER_OTLP_ENDPOINT="+d.traces.URL)
	p.Env = append(p.Env, environment...)
	out, in := io.Pipe()
	p.Stdout, p.Stderr = in, in
	d.must(p.Start())
	go p.listen(out)
	go func() {
		p.Cmd.Wait()
		in.Close()
	}()
	d.Cleanup(func() {
		cancel()
		<-p.done
	})
	return p
}

func (p *process) listen(out io.Reader) {
	defer close(p.done)
	defer close(p.lines)
	scan := bufio.NewScanner(out)
	scan.Buffer(nil, 1<<24) // nobody would read on after a longer line
	for scan.Scan() {
		p.mu.Lock()
		fmt.Fprintln(&p.printed, scan.Text())
		p.mu.Unlock()
		p.lines <- scan.Text()
	}
}

func (p *process) output() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.printed.String()
}

// await waits for a line with the text, and returns what follows it there.
func (p *process) await(text string) string {
	p.t.Helper()
	for line := range p.lines {
		if _, after, ok := strings.Cut(line, text); ok {
			return after
		}
	}
	p.t.Fatalf("%s ended without %q\n%s", p.name, text, p.output())
	return ""
}

// endpoint waits until it is known where a role answers.
func (p *process) endpoint() string {
	p.t.Helper()
	address, _, _ := strings.Cut(p.await(`"address":"`), `"`)
	return "http://" + address
}

// wait returns the exit code.
func (p *process) wait() int {
	<-p.done
	return p.ProcessState.ExitCode()
}
