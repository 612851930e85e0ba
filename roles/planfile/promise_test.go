package planfile

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"dpfpl/schemas"
)

func settled(t testing.TB, change func(*Deployment)) *schemas.Plan {
	t.Helper()
	d := clinics(t)
	if change != nil {
		change(d)
	}
	p, err := d.Plan()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestPromise(t *testing.T) {
	p := settled(t, nil)
	m, err := Examine(p, 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if e := m.Statement.Renyi.Epsilon; !(e > 7.9 && e <= 8) || !(m.Statement.PLD < e) {
		t.Errorf("epsilon %v, %v", e, m.Statement.PLD)
	}
	// 16×96 numbers of 4 bytes each way, and a few hundred bytes around them.
	if n := 16 * 96 * 4; m.Update < n || m.Update > n+400 || m.Model < n || m.Model > n+400 {
		t.Errorf("an update of %d bytes, a model of %d", m.Update, m.Model)
	}
	if m.Up != int64(m.Update)*int64(p.Updates) || m.Down != int64(m.Model)*61 {
		t.Errorf("%d up, %d down", m.Up, m.Down)
	}
	// fedbuff with a buffer of one of three clients: a version every third of a step.
	if want := 60 * 10 * time.Second / 3; m.Expected.Round(time.Second) != want || m.Longest != 60*120*time.Second {
		t.Errorf("%v, at most %v", m.Expected, m.Longest)
	}
	if len(m.Doubts) != 0 {
		t.Error(m.Doubts)
	}
	var b strings.Builder
	if err := m.Write(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Each record of every client is protected against the aggregator", "proven by Rényi", "PLD", "3m20s", "2h0m0s"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is missing in\n%s", want, b.String())
		}
	}
}

func TestUnprotectedPromise(t *testing.T) {
	p := settled(t, func(d *Deployment) {
		d.Privacy.Noise, d.Privacy.Epsilon, d.Privacy.Delta, d.Privacy.Adjacency = schemas.NoiseNone, 0, 0, ""
	})
	m, err := Examine(p, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := m.Write(&b); err != nil {
		t.Fatal(err)
	}
	if !math.IsInf(m.Statement.Renyi.Epsilon, 1) || !strings.Contains(b.String(), "NOTHING IS PROTECTED") || strings.Contains(b.String(), "promised") {
		t.Error(b.String())
	}
}

func TestContradictions(t *testing.T) {
	for _, c := range []struct {
		name, want string
		change     func(*schemas.Plan)
	}{
		{"more updates than the noise pays for", "privacy.epsilon", func(p *schemas.Plan) { p.Updates = 60 }},
		{"less noise than the budget needs", "privacy.epsilon", func(p *schemas.Plan) { p.Privacy.ZG /= 2 }},
		{"noise on what the method has not", "privacy.z_u", func(p *schemas.Plan) { p.Method.Name = "promptfl" }},
		{"too few updates for the versions", "versions: 60", func(p *schemas.Plan) { p.Rule.Deadline, p.Rule.Quorum, p.Rule.Buffer = 0, 0, 3 }},
		{"invalid by itself", "server.rate", func(p *schemas.Plan) { p.Server.Rate = -1 }},
	} {
		p := settled(t, nil)
		c.change(p)
		_, err := Examine(p, time.Second)
		if err == nil || !strings.Contains(err.Error(), c.want) || !errors.Is(err, ErrContradiction) && !errors.Is(err, schemas.ErrInvalid) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestDoubts(t *testing.T) {
	for _, c := range []struct {
		want   string
		change func(*Deployment)
	}{
		{"steps that cannot happen", func(d *Deployment) { d.Updates = 80 }},
		{"have nobody", func(d *Deployment) { d.Rule.Name, d.Updates = "sync", 30 }},
		{"stops the run", func(d *Deployment) { d.Rule.Name, d.Rule.Deadline, d.Presence.Silence = "sync", 0, 0 }},
		{"shorter than a client's step", func(d *Deployment) { d.Rule.Deadline = time.Second }},
	} {
		m, err := Examine(settled(t, c.change), 10*time.Second)
		if err != nil || len(m.Doubts) != 1 || !strings.Contains(m.Doubts[0], c.want) {
			t.Errorf("%s: %+v, %v", c.want, m, err)
		}
	}
}
