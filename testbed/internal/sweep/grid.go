package sweep

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml"

	"dpfpl/mathx/prompt"
	"dpfpl/roles/planfile"
	"dpfpl/testbed/internal/data"
	"dpfpl/testbed/internal/federation"
)

// ErrGrid is wrapped by errors about a grid; they name the field.
var ErrGrid = errors.New("sweep: bad grid")

// Grid is what a grid file holds.
type Grid struct {
	Name  string   `yaml:"name"`
	Notes []string `yaml:"notes"` // what readers of the tables must know

	Sources []Source `yaml:"sources"`
	Seeds   []uint64 `yaml:"seeds"`
	Blocks  []Block  `yaml:"blocks"`

	Clients int           `yaml:"clients"` // 0: 10
	Delta   float64       `yaml:"delta"`   // 0: 1e-5
	Pace    time.Duration `yaml:"pace"`    // of a step, in virtual time; 0: 400ms
	Prune   *float64      `yaml:"prune"`   // see client.Config.Prune; absent: the main job's

	// Target is the share of the best gain over zero-shot that counts as having got there; see report.Sweep.
	Target float64 `yaml:"target,omitempty"`

	// How a source that is not built in is divided; see data.Division.
	Partition string  `yaml:"partition"` // absent: pathological
	Alpha     float64 `yaml:"alpha"`
	Shots     int     `yaml:"shots"`
	Truncate  bool    `yaml:"truncate"`
	SkipBad   bool    `yaml:"skip_bad"` // leave out pictures that cannot be used
}

// Source is one data set: a built-in one by its name, or one in the features folder (Train, Test, Classes) or in the
// images folder (Images, Split).
type Source struct {
	Name    string `yaml:"name"`
	Train   string `yaml:"train"`   // stems: <train>_x.npy and <train>_y.npy
	Test    string `yaml:"test"`    //
	Classes string `yaml:"classes"` // file with the class names; see data.ClassNames
	Images  string `yaml:"images"`  // folder with the pictures that Split names in CoOp's layout
	Split   string `yaml:"split"`
}

func (s *Source) builtin() bool { return s.Train == "" && s.Images == "" }

// Block is a product of configurations.
type Block struct {
	Methods  []string  `yaml:"methods"`
	Modes    []string  `yaml:"modes"` // absent: corrected
	Epsilons []Epsilon `yaml:"epsilons"`
	Ranks    []int     `yaml:"ranks"`   // absent: 8
	Rules    []string  `yaml:"rules"`   // absent: sync
	Casts    []string  `yaml:"casts"`   // absent: none
	Sources  []string  `yaml:"sources"` // names of the grid's sources; absent: all
	Seeds    []uint64  `yaml:"seeds"`   // absent: the grid's

	Setting  `yaml:",inline"`
	Variants []Variant `yaml:"variants"` // absent: one, without a name
}

// Variant is a setting laid over its block's.
type Variant struct {
	Name    string `yaml:"name"`
	Setting `yaml:",inline"`
}

// Setting is what a block fixes for all its cells and a variant may change.
type Setting struct {
	Versions int `yaml:"versions"` // 0: 100
	// Batch is the mean Poisson batch of the median client; it makes q and the public divisor. 0: the plan's own.
	Batch float64 `yaml:"batch"`
	// Split weighs the noise multipliers of u, v and the global prompt against each other; absent: equal.
	Split []float64 `yaml:"split"`
	// Course measures every so many versions beside the last ten; 0: only these.
	Course int `yaml:"course"`
	// NoControl leaves out the noise-only control.
	NoControl bool `yaml:"no_control"`
	// Plan is laid over the default plan; its fields are those of a plan file.
	Plan map[string]any `yaml:"plan"`
}

// over lays v over s.
func (s Setting) over(v Setting) Setting {
	if v.Versions != 0 {
		s.Versions = v.Versions
	}
	if v.Batch != 0 {
		s.Batch = v.Batch
	}
	if len(v.Split) > 0 {
		s.Split = v.Split
	}
	if v.Course != 0 {
		s.Course = v.Course
	}
	s.NoControl = s.NoControl || v.NoControl
	s.Plan = merge(s.Plan, v.Plan)
	return s
}

// merge lays b over a, map by map.
func merge(a, b map[string]any) map[string]any {
	out := maps.Clone(a)
	if out == nil {
		out = map[string]any{}
	}
	for k, v := range b {
		if m, ok := v.(map[string]any); ok {
			if old, ok := out[k].(map[string]any); ok {
				v = merge(old, m)
			}
		}
		out[k] = v
	}
	return out
}

// Epsilon is a privacy budget; +Inf, written none, is no noise.
type Epsilon float64

// None tells whether there is no noise.
func (e Epsilon) None() bool { return math.IsInf(float64(e), 1) }

// String writes it as in a grid.
func (e Epsilon) String() string {
	if e.None() {
		return "none"
	}
	return strconv.FormatFloat(float64(e), 'g', -1, 64)
}

// UnmarshalYAML reads a positive number or none.
func (e *Epsilon) UnmarshalYAML(b []byte) error {
	text := strings.Trim(strings.TrimSpace(string(b)), `"'`)
	if text == "none" {
		*e = Epsilon(math.Inf(1))
		return nil
	}
	v, err := strconv.ParseFloat(text, 64)
	if err != nil || !(v > 0) || math.IsInf(v, 0) {
		return fmt.Errorf("epsilons: %q: want numbers above 0, or none", text)
	}
	*e = Epsilon(v)
	return nil
}

// MarshalYAML writes what UnmarshalYAML reads.
func (e Epsilon) MarshalYAML() ([]byte, error) { return []byte(e.String()), nil }

//go:embed grids/*.yaml
var grids embed.FS

// Named lists the grids that come with the testbed.
func Named() []string {
	entries, err := grids.ReadDir("grids")
	if err != nil {
		panic(err) // embedded
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = strings.TrimSuffix(e.Name(), ".yaml")
	}
	return names
}

// Open reads a grid that comes with the testbed, by its name, or a file, and returns its text as well. Expected errors:
// ErrGrid, fs.ErrNotExist.
func Open(name string) (*Grid, []byte, error) {
	text, err := grids.ReadFile(path.Join("grids", name+".yaml"))
	if err != nil || strings.ContainsAny(name, `/\`) {
		if text, err = os.ReadFile(name); err != nil {
			return nil, nil, fmt.Errorf("%w; grids that come with the testbed: %s", err, strings.Join(Named(), ", "))
		}
	}
	g, err := Parse(text)
	if err != nil {
		err = fmt.Errorf("%s: %w", name, err)
	}
	return g, text, err
}

// Parse reads a grid file and checks it. Expected error: ErrGrid.
func Parse(text []byte) (*Grid, error) {
	g := new(Grid)
	if err := planfile.Decode(text, g); err != nil {
		return nil, fmt.Errorf("%w: %s", ErrGrid, oneLine(err, text))
	}
	g.fill()
	return g, g.check()
}

// oneLine is a YAML error with the line of text that it is about.
func oneLine(err error, text []byte) string {
	message, _, _ := strings.Cut(err.Error(), "\n")
	var line, column int
	if n, _ := fmt.Sscanf(message, "[%d:%d]", &line, &column); n == 2 {
		if lines := strings.Split(string(text), "\n"); line >= 1 && line <= len(lines) {
			message += fmt.Sprintf(" (%.80s)", strings.TrimSpace(lines[line-1]))
		}
	}
	return message
}

// digest names what the grid runs, on a model: the same whatever its layout, comments and notes.
func (g *Grid) digest(model string) string {
	bare := *g
	bare.Notes, bare.Target = nil, 0
	text, err := yaml.Marshal(&bare)
	if err != nil {
		panic(err) // it was parsed
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "1 %s\n%s", model, text))
	return hex.EncodeToString(sum[:8])
}

// standardVersions is the paper's T.
const standardVersions = 100

func (g *Grid) fill() {
	orElse(&g.Clients, 10)
	orElse(&g.Delta, 1e-5)
	orElse(&g.Pace, 400*time.Millisecond)
	orElse(&g.Partition, data.RulePathological)
	for i := range g.Blocks {
		b := &g.Blocks[i]
		orElse(&b.Versions, standardVersions)
		orList(&b.Modes, prompt.Corrected)
		orList(&b.Ranks, 8)
		orList(&b.Rules, "sync")
		orList(&b.Casts, "none")
		if len(b.Seeds) == 0 {
			b.Seeds = g.Seeds
		}
		if len(b.Sources) == 0 {
			for _, s := range g.Sources {
				b.Sources = append(b.Sources, s.Name)
			}
		}
		if len(b.Variants) == 0 {
			b.Variants = []Variant{{}}
		}
	}
}

func orElse[T comparable](v *T, standard T) {
	if *v == *new(T) {
		*v = standard
	}
}

func orList[T any](v *[]T, standard T) {
	if len(*v) == 0 {
		*v = []T{standard}
	}
}

// check reports the first field outside its domain. What only the plan can tell is found when it is made.
func (g *Grid) check() error {
	f := &faults{}
	f.must(g.Name != "" && !strings.ContainsAny(g.Name, "\n/"), "name", "%q is no name", g.Name)
	f.must(len(g.Sources) > 0, "sources", "none")
	f.must(len(g.Blocks) > 0, "blocks", "none")
	f.must(g.Clients >= 1 && g.Clients <= 1000, "clients", "%d is not from 1 to 1000", g.Clients)
	f.must(g.Delta > 0 && g.Delta < 1, "delta", "%v is not between 0 and 1", g.Delta)
	f.must(g.Pace >= time.Millisecond && g.Pace <= time.Hour, "pace", "%v is not from 1ms to 1h", g.Pace)
	f.must(g.Target >= 0 && g.Target <= 1, "target", "%v is not from 0 to 1", g.Target)
	f.must(g.Prune == nil || *g.Prune >= 0 && *g.Prune < 1, "prune", "not from 0 up to, but without, 1")
	f.oneOf("partition", g.Partition, data.RulePathological, data.RuleDirichlet)
	f.must(g.Alpha >= 0 && !math.IsInf(g.Alpha, 0), "alpha", "%v is negative or infinite", g.Alpha)
	f.must(g.Shots >= 0, "shots", "%d is negative", g.Shots)
	f.unique("seeds", g.Seeds)
	var names []string
	for i, s := range g.Sources {
		at := fmt.Sprintf("sources[%d]", i)
		f.source(at, &s)
		f.must(!slices.Contains(names, s.Name), at+".name", "%q is there twice", s.Name)
		names = append(names, s.Name)
	}
	for i := range g.Blocks {
		f.block(fmt.Sprintf("blocks[%d]", i), &g.Blocks[i], names)
	}
	if f.err == nil {
		f.distinct(g.Cells())
	}
	return f.err
}

// distinct refuses two cells that the tables could not tell apart.
func (f *faults) distinct(cells []Cell) {
	blocks := map[string]int{}
	for i := range cells {
		c := &cells[i]
		other, twice := blocks[c.ID()]
		f.must(!twice, fmt.Sprintf("blocks[%d]", c.Block), "%q is in blocks[%d] as well; a variant with a name tells them apart", c.ID(), other)
		blocks[c.ID()] = c.Block
	}
}

// faults keeps the first fault.
type faults struct{ err error }

func (f *faults) must(ok bool, field, format string, args ...any) {
	if !ok && f.err == nil {
		f.err = fmt.Errorf("%w: %s: %s", ErrGrid, field, fmt.Sprintf(format, args...))
	}
}

func (f *faults) oneOf(field, value string, names ...string) {
	f.must(slices.Contains(names, value), field, "%q is none of %s", value, strings.Join(names, ", "))
}

func (f *faults) source(at string, s *Source) {
	f.must(s.Name != "" && !strings.ContainsAny(s.Name, " \n/|"), at+".name", "%q is no name", s.Name)
	if s.builtin() {
		f.must(slices.Contains(data.Names(), s.Name), at+".name", "%q is not built in (%s), and has neither train and test nor images and split", s.Name, strings.Join(data.Names(), ", "))
		f.must(s.Test == "" && s.Classes == "" && s.Split == "", at, "%s has some of train, test, classes, images and split, but not those that belong together", s.Name)
		return
	}
	f.must(s.Train == "" || s.Images == "", at, "%s has both train and images", s.Name)
	if s.Train != "" {
		f.must(s.Test != "", at+".test", "missing")
		f.must(s.Classes != "", at+".classes", "missing")
		f.must(s.Split == "", at+".split", "goes with images")
		return
	}
	f.must(s.Split != "", at+".split", "missing")
	f.must(s.Test == "" && s.Classes == "", at, "%s: test and classes go with train", s.Name)
}

func (f *faults) block(at string, b *Block, sources []string) {
	f.must(len(b.Methods) > 0, at+".methods", "none")
	f.must(len(b.Epsilons) > 0, at+".epsilons", "none")
	f.unique(at+".seeds", b.Seeds)
	f.must(len(b.Seeds) > 0, "seeds", "none")
	each(f, at+".methods", b.Methods, prompt.Methods())
	each(f, at+".modes", b.Modes, []string{prompt.Corrected, prompt.Paper})
	each(f, at+".rules", b.Rules, []string{"sync", "fedbuff", "fedasync", "trimmed", "median"})
	each(f, at+".casts", b.Casts, slices.Sorted(maps.Keys(federation.Casts)))
	each(f, at+".sources", b.Sources, sources)
	for _, k := range b.Ranks {
		f.must(k >= 1 && k <= 64, at+".ranks", "%d is not from 1 to 64", k)
	}
	f.setting(at, &b.Setting)
	var names []string
	for i := range b.Variants {
		v := &b.Variants[i]
		here := fmt.Sprintf("%s.variants[%d]", at, i)
		f.must(!slices.Contains(names, v.Name), here+".name", "%q is there twice", v.Name)
		f.must(len(b.Variants) == 1 || v.Name != "" || v.Setting.isZero(), here+".name", "missing")
		names = append(names, v.Name)
		f.setting(here, &v.Setting)
	}
}

func (s *Setting) isZero() bool {
	return s.Versions == 0 && s.Batch == 0 && len(s.Split) == 0 && s.Course == 0 && len(s.Plan) == 0
}

func (f *faults) setting(at string, s *Setting) {
	f.must(s.Versions >= 0 && s.Versions <= 1000, at+".versions", "%d is not from 1 to 1000", s.Versions)
	f.must(s.Batch >= 0 && !math.IsInf(s.Batch, 0), at+".batch", "%v is negative or infinite", s.Batch)
	f.must(s.Course >= 0, at+".course", "%d is negative", s.Course)
	f.must(len(s.Split) == 0 || len(s.Split) == 3, at+".split", "%d weights, not those of u, v and the global prompt", len(s.Split))
	for _, w := range s.Split {
		f.must(w > 0 && !math.IsInf(w, 0), at+".split", "%v is not positive", w)
	}
	for _, key := range []string{"versions", "updates", "seed"} {
		f.must(s.Plan[key] == nil, at+".plan."+key, "belongs to the grid and not to the plan")
	}
	probe := planfile.FromRandom(10, time.Second)
	if err := overlay(&probe, s.Plan); err != nil {
		f.must(false, at+".plan", "%v", err)
	}
}

func each(f *faults, field string, values, names []string) {
	for _, v := range values {
		f.oneOf(field, v, names...)
	}
	f.must(len(slices.Compact(slices.Sorted(slices.Values(values)))) == len(values), field, "one is there twice")
}

func (f *faults) unique(field string, seeds []uint64) {
	f.must(len(slices.Compact(slices.Sorted(slices.Values(seeds)))) == len(seeds), field, "one is there twice")
}

// overlay lays a plan's fields over a file; a field that it does not have is an error.
func overlay(file *planfile.File, plan map[string]any) error {
	if len(plan) == 0 {
		return nil
	}
	text, err := yaml.Marshal(plan)
	if err != nil {
		return err
	}
	if err := planfile.Decode(text, file); err != nil {
		return errors.New(oneLine(err, text))
	}
	return nil
}
