package report

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// ledgerOf checks and gathers a sweep that is sound.
func ledgerOf(t *testing.T, s *Sweep) *ledger {
	t.Helper()
	l, err := s.ledger()
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// TestSweepMeans compares means and deviations with those of testbed/reference/make_sweep_goldens.py, which computes in
// exact fractions.
func TestSweepMeans(t *testing.T) {
	raw, err := os.ReadFile(filepath.Join("testdata", "sweep_means.json"))
	if err != nil {
		t.Fatal(err)
	}
	var cases []struct {
		Name                   string
		Trials                 []Trial
		Local, Neighbour, Gain spread
		Harmonic               spread `json:"harmonic_mean"`
	}
	if err := json.Unmarshal(raw, &cases); err != nil || len(cases) != 4 {
		t.Fatal(err, len(cases))
	}
	for _, c := range cases {
		for i := range c.Trials {
			c.Trials[i].Data, c.Trials[i].Method, c.Trials[i].Nominal = "x", "dpfpl", Unknown
		}
		l := ledgerOf(t, &Sweep{Trials: c.Trials})
		if len(l.cells) != 1 {
			t.Fatalf("%s: %d cells", c.Name, len(l.cells))
		}
		got := &l.cells[0]
		for _, pair := range []struct {
			what      string
			got, want spread
		}{{"local", got.local, c.Local}, {"neighbour", got.neighbour, c.Neighbour}, {"harmonic mean", got.harmonic, c.Harmonic}, {"gain", got.gain, c.Gain}} {
			near := func(a, b Number) bool {
				return math.Abs(float64(a-b)) < 1e-14 || !a.Known() && !b.Known()
			}
			if !near(pair.got.Mean, pair.want.Mean) || !near(pair.got.Std, pair.want.Std) || pair.got.N != pair.want.N {
				t.Errorf("%s, %s: %v, want %v", c.Name, pair.what, pair.got, pair.want)
			}
		}
	}
}

// TestSweepCSV reads sweep.csv back and compares it with the trials.
func TestSweepCSV(t *testing.T) {
	s := madeUp()
	s.Trials[0].Variant, s.Trials[0].Cast = "a \"quoted\", one", "with\na line"
	s.Trials[1].Neighbour = nil
	l := ledgerOf(t, s)
	raw, err := l.csv()
	if err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(bytes.NewReader(raw)).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(rows[0], columns) || len(rows) != len(s.Trials)+1 {
		t.Fatalf("%d rows, head %q", len(rows), rows[0])
	}
	number := func(text string) Number {
		if text == "" {
			return Unknown
		}
		v, err := strconv.ParseFloat(text, 64)
		if err != nil {
			t.Error(err)
		}
		return Number(v)
	}
	same := func(a, b Number) bool { return a == b || !a.Known() && !b.Known() }
	for i, row := range rows[1:] {
		at := func(name string) string { return row[slices.Index(columns, name)] }
		trial := l.trials[i]
		local, neighbour := trial.outcome()
		for name, want := range map[string]string{"data": trial.Data, "partition": trial.Partition, "method": trial.Method, "mode": trial.Mode, "variant": trial.Variant,
			"rule": trial.Rule, "cast": trial.Cast, "clients": strconv.Itoa(trial.Clients), "shots": strconv.Itoa(trial.Shots), "rank": strconv.Itoa(trial.Rank),
			"versions": strconv.Itoa(trial.Versions), "seed": strconv.FormatUint(trial.Seed, 10), "noise_only": strconv.FormatBool(trial.NoiseOnly)} {
			if at(name) != want {
				t.Fatalf("row %d: %s is %q, want %q", i, name, at(name), want)
			}
		}
		for name, want := range map[string]Number{"epsilon": trial.Nominal, "epsilon_rdp": trial.EpsilonRDP, "epsilon_pld": trial.EpsilonPLD, "delta": Number(trial.Delta),
			"local": local, "neighbour": neighbour, "harmonic_mean": harmonic(local, neighbour), "zero_shot_local": trial.ZeroShotLocal, "zero_shot_neighbour": trial.ZeroShotNeighbour} {
			if !same(number(at(name)), want) {
				t.Fatalf("row %d: %s is %q, want %v", i, name, at(name), want)
			}
		}
	}
}

// TestSweepPage checks that the page is well formed, complete, and refers to nothing outside itself.
func TestSweepPage(t *testing.T) {
	page, err := ledgerOf(t, madeUp()).page()
	if err != nil {
		t.Fatal(err)
	}
	count := wellFormed(t, page)
	if count["figure"] != 3*4+3 || count["section"] < 15 {
		t.Errorf("elements: %v", count)
	}
	for _, want := range []string{"dpfpl, noise only", "zero-shot", "95.74 ± 0.63", "88.58 ± 0.38", "80.09 ± 1.41", "Tables 2, 3 of Tran", "clip 1, batch 64, words", "a quarter straggle tenfold",
		"time to target", "What differs from the paper", "go run ./testbed sweep"} {
		if !bytes.Contains(page, []byte(want)) && want != "80.09 ± 1.41" { // of Flowers, which were not run
			t.Errorf("the page does not say %q", want)
		}
	}
	if bytes.Contains(page, []byte("80.09 ± 1.41")) {
		t.Error("the page has published values of a data set that was not run")
	}
	notes := bytes.Count(page, []byte("What differs from the paper: Backbone"))
	if notes != count["section"] {
		t.Errorf("%d tables, %d say what differs from the paper", count["section"], notes)
	}
	if bytes.Contains(page, []byte("ZgotmplZ")) || showsNaN(page) {
		t.Error("the template refused a value, or NaN is shown")
	}
}

// TestSweepSameBytes checks that neither the order of the trials, nor repetitions, nor wall times show.
func TestSweepSameBytes(t *testing.T) {
	var first [][]byte
	for round := range 3 {
		s := madeUp()
		if round > 0 {
			rng := rand.New(rand.NewPCG(uint64(round), 1))
			rng.Shuffle(len(s.Trials), func(i, j int) { s.Trials[i], s.Trials[j] = s.Trials[j], s.Trials[i] })
			for i := range s.Trials {
				s.Trials[i].Seconds = Number(rng.Float64())
			}
		}
		dir := t.TempDir()
		if err := s.Write(dir); err != nil {
			t.Fatal(err)
		}
		empty(t, dir, SweepTableFile, SweepPageFile, SweepResultsFile)
		var files [][]byte
		for _, name := range []string{SweepTableFile, SweepPageFile, SweepResultsFile} {
			raw, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil {
				t.Fatal(err)
			}
			files = append(files, raw)
		}
		var md bytes.Buffer
		if err := s.Markdown(&md); err != nil {
			t.Fatal(err)
		}
		files = append(files, md.Bytes())
		if first == nil {
			first = files
		}
		for i := range files {
			if !bytes.Equal(files[i], first[i]) {
				t.Errorf("round %d: file %d differs", round, i)
			}
		}
	}
}

func TestSweepJSON(t *testing.T) {
	s := madeUp()
	raw, err := ledgerOf(t, s).json()
	if err != nil {
		t.Fatal(err)
	}
	var back struct {
		Trials []Trial
		Cells  []cellJSON
		Grid   string
	}
	if err := json.Unmarshal(raw, &back); err != nil {
		t.Fatal(err)
	}
	if len(back.Trials) != len(s.Trials) || back.Grid != s.Grid {
		t.Errorf("%d trials, grid %q", len(back.Trials), back.Grid)
	}
	again, err := ledgerOf(t, &Sweep{Title: s.Title, Command: s.Command, Notes: s.Notes, Grid: s.Grid, Trials: back.Trials}).json()
	if err != nil || !bytes.Equal(raw, again) {
		t.Error("a sweep made of the trials in sweep.json differs", err)
	}
}

func TestSweepRepeated(t *testing.T) {
	s := madeUp()
	s.Trials = append(s.Trials, s.Trials[3], s.Trials[3])
	s.Trials[len(s.Trials)-1].Seconds = 99
	l := ledgerOf(t, s)
	if l.twice != 2 || len(l.trials) != len(s.Trials)-2 || !strings.Contains(l.summary(), "2 trials") {
		t.Errorf("%d repetitions, %q", l.twice, l.summary())
	}
	other := s.Trials[3]
	other.Local = slices.Clone(other.Local)
	other.Local[9] += 1e-6
	s.Trials = append(s.Trials, other)
	dir := t.TempDir()
	if err := s.Write(dir); !errors.Is(err, ErrContradiction) || !strings.Contains(err.Error(), "seed 1") || !strings.Contains(err.Error(), other.Method) {
		t.Error(err)
	}
	empty(t, dir)
	if err := s.Markdown(&bytes.Buffer{}); !errors.Is(err, ErrContradiction) {
		t.Error(err)
	}
}

func TestSweepRefuses(t *testing.T) {
	for name, change := range map[string]func(*Trial){
		"no data set":        func(t *Trial) { t.Data = "" },
		"no method":          func(t *Trial) { t.Method = "" },
		"percent":            func(t *Trial) { t.Local[3] = 88 },
		"below zero":         func(t *Trial) { t.Neighbour[0] = -0.1 },
		"infinite":           func(t *Trial) { t.ZeroShotLocal = Number(math.Inf(1)) },
		"minus infinite":     func(t *Trial) { t.ZeroShotNeighbour = Number(math.Inf(-1)) },
		"a negative ε":       func(t *Trial) { t.EpsilonRDP = -1 },
		"an ε of nothing":    func(t *Trial) { t.Nominal = 0 },
		"a course in excess": func(t *Trial) { t.Course = []Moment{{Local: 2}} },
		"before the start":   func(t *Trial) { t.Course = []Moment{{Seconds: -1}} },
	} {
		s := madeUp()
		change(&s.Trials[0])
		if err := s.Write(t.TempDir()); !errors.Is(err, ErrTrial) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, target := range []float64{-0.1, 1.1, math.NaN()} {
		if err := (&Sweep{Target: target}).Write(t.TempDir()); err == nil {
			t.Errorf("a target of %v was accepted", target)
		}
	}
	if err := madeUp().Write(filepath.Join(t.TempDir(), "gone")); !errors.Is(err, ErrFolder) || !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}

// TestSweepIncomplete checks that pages come of sweeps that were cut off, and that they say what is missing.
func TestSweepIncomplete(t *testing.T) {
	all := madeUp()
	is := func(method string, epsilon float64, seed uint64) func(*Trial) bool {
		return func(t *Trial) bool {
			return t.Data == "oxford_pets" && t.Mode == "corrected" && !t.NoiseOnly && t.Method == method && float64(t.Nominal) == epsilon && (seed == 0 || t.Seed == seed)
		}
	}
	unknown := madeUp()
	for i := range unknown.Trials {
		if is("dpfpl", 0.4, 2)(&unknown.Trials[i]) {
			unknown.Trials[i].Local[4] = Unknown
		}
	}
	planned := all.without(is("dpfpl", 0.4, 3))
	planned.Planned = all.Trials
	for name, c := range map[string]struct {
		s    *Sweep
		says []string
		gaps int
	}{
		"empty":            {&Sweep{}, []string{"No trial has been run"}, 0},
		"planned, not run": {&Sweep{Planned: all.Trials[:4]}, []string{"No trial has been run", "seed 1 not run"}, 4},
		"one seed":         {all.without(func(t *Trial) bool { return t.Seed != 2 }), []string{"<td class=\"n\" data-key=\"1\">1</td>"}, 0},
		"a seed missing":   {all.without(is("dpfpl", 0.4, 3)), []string{"2 of 3", "oxford_pets, dpfpl, corrected, ε 0.4, rank 8, sync: seed 3 not run"}, 1},
		"a cell missing":   {all.without(is("fedotp", 0.2, 0)), []string{"0 of 3", "seeds 1, 2, 3 not run"}, 1},
		"not as planned":   {planned, []string{"oxford_pets, dpfpl, corrected, ε 0.4, rank 8, sync: seed 3 not run"}, 1},
		"a value unknown":  {unknown, []string{"2 of 3", "seed 2 without a value"}, 1},
		"controls only":    {all.without(func(t *Trial) bool { return t.Method != ControlZeroShot }), nil, 0},
		"no neighbours": {func() *Sweep {
			s := all.without(func(t *Trial) bool { return false })
			for i := range s.Trials {
				s.Trials[i].Neighbour, s.Trials[i].ZeroShotNeighbour = nil, Unknown
			}
			return s
		}(), nil, 0},
		"all unknown": {&Sweep{Trials: []Trial{{Data: "x", Method: "dpfpl", Nominal: Unknown, EpsilonRDP: Unknown, EpsilonPLD: Unknown, ZeroShotLocal: Unknown, ZeroShotNeighbour: Unknown,
			Course: []Moment{{Seconds: Unknown, Local: Unknown}}}}}, []string{"seed 0 without a value"}, 1},
	} {
		l := ledgerOf(t, c.s)
		page, err := l.page()
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		wellFormed(t, page)
		for _, want := range c.says {
			if !bytes.Contains(page, []byte(want)) {
				t.Errorf("%s: the page does not say %q", name, want)
			}
		}
		if len(l.gaps) != c.gaps {
			t.Errorf("%s: missing %q", name, l.gaps)
		}
		if md := l.markdown(); showsNaN(page) || strings.Contains(md, "NaN") {
			t.Errorf("%s: NaN is shown", name)
		}
	}
}

// TestSweepHostile checks that names from a grid cannot break out of the page or of a Markdown table.
func TestSweepHostile(t *testing.T) {
	const hostile = "<script>alert(\"x\")</script>'\"&|\n*x*"
	s := madeUp()
	for i := range s.Trials {
		s.Trials[i].Data += hostile
		if s.Trials[i].Variant != "" {
			s.Trials[i].Variant += hostile
			s.Trials[i].Cast += hostile
		}
	}
	s.Title, s.Command, s.Grid, s.Notes = hostile, hostile, hostile, []string{hostile}
	l := ledgerOf(t, s)
	page, err := l.page()
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(page, []byte("<script>alert")) {
		t.Error("a name became a script")
	}
	wellFormed(t, page)
	width := 0
	for line := range strings.Lines(l.markdown()) {
		if !strings.HasPrefix(line, "|") {
			width = 0
			continue
		}
		n := strings.Count(strings.ReplaceAll(line, `\|`, ""), "|")
		if width == 0 {
			width = n
		}
		if n != width || strings.Contains(line, "<") {
			t.Fatalf("%d bars, want %d: %s", n, width, line)
		}
	}
}

// TestSweepRace computes the times to a target by hand: zero-shot is 0.5 and the best ends at 0.7, so that 0.9 of the gain
// is 0.68.
func TestSweepRace(t *testing.T) {
	runner := func(rule string, seed uint64, end Number, at ...Number) Trial {
		tr := Trial{Data: "x", Method: "dpfpl", Rule: rule, Nominal: 8, EpsilonRDP: 8, EpsilonPLD: 8, Seed: seed, ZeroShotLocal: 0.5, ZeroShotNeighbour: 0.5, Local: []Number{end}, Neighbour: []Number{0.5}}
		for i, a := range at {
			tr.Course = append(tr.Course, Moment{Version: i, Seconds: Number(10 * i), Local: a, Neighbour: 0.5})
		}
		return tr
	}
	s := &Sweep{Trials: []Trial{
		runner("sync", 1, 0.7, 0.5, 0.6, 0.69, 0.7), runner("sync", 2, 0.7, 0.5, 0.6, 0.6, 0.7), // 20 s and 30 s
		runner("fedbuff", 1, 0.69, 0.5, 0.681, 0.6, 0.69), runner("fedbuff", 2, 0.69, 0.5, 0.68, 0.69), // 10 s and 10 s
		runner("fedasync", 1, 0.6, 0.5, 0.6, 0.69), runner("fedasync", 2, 0.6, 0.5, 0.6), // 20 s, and never
		runner("median", 1, 0.6, 0.5, 0.6), runner("median", 2, 0.6, 0.5, Unknown, 0.6), // never
	}}
	l := ledgerOf(t, s)
	races := l.scenes[0].races()
	if len(races) != 1 {
		t.Fatalf("%d races", len(races))
	}
	sheet := l.raceSheet(&l.scenes[0], &races[0])
	var got [][]string
	for _, r := range sheet.Rows {
		got = append(got, []string{r.Fields[1].Text, r.Fields[2].Text, r.Fields[3].Text, r.Fields[4].Text, r.Fields[5].Text})
	}
	want := [][]string{
		{"sync", "25.0 ± 7.1", "2 of 2", "–", "30.0 ± 0.0"}, {"fedbuff", "10.0 ± 0.0", "2 of 2", "2.50 ×", "25.0 ± 7.1"},
		{"fedasync", "20.0", "1 of 2", "–", "15.0 ± 7.1"}, {"median", "not reached", "0 of 2", "–", "15.0 ± 7.1"},
	}
	if !slices.EqualFunc(got, want, slices.Equal[[]string]) {
		t.Errorf("%q\nwant %q", got, want)
	}
	if !strings.Contains(sheet.Says[0], "90 %") || !strings.Contains(sheet.Says[0], "68.00 %") {
		t.Error(sheet.Says)
	}
	s.Target = 0.5 // 0.6
	half := ledgerOf(t, s)
	sheet = half.raceSheet(&half.scenes[0], &races[0])
	if sheet.Rows[2].Fields[3].Text != "2 of 2" {
		t.Errorf("at half of the gain: %v", sheet.Rows[2])
	}
	for i := range s.Trials {
		s.Trials[i].ZeroShotLocal = 0.9
	}
	lost := ledgerOf(t, s)
	races = lost.scenes[0].races()
	if says := lost.raceSheet(&lost.scenes[0], &races[0]).Says; !strings.Contains(says[0], "no target") {
		t.Error(says)
	}
}

// TestSweepVariants checks that variants compete only with those of equal true ε, whatever ε was claimed.
func TestSweepVariants(t *testing.T) {
	cellOf := func(variant, mode string, nominal, rdp, accuracy Number) Trial {
		return Trial{Data: "x", Method: "dpfpl", Mode: mode, Variant: variant, Nominal: nominal, EpsilonRDP: rdp, EpsilonPLD: rdp, Seed: 1,
			Local: []Number{accuracy}, Neighbour: []Number{accuracy}, ZeroShotLocal: 0.5, ZeroShotNeighbour: 0.5}
	}
	s := &Sweep{Trials: []Trial{
		cellOf("", "corrected", 8, 7.99, 0.55), cellOf("small clip", "corrected", 8, 7.95, 0.6), cellOf("authors", "paper", 4, 7.8, 0.4),
		cellOf("", "corrected", 1, 0.99, 0.45), cellOf("small clip", "corrected", 1, 1, 0.49),
		cellOf("small clip", "corrected", Unknown, Unknown, 0.7),
	}}
	l := ledgerOf(t, s)
	sheet, ok := l.variantSheet(&l.scenes[0])
	if !ok {
		t.Fatal("no table")
	}
	var got []string
	for _, r := range sheet.Rows {
		got = append(got, r.Fields[0].Text+" "+r.Fields[1].Text)
	}
	want := []string{"1 small clip", "1 the grid's base", "7.99 small clip", "7.99 the grid's base", "7.99 authors", "none small clip", "– hand-written context"}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	says := strings.Join(sheet.Says, "\n")
	for _, want := range []string{"At ε 1 nothing beats zero-shot: the best, dpfpl (small clip), reaches −1.00 points", "At ε 7.99 the best is dpfpl (small clip), +10.00 points"} {
		if !strings.Contains(says, want) {
			t.Errorf("%q does not say %q", says, want)
		}
	}
}

func TestSweepWords(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{loss(0.0069).Text, "0.0069"}, {loss(0.40801).Text, "0.409"}, {loss(7.991).Text, "8"}, {loss(59.91).Text, "60"}, {loss(140.2).Text, "141"}, {loss(1234.5).Text, "1240"},
		{loss(Number(math.Inf(1))).Text, "∞"}, {loss(Unknown).Text, "–"}, {loss(0).Text, "0"},
		{signed(0.004, 2), "0.00"}, {signed(-0.004, 2), "0.00"}, {signed(1.5, 2), "+1.50"}, {signed(-1.5, 2), "−1.50"}, {signed(-0.5, 2), "−0.50"},
		{spread{0.5, Unknown, 1}.share().Text, "50.00"}, {spread{0.5, 0.01, 2}.share().Text, "50.00 ± 1.00"}, {none.share().Text, "–"},
		{setting{Nominal: 0.05}.nominal(), "0.05"}, {setting{Nominal: math.Inf(1)}.nominal(), "none"},
		{plain("a|b*c_d<e\nf"), `a\|b\*c\_d&lt;e f`},
	} {
		if c.got != c.want {
			t.Errorf("%q, want %q", c.got, c.want)
		}
	}
}

// TestSweepMarkdown shows the tables of one data set as they go into a document.
func TestSweepMarkdown(t *testing.T) {
	s := madeUp().without(func(t *Trial) bool {
		return t.Data != "oxford_pets" || t.Method == "fedpgp" && t.Nominal == 0.1 && t.Seed == 3
	})
	var b bytes.Buffer
	if err := s.Markdown(&b); err != nil {
		t.Fatal(err)
	}
	golden(t, "sweep.md", b.Bytes())
}

// TestSweepLent checks that runs without noise, which a grid asks for in one mode, stand in the tables of both.
func TestSweepLent(t *testing.T) {
	s := madeUp().without(func(t *Trial) bool { return !t.Nominal.Known() && t.Mode == "paper" })
	l := ledgerOf(t, s)
	sheet, _ := l.resultSheet(&l.scenes[0], "paper")
	free := 0
	for _, r := range sheet.Rows {
		if r.Fields[sheet.column("ε claimed")].Text == "none" {
			free++
		}
	}
	if free != 7 || !strings.Contains(sheet.Notes[0], "Without noise: mode corrected") {
		t.Errorf("%d rows without noise; %q", free, sheet.Notes)
	}
	only := madeUp().without(func(t *Trial) bool { return t.Nominal.Known() && t.Mode == "paper" })
	for i := range only.Trials {
		if tr := &only.Trials[i]; !tr.Nominal.Known() && tr.Method != ControlZeroShot {
			tr.Mode = "paper"
		}
	}
	l = ledgerOf(t, only)
	if _, ok := l.resultSheet(&l.scenes[0], "paper"); ok {
		t.Error("a mode that was only run without noise has a table of its own")
	}
	if sheet, _ = l.resultSheet(&l.scenes[0], "corrected"); !strings.Contains(sheet.Notes[0], "Without noise: mode paper") {
		t.Error(sheet.Notes)
	}
}

// TestSweepCourseKept checks that a trial and the same trial with its course are one.
func TestSweepCourseKept(t *testing.T) {
	timed := madeUp().Trials[0]
	timed.Course = []Moment{{Version: 1, Seconds: 2, Local: 0.5, Neighbour: 0.5}}
	bare := timed
	bare.Course = nil
	for _, trials := range [][]Trial{{timed, bare}, {bare, timed}} {
		if l := ledgerOf(t, &Sweep{Trials: trials}); len(l.trials) != 1 || len(l.trials[0].Course) != 1 {
			t.Errorf("%d trials, course %v", len(l.trials), l.trials[0].Course)
		}
	}
	other := timed
	other.Course = []Moment{{Version: 1, Seconds: 3, Local: 0.5, Neighbour: 0.5}}
	if _, err := (&Sweep{Trials: []Trial{timed, other}}).ledger(); !errors.Is(err, ErrContradiction) {
		t.Error(err)
	}
}
