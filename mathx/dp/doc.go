// Package dp holds the differential privacy of one client: the mechanism that
// turns per-record gradients into noised integers, the accountants that say what
// a run of such releases costs, the calibration of noise to a budget, and the
// mathematics of auditing the result.
//
// # Mechanism
//
// One training step releases one sum per parameter group (for DP-FPL the left
// factor u, the right factor v and the global prompt G) of clipped per-record
// gradients plus Gaussian noise. Everything that the proof rests on is integer
// arithmetic: a gradient is clipped onto a lattice of step sigma/S, S = 2^16,
// rounded toward zero, and its squared integer norm is compared with L^2,
// L = floor(S/z). So a record moves the sum by an integer vector of norm at most
// L: a checked fact and not an estimate. The noise is an exact discrete Gaussian
// of parameter S (Canonne, Kamath, Steinke 2020, arXiv 2004.00010, algorithm 3),
// drawn without any floating-point number, so the set of reachable outputs does
// not depend on the data (Mironov 2012; arXiv 2112.05307). The accounted noise
// multiplier of a group is S/L, never less than the z asked for.
//
// The discrete Gaussian shifted by an integer vector has exactly the integer
// moments of the continuous one, E[(p1/p0)^k] = exp(k(k-1)|shift|^2/(2 S^2)), so
// the Rényi accountant at integer orders is a proof for this mechanism; the
// privacy-loss distribution, computed for the continuous Gaussian, is the tight
// reference beside it.
//
// [Noised] is the only way out. Only [Mechanism.Release] fills one, and whatever
// leaves a client or moves its personal prompt must be made from one.
//
// # Vocabulary
//
// z is a noise multiplier: the standard deviation of the noise over the clip norm
// of one record, both stated for the sum over a batch (never for its mean). q is
// the Poisson sampling rate, T the number of steps. The [Adjacency] says which
// pairs of data sets a guarantee compares, and with it the sensitivity: C for
// zero-out and add/remove, 2C for replace-one. The releases of one step come from
// one batch, so they are one Gaussian: 1/z^2 is the sum of the 1/z_k^2.
//
// # Accounting
//
// [Account] adds up the steps of a run under one adjacency. Its official epsilon is by
// Rényi divergence at integer orders; the privacy-loss distribution and the fractional
// orders are references for continuous noise; the central-limit estimate is no bound at
// all. [CalibrateRDP] and [CalibratePLD] go from a budget to the noise, and err on the
// side of the budget. [Statement] puts the result into words, with the usual mistakes as
// warnings.
//
// # Auditing
//
// An audit proves a lower bound from what was released: [AuditMechanism] compares
// releases with and without a canary and sees a factor in the noise; [OneRunBound] and
// [OneRunMu] judge guesses about many canaries of one run and see what leaks around it.
//
// # Randomness
//
// Every source is an argument. Production passes [CryptoSource], a fresh one for
// every step, and never stores its state.
package dp
