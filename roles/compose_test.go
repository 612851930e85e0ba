package main

import (
	"fmt"
	"maps"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/spf13/pflag"
)

// readCompose reads compose.yaml with every profile, and with variables as NAME=VALUE. The parser is Docker's own: what
// it does not know, it refuses.
func readCompose(t *testing.T, variables ...string) *types.Project {
	t.Helper()
	raw, err := os.ReadFile("../compose.yaml")
	if err != nil {
		t.Fatal(err)
	}
	details := types.ConfigDetails{
		WorkingDir: "..", ConfigFiles: []types.ConfigFile{{Filename: "compose.yaml", Content: raw}},
		Environment: types.NewMapping(variables),
	}
	project, err := loader.LoadWithContext(t.Context(), details, func(o *loader.Options) {
		o.Profiles = []string{"*"}
		o.ResolvePaths = false
		o.SkipResolveEnvironment = true
	})
	if err != nil {
		t.Fatal(err)
	}
	return project
}

// secretFiles returns the file of every secret by where the service finds it.
func secretFiles(p *types.Project, s types.ServiceConfig) map[string]string {
	found := map[string]string{}
	for _, secret := range s.Secrets {
		found["/run/secrets/"+path.Base(secret.Target)] = p.Secrets[secret.Source].File
	}
	return found
}

// TestComposeNamesWhatExists: every command, flag and variable is one of the binary, and every service is kept
// as small as it can be.
func TestComposeNamesWhatExists(t *testing.T) {
	f := readCompose(t)
	for name, s := range f.Services {
		if s.Image == "dpfpl" {
			checkService(t, name, s)
		}
		if s.User == "" || !s.ReadOnly || !slices.Contains(s.CapDrop, "ALL") {
			t.Errorf("%s: user %q, read-only %v, drops %v", name, s.User, s.ReadOnly, s.CapDrop)
		}
		if len(s.Profiles) == 0 && s.Restart == "" {
			t.Errorf("%s: no restart policy", name)
		}
		if s.HealthCheck != nil {
			if test := s.HealthCheck.Test; test[0] != "CMD" || test[1] != "/dpfpl" {
				t.Errorf("%s: healthcheck %v", name, test)
			} else if err := checkInvocation(test[2:]); err != nil {
				t.Errorf("%s: healthcheck: %v", name, err)
			}
		}
	}
	roles := []string{"nats", "publish", "aggregator-one", "aggregator-two", "monitor", "north", "south", "east"}
	for _, name := range append(roles, "sample", "enroll", "enroll-cluster", "plan", "check", "nats-2", "nats-3") {
		if _, ok := f.Services[name]; !ok {
			t.Errorf("no service %s", name)
		}
	}
	for _, name := range slices.DeleteFunc(roles, func(s string) bool { return s == "publish" }) {
		if f.Services[name].HealthCheck == nil {
			t.Errorf("%s: no healthcheck", name)
		}
	}
}

// checkService parses a service's command and looks for the flag behind each of its variables.
func checkService(t *testing.T, name string, s types.ServiceConfig) {
	t.Helper()
	if err := checkInvocation(s.Command); err != nil {
		t.Errorf("%s: %v", name, err)
		return
	}
	c, _, err := newRootCommand().Find(s.Command)
	if err != nil {
		t.Fatal(err)
	}
	known := map[string]bool{}
	c.Flags().VisitAll(func(f *pflag.Flag) { known[variable(f.Name)] = true })
	for v := range s.Environment {
		if !known[v] {
			t.Errorf("%s: %s has no flag for %s", name, c.CommandPath(), v)
		}
	}
}

// TestDockerfile: the image's binary is built from the packages that it needs, and runs as nobody.
func TestDockerfile(t *testing.T) {
	raw, err := os.ReadFile("../Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	text := string(raw)
	contains(t, text, "CGO_ENABLED=0", "FROM scratch AS dpfpl", "FROM scratch AS nats", `ENTRYPOINT ["/dpfpl"]`)
	if strings.Count(text, "USER 65532") != strings.Count(text, "FROM scratch") {
		t.Error("an image runs as root")
	}
	for _, m := range regexp.MustCompile(`(?m)^COPY (\w+) (\w+)$`).FindAllStringSubmatch(text, -1) {
		if info, err := os.Stat("../" + m[1]); err != nil || !info.IsDir() || m[1] != m[2] {
			t.Errorf("%s: %v", m[0], err)
		}
	}
	version, err := os.ReadFile("../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	goLine := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindSubmatch(version)
	contains(t, text, "golang:"+string(goLine[1])+" AS build")
}

// compose is a deployment that runs the services of compose.yaml as processes instead of containers: the same
// commands, variables and files, where mounts are paths of this machine.
type compose struct {
	*deployment
	file      *types.Project
	ports     []string          // of the brokers
	addresses map[string]string // of the brokers for each other, by name; empty for a single one
}

func testCompose(t *testing.T, binaries string) {
	c := newCompose(t, binaries)
	c.prepare("enroll")
	c.amend(composePlan, "versions: 60", "versions: 2")
	c.broker("nats")
	c.finishService("publish")
	page := c.up("monitor")
	c.watch(c.roles())
	users, err := os.ReadFile(c.path("out", "compose", "keys", usersFile))
	c.must(err)
	name, password, _ := strings.Cut(strings.TrimSpace(string(users)), ":")
	look := c.look(page)
	if code, _ := look(name, "not the password"); code != http.StatusUnauthorized {
		c.Errorf("anybody may look: %d", code)
	}
	c.sees(look, name, password, "Over: version 2 of 2")
	c.leave(page)
}

var brokers = []string{"nats", "nats-2", "nats-3"}

// testComposeCluster runs the profile with three brokers, and kills the one to which everybody has connected, while a client
// without which there is no version has not come yet.
func testComposeCluster(t *testing.T, binaries string) {
	c := newCompose(t, binaries, "DPFPL_REPLICAS=3")
	c.prepare("enroll-cluster")
	c.amend(composePlan, "versions: 60", "versions: 4", "buffer: 1", "buffer: 3", "quorum: 1", "quorum: 3")
	for _, name := range brokers {
		c.addresses[name] = reserved(t, "127.0.0.1")
	}
	servers := map[string]*process{}
	for _, name := range brokers {
		servers[name] = c.broker(name)
	}
	for code := -1; code != 0; { // as its restart policy has it: until the three have found each other
		p := c.up("publish")
		if code = p.wait(); code != 0 {
			c.Log("publish, to be tried again: ", p.output())
		}
	}
	leader := c.up("aggregator-one")
	leader.await(`"message":"leads"`)
	running := append(c.roles("aggregator-one", "east"), leader)
	for _, p := range running {
		switch {
		case slices.Contains(p.Args, "client"):
			p.await(`"message":"update made"`)
		case p != leader:
			p.await(`"message":"stands by"`)
		}
	}
	c.must(servers["nats"].Process.Kill())
	c.watch(append(running, c.up("east")))
}

func newCompose(t *testing.T, binaries string, variables ...string) *compose {
	t.Helper()
	c := &compose{deployment: newDeployment(t, binaries), file: readCompose(t, variables...), addresses: map[string]string{}}
	c.must(os.MkdirAll(c.path("out", "compose", "keys"), 0o700))
	return c
}

const composePlan = "out/compose/keys/plan.yaml"

// prepare runs the services of the setup.
func (c *compose) prepare(enroll string) {
	c.Helper()
	c.finishService("sample")
	c.finishService(enroll)
	c.finishService("plan")
	contains(c.T, c.finishService("check"), "Run clinics: 3 clients")
}

// roles starts the aggregators and clients, but for those that are there.
func (c *compose) roles(there ...string) (running []*process) {
	c.Helper()
	for name, s := range c.file.Services {
		if role := s.Command[0]; (role == "client" || role == "aggregator") && !slices.Contains(there, name) {
			running = append(running, c.up(name))
		}
	}
	if len(running)+len(there) != 5 {
		c.Errorf("%d roles, want 5", len(running))
	}
	return running
}

// watch sees every role through to the end of the run.
func (c *compose) watch(running []*process) {
	c.Helper()
	for _, p := range running {
		contains(c.T, c.finish(0, p), `"message":"run is over"`)
	}
}

// broker starts a nats service with its configuration, in which paths and addresses are those of this machine.
func (c *compose) broker(name string) *process {
	c.Helper()
	s := c.file.Services[name]
	mounts := c.mounts(s)
	conf, err := os.ReadFile(mounts["/server.conf"])
	c.must(err)
	text := strings.NewReplacer("0.0.0.0:4222", "127.0.0.1:-1", "127.0.0.1:8222", "127.0.0.1:-1").Replace(string(conf))
	for target, source := range mounts {
		text = strings.ReplaceAll(text, `"`+target, `"`+source)
	}
	text = strings.ReplaceAll(text, "0.0.0.0:6222", c.addresses[name])
	for host, address := range c.addresses {
		text = strings.ReplaceAll(text, "tls://"+host+":6222", "tls://"+address)
	}
	c.must(os.WriteFile(c.path(name+".conf"), []byte(text), 0o600))
	server := c.start("nats-server", "--config", name+".conf")
	monitor := server.await("Starting http monitor on ")
	c.ports = append(c.ports, strings.TrimPrefix(server.await("Listening for client connections on "), "127.0.0.1:"))
	if len(c.addresses) == 0 {
		server.await("Server is ready")
		c.healthy(c.health(name, monitor)...)
	}
	return server
}

// health returns the healthcheck of a service whose endpoint is at an address of this machine.
func (c *compose) health(name, address string) []string {
	test := slices.Clone(c.file.Services[name].HealthCheck.Test[2:])
	test[1] = strings.Replace(test[1], "127.0.0.1:8222", address, 1)
	return test
}

// mounts returns the paths of this machine by those in a service.
func (c *compose) mounts(s types.ServiceConfig) map[string]string {
	c.Helper()
	mounts := map[string]string{}
	for target, file := range secretFiles(c.file, s) {
		mounts[target] = c.path(file)
	}
	for _, v := range s.Volumes {
		source := c.path(v.Source)
		switch {
		case v.Source == "./testbed/tinyclip":
			source = absolute(c.T, tinyModel)
		case v.Type == types.VolumeTypeVolume:
			source = c.path("volumes", v.Source)
			c.must(os.MkdirAll(source, 0o700))
		}
		mounts[v.Target] = filepath.Clean(source)
	}
	return mounts
}

// up starts a service.
func (c *compose) up(name string) *process {
	c.Helper()
	s := c.file.Services[name]
	mounts := c.mounts(s)
	local := func(text string) string {
		for target, source := range mounts {
			if text == target || strings.HasPrefix(text, target+"/") {
				return source + strings.TrimPrefix(text, target)
			}
		}
		for i, port := range c.ports {
			text = strings.ReplaceAll(text, fmt.Sprintf("tls://%s:4222", brokers[i]), "tls://127.0.0.1:"+port)
		}
		return strings.NewReplacer("127.0.0.1:8080", "127.0.0.1:0", "0.0.0.0:8090", "127.0.0.1:0").Replace(text)
	}
	var args, environment []string
	for _, word := range s.Command {
		if name == "enroll" && strings.HasPrefix(word, "/run/secrets/") || word == "/data" {
			args = append(args, word) // for the server's eyes
			continue
		}
		args = append(args, local(word))
	}
	for _, file := range s.EnvFiles {
		raw, err := os.ReadFile(c.path(file.Path))
		c.must(err)
		environment = append(environment, strings.Fields(string(raw))...)
	}
	for _, v := range slices.Sorted(maps.Keys(s.Environment)) {
		environment = append(environment, v+"="+local(*s.Environment[v]))
	}
	binary, _ := strings.CutPrefix(s.Image, "dpfpl-")
	return c.startIn(environment, map[string]string{"dpfpl": "dpfpl", "sample": "testbed"}[binary], args...)
}

// finishService runs a service to its end.
func (c *compose) finishService(name string) string {
	c.Helper()
	return c.finish(0, c.up(name))
}
