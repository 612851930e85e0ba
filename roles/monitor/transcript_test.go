package monitor

import (
	"flag"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"dpfpl/schemas"
)

var rewrite = flag.Bool("update", false, "rewrite the transcripts")

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
	o := parse(t, words)
	p := testPlan(strings.Split(o.text("members", "anna,bert,cleo"), ",")...)
	p.Rule.Name = o.text("rule", "fedbuff")
	p.Rule.Quorum = uint32(o.number("quorum", 1))
	p.Rule.Deadline = time.Duration(o.number("deadline", 60)) * time.Second
	p.Updates = uint32(o.number("updates", 4))
	o.spent()
	return p
}

func (w *world) do(words []string) {
	w.Helper()
	o := parse(w, words)
	defer o.spent()
	arg := o.plain
	switch words[0] {
	case "wait":
		d, err := time.ParseDuration(arg[1])
		if err != nil {
			w.Fatal(err)
		}
		w.now = w.now.Add(d)
	case "update":
		w.update(arg[1], o.count(2), o.number("base", 0), o.text("signer", arg[1]))
	case "raw":
		raw := []byte("no message")
		body, err := schemas.Open(raw)
		w.logged(schemas.Message{Body: body, Err: err, Raw: raw, Subject: "dpfpl.v1.run." + arg[1]})
	case "model":
		var folded []schemas.Folded
		for _, f := range arg[2:] {
			part := strings.Split(f, "/")
			folded = append(folded, schemas.Folded{
				Client: part[0], K: number(w, part[1]), Seq: number(w, part[2]), Staleness: uint32(number(w, part[3])), Weight: 65536,
			})
		}
		w.model(o.count(1), o.text("final", "") != "", folded...)
	case "control":
		client := ""
		if len(arg) > 2 {
			client = arg[2]
		}
		w.control(schemas.Event(arg[1]), client, o.text("reason", ""), o.number("version", 0))
	case "dead":
		w.letter(schemas.Reason(arg[1]), o.count(2), schemas.UpdateSubject("run", arg[3], 1))
	case "presence":
		w.presence(arg[1], schemas.State(arg[2]), o.number("version", 0), o.text("signer", arg[1]))
	case "note":
		w.note(arg[1], o.count(2), o.count(3))
	case "sight":
		s := schemas.Sight{Connected: true, Left: o.number("left", 0), Holder: arg[1]}
		if arg[1] == "-" {
			s.Holder = ""
		}
		s.Standby = arg[2:]
		if u := o.text("unread", ""); u != "" {
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

// options are the words of a command: plain ones, and key=value.
type options struct {
	tester
	plain  []string
	values map[string]string
}

func parse(t tester, words []string) *options {
	o := &options{t, nil, map[string]string{}}
	for _, word := range words {
		if key, value, ok := strings.Cut(word, "="); ok {
			o.values[key] = value
		} else {
			o.plain = append(o.plain, word)
		}
	}
	return o
}

func (o *options) text(key, otherwise string) string {
	v, ok := o.values[key]
	delete(o.values, key)
	if !ok {
		return otherwise
	}
	return v
}

func (o *options) number(key string, otherwise uint64) uint64 {
	return number(o, o.text(key, strconv.FormatUint(otherwise, 10)))
}

func (o *options) count(i int) uint64 { return number(o, o.plain[i]) }

// spent fails the test if there are options that mean nothing.
func (o *options) spent() {
	o.Helper()
	if len(o.values) > 0 {
		o.Fatalf("%v: options %v mean nothing", o.plain, o.values)
	}
}

func number(t tester, s string) uint64 {
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
