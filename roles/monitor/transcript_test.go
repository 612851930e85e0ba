package monitor

import (
	"strings"
	"testing"
	"time"

	"dpfpl/roles/roletest"
	"dpfpl/schemas"
)

// TestTranscripts plays every script of testdata: a line that does not start with a space is a command, and the lines
// below it, indented, are what the monitor shows.
//
//	plan rule=fedbuff members=anna,bert   begin a run of these
//	wait 30s                               let time pass
//	update anna 1 base=0 [signer=…]        an update comes into the log
//	raw update.anna.2                      bytes that are no message come into the log
//	model 1 anna/1/1/0 [final=yes]         a version is stored, of client/k/sequence/staleness
//	control evict anna reason=left         a control message comes into the log
//	dead repeat 3 anna                     log message 3, of anna, becomes a dead letter
//	presence anna heartbeat [version=3]    a client says something
//	note anna 1 2                          the aggregator judges update 1 of anna, at sequence 2
//	sight one two [left=9] [unread=dead]   the broker is there; one leads, two stands by; - for nobody
//	cut                                    the broker is gone
//	anew                                   the broker is back with other streams
//	show                                   what the monitor shows now
func TestTranscripts(t *testing.T) { roletest.Scripts(t, 5, play) }

func play(t *testing.T, script string) string {
	var out strings.Builder
	var w *world
	var start time.Time
	for text := range strings.Lines(script) {
		if strings.HasPrefix(text, " ") {
			continue
		}
		out.WriteString(text)
		words := strings.Fields(text)
		switch {
		case len(words) == 0 || strings.HasPrefix(text, "#"):
		case words[0] == "plan":
			w = newWorld(t, planOf(t, words[1:]))
			start = w.now
		case words[0] == "show":
			out.WriteString(show(w.monitor.View(w.now), start))
		default:
			w.do(words)
		}
	}
	return out.String()
}

func planOf(t *testing.T, words []string) *schemas.Plan {
	o := roletest.Parse(t, words)
	p := testPlan(strings.Split(o.Text("members", "anna,bert,cleo"), ",")...)
	p.Rule.Name = o.Text("rule", "fedbuff")
	p.Rule.Quorum = uint32(o.Number("quorum", 1))
	p.Rule.Deadline = time.Duration(o.Number("deadline", 60)) * time.Second
	p.Updates = uint32(o.Number("updates", 4))
	o.Spent()
	return p
}

func (w *world) do(words []string) {
	w.Helper()
	o := roletest.Parse(w, words)
	defer o.Spent()
	arg := o.Words
	switch words[0] {
	case "wait":
		w.now = w.now.Add(roletest.Duration(w, arg[1]))
	case "update":
		w.update(arg[1], o.Count(2), o.Number("base", 0), o.Text("signer", arg[1]))
	case "raw":
		raw := []byte("no message")
		body, err := schemas.Open(raw)
		w.logged(schemas.Message{Body: body, Err: err, Raw: raw, Subject: "dpfpl.v1.run." + arg[1]})
	case "model":
		var folded []schemas.Folded
		for _, f := range arg[2:] {
			part := strings.Split(f, "/")
			folded = append(folded, schemas.Folded{
				Client: part[0], K: roletest.Number(w, part[1]), Seq: roletest.Number(w, part[2]), Staleness: uint32(roletest.Number(w, part[3])), Weight: 65536,
			})
		}
		w.model(o.Count(1), o.Text("final", "") != "", folded...)
	case "control":
		client := ""
		if len(arg) > 2 {
			client = arg[2]
		}
		w.control(schemas.Event(arg[1]), client, o.Text("reason", ""), o.Number("version", 0))
	case "dead":
		w.letter(schemas.Reason(arg[1]), o.Count(2), schemas.UpdateSubject("run", arg[3], 1))
	case "presence":
		w.presence(arg[1], schemas.State(arg[2]), o.Number("version", 0), o.Text("signer", arg[1]))
	case "note":
		w.note(arg[1], o.Count(2), o.Count(3))
	case "sight":
		s := schemas.Sight{Connected: true, Left: o.Number("left", 0), Holder: arg[1]}
		if arg[1] == "-" {
			s.Holder = ""
		}
		s.Standby = arg[2:]
		if u := o.Text("unread", ""); u != "" {
			s.Unread = strings.Split(u, ",")
		}
		w.sight(s)
	case "cut":
		w.sight(schemas.Sight{})
	case "anew":
		w.sight(schemas.Sight{Connected: true, Anew: true})
	default:
		w.Fatalf("no command %q", words[0])
	}
}
