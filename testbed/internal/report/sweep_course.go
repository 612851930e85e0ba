package report

import (
	"fmt"
	"slices"
	"strings"
)

// race is the cells that are compared in time: everything alike but rule and cast.
type race struct {
	setting         // of the first, without rule, cast and versions
	cells   []*cell // in order of cast and rule
}

// races are the scene's comparisons over virtual time.
func (s *scene) races() []race {
	timed := func(c *cell) bool {
		return c.Cast != "" || slices.ContainsFunc(c.trials, func(t Trial) bool { return len(t.Course) > 0 })
	}
	var all []race
	for _, c := range s.choose(timed) {
		key := c.setting
		key.Rule, key.Cast, key.Versions = "", "", 0
		i := slices.IndexFunc(all, func(r race) bool { return r.setting == key })
		if i < 0 {
			i, all = len(all), append(all, race{setting: key})
		}
		all[i].cells = append(all[i].cells, c)
	}
	return slices.DeleteFunc(all, func(r race) bool { return !slices.ContainsFunc(r.cells, (*cell).raced) })
}

// raced tells whether any trial of the cell has moments.
func (c *cell) raced() bool {
	return slices.ContainsFunc(c.trials, func(t Trial) bool { return len(t.Course) > 0 })
}

// title says what the race's runners have in common.
func (r *race) title() string {
	s := []string{r.Method}
	if r.NoiseOnly {
		s[0] += ", noise only"
	}
	if r.Variant != "" {
		s = append(s, r.Variant)
	}
	if r.Rank != 0 {
		s = append(s, fmt.Sprintf("rank %d", r.Rank))
	}
	return strings.Join(append(s, "ε "+r.nominal()), ", ")
}

// goals are, for each seed, the local accuracy that counts as having got there: zero-shot and a share of the best gain over
// it that any runner of the race ends with. A seed without a gain has no goal.
func (r *race) goals(share float64) map[uint64]Number {
	top, zero := map[uint64]Number{}, map[uint64]Number{}
	for _, c := range r.cells {
		for i := range c.trials {
			t := &c.trials[i]
			local, _ := t.outcome()
			if !local.Known() || !t.ZeroShotLocal.Known() {
				continue
			}
			if best, have := top[t.Seed]; !have || local > best {
				top[t.Seed], zero[t.Seed] = local, t.ZeroShotLocal
			}
		}
	}
	goals := map[uint64]Number{}
	for seed, best := range top {
		if gain := best - zero[seed]; gain > 0 {
			goals[seed] = zero[seed] + Number(share*float64(gain))
		}
	}
	return goals
}

// reached is when the trial first has the accuracy, unknown if it never does.
func (t *Trial) reached(goal Number) Number {
	for _, m := range t.Course {
		if m.Local.Known() && m.Seconds.Known() && m.Local >= goal {
			return m.Seconds
		}
	}
	return Unknown
}

// end is the time of the trial's last moment.
func (t *Trial) end() Number {
	if len(t.Course) == 0 {
		return Unknown
	}
	return t.Course[len(t.Course)-1].Seconds
}

// raceSheet says how long each rule takes under each cast.
func (l *ledger) raceSheet(s *scene, r *race) sheet {
	t := sheet{Title: "Virtual time to the target: " + r.title()}
	t.Heads = heads("clients", "rule", ">versions", ">time to target, s", ">got there", ">against sync", ">whole run, s", ">local", ">neighbour", ">harmonic mean")
	goals := r.goals(l.target())
	goal := make([]Number, 0, len(goals))
	for _, seed := range s.seeds {
		if g, have := goals[seed]; have {
			goal = append(goal, g)
		}
	}
	times := map[string]spread{} // of sync, by cast
	for _, c := range r.cells {
		if c.Rule == "sync" {
			times[c.Cast], _ = c.timeTo(goals)
		}
	}
	for _, c := range r.cells {
		cast := c.Cast
		if cast == "" {
			cast = "all alike"
		}
		when, tried := c.timeTo(goals)
		t.add(false, word(cast), rule(c), versions(c), arrival(when, tried), field{Text: fmt.Sprintf("%d of %d", when.N, tried), Key: fmt.Sprint(when.N)}, against(times[c.Cast], when, tried, c.Rule),
			c.duration().seconds(), c.local.share(), c.neighbour.share(), c.harmonic.share())
	}
	said := t.drop(2)
	target := spreadOf(goal)
	if target.N == 0 {
		t.Says = append(t.Says, "Nobody ends above zero-shot, so there is no target to reach.")
	} else {
		t.Says = append(t.Says, fmt.Sprintf("Target: zero-shot and %.0f %% of the best gain in local accuracy that any of these ends with, for each seed: %s %% on average.", 100*l.target(), decimals(100*target.Mean, 2)))
	}
	t.Notes = l.notes(fmt.Sprintf("%v, mode %s%s. Time: virtual seconds until the mean local accuracy over clients is first at the target, ± deviation over the seeds that got there. "+
		"Against sync: the time of sync divided by that of the rule, both with the same clients.", s.stageName, r.Mode, also(said)))
	return t
}

// timeTo is the time to the goals over the seeds that have one and got there; tried is how many have one.
func (c *cell) timeTo(goals map[uint64]Number) (when spread, tried int) {
	var times []Number
	for i := range c.trials {
		if goal, have := goals[c.trials[i].Seed]; have && len(c.trials[i].Course) > 0 {
			tried++
			times = append(times, c.trials[i].reached(goal))
		}
	}
	return spreadOf(times), tried
}

func (c *cell) duration() spread {
	var ends []Number
	for i := range c.trials {
		ends = append(ends, c.trials[i].end())
	}
	return spreadOf(ends)
}

// seconds shows a mean time.
func (s spread) seconds() field {
	if s.N == 0 {
		return field{Text: "–"}
	}
	f := field{Text: decimals(s.Mean, 1), Key: digits(s.Mean)}
	if s.Std.Known() {
		f.Text += " ± " + decimals(s.Std, 1)
	}
	return f
}

func arrival(when spread, tried int) field {
	if tried > 0 && when.N == 0 {
		return field{Text: "not reached", Key: "Infinity"}
	}
	return when.seconds()
}

// against compares a time with that of sync.
func against(sync, when spread, tried int, rule string) field {
	if rule == "sync" || sync.N < tried || when.N < tried || tried == 0 || !(when.Mean > 0) {
		return field{Text: "–"}
	}
	times := sync.Mean / when.Mean
	return field{Text: decimals(times, 2) + " ×", Key: digits(times)}
}
