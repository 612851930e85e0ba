// Package agg combines noised updates into one step of the global prompt, with the same bits on every
// machine and in every order of arrival.
//
// # Arithmetic
//
// An update is a vector of integers in units of a lattice step that all clients share. Weights are fixed
// point, [One] = 2^16 = 1. Every [Buffer] therefore works on integers alone, where addition is exact and
// associative, and hands out an int64 vector together with an integer divisor K:
//
//	mean gradient = vector · step / (One · K · B̄)      B̄: the plan's public batch divisor
//
// Only then does floating point begin, in [Optimizer.Step], one multiplication or addition at a time
// and never fused.
//
// # Divisors
//
// Under [NewSum] the divisor is the configured number of updates, not the number that arrived nor the sum
// of their weights: one client's influence is then bounded by One/K whoever else drops out, as the
// sensitivity argument of FedBuff with privacy needs (Nguyen et al., AISTATS 2022). The
// robust rules estimate a centre rather than a sum, so they divide by the values they keep: n − 2·trim
// for the trimmed mean, 1 or 2 for the median of an odd or even number (Yin et al., ICML 2018,
// definitions 1 and 2). The robust rules give every update the weight 1.
package agg
