package aggregator

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"dpfpl/roles/roletest"
	"dpfpl/schemas"
)

func TestNewRefuses(t *testing.T) {
	key, _ := roletest.Key(Name)
	other, _ := roletest.Key("mallory")
	with := func(change func(*schemas.Plan)) Config {
		p := roletest.Plan("anna", "bert", "cleo")
		change(p)
		return Config{Plan: p, Initial: []float32{0, 0}, Key: key}
	}
	fine := with(func(*schemas.Plan) {})
	strange := fine
	strange.Key = other
	short := fine
	short.Initial = nil
	keyless := fine
	keyless.Key = nil
	for name, c := range map[string]struct {
		config Config
		names  string
	}{
		"no plan":       {Config{Key: key}, "there is none"},
		"no key":        {keyless, "key"},
		"another's key": {strange, "aggregator"},
		"no initial":    {short, "initial"},
		"rule":          {with(func(p *schemas.Plan) { p.Rule.Name = "krum" }), "rule.name"},
		"buffer":        {with(func(p *schemas.Plan) { p.Rule = schemas.RulePlan{Name: "fedbuff"} }), "rule.buffer"},
		"trim":          {with(func(p *schemas.Plan) { p.Rule = schemas.RulePlan{Name: "trimmed", Trim: 2} }), "rule"},
		"quorum":        {with(func(p *schemas.Plan) { p.Rule.Quorum = 4 }), "quorum"},
	} {
		if _, err := New(c.config); !errors.Is(err, ErrPlan) || !strings.Contains(err.Error(), c.names) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := New(fine); err != nil {
		t.Error(err)
	}
}

func TestRestoreRefuses(t *testing.T) {
	p := roletest.Plan("anna", "bert")
	p.Server.Momentum = 0.5
	w := newWorld(t, p)
	first, firstModel := w.checkpoint, w.model
	w.send(testUpdate(p, "anna", 1, 0, 100, 200), "anna")
	w.send(testUpdate(p, "bert", 1, 0, 100, 200), "bert")
	key, _ := roletest.Key(Name)
	mallory, _ := roletest.Key("mallory")
	altered := func(change func(*schemas.Checkpoint, *schemas.Model)) (schemas.Message, schemas.Message) {
		c, m := *w.checkpoint.Body.(*schemas.Checkpoint), *w.model.Body.(*schemas.Model)
		c.Members = slices.Clone(c.Members)
		change(&c, &m)
		model := schemas.Message{Body: &m, Raw: w.seal(&m, key)}
		c.Model = schemas.Digest(model.Raw)
		return schemas.Message{Body: &c, Raw: w.seal(&c, key)}, model
	}
	forged := w.checkpoint
	forged.Raw = w.seal(forged.Body, mallory)
	for name, pair := range map[string]func() (schemas.Message, schemas.Message){
		"model missing":       func() (schemas.Message, schemas.Message) { return w.checkpoint, schemas.Message{} },
		"checkpoint missing":  func() (schemas.Message, schemas.Message) { return schemas.Message{}, w.model },
		"unreadable":          func() (schemas.Message, schemas.Message) { return schemas.Message{Err: schemas.ErrEncoding}, w.model },
		"mixed up":            func() (schemas.Message, schemas.Message) { return w.model, w.checkpoint },
		"of another version":  func() (schemas.Message, schemas.Message) { return w.checkpoint, firstModel },
		"the other way round": func() (schemas.Message, schemas.Message) { return first, w.model },
		"of another model": func() (schemas.Message, schemas.Message) {
			_, m := altered(func(_ *schemas.Checkpoint, m *schemas.Model) { m.Params = schemas.NewParams(1, 2, []float32{7, 7}) })
			return w.checkpoint, m
		},
		"forged": func() (schemas.Message, schemas.Message) { return forged, w.model },
		"another run": func() (schemas.Message, schemas.Message) {
			return altered(func(c *schemas.Checkpoint, _ *schemas.Model) { c.Run = "other" })
		},
		"other members": func() (schemas.Message, schemas.Message) {
			return altered(func(c *schemas.Checkpoint, _ *schemas.Model) { c.Members[1].ID = "cleo" })
		},
		"fewer members": func() (schemas.Message, schemas.Message) {
			return altered(func(c *schemas.Checkpoint, _ *schemas.Model) { c.Members = c.Members[:1] })
		},
		"no velocity": func() (schemas.Message, schemas.Message) {
			return altered(func(c *schemas.Checkpoint, _ *schemas.Model) { c.Velocity = nil })
		},
		"another shape": func() (schemas.Message, schemas.Message) {
			return altered(func(_ *schemas.Checkpoint, m *schemas.Model) { m.Params.Rows, m.Params.Cols = 2, 1 })
		},
		"another place": func() (schemas.Message, schemas.Message) {
			return altered(func(c *schemas.Checkpoint, _ *schemas.Model) { c.Applied++ })
		},
		"another start": func() (schemas.Message, schemas.Message) {
			return altered(func(c *schemas.Checkpoint, m *schemas.Model) {
				m.Version, c.Version, m.Parent, m.Folded = 0, 0, [32]byte{}, nil
			})
		},
	} {
		a, err := New(Config{Plan: p, Initial: w.initial, Key: key})
		if err != nil {
			t.Fatal(err)
		}
		c, m := pair()
		if out, err := a.Restore(w.now, c, m); !errors.Is(err, ErrRestore) {
			t.Errorf("%s: %v, %v", name, out, err)
		}
	}
	c, m := altered(func(*schemas.Checkpoint, *schemas.Model) {})
	if out, err := w.aggregate.Restore(w.now, c, m); err != nil || out != nil {
		t.Errorf("unaltered: %v, %v", out, err)
	}
}

func TestAStandbysControlMessageCounts(t *testing.T) {
	p := roletest.Plan("anna", "bert", "cleo")
	p.Rule.Quorum, p.Rule.Deadline = 1, time.Minute
	w := newWorld(t, p)
	w.now = w.now.Add(time.Minute)
	if out := w.tick(); len(out) != 1 {
		t.Fatalf("issued %v", out)
	}
	// Another aggregator was first to publish control 1, and said something else.
	w.send(&schemas.Control{Header: schemas.Header{Run: p.Run, Sender: Name}, N: 1, Event: schemas.EventEvict, Client: "cleo", Version: 1}, Name)
	out := w.tick()
	if len(out) != 2 {
		t.Fatalf("issued %v, want the deadline and cleo's return under new numbers", out)
	}
	for i, m := range out {
		if c := m.Body.(*schemas.Control); c.N != uint64(i+2) {
			t.Errorf("control %d after control 1", c.N)
		}
	}
}

func TestRepeatedDeliveryChangesNothing(t *testing.T) {
	w := newWorld(t, roletest.Plan("anna", "bert"))
	w.send(testUpdate(w.plan, "anna", 1, 0, 1, 1), "anna")
	if out := w.step(w.log[0]); len(out) != 0 {
		t.Errorf("said %v to a message it had already read", out)
	}
}

func TestSilenceBeforeTheFirstUpdateEndsNothing(t *testing.T) {
	p := roletest.Plan("anna", "bert")
	p.Presence = schemas.TimingPlan{Heartbeat: time.Second, Silence: 3 * time.Second}
	w := newWorld(t, p)
	for range 100 {
		w.now = w.now.Add(time.Minute)
		w.tick()
		w.settle()
	}
	if w.aggregate.fold.Final() {
		t.Error("the run ended before anybody came")
	}
	w.presence("anna", schemas.StateJoin, "anna")
	w.settle()
	if out := w.send(testUpdate(p, "anna", 1, 0, 1, 1), "anna"); len(out) != 3 {
		t.Errorf("%v, want a note and a version of the only member that counts", out)
	}
}

func TestEvents(t *testing.T) {
	p := roletest.Plan("anna", "bert")
	key, _ := roletest.Key(Name)
	var got []string
	a, err := New(Config{Plan: p, Initial: []float32{0, 0}, Key: key, Events: Events{
		OnVersion: func(m *schemas.Model) { got = append(got, line(schemas.Message{Body: m})) },
		OnVerdict: func(n *schemas.Note) { got = append(got, line(schemas.Message{Body: n})) },
		OnDead:    func(d *schemas.Dead) { got = append(got, "dead "+string(d.Reason)) },
		OnControl: func(c *schemas.Control) { got = append(got, line(schemas.Message{Body: c})) },
	}})
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, p)
	w.aggregate = a
	if _, err := a.Restore(w.now, schemas.Message{}, schemas.Message{}); err != nil {
		t.Fatal(err)
	}
	w.send(testUpdate(p, "anna", 1, 7, 65536, 0), "anna")
	w.send(&schemas.Control{Header: schemas.Header{Run: p.Run, Sender: Name}, N: 1, Event: schemas.EventStop}, Name)
	want := []string{
		"model 0 [0 0] of nothing",
		"note anna 1 refused, collecting version 1: future",
		"dead future",
		"control 1 stop collecting version 0",
		"model 1 [0 0] of nothing, final",
	}
	if !slices.Equal(got, want) {
		t.Errorf("events\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}
