package sweep

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"dpfpl/mathx/prompt"
	"dpfpl/testbed/internal/data"
	"dpfpl/testbed/internal/report"
)

// Cell is one configuration with one seed.
type Cell struct {
	Source    string
	Seed      uint64
	Block     int
	Method    string // or report.ControlZeroShot, and then nothing below counts
	Mode      string
	Epsilon   Epsilon
	Rank      int
	Rule      string
	Cast      string
	Variant   string
	NoiseOnly bool

	Setting Setting // the block's and the variant's
}

// ID names the cell in its grid, where no other has the name.
func (c *Cell) ID() string {
	if c.Method == report.ControlZeroShot {
		return fmt.Sprintf("%s seed %d zero-shot", c.Source, c.Seed)
	}
	parts := []string{c.Source, fmt.Sprintf("seed %d", c.Seed), c.Method}
	if c.Epsilon.None() {
		parts = append(parts, "no noise")
	} else {
		parts = append(parts, "ε "+c.Epsilon.String())
	}
	add := func(really bool, text string) {
		if really {
			parts = append(parts, text)
		}
	}
	add(c.Mode == prompt.Paper, "paper mode")
	add(ranked(c.Method), fmt.Sprintf("rank %d", c.Rank))
	add(true, c.Rule)
	add(c.Cast != "none", c.Cast)
	add(c.Variant != "", c.Variant)
	add(c.Setting.Versions != standardVersions, fmt.Sprintf("%d versions", c.Setting.Versions))
	add(c.NoiseOnly, "noise only")
	return strings.Join(parts, " ")
}

// ranked tells whether a method has a rank: another one gives no other run.
func ranked(method string) bool {
	return method == prompt.DPFPL || method == prompt.FedPGP || method == prompt.DPLoRA
}

// Cells lists the grid's cells in the order in which they run: seed by seed, so that what a cut-off sweep leaves is
// balanced; within a seed source by source, since a source is prepared for a seed once.
func (g *Grid) Cells() []Cell {
	var seeds []uint64
	for _, b := range g.Blocks {
		for _, s := range b.Seeds {
			if !slices.Contains(seeds, s) {
				seeds = append(seeds, s)
			}
		}
	}
	var cells []Cell
	for _, seed := range seeds {
		for _, source := range g.Sources {
			cells = append(cells, g.of(seed, source.Name)...)
		}
	}
	return cells
}

// of lists the cells of one seed and source, the zero-shot control first.
func (g *Grid) of(seed uint64, source string) []Cell {
	cells := []Cell{{Source: source, Seed: seed, Method: report.ControlZeroShot, Epsilon: Epsilon(math.Inf(1))}}
	for i, b := range g.Blocks {
		if slices.Contains(b.Sources, source) && slices.Contains(b.Seeds, seed) {
			cells = append(cells, b.of(Cell{Source: source, Seed: seed, Block: i})...)
		}
	}
	if len(cells) == 1 {
		return nil // no block asks for it
	}
	return cells
}

// of lists a block's cells of one seed and source.
func (b *Block) of(c Cell) (cells []Cell) {
	for _, v := range b.Variants {
		c.Variant, c.Setting = v.Name, b.Setting.over(v.Setting)
		for _, c.Rule = range b.Rules {
			for _, c.Cast = range b.Casts {
				for _, c.Mode = range b.Modes {
					for _, c.Epsilon = range b.Epsilons {
						for _, c.Method = range b.Methods {
							cells = append(cells, b.ranks(c)...)
						}
					}
				}
			}
		}
	}
	return cells
}

// ranks lists a cell at every rank, each with its control.
func (b *Block) ranks(c Cell) (cells []Cell) {
	ranks := b.Ranks
	if !ranked(c.Method) {
		ranks = ranks[:1]
	}
	for _, c.Rank = range ranks {
		cells = append(cells, c)
		if !c.Epsilon.None() && !c.Setting.NoControl {
			control := c
			control.NoiseOnly = true
			cells = append(cells, control)
		}
	}
	return cells
}

// trial is a cell's trial before it is run: its setting and seed.
func (g *Grid) trial(c *Cell) *report.Trial {
	t := &report.Trial{
		Data: c.Source, Method: c.Method, Mode: c.Mode, Rank: c.Rank, Nominal: report.Number(c.Epsilon), Delta: g.Delta, Seed: c.Seed,
		EpsilonRDP: report.Unknown, EpsilonPLD: report.Unknown, ZeroShotLocal: report.Unknown, ZeroShotNeighbour: report.Unknown, Seconds: report.Unknown,
		NoiseOnly: c.NoiseOnly, Variant: c.Variant, Clients: g.Clients, Partition: g.partition(c.Source), Shots: g.Shots,
		Rule: c.Rule, Versions: c.Setting.Versions,
	}
	if !ranked(c.Method) {
		t.Rank = 0
	}
	if c.Cast != "none" {
		t.Cast = c.Cast
	}
	return t
}

// partition says in words how a source is divided.
func (g *Grid) partition(name string) string {
	if s, err := g.source(name); err == nil && s.builtin() {
		return "built-in"
	}
	p := g.Partition
	if p == data.RuleDirichlet {
		alpha := g.Alpha
		if alpha == 0 {
			alpha = 0.3
		}
		p = fmt.Sprintf("%s %v", p, alpha)
	}
	if g.Truncate {
		p += ", cut to the smallest client"
	}
	return p
}
