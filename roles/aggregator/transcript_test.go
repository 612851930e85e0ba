package aggregator

import (
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"dpfpl/schemas"
)

var rewrite = flag.Bool("update", false, "rewrite the transcripts")

// TestTranscripts plays every script of testdata: a line that does not start with a space is a command, the
// lines below it, indented, are what the aggregator says to it.
//
//	plan rule=fedbuff buffer=2 members=anna,bert   begin a run (see planOf for the keys)
//	wait 30s                                        let time pass
//	tick                                            tell the aggregator
//	update anna 1 base=0 x=1,-2 [key=value…]        store an update; x in thousandths of a gradient
//	raw update.anna.1 some text                     store bytes that are no message
//	presence anna join|heartbeat|leave [signer=…]   show a sign of life
//	control 4 stop [signer=…] [client=…]            store a control message
//	log                                             store the control messages the aggregator issued
//	crash                                           restart from the last checkpoint, reading on from there
func TestTranscripts(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) < 5 {
		t.Fatalf("%d transcripts, %v", len(files), err)
	}
	for _, path := range files {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txt"), func(t *testing.T) {
			script, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			got := play(t, string(script))
			if *rewrite {
				if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if got != string(script) {
				t.Errorf("%s differs; run with -update and review\n%s", path, got)
			}
		})
	}
}

func play(t *testing.T, script string) string {
	var out strings.Builder
	p := &player{T: t}
	for text := range strings.Lines(script) {
		if strings.HasPrefix(text, " ") {
			continue
		}
		out.WriteString(text)
		if command := strings.TrimSpace(text); command != "" && !strings.HasPrefix(command, "#") {
			for _, m := range p.do(strings.Fields(command)) {
				out.WriteString("    " + line(m) + "\n")
			}
		}
	}
	return out.String()
}

// player executes the commands of one script.
type player struct {
	*testing.T
	*options
	world *world
}

func (p *player) do(words []string) []schemas.Message {
	p.Helper()
	rest := words[1:]
	p.options = parseOptions(rest)
	defer p.options.spent(p.T, words)
	switch words[0] {
	case "plan":
		p.world = newWorld(p.T, p.planOf())
		return []schemas.Message{p.world.model, p.world.checkpoint}
	case "wait":
		d, err := time.ParseDuration(rest[0])
		if err != nil {
			p.Fatal(err)
		}
		p.world.now = p.world.now.Add(d)
		return nil
	case "tick":
		return p.world.tick()
	case "update":
		return p.update(rest[0], number(p.T, rest[1]))
	case "raw":
		p.options = &options{}
		return p.world.store("dpfpl.v1.run."+rest[0], []byte(strings.Join(rest[1:], " ")))
	case "presence":
		return p.world.presence(rest[0], schemas.State(rest[1]), p.text("signer", rest[0]))
	case "control":
		c := &schemas.Control{
			Header: schemas.Header{Run: "run", Sender: Name}, N: number(p.T, rest[0]), Event: schemas.Event(rest[1]),
			Client: p.text("client", ""), Version: p.number("version", 0),
		}
		return p.world.send(c, p.text("signer", Name))
	case "log":
		return p.world.settle()
	case "crash":
		return p.world.restart()
	}
	p.Fatalf("no command %q", words[0])
	return nil
}

func (p *player) planOf() *schemas.Plan {
	plan := testPlan(strings.Split(p.text("members", "anna,bert,cleo"), ",")...)
	plan.Versions = uint32(p.number("versions", 10))
	plan.Updates = uint32(p.number("updates", 20))
	plan.Server.Momentum = p.float("momentum", 0)
	plan.Rule = schemas.RulePlan{
		Name: p.text("rule", "sync"), Buffer: uint32(p.number("buffer", 0)), Quorum: uint32(p.number("quorum", 0)),
		Deadline: p.duration("deadline"), MaxStaleness: uint32(p.number("staleness", 0)), Trim: uint32(p.number("trim", 0)),
	}
	if silence := p.duration("silence"); silence > 0 {
		plan.Presence = schemas.TimingPlan{Heartbeat: silence / 3, Silence: silence}
	}
	return plan
}

func (p *player) update(client string, k uint64) []schemas.Message {
	p.Helper()
	u := testUpdate(p.world.plan, p.text("sender", client), k, p.number("base", 0), p.vector("x")...)
	u.Run = p.text("run", u.Run)
	u.Mechanism.ZG = p.float("z", u.Mechanism.ZG)
	u.Mechanism.Rate = p.float("q", u.Mechanism.Rate)
	u.Sum.Step = p.float("step", u.Sum.Step)
	if p.text("shape", "") == "2x1" {
		u.Sum.Rows, u.Sum.Cols = 2, 1
	}
	key, _ := testKey(p.text("signer", client))
	raw := p.world.seal(u, key)
	if p.text("wire", "") != "" {
		raw[0]++
	}
	return p.world.store(schemas.UpdateSubject("run", client, k), raw)
}

// options are the key=value words of a command.
type options struct{ values map[string]string }

func parseOptions(words []string) *options {
	o := &options{map[string]string{}}
	for _, w := range words {
		if key, value, ok := strings.Cut(w, "="); ok {
			o.values[key] = value
		}
	}
	return o
}

// spent fails the test if a command has options that it does not know.
func (o *options) spent(t *testing.T, words []string) {
	t.Helper()
	if len(o.values) > 0 {
		t.Fatalf("%v: options %v mean nothing", words, o.values)
	}
}

func (o *options) text(key, otherwise string) string {
	v, ok := o.values[key]
	delete(o.values, key)
	if !ok {
		return otherwise
	}
	return v
}

func (p *player) number(key string, otherwise uint64) uint64 {
	return number(p.T, p.text(key, strconv.FormatUint(otherwise, 10)))
}

func (p *player) float(key string, otherwise float64) float64 {
	v, err := strconv.ParseFloat(p.text(key, fmt.Sprint(otherwise)), 64)
	if err != nil {
		p.Fatal(err)
	}
	return v
}

func (p *player) duration(key string) time.Duration {
	d, err := time.ParseDuration(p.text(key, "0s"))
	if err != nil {
		p.Fatal(err)
	}
	return d
}

// vector reads numbers in thousandths of a gradient.
func (p *player) vector(key string) []int32 {
	var x []int32
	for _, s := range strings.Split(p.text(key, "0,0"), ",") {
		v, err := strconv.ParseFloat(s, 64)
		if err != nil {
			p.Fatal(err)
		}
		x = append(x, int32(math.Round(v*65.536)))
	}
	return x
}

func number(t *testing.T, s string) uint64 {
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
