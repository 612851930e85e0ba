package sweep

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"pgregory.net/rapid"

	"dpfpl/mathx/prompt"
	"dpfpl/testbed/internal/report"
)

const small = `
name: small
sources: [{name: fashion}]
seeds: [1]
blocks:
  - methods: [dpfpl]
    epsilons: [8]
`

// TestBadGrid: what is wrong with a grid is one line that names the field.
func TestBadGrid(t *testing.T) {
	for _, c := range []struct{ name, from, to, want string }{
		{"unknown field", "seeds: [1]", "seed: [1]", "seed"},
		{"no name", "name: small", "name: ''", "name"},
		{"no sources", "sources: [{name: fashion}]", "sources: []", "sources"},
		{"unknown source", "name: fashion", "name: cars", "sources[0].name"},
		{"source twice", "[{name: fashion}]", "[{name: fashion}, {name: fashion}]", "sources[1].name"},
		{"half a source", "{name: fashion}", "{name: fashion, train: x}", "sources[0].test"},
		{"features and pictures", "{name: fashion}", "{name: cars, train: x, test: y, classes: z, split: s}", "sources[0].split"},
		{"pictures without split", "{name: fashion}", "{name: cars, images: x}", "sources[0].split"},
		{"no seeds", "seeds: [1]", "seeds: []", "seeds"},
		{"seed twice", "seeds: [1]", "seeds: [1, 1]", "seeds"},
		{"negative seed", "seeds: [1]", "seeds: [-1]", "seeds"},
		{"no methods", "methods: [dpfpl]", "methods: []", "blocks[0].methods"},
		{"unknown method", "methods: [dpfpl]", "methods: [dpfp]", "blocks[0].methods"},
		{"method twice", "methods: [dpfpl]", "methods: [dpfpl, dpfpl]", "blocks[0].methods"},
		{"no epsilons", "epsilons: [8]", "epsilons: []", "blocks[0].epsilons"},
		{"epsilon 0", "epsilons: [8]", "epsilons: [0]", "epsilons"},
		{"epsilon inf", "epsilons: [8]", "epsilons: [inf]", "epsilons"},
		{"unknown mode", "epsilons: [8]", "epsilons: [8]\n    modes: [best]", "blocks[0].modes"},
		{"unknown rule", "epsilons: [8]", "epsilons: [8]\n    rules: [best]", "blocks[0].rules"},
		{"unknown cast", "epsilons: [8]", "epsilons: [8]\n    casts: [best]", "blocks[0].casts"},
		{"source of a block", "epsilons: [8]", "epsilons: [8]\n    sources: [emoji]", "blocks[0].sources"},
		{"rank 0", "epsilons: [8]", "epsilons: [8]\n    ranks: [0]", "blocks[0].ranks"},
		{"versions", "epsilons: [8]", "epsilons: [8]\n    versions: 2000", "blocks[0].versions"},
		{"batch", "epsilons: [8]", "epsilons: [8]\n    batch: -1", "blocks[0].batch"},
		{"split", "epsilons: [8]", "epsilons: [8]\n    split: [1, 0, 1]", "blocks[0].split"},
		{"plan's field", "epsilons: [8]", "epsilons: [8]\n    plan: {method: {speed: 1}}", "blocks[0].plan"},
		{"plan's seed", "epsilons: [8]", "epsilons: [8]\n    plan: {seed: 1}", "blocks[0].plan.seed"},
		{"variant's plan", "epsilons: [8]", "epsilons: [8]\n    variants: [{name: a}, {name: b, plan: {privacy: {clip: 1}}}]", "blocks[0].variants[1].plan"},
		{"variant twice", "epsilons: [8]", "epsilons: [8]\n    variants: [{name: a}, {name: a}]", "blocks[0].variants[1].name"},
		{"nameless variant", "epsilons: [8]", "epsilons: [8]\n    variants: [{name: a}, {batch: 3}]", "blocks[0].variants[1].name"},
		{"cell twice", "epsilons: [8]", "epsilons: [8]\n  - methods: [dpfpl]\n    epsilons: [8]\n    batch: 3", "blocks[1]"},
		{"clients", "name: small", "name: small\nclients: -1", "clients"},
		{"delta", "name: small", "name: small\ndelta: 1", "delta"},
		{"pace", "name: small", "name: small\npace: 1ns", "pace"},
		{"target", "name: small", "name: small\ntarget: 1.5", "target"},
		{"prune", "name: small", "name: small\nprune: 1", "prune"},
		{"partition", "name: small", "name: small\npartition: fair", "partition"},
		{"shots", "name: small", "name: small\nshots: -1", "shots"},
		{"no yaml", "name: small", "name: [small", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			text := strings.Replace(small, c.from, c.to, 1)
			if text == small {
				t.Fatal("nothing was changed")
			}
			_, err := Parse([]byte(text))
			if !errors.Is(err, ErrGrid) || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("error %v", err)
			}
		})
	}
	if _, err := Parse([]byte(small)); err != nil {
		t.Error(err)
	}
}

// TestNamed: the grids that come with the testbed are sound.
func TestNamed(t *testing.T) {
	for _, name := range Named() {
		g, _, err := Open(name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if g.Name != name || len(g.Notes) == 0 {
			t.Errorf("%s: named %q, with %d notes on what differs from the paper", name, g.Name, len(g.Notes))
		}
	}
}

// TestCells: every combination is there once, seed by seed, with its controls.
func TestCells(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		some := func(all []string, what string) []string {
			return rapid.SliceOfNDistinct(rapid.SampledFrom(all), 1, len(all), rapid.ID).Draw(t, what)
		}
		g := &Grid{Name: "any", Seeds: rapid.SliceOfNDistinct(rapid.Uint64Range(0, 9), 1, 3, rapid.ID).Draw(t, "seeds")}
		for _, name := range some([]string{"emoji", "fashion"}, "sources") {
			g.Sources = append(g.Sources, Source{Name: name})
		}
		b := Block{
			Methods: some(prompt.Methods(), "methods"), Modes: some([]string{prompt.Corrected, prompt.Paper}, "modes"),
			Rules: some([]string{"sync", "fedbuff"}, "rules"), Casts: some([]string{"none", "late"}, "casts"),
			Ranks: rapid.SliceOfNDistinct(rapid.IntRange(1, 8), 1, 3, rapid.ID).Draw(t, "ranks"),
		}
		for _, e := range rapid.SliceOfNDistinct(rapid.SampledFrom([]float64{0.1, 1, 8, math.Inf(1)}), 1, 4, rapid.ID).Draw(t, "epsilons") {
			b.Epsilons = append(b.Epsilons, Epsilon(e))
		}
		for i := range rapid.IntRange(1, 3).Draw(t, "variants") {
			b.Variants = append(b.Variants, Variant{Name: fmt.Sprint("v", i)})
		}
		b.NoControl = rapid.Bool().Draw(t, "no control")
		g.Blocks = []Block{b}
		text, err := yaml.Marshal(g)
		if err != nil {
			t.Fatal(err)
		}
		if g, err = Parse(text); err != nil {
			t.Fatalf("%v\n%s", err, text)
		}
		cells := g.Cells()

		learned := 0
		for _, m := range b.Methods {
			if ranked(m) {
				learned += len(b.Ranks)
			} else {
				learned++
			}
		}
		noised := len(b.Epsilons)
		if slices.ContainsFunc(b.Epsilons, Epsilon.None) {
			noised--
		}
		budgets := len(b.Epsilons)
		if !b.NoControl {
			budgets += noised
		}
		perSource := 1 + learned*budgets*len(b.Modes)*len(b.Rules)*len(b.Casts)*len(b.Variants)
		if want := perSource * len(g.Sources) * len(g.Seeds); len(cells) != want {
			t.Fatalf("%d cells, want %d", len(cells), want)
		}
		ids := map[string]bool{}
		for i, c := range cells {
			if ids[c.ID()] {
				t.Fatalf("%q is there twice", c.ID())
			}
			ids[c.ID()] = true
			if i%perSource == 0 != (c.Method == report.ControlZeroShot) {
				t.Fatalf("cell %d is %q", i, c.ID())
			}
			if want := g.Seeds[i/(perSource*len(g.Sources))]; c.Seed != want {
				t.Fatalf("cell %d has seed %d, want %d", i, c.Seed, want)
			}
			if c.NoiseOnly && (c.Epsilon.None() || cells[i-1].ID()+" noise only" != c.ID()) {
				t.Fatalf("%q follows %q", c.ID(), cells[i-1].ID())
			}
		}
		if again, err := yaml.Marshal(g); err != nil {
			t.Fatal(err)
		} else if h, err := Parse(again); err != nil || h.digest("m") != g.digest("m") || h.digest("n") == g.digest("m") {
			t.Fatalf("the digest does not survive: %v", err)
		}
	})
}

// TestSettings: a variant is laid over its block field by field, maps merged.
func TestSettings(t *testing.T) {
	g, err := Parse([]byte(small + `    batch: 4
    plan: {method: {rate: 2, momentum: 0.5}}
    variants:
      - {}
      - {name: fast, versions: 5, plan: {method: {rate: 3}, server: {rate: 1}}}
`))
	if err != nil {
		t.Fatal(err)
	}
	var plain, fast *Cell
	for _, c := range g.Cells() {
		switch {
		case c.NoiseOnly || c.Method == report.ControlZeroShot:
		case c.Variant == "fast":
			fast = &c
		default:
			plain = &c
		}
	}
	set, err := fakeSet(3)
	if err != nil {
		t.Fatal(err)
	}
	a, err := g.planFile(plain, set, 8)
	if err != nil {
		t.Fatal(err)
	}
	b, err := g.planFile(fast, set, 8)
	if err != nil {
		t.Fatal(err)
	}
	if a.Versions != 100 || a.Method.Rate != 2 || a.Method.Momentum != 0.5 || a.Server.Rate != 0.3 || a.Privacy.Batch != 4 {
		t.Errorf("%+v", a)
	}
	if b.Versions != 5 || b.Method.Rate != 3 || b.Method.Momentum != 0.5 || b.Server.Rate != 1 || b.Privacy.Batch != 4 {
		t.Errorf("%+v", b)
	}
}
