package monitor

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"dpfpl/roles/roletest"
	"dpfpl/schemas"
)

func viewJSON(t roletest.T, m *Monitor, now time.Time) string {
	t.Helper()
	b, err := json.MarshalIndent(m.View(now), "", " ")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// history plays a random run: clients come, answer, straggle, lie and go, versions come out, the broker goes and comes.
func history(t *rapid.T) *world {
	w := newWorld(t, testPlan("anna", "bert", "cleo", "dora"))
	names := []string{"anna", "bert", "cleo", "dora"}
	k := map[string]uint64{}
	var waiting []schemas.Folded
	version := uint64(0)
	w.model(0, false)
	for range rapid.IntRange(1, 60).Draw(t, "steps") {
		w.now = w.now.Add(time.Duration(rapid.IntRange(1, 20000).Draw(t, "ms")) * time.Millisecond)
		who := rapid.SampledFrom(names).Draw(t, "who")
		switch rapid.SampledFrom([]string{"update", "update", "update", "forged", "presence", "presence", "model", "control", "dead", "note", "sight", "raw"}).Draw(t, "what") {
		case "update":
			k[who]++
			base := version - min(version, uint64(rapid.IntRange(0, 3).Draw(t, "stale")))
			w.update(who, k[who], base, who)
			waiting = append(waiting, schemas.Folded{Client: who, K: k[who], Seq: w.log, Staleness: uint32(version - base), Weight: 1})
		case "forged":
			w.update(who, k[who]+1, version, "mallory")
		case "presence":
			state := rapid.SampledFrom([]schemas.State{schemas.StateJoin, schemas.StateHeartbeat, schemas.StateLeave}).Draw(t, "state")
			w.presence(who, state, version, who)
		case "model":
			version++
			w.model(version, rapid.IntRange(0, 20).Draw(t, "final") == 0, waiting...)
			waiting = nil
		case "control":
			event := rapid.SampledFrom([]schemas.Event{schemas.EventAdmit, schemas.EventEvict, schemas.EventDeadline}).Draw(t, "event")
			if event == schemas.EventDeadline {
				who = ""
			}
			w.control(event, who, rapid.SampledFrom([]string{"left", "silent"}).Draw(t, "why"), version+1)
		case "dead":
			if w.log > 0 {
				seq := uint64(rapid.IntRange(1, int(w.log)).Draw(t, "seq"))
				w.letter(schemas.ReasonRepeat, seq, schemas.UpdateSubject("run", who, 1))
			}
		case "note":
			w.note(who, 1, w.log)
		case "sight":
			w.sight(schemas.Sight{Connected: rapid.Bool().Draw(t, "up"), Holder: rapid.SampledFrom([]string{"", "one"}).Draw(t, "holder")})
		case "raw":
			body, err := schemas.Open(nil)
			w.logged(schemas.Message{Body: body, Err: err, Subject: schemas.UpdateSubject("run", who, 1)})
		}
	}
	w.sight(schemas.Sight{Connected: rapid.Bool().Draw(t, "up at last"), Holder: "one"})
	return w
}

// lane is which order a message belongs to.
func lane(m schemas.Message) string {
	if _, ok := m.Body.(*schemas.Sight); ok {
		return "sight"
	}
	kind, _, client, _, _ := schemas.ParseSubject(m.Subject)
	switch kind {
	case schemas.KindUpdate, schemas.KindControl:
		return "log"
	case schemas.KindModel, schemas.KindCheckpoint:
		return "state"
	}
	return kind.String() + client
}

// shuffled returns messages in another order, that of each lane kept.
func shuffled(t *rapid.T, all []schemas.Message) []schemas.Message {
	lanes := map[string][]schemas.Message{}
	var names []string
	for _, m := range all {
		name := lane(m)
		if lanes[name] == nil {
			names = append(names, name)
		}
		lanes[name] = append(lanes[name], m)
	}
	out := make([]schemas.Message, 0, len(all))
	for len(names) > 0 {
		i := rapid.IntRange(0, len(names)-1).Draw(t, "next")
		out = append(out, lanes[names[i]][0])
		if lanes[names[i]] = lanes[names[i]][1:]; len(lanes[names[i]]) == 0 {
			names = append(names[:i], names[i+1:]...)
		}
	}
	return out
}

// TestOrderOfStreams: which stream is faster does not matter in the end.
func TestOrderOfStreams(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := history(t)
		other := newWorld(t, w.plan)
		for _, m := range shuffled(t, w.all) {
			step(t, other.monitor, m)
		}
		later := w.now.Add(time.Duration(rapid.IntRange(0, 100).Draw(t, "later")) * time.Second)
		if a, b := viewJSON(t, w.monitor, later), viewJSON(t, other.monitor, later); a != b {
			t.Fatalf("one order:\n%s\nanother:\n%s", a, b)
		}
	})
}

// TestRestart: a monitor that starts late reads what is stored and hears what is said next, and then says the same
// as one that was always there; so does one that reads everything twice, or whose streams began anew.
func TestRestart(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := history(t)
		var stored, said []schemas.Message
		newest := map[string]schemas.Message{}
		for _, m := range w.all {
			switch {
			case m.Seq > 0:
				stored = append(stored, m)
			case lane(m) == "sight":
				said = append(said, m)
			default:
				newest[lane(m)] = m // a presence or note is said again
			}
		}
		for _, m := range newest {
			said = append(said, m)
		}
		late := newWorld(t, w.plan)
		if rapid.Bool().Draw(t, "anew") {
			for _, m := range w.all[:len(w.all)/2] {
				step(t, late.monitor, m)
			}
			step(t, late.monitor, schemas.Message{Body: &schemas.Sight{Anew: true}, Time: w.now})
			late.monitor.sight, late.monitor.turned, late.monitor.leadless = schemas.Sight{}, time.Time{}, time.Time{}
		}
		for _, m := range append(append(stored, stored...), said...) {
			step(t, late.monitor, m)
		}
		a, b := w.monitor.View(w.now), late.monitor.View(w.now)
		// Notes are not stored, and whoever was not there cannot know of forgeries that are not.
		a.Aggregator.Judged, b.Aggregator.Judged, a.Aggregator.Lag, b.Aggregator.Lag = 0, 0, 0, 0
		a.Privacy.Forged, b.Privacy.Forged, a.Attention, b.Attention = 0, 0, nil, nil
		x, _ := json.MarshalIndent(a, "", " ")
		y, _ := json.MarshalIndent(b, "", " ")
		if string(x) != string(y) {
			t.Fatalf("always there:\n%s\nlate:\n%s", x, y)
		}
	})
}

// TestViewIsPure: looking changes nothing.
func TestViewIsPure(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := history(t)
		a := viewJSON(t, w.monitor, w.now)
		w.monitor.View(w.now.Add(time.Hour))
		if b := viewJSON(t, w.monitor, w.now); a != b {
			t.Fatal("the second look shows something else")
		}
	})
}

// TestRules: how many updates the view waits for, by rule.
func TestRules(t *testing.T) {
	for _, c := range []struct {
		rule        schemas.RulePlan
		size, least int
	}{
		{schemas.RulePlan{Name: "sync"}, 0, 1},
		{schemas.RulePlan{Name: "sync", Quorum: 3}, 0, 3},
		{schemas.RulePlan{Name: "fedbuff", Buffer: 4, Quorum: 2}, 4, 2},
		{schemas.RulePlan{Name: "fedasync"}, 1, 1},
		{schemas.RulePlan{Name: "trimmed", Trim: 1}, 0, 3},
		{schemas.RulePlan{Name: "median", Quorum: 2}, 0, 2},
	} {
		if size, least := rule(&schemas.Plan{Rule: c.rule}); size != c.size || least != c.least {
			t.Errorf("%+v: %d, %d, want %d, %d", c.rule, size, least, c.size, c.least)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	for _, p := range []*schemas.Plan{nil, {}} {
		if _, err := New(Config{Plan: p}); !errors.Is(err, ErrPlan) {
			t.Errorf("%v: %v", p, err)
		}
	}
}

// TestNoGuarantee: a plan without one says so, and its infinite epsilon is left out of the JSON.
func TestNoGuarantee(t *testing.T) {
	m, err := New(Config{Plan: testPlan("anna", "bert")})
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	step(t, m, schemas.Message{Body: &schemas.Sight{Connected: true}, Time: now})
	v := m.View(now)
	if v.Privacy.Guaranteed || v.Clients[0].Epsilon != nil || !strings.Contains(fmt.Sprint(v.Attention), "Nothing is protected") {
		t.Errorf("%+v %+v", v.Privacy, v.Attention)
	}
	viewJSON(t, m, now)
}

func TestNamesInWords(t *testing.T) {
	for want, names := range map[string][]string{
		"a is":                     {"a"},
		"a and b are":              {"a", "b"},
		"a, b, c and d are":        {"a", "b", "c", "d"},
		"a, b, c and 3 others are": {"a", "b", "c", "d", "e", "f"},
	} {
		if got := are(names); got != want {
			t.Errorf("%v: %q", names, got)
		}
	}
}
