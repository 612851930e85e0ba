// Package sweep runs a grid of federations and measures each: the paper's experiments.
//
// A [Grid] is a YAML file: data sources, seeds, and blocks, each a product of methods, modes, budgets, ranks, rules, casts
// and variants. [Grid.Cells] lists its cells, seed by seed, so that a grid that is cut off is still balanced, with the
// controls that no table should lack: the hand-written context (zero-shot), and for every private cell the same run with zero
// in place of each gradient (noise-only).
//
// A cell is one federation of the deployed roles, in virtual time and in memory, with noise from its seed: equal grids give
// equal trials to the bit. Cells run in processes of their own (hidden command, see [Child]), as many as there are cores,
// because two virtual worlds in one process would share the timers that nats.go keeps. The [journal] holds a line of
// JSON for each finished cell; a sweep that is run again skips what is there.
package sweep
