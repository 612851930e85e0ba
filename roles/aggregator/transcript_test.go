package aggregator

import (
	"math"
	"strconv"
	"strings"
	"testing"

	"dpfpl/roles/roletest"
	"dpfpl/schemas"
)

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
func TestTranscripts(t *testing.T) { roletest.Scripts(t, 5, play) }

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
	*roletest.Command
	world *world
}

func (p *player) do(words []string) []schemas.Message {
	p.Helper()
	p.Command = roletest.Parse(p.T, words)
	defer func() { p.Command.Spent() }()
	arg := p.Words
	switch words[0] {
	case "plan":
		p.world = newWorld(p.T, p.planOf())
		return []schemas.Message{p.world.model, p.world.checkpoint}
	case "wait":
		p.world.now = p.world.now.Add(roletest.Duration(p, arg[1]))
		return nil
	case "tick":
		return p.world.tick()
	case "update":
		return p.update(arg[1], p.Count(2))
	case "raw":
		p.Command = roletest.Parse(p.T, nil) // whatever follows are bytes
		return p.world.store("dpfpl.v1.run."+words[1], []byte(strings.Join(words[2:], " ")))
	case "presence":
		return p.world.presence(arg[1], schemas.State(arg[2]), p.Text("signer", arg[1]))
	case "control":
		c := &schemas.Control{
			Header: schemas.Header{Run: "run", Sender: Name}, N: p.Count(1), Event: schemas.Event(arg[2]),
			Client: p.Text("client", ""), Version: p.Number("version", 0),
		}
		return p.world.send(c, p.Text("signer", Name))
	case "log":
		return p.world.settle()
	case "crash":
		return p.world.restart()
	}
	p.Fatalf("no command %q", words[0])
	return nil
}

func (p *player) planOf() *schemas.Plan {
	plan := roletest.Plan(strings.Split(p.Text("members", "anna,bert,cleo"), ",")...)
	plan.Versions = uint32(p.Number("versions", 10))
	plan.Updates = uint32(p.Number("updates", 20))
	plan.Server.Momentum = p.Float("momentum", 0)
	plan.Rule = schemas.RulePlan{
		Name: p.Text("rule", "sync"), Buffer: uint32(p.Number("buffer", 0)), Quorum: uint32(p.Number("quorum", 0)),
		Deadline: p.Duration("deadline", 0), MaxStaleness: uint32(p.Number("staleness", 0)), Trim: uint32(p.Number("trim", 0)),
	}
	if silence := p.Duration("silence", 0); silence > 0 {
		plan.Presence = schemas.TimingPlan{Heartbeat: silence / 3, Silence: silence}
	}
	return plan
}

func (p *player) update(client string, k uint64) []schemas.Message {
	p.Helper()
	u := testUpdate(p.world.plan, p.Text("sender", client), k, p.Number("base", 0), p.vector("x")...)
	u.Run = p.Text("run", u.Run)
	u.Mechanism.ZG = p.Float("z", u.Mechanism.ZG)
	u.Mechanism.Rate = p.Float("q", u.Mechanism.Rate)
	u.Sum.Step = p.Float("step", u.Sum.Step)
	if p.Text("shape", "") == "2x1" {
		u.Sum.Rows, u.Sum.Cols = 2, 1
	}
	key, _ := roletest.Key(p.Text("signer", client))
	raw := p.world.seal(u, key)
	if p.Text("wire", "") != "" {
		raw[0]++
	}
	return p.world.store(schemas.UpdateSubject("run", client, k), raw)
}

// vector reads numbers in thousandths of a gradient.
func (p *player) vector(key string) []int32 {
	var x []int32
	for _, s := range strings.Split(p.Text(key, "0,0"), ",") {
		v, err := strconv.ParseFloat(s, 64)
		if err != nil {
			p.Fatal(err)
		}
		x = append(x, int32(math.Round(v*65.536)))
	}
	return x
}
