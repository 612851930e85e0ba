package report

import (
	"cmp"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"

	"dpfpl/mathx/metrics"
	"dpfpl/mathx/prompt"
)

// lastVersions is how many of the last versions a trial's accuracy is a mean over, as in the paper (section 5.1).
const lastVersions = 10

// setting is all that the trials of one cell have in common: everything but the seed.
type setting struct {
	Data, Partition string
	Clients, Shots  int
	Mode, Method    string  // Mode is both the update and the accounting; see prompt.Config
	Nominal         float64 // +Inf without noise, so that settings can be compared
	Delta           float64
	Rank            int
	NoiseOnly       bool
	Variant, Rule   string
	Cast            string
	Versions        int
}

func (t *Trial) setting() setting {
	nominal := float64(t.Nominal)
	if !t.Nominal.Known() {
		nominal = math.Inf(1)
	}
	return setting{t.Data, t.Partition, t.Clients, t.Shots, t.Mode, t.Method, nominal, t.Delta, t.Rank, t.NoiseOnly, t.Variant, t.Rule, t.Cast, t.Versions}
}

// methods are in the order of the paper's tables, ours last; what is not listed follows by name.
var methods = []string{ControlZeroShot, prompt.PromptFL, prompt.FedOTP, prompt.FedPGP, prompt.DPLoRA, prompt.DPFPL}

// place is the position in a list, its length for what is not in it.
func place(list []string, s string) int {
	if i := slices.Index(list, s); i >= 0 {
		return i
	}
	return len(list)
}

// compare orders settings as tables show them: by data set as in the paper, then less noise first.
func (a setting) compare(b setting) int {
	flag := func(x bool) int {
		if x {
			return 1
		}
		return 0
	}
	return cmp.Or(
		a.scene().compare(b.scene()),
		cmp.Compare(a.Variant, b.Variant),
		cmp.Compare(a.Cast, b.Cast),
		cmp.Compare(place(modes, a.Mode), place(modes, b.Mode)),
		cmp.Compare(b.Nominal, a.Nominal),
		cmp.Compare(flag(a.NoiseOnly), flag(b.NoiseOnly)),
		cmp.Compare(place(methods, a.Method), place(methods, b.Method)),
		cmp.Compare(a.Method, b.Method),
		cmp.Compare(a.Rank, b.Rank),
		cmp.Compare(place(rules, a.Rule), place(rules, b.Rule)),
		cmp.Compare(a.Rule, b.Rule),
		cmp.Compare(a.Versions, b.Versions),
		cmp.Compare(a.Delta, b.Delta),
		cmp.Compare(a.Mode, b.Mode),
	)
}

var (
	modes = []string{prompt.Corrected, prompt.Paper}
	rules = []string{"sync", "fedbuff", "fedasync", "trimmed", "median"}
)

// String names the setting in an error or a list of what is missing.
func (a setting) String() string {
	s := fmt.Sprintf("%s, %s", a.Data, a.Method)
	if a.NoiseOnly {
		s += " (noise only)"
	}
	s += ", " + cmp.Or(a.Mode, "no mode") + ", ε " + a.nominal() + fmt.Sprintf(", rank %d", a.Rank)
	for _, more := range []string{a.Variant, a.Rule, a.Cast} {
		if more != "" {
			s += ", " + more
		}
	}
	return s
}

func (a setting) nominal() string {
	if math.IsInf(a.Nominal, 1) {
		return "none"
	}
	return strconv.FormatFloat(a.Nominal, 'g', -1, 64)
}

// check refuses a trial whose values cannot be.
func (t *Trial) check() error {
	wrong := func(format string, args ...any) error {
		return fmt.Errorf("%w: %v, seed %d: %s", ErrTrial, t.setting(), t.Seed, fmt.Sprintf(format, args...))
	}
	if t.Data == "" || t.Method == "" {
		return wrong("no data set or no method")
	}
	if t.Nominal <= 0 || t.EpsilonRDP < 0 || t.EpsilonPLD < 0 {
		return wrong("an ε of %v, %v or %v", t.Nominal, t.EpsilonRDP, t.EpsilonPLD)
	}
	shares := slices.Concat(t.Local, t.Neighbour, []Number{t.ZeroShotLocal, t.ZeroShotNeighbour})
	for _, m := range t.Course {
		shares = append(shares, m.Local, m.Neighbour)
		if m.Seconds.Known() && m.Seconds < 0 {
			return wrong("a moment at %v s", m.Seconds)
		}
	}
	for _, a := range shares {
		if math.IsInf(float64(a), 0) || a < 0 || a > 1 {
			return wrong("an accuracy of %v", a)
		}
	}
	return nil
}

// order sorts the trials and drops repetitions. Of two that differ only in that one has no course, the other stays.
func (l *ledger) order() error {
	slices.SortStableFunc(l.trials, func(a, b Trial) int {
		return cmp.Or(a.setting().compare(b.setting()), cmp.Compare(a.Seed, b.Seed))
	})
	kept := l.trials[:0]
	for _, t := range l.trials {
		if n := len(kept); n > 0 && kept[n-1].Seed == t.Seed && kept[n-1].setting() == t.setting() {
			if len(kept[n-1].Course) == 0 {
				kept[n-1].Course = t.Course
			} else if len(t.Course) == 0 {
				t.Course = kept[n-1].Course
			}
			if !equal(&kept[n-1], &t) {
				return fmt.Errorf("%w: %v, seed %d; trials that differ in more than the seed need a variant's name", ErrContradiction, t.setting(), t.Seed)
			}
			l.twice++
			continue
		}
		kept = append(kept, t)
	}
	l.trials = kept
	return nil
}

// equal compares two trials, unknown numbers being equal.
func equal(a, b *Trial) bool {
	plain := func(t Trial) Trial {
		known := func(n *Number) {
			if !n.Known() {
				*n = -1 // what no trial has
			}
		}
		t.Local, t.Neighbour, t.Course = slices.Clone(t.Local), slices.Clone(t.Neighbour), slices.Clone(t.Course)
		for _, n := range []*Number{&t.Nominal, &t.EpsilonRDP, &t.EpsilonPLD, &t.ZeroShotLocal, &t.ZeroShotNeighbour, &t.Seconds} {
			known(n)
		}
		for i := range t.Local {
			known(&t.Local[i])
		}
		for i := range t.Neighbour {
			known(&t.Neighbour[i])
		}
		for i := range t.Course {
			known(&t.Course[i].Seconds)
			known(&t.Course[i].Local)
			known(&t.Course[i].Neighbour)
		}
		return t
	}
	return reflect.DeepEqual(plain(*a), plain(*b))
}

// last is the mean of a series' last versions, unknown if one of them is or if there are none.
func last(series []Number) Number {
	values := make([]float64, len(series))
	for i, v := range series {
		values[i] = float64(v)
	}
	return Number(metrics.LastMean(values, lastVersions))
}

// outcome is a trial's local and neighbour accuracy.
func (t *Trial) outcome() (local, neighbour Number) {
	if t.Method == ControlZeroShot && len(t.Local) == 0 {
		return t.ZeroShotLocal, t.ZeroShotNeighbour
	}
	return last(t.Local), last(t.Neighbour)
}

// harmonic is the harmonic mean of both, unknown if one is.
func harmonic(local, neighbour Number) Number {
	if !local.Known() || !neighbour.Known() {
		return Unknown
	}
	return Number(metrics.HarmonicMean(float64(local), float64(neighbour)))
}

// spread is a mean over seeds, with the sample's deviation (divisor n-1; unknown for one seed).
type spread struct {
	Mean Number `json:"mean"`
	Std  Number `json:"std"`
	N    int    `json:"seeds"` // that have a value
}

func spreadOf(values []Number) spread {
	var known []float64
	for _, v := range values {
		if v.Known() {
			known = append(known, float64(v))
		}
	}
	mean, std := metrics.MeanStd(known)
	return spread{Number(mean), Number(std), len(known)}
}

// cell is one setting with all its seeds.
type cell struct {
	setting
	trials                     []Trial // in order of seed
	wanted                     int     // seeds that there should be
	local, neighbour, harmonic spread
	gain                       spread // of the harmonic mean over zero-shot, or of local accuracy where there are no neighbours
	rdp, pld                   Number // true ε, the largest of all seeds; infinite without a guarantee
}

// gather puts the trials into cells.
func (l *ledger) gather() {
	for i := 0; i < len(l.trials); {
		c := cell{setting: l.trials[i].setting()}
		for ; i < len(l.trials) && l.trials[i].setting() == c.setting; i++ {
			c.trials = append(c.trials, l.trials[i])
		}
		c.fill()
		l.cells = append(l.cells, c)
	}
}

func (c *cell) fill() {
	var local, neighbour, balance, gain []Number
	for i := range c.trials {
		t := &c.trials[i]
		a, b := t.outcome()
		h, zero := harmonic(a, b), harmonic(t.ZeroShotLocal, t.ZeroShotNeighbour)
		local, neighbour, balance = append(local, a), append(neighbour, b), append(balance, h)
		if !zero.Known() && !h.Known() {
			h, zero = a, t.ZeroShotLocal
		}
		gain = append(gain, h-zero)
		c.rdp, c.pld = worst(c.rdp, t.EpsilonRDP), worst(c.pld, t.EpsilonPLD)
	}
	c.local, c.neighbour, c.harmonic, c.gain = spreadOf(local), spreadOf(neighbour), spreadOf(balance), spreadOf(gain)
	if c.Method == ControlZeroShot {
		c.rdp, c.pld = 0, 0 // it looks at no picture
	}
}

// worst is the larger ε; no ε is no guarantee.
func worst(a, b Number) Number {
	if !b.Known() {
		b = Number(math.Inf(1))
	}
	return max(a, b)
}

// control tells whether the cell learned nothing from data.
func (c *cell) control() bool { return c.NoiseOnly || c.Method == ControlZeroShot }

func (c *cell) seeds() []uint64 {
	var s []uint64
	for i := range c.trials {
		s = append(s, c.trials[i].Seed)
	}
	return s
}

// cellJSON is a cell in sweep.json.
type cellJSON struct {
	Data       string   `json:"data"`
	Partition  string   `json:"partition"`
	Clients    int      `json:"clients"`
	Shots      int      `json:"shots"`
	Method     string   `json:"method"`
	Mode       string   `json:"mode"`
	Rank       int      `json:"rank"`
	Nominal    Number   `json:"epsilon"`
	EpsilonRDP Number   `json:"epsilon_rdp"`
	EpsilonPLD Number   `json:"epsilon_pld"`
	Delta      float64  `json:"delta"`
	NoiseOnly  bool     `json:"noise_only"`
	Variant    string   `json:"variant,omitempty"`
	Rule       string   `json:"rule"`
	Cast       string   `json:"cast,omitempty"`
	Versions   int      `json:"versions"`
	Seeds      []uint64 `json:"seeds"`
	Local      spread   `json:"local"`
	Neighbour  spread   `json:"neighbour"`
	Harmonic   spread   `json:"harmonic_mean"`
	Gain       spread   `json:"gain_over_zero_shot"`
}

func (c *cell) json() cellJSON {
	return cellJSON{c.Data, c.Partition, c.Clients, c.Shots, c.Method, c.Mode, c.Rank, Number(c.Nominal), c.rdp, c.pld, c.Delta,
		c.NoiseOnly, c.Variant, c.Rule, c.Cast, c.Versions, c.seeds(), c.local, c.neighbour, c.harmonic, c.gain}
}
