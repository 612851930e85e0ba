package main

import (
	"fmt"
	"math"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"dpfpl/mathx/prompt"
	"dpfpl/schemas"
	"dpfpl/testbed/internal/data"
	"dpfpl/testbed/internal/federation"
	"dpfpl/testbed/internal/report"
)

// story joins what the run left behind into what the report tells.
func (j *job) story(outcome, control *federation.Outcome, moments []federation.Moment, took time.Duration) (*report.Run, error) {
	r := &report.Run{Results: j.results(outcome), Plan: j.state.Plan.YAML(), Notes: j.notes()}
	last := 0.0
	if len(moments) > 0 {
		last = moments[len(moments)-1].At
	}
	seconds := report.Number(last)
	if j.o.VirtualTime {
		r.VirtualSeconds = &seconds
	} else {
		seconds = report.Number(took.Seconds())
		r.WallSeconds = &seconds
	}
	if control != nil {
		r.NoiseOnly = j.means(control)
	}
	r.Series = series(moments, j.set.Clients)
	r.Spans = spans(moments, last)
	r.Updates, r.Events = verdicts(moments), events(moments)
	r.Messages = j.traffic()
	var err error
	r.Gallery, err = j.gallery(outcome)
	return r, err
}

func (j *job) results(outcome *federation.Outcome) report.Results {
	plan := j.plan
	r := report.Results{
		Run: plan.Run, Seed: plan.Seed, Virtual: j.o.VirtualTime,
		Data: j.set.Name, Classes: len(j.set.Classes), LocalTest: j.set.LocalTest, NeighbourTest: j.set.NeighbourTest, Record: j.set.Record,
		Method: plan.Method.Name, Rank: int(plan.Method.Rank), Rule: plan.Rule.Name, Versions: int(outcome.Checkpoint.Version),
		Noise: plan.Privacy.Noise, EpsilonBudget: report.Number(plan.Privacy.Epsilon), Delta: plan.Privacy.Delta, Adjacency: plan.Privacy.Adjacency,
		PlanDigest: j.transcript.PlanDigest, BackboneDigest: plan.Backbone,
		LogDigest: j.transcript.LogDigest, ModelDigests: j.transcript.ModelDigests,
		Software: software(),
	}
	switch {
	case plan.Privacy.Noise == schemas.NoiseNone:
		r.EpsilonBudget = report.Unknown
	case j.o.VirtualTime:
		r.Noise = report.NoiseSeeded
	}
	for i, c := range j.set.Clients {
		r.Clients = append(r.Clients, j.client(c, outcome.Parties[i], member(outcome.Checkpoint, c.ID), j.zeroShot[i], j.parties[i].Behaviour))
	}
	r.FillMeans()
	return r
}

func (j *job) client(c data.Client, p federation.PartyOutcome, m schemas.MemberRecord, zeroShot []float64, b federation.Behaviour) report.Client {
	out := report.Client{
		ID: c.ID, Style: c.Style,
		TrainPictures: len(c.Train), TestPictures: len(c.Test), NeighbourPictures: len(c.Neighbour),
		ZeroShotLocal: report.Number(zeroShot[0]), ZeroShotNeighbour: report.Number(zeroShot[1]),
		Local: report.Number(p.Local), Neighbour: report.Number(p.Neighbour),
		EpsilonRDP: report.Number(p.EpsilonRDP), EpsilonPLD: report.Number(p.EpsilonPLD),
		Accepted: int(m.Accepted), Stale: int(m.Stale), Refused: int(m.Refused), StalenessMax: int(m.MaxStaleness),
		Fate: b.String(),
	}
	for _, class := range c.Classes {
		out.Classes = append(out.Classes, j.set.Classes[class])
	}
	if p.Spent != nil {
		out.Fate += "; " + reason(p.Spent)
	}
	return out
}

// reason is the last part of an error's text: what a person wants to know of why a budget ended.
func reason(err error) string {
	text := err.Error()
	if i := strings.LastIndex(text, ": "); i >= 0 {
		return text[i+2:]
	}
	return text
}

func member(c *schemas.Checkpoint, id string) schemas.MemberRecord {
	for _, m := range c.Members {
		if m.ID == id {
			return m
		}
	}
	return schemas.MemberRecord{ID: id}
}

// means are the control run's accuracies.
func (j *job) means(control *federation.Outcome) *report.Means {
	var r report.Results
	for i, p := range control.Parties {
		r.Clients = append(r.Clients, report.Client{
			ZeroShotLocal: report.Number(j.zeroShot[i][0]), ZeroShotNeighbour: report.Number(j.zeroShot[i][1]),
			Local: report.Number(p.Local), Neighbour: report.Number(p.Neighbour),
		})
	}
	r.FillMeans()
	return &r.Mean
}

// series is how every client stood at each version: what it measured after its newest step until then.
func series(moments []federation.Moment, clients []data.Client) []report.Point {
	index := make(map[string]int, len(clients))
	now := report.Point{}
	for i, c := range clients {
		index[c.ID] = i
		now.Local, now.Neighbour, now.Epsilon = append(now.Local, math.NaN()), append(now.Neighbour, math.NaN()), append(now.Epsilon, math.NaN())
	}
	var out []report.Point
	for _, m := range moments {
		switch m.What {
		case federation.MomentStep:
			i := index[m.Client]
			now.Local[i], now.Neighbour[i], now.Epsilon[i] = value(m.Local, math.NaN()), value(m.Neighbour, math.NaN()), value(m.EpsilonRDP, math.Inf(1))
		case federation.MomentVersion:
			out = append(out, report.Point{
				Version: m.Version, Seconds: m.At,
				Local: slices.Clone(now.Local), Neighbour: slices.Clone(now.Neighbour), Epsilon: slices.Clone(now.Epsilon),
			})
		}
	}
	return out
}

func value(x *float64, missing float64) float64 {
	if x == nil {
		return missing
	}
	return *x
}

// spans is when each client was connected. An interruption of the whole run ends everyone's span.
func spans(moments []federation.Moment, end float64) []report.Span {
	var out []report.Span
	open := map[string]int{}
	shut := func(client string, at float64) {
		if i, ok := open[client]; ok {
			out[i].To = at
			delete(open, client)
		}
	}
	before := 0.0
	for _, m := range moments {
		switch m.What {
		case federation.MomentJoin, federation.MomentBack:
			shut(m.Client, m.At)
			open[m.Client] = len(out)
			out = append(out, report.Span{Client: m.Client, From: m.At, To: end})
		case federation.MomentCut, federation.MomentLeave, federation.MomentDone:
			shut(m.Client, m.At)
		case federation.MomentResume:
			for client := range open {
				shut(client, before)
			}
		}
		before = m.At
	}
	return out
}

func verdicts(moments []federation.Moment) []report.Update {
	base := map[string]uint64{}
	key := func(m federation.Moment) string { return fmt.Sprint(m.Client, " ", m.K) }
	for _, m := range moments {
		if m.What == federation.MomentStep {
			base[key(m)] = m.Version
		}
	}
	var out []report.Update
	for _, m := range moments {
		if m.What == federation.MomentVerdict {
			out = append(out, report.Update{
				Client: m.Client, Seconds: m.At, Verdict: m.Verdict, Staleness: int(max(m.Version, base[key(m)]) - base[key(m)]),
			})
		}
	}
	return out
}

func events(moments []federation.Moment) []report.Event {
	var out []report.Event
	for _, m := range moments {
		switch words, ok := told[m.What]; {
		case ok:
			out = append(out, report.Event{Seconds: m.At, Client: m.Client, What: words})
		case m.What == federation.MomentResume:
			out = append(out, report.Event{Seconds: m.At, What: "the run was interrupted before this and went on from its log"})
		}
	}
	return out
}

// traffic counts the stored messages by the catalogue's rows.
func (j *job) traffic() []report.Traffic {
	var out []report.Traffic
	for _, e := range schemas.Catalogue() {
		if n, ok := j.transcript.Traffic[e.Kind]; ok {
			out = append(out, report.Traffic{Subject: e.Subject, From: e.From, To: e.To, Count: n.Count, Bytes: n.Bytes})
		}
	}
	return out
}

// shown is how many test pictures of each client the gallery has, spread evenly and not chosen.
const shown = 3

func (j *job) gallery(outcome *federation.Outcome) ([]report.Specimen, error) {
	words, before, err := j.handwritten()
	if err != nil {
		return nil, err
	}
	after, err := j.model.Text.NewEncoder(j.names, int(j.state.Plan.Prompt.Context))
	if err != nil {
		return nil, err
	}
	var out []report.Specimen
	for i, c := range j.set.Clients {
		if c.Test[0].Feature != nil {
			return nil, nil // there are no pixels to show
		}
		var pics []data.Picture
		for n := range min(shown, len(c.Test)) {
			pics = append(pics, c.Test[n*len(c.Test)/shown])
		}
		features := prompt.Features(j.features.Examples(pics))
		was := prompt.Predict(before, words, features)
		is := was
		if p := outcome.Parties[i].Personal; p != nil {
			is = prompt.Predict(after, p, features)
		}
		for n, p := range pics {
			img, err := p.Image()
			if err != nil {
				return nil, err
			}
			out = append(out, report.Specimen{
				Client: c.ID, Image: img, Truth: j.set.Classes[p.Label], Before: j.set.Classes[was[n]], After: j.set.Classes[is[n]],
			})
		}
	}
	return out, nil
}

// notes are the sentences that must stand beside the figures.
func (j *job) notes() []string {
	p := j.state.Plan
	notes := []string{
		"Every client classifies among all class names; accuracies are shares of its own test pictures, means are unweighted over clients.",
		"The gallery's pictures are spread evenly over each client's test pictures, not chosen.",
		"Beyond the paper: gradients are clipped per example, u, v and the global gradient are accounted as one release, and every client noises its own message, so the aggregator need not be trusted.",
	}
	if n := len(j.skipped); n > 0 {
		notes = append(notes, fmt.Sprintf("Pictures left out because they are missing or cannot be read: %d, the first of them %s.", n, j.skipped[0]))
	}
	if p.Method.Mode == prompt.Paper {
		notes = append(notes, "Paper mode clips the batch mean: no epsilon can be claimed for it.")
	}
	return notes
}

// software lists what the bits of a run may depend on.
func software() map[string]string {
	out := map[string]string{}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return out
	}
	out["go"] = info.GoVersion
	for _, dep := range info.Deps {
		switch dep.Path {
		case "github.com/nats-io/nats-server/v2", "github.com/nats-io/nats.go", "gonum.org/v1/gonum":
			out[dep.Path] = dep.Version
		}
	}
	return out
}
