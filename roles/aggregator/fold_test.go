package aggregator

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"dpfpl/mathx/agg"
	"dpfpl/roles/roletest"
	"dpfpl/schemas"
)

func drawVector(t *rapid.T) []int32 {
	return rapid.SliceOfN(rapid.Int32Range(-1<<22, 1<<22), 2, 2).Draw(t, "x")
}

// TestArrivalWithinARoundDoesNotMatter shuffles the updates of every round.
func TestArrivalWithinARoundDoesNotMatter(t *testing.T) {
	members := []string{"anna", "bert", "cleo", "dora"}
	rapid.Check(t, func(rt *rapid.T) {
		p := roletest.Plan(members...)
		p.Rule.Name = rapid.SampledFrom([]string{"sync", "trimmed", "median"}).Draw(rt, "rule")
		p.Rule.Trim = rapid.Uint32Range(0, 1).Draw(rt, "trim")
		p.Server.Momentum = 0.5
		a, b := newWorld(t, p), newWorld(t, p)
		for round := range uint64(2) {
			var updates []*schemas.Update
			for _, id := range members {
				updates = append(updates, testUpdate(p, id, round+1, round, drawVector(rt)...))
			}
			for _, u := range updates {
				a.send(u, u.Sender)
			}
			for _, u := range rapid.Permutation(updates).Draw(rt, "order") {
				b.send(u, u.Sender)
			}
		}
		sameModels(rt, a, b)
	})
}

func sameModels(t interface{ Fatalf(string, ...any) }, a, b *world) {
	if len(a.models) != len(b.models) {
		t.Fatalf("%d versions and %d", len(a.models), len(b.models))
	}
	for i := range a.models {
		p, q := a.models[i].Body.(*schemas.Model), b.models[i].Body.(*schemas.Model)
		if !slices.Equal(p.Params.Data, q.Params.Data) {
			t.Fatalf("version %d: %v and %v", i, p.Params.Floats(nil), q.Params.Floats(nil))
		}
	}
}

// drawAction lets something happen in both worlds: an update good or bad, a sign of life, time passing.
func drawAction(t *rapid.T, p *schemas.Plan, next map[string]uint64, version uint64) func(*world) {
	id := rapid.SampledFrom(p.Members).Draw(t, "member").ID
	switch rapid.IntRange(0, 9).Draw(t, "action") {
	case 0:
		wait := rapid.SampledFrom([]time.Duration{time.Second, 20 * time.Second, time.Minute}).Draw(t, "wait")
		return func(w *world) { w.now = w.now.Add(wait); w.tick(); w.settle() }
	case 1:
		state := rapid.SampledFrom([]schemas.State{schemas.StateHeartbeat, schemas.StateLeave}).Draw(t, "state")
		return func(w *world) { w.presence(id, state, id); w.settle() }
	case 2:
		signer := rapid.SampledFrom([]string{id, "mallory"}).Draw(t, "signer")
		next[id]++
		u := testUpdate(p, id, next[id], version+1, drawVector(t)...)
		return func(w *world) { w.send(u, signer) }
	default:
		next[id]++
		back := rapid.Uint64Range(0, min(version, 3)).Draw(t, "staleness")
		u := testUpdate(p, id, next[id], version-back, drawVector(t)...)
		return func(w *world) { w.send(u, id) }
	}
}

// TestACrashChangesNothing restarts one of two aggregators at random moments and demands the same bytes: of
// every model and of the last checkpoint.
func TestACrashChangesNothing(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		p := roletest.Plan("anna", "bert", "cleo")
		p.Rule = schemas.RulePlan{
			Name: rapid.SampledFrom([]string{"sync", "fedbuff", "fedasync", "trimmed", "median"}).Draw(rt, "rule"), Buffer: 2,
			Quorum: 1, Deadline: 40 * time.Second, MaxStaleness: 2,
		}
		p.Presence = schemas.TimingPlan{Heartbeat: 10 * time.Second, Silence: 50 * time.Second}
		p.Server.Momentum = 0.9
		steady, crashing := newWorld(t, p), newWorld(t, p)
		next := map[string]uint64{}
		for range rapid.IntRange(1, 20).Draw(rt, "actions") {
			act := drawAction(rt, p, next, steady.aggregate.fold.Version())
			logged := len(steady.log)
			act(steady)
			// The other world sees the same log, whatever its own watch would have said.
			crashing.now = steady.now
			for _, m := range steady.log[logged:] {
				crashing.ahead = rapid.Bool().Draw(rt, "ahead")
				if rapid.Bool().Draw(rt, "crash") {
					crashing.restart()
				}
				crashing.store(m.Subject, m.Raw)
			}
			crashing.issued = map[uint64]schemas.Message{}
		}
		crashing.restart()
		for i := range steady.models {
			if !slices.Equal(steady.models[i].Raw, crashing.models[i].Raw) {
				rt.Fatalf("model %d differs after a crash", i)
			}
		}
		if len(steady.models) != len(crashing.models) || !slices.Equal(steady.checkpoint.Raw, crashing.checkpoint.Raw) {
			rt.Fatalf("another end after a crash:\n%s\n%s", line(steady.checkpoint), line(crashing.checkpoint))
		}
	})
}

// TestTheFoldIsASequentialSum compares the prompt with a plain sum over what the models say they are made
// of, and the counters with the notes.
func TestTheFoldIsASequentialSum(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		p := roletest.Plan("anna", "bert", "cleo")
		p.Rule = schemas.RulePlan{Name: "fedbuff", Buffer: 2, MaxStaleness: 2}
		// Powers of two, so that no factor is rounded in either order of multiplying.
		powers := rapid.SampledFrom([]float64{0.25, 0.5, 1, 2, 4})
		v := &p.Privacy
		v.ClipG, v.ZG, v.Batch = powers.Draw(rt, "clip"), powers.Draw(rt, "z"), powers.Draw(rt, "batch")
		p.Server.Rate, p.Server.Momentum = powers.Draw(rt, "rate"), rapid.SampledFrom([]float64{0, 0.5}).Draw(rt, "momentum")
		w := newWorld(t, p)
		next := map[string]uint64{}
		for range rapid.IntRange(1, 30).Draw(rt, "actions") {
			drawAction(rt, p, next, w.aggregate.fold.Version())(w)
		}
		params, velocity := []float32{0, 0}, []float64{0, 0}
		folded := map[uint64]bool{}
		for _, m := range w.models[1:] {
			total := []int64{0, 0}
			model := m.Body.(*schemas.Model)
			for _, f := range model.Folded {
				u := w.log[f.Seq-1].Body.(*schemas.Update)
				if folded[f.Seq] || u.Sender != f.Client || u.K != f.K || model.Version-1-u.Base != uint64(f.Staleness) || f.Weight != agg.Staleness(f.Staleness) {
					rt.Fatalf("version %d claims %+v", model.Version, f)
				}
				folded[f.Seq] = true
				for j, v := range u.Sum.Ints(nil) {
					total[j] += int64(f.Weight) * int64(v)
				}
			}
			for j := range params {
				mean := float64(total[j]) / 65536 / 2 / v.Batch * v.ClipG * v.ZG / 65536
				velocity[j] = p.Server.Momentum*velocity[j] + mean
				params[j] = float32(float64(params[j]) - p.Server.Rate*velocity[j])
			}
			if got := model.Params.Floats(nil); !slices.Equal(got, params) {
				rt.Fatalf("version %d: %v, want %v", model.Version, got, params)
			}
		}
	})
}

func TestFedAvgIsFedBuffWithEveryMember(t *testing.T) {
	members := []string{"a", "b", "c", "d", "e", "f", "g", "h", "i", "j"}
	rapid.Check(t, func(rt *rapid.T) {
		fedavg, fedbuff := roletest.Plan(members...), roletest.Plan(members...)
		fedbuff.Rule = schemas.RulePlan{Name: "fedbuff", Buffer: 10, MaxStaleness: 3}
		a, b := newWorld(t, fedavg), newWorld(t, fedbuff)
		for _, id := range rapid.Permutation(members).Draw(rt, "order") {
			u := testUpdate(fedavg, id, 1, 0, drawVector(rt)...)
			a.send(u, id)
			b.send(u, id)
		}
		sameModels(rt, a, b)
	})
}

// panicky is a body that no decoder makes.
type panicky struct{ schemas.Tick }

func (panicky) Head() *schemas.Header { panic("no head") }

func TestAPanicIsARefusal(t *testing.T) {
	w := newWorld(t, roletest.Plan("anna", "bert"))
	m := schemas.Message{Body: &panicky{}, Subject: "dpfpl.v1.run.update.anna.1", Seq: 1, Time: w.now}
	out, err := w.aggregate.Step(w.now, m)
	if err != nil || len(out) != 2 {
		t.Fatalf("%v, %v", out, err)
	}
	if d, ok := out[1].Body.(*schemas.Dead); !ok || d.Reason != schemas.ReasonDecode || d.Detail != "panic: no head" {
		t.Errorf("dead letter %+v", out[1].Body)
	}
	u := testUpdate(w.plan, "anna", 2, 0, 1, 1)
	w.log = append(w.log, m)
	if out := w.send(u, "anna"); len(out) != 1 || out[0].Body.(*schemas.Note).Verdict != schemas.VerdictAccepted {
		t.Errorf("the fold did not go on: %v", out)
	}
}

// BenchmarkStep folds authentic updates of a full-size prompt; check is the part that can run beside the
// fold.
func BenchmarkStep(b *testing.B) {
	for _, members := range []int{10, 1000} {
		ids := make([]string, members)
		for i := range ids {
			ids[i] = fmt.Sprintf("client-%05d", i)
		}
		p := roletest.Plan(ids...)
		p.Prompt.Context, p.Prompt.Width = 16, 512
		p.Rule = schemas.RulePlan{Name: "sync"}
		p.Versions = 1 << 30
		ints := make([]int32, 16*512)
		for j := range ints {
			ints[j] = int32(j*7919%200001 - 100000)
		}
		var log []schemas.Message
		for _, id := range ids {
			u := testUpdate(p, id, 1, 0, 0, 0)
			u.Sum = schemas.NewLattice(16, 512, latticeStep(p.Privacy), ints)
			key, _ := roletest.Key(id)
			raw, err := schemas.Seal(u, key)
			if err != nil {
				b.Fatal(err)
			}
			log = append(log, schemas.Message{Body: u, Raw: raw, Subject: schemas.Subject(u), Time: time.Unix(1, 0)})
		}
		for _, part := range []string{"check", "apply"} {
			b.Run(fmt.Sprintf("%s/members=%d", part, members), func(b *testing.B) {
				b.ReportAllocs()
				var fold *Fold
				for i := 0; b.Loop(); i++ {
					m := log[i%members]
					if i%members == 0 {
						fold, _ = NewFold(p, make([]float32, 16*512))
					}
					m.Seq = uint64(i%members + 1)
					if part == "check" {
						if err := fold.Check(m); err != nil {
							b.Fatal(err)
						}
						continue
					}
					fold.Apply(m, nil)
				}
			})
		}
	}
}
