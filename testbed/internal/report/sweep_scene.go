package report

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
)

// stageName is what trials must share to be compared: data set, division among clients, pictures.
type stageName struct {
	Data, Partition string
	Clients, Shots  int
}

func (a setting) scene() stageName { return stageName{a.Data, a.Partition, a.Clients, a.Shots} }

// compare orders scenes by the paper's order of data sets, then by name.
func (a stageName) compare(b stageName) int {
	return cmp.Or(cmp.Compare(place(publishedData, publishedName(a.Data)), place(publishedData, publishedName(b.Data))),
		cmp.Compare(a.Data, b.Data), cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.Clients, b.Clients), cmp.Compare(a.Shots, b.Shots))
}

func (a stageName) String() string {
	s := []string{a.Data}
	if a.Partition != "" {
		s = append(s, a.Partition)
	}
	if a.Clients > 0 {
		s = append(s, fmt.Sprintf("%d clients", a.Clients))
	}
	if a.Shots > 0 {
		return strings.Join(append(s, fmt.Sprintf("%d pictures a class", a.Shots)), ", ")
	}
	return strings.Join(append(s, "all pictures"), ", ")
}

// scene is the cells that can be compared with each other.
type scene struct {
	stageName
	zero  *cell   // zero-shot, over all seeds; nil if no trial tells
	cells []*cell // the others, in order of setting
	seeds []uint64
}

// stage divides the cells into scenes.
func (l *ledger) stage() {
	l.scenes = nil
	for i := range l.cells {
		c := &l.cells[i]
		if n := len(l.scenes); n == 0 || l.scenes[n-1].stageName != c.scene() {
			l.scenes = append(l.scenes, scene{stageName: c.scene()})
		}
		s := &l.scenes[len(l.scenes)-1]
		if c.Method != ControlZeroShot {
			s.cells = append(s.cells, c)
		}
		s.seeds = append(s.seeds, c.seeds()...)
	}
	for i := range l.scenes {
		s := &l.scenes[i]
		slices.Sort(s.seeds)
		s.seeds = slices.Compact(s.seeds)
		s.zero = l.zeroShot(s.stageName)
	}
}

// zeroShot is the control's cell of a scene: every trial knows its values, those of the control itself go first.
func (l *ledger) zeroShot(name stageName) *cell {
	bySeed := map[uint64]Trial{}
	for _, control := range []bool{true, false} {
		for _, t := range l.trials {
			if t.setting().scene() != name || (t.Method == ControlZeroShot) != control {
				continue
			}
			if control {
				t.ZeroShotLocal, t.ZeroShotNeighbour = t.outcome()
			}
			if _, have := bySeed[t.Seed]; !have && t.ZeroShotLocal.Known() {
				bySeed[t.Seed] = Trial{Data: t.Data, Method: ControlZeroShot, Nominal: Unknown, EpsilonRDP: 0, EpsilonPLD: 0, Seed: t.Seed, Clients: t.Clients,
					Partition: t.Partition, Shots: t.Shots, ZeroShotLocal: t.ZeroShotLocal, ZeroShotNeighbour: t.ZeroShotNeighbour}
			}
		}
	}
	if len(bySeed) == 0 {
		return nil
	}
	c := &cell{}
	for _, seed := range slices.Sorted(maps.Keys(bySeed)) {
		c.trials = append(c.trials, bySeed[seed])
	}
	c.setting, c.wanted = c.trials[0].setting(), len(c.trials)
	c.fill()
	return c
}

// choose returns the cells that all conditions hold for.
func (s *scene) choose(conditions ...func(*cell) bool) []*cell {
	var chosen []*cell
	for _, c := range s.cells {
		if !slices.ContainsFunc(conditions, func(holds func(*cell) bool) bool { return !holds(c) }) {
			chosen = append(chosen, c)
		}
	}
	return chosen
}

func base(c *cell) bool    { return c.Variant == "" && c.Cast == "" }
func learned(c *cell) bool { return !c.control() }

func noisy(c *cell) bool     { return !math.IsInf(c.Nominal, 1) }
func noiseless(c *cell) bool { return math.IsInf(c.Nominal, 1) }

// plain are the cells of one mode's tables: no variants, no misbehaving clients. Where a mode has no cells without noise,
// where it makes no difference to privacy, those of the other are lent to it; a mode that has no others has no tables.
func (s *scene) plain(mode string) (cells []*cell, lent bool) {
	is := func(c *cell) bool { return c.Mode == mode }
	not := func(c *cell) bool { return c.Mode != mode }
	cells = s.choose(base, is)
	free := s.choose(base, noiseless, not)
	switch {
	case !slices.ContainsFunc(cells, noisy) && s.choose(base, noisy) != nil:
		return nil, false
	case slices.ContainsFunc(cells, noiseless) || free == nil || cells == nil:
		return cells, false
	default:
		return append(free, cells...), true
	}
}

// miss finds what was asked for and is not there, and makes empty cells for settings without any trial.
func (l *ledger) miss() {
	wanted := l.wanted()
	have := map[setting]bool{}
	for i := range l.cells {
		have[l.cells[i].setting] = true
	}
	added := false
	for s := range wanted {
		if !have[s] {
			l.cells, added = append(l.cells, cell{setting: s, local: none, neighbour: none, harmonic: none, gain: none, rdp: Unknown, pld: Unknown}), true
		}
	}
	if added {
		slices.SortFunc(l.cells, func(a, b cell) int { return a.compare(b.setting) })
	}
	for i := range l.cells {
		c := &l.cells[i]
		var absent, blank []string
		present := c.seeds()
		for _, seed := range wanted[c.setting] {
			if !slices.Contains(present, seed) {
				absent = append(absent, fmt.Sprint(seed))
			}
		}
		for j := range c.trials {
			if local, _ := c.trials[j].outcome(); !local.Known() {
				blank = append(blank, fmt.Sprint(c.trials[j].Seed))
			}
		}
		c.wanted = len(present) + len(absent)
		l.gap(c, "not run", absent)
		l.gap(c, "without a value", blank)
	}
	l.stage()
}

var none = spread{Mean: Unknown, Std: Unknown}

func (l *ledger) gap(c *cell, what string, seeds []string) {
	if len(seeds) == 0 {
		return
	}
	noun := "seed "
	if len(seeds) > 1 {
		noun = "seeds "
	}
	l.gaps = append(l.gaps, fmt.Sprintf("%v: %s%s %s", c.setting, noun, strings.Join(seeds, ", "), what))
}

// wanted is the seeds that each setting should have: as planned, or else, that all cells of a scene have the same seeds
// and all methods of its plain tables the same ε.
func (l *ledger) wanted() map[setting][]uint64 {
	want := map[setting][]uint64{}
	if l.Planned != nil {
		for i := range l.Planned {
			s := l.Planned[i].setting()
			if !slices.Contains(want[s], l.Planned[i].Seed) {
				want[s] = append(want[s], l.Planned[i].Seed)
			}
		}
		for s := range want {
			slices.Sort(want[s])
		}
		return want
	}
	for i := range l.scenes {
		s := &l.scenes[i]
		for _, c := range s.cells {
			want[c.setting] = s.seeds
		}
		plain := s.choose(base, learned)
		headline := func(rank int) int { return cmp.Or(rank, publishedRank) } // methods without factors go with the paper's rank
		for _, a := range plain {
			for _, b := range plain {
				mixed := a.setting
				mixed.Nominal = b.Nominal
				if other := b.setting; mixed.Mode == other.Mode && headline(mixed.Rank) == headline(other.Rank) && mixed.Rule == other.Rule && mixed.Versions == other.Versions && mixed.Delta == other.Delta {
					want[mixed] = s.seeds
				}
			}
		}
	}
	return want
}
