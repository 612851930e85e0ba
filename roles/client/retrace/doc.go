// Package retrace holds what a client kept for itself against the log of a run, on the client's own machine.
//
// [Compare] needs the ledger alone. It finds an update in the log that the ledger did not pay for, or whose
// bytes are not the ones that it committed. The seed of the noise is stored nowhere, so this comparison of
// digests, and not a second drawing, is what ties a published update to the one noising that was paid for.
//
// [Recompute] also needs a black box ([dpfpl/roles/client/blackbox]), which is off by default, and the
// client's data. It computes a step again from what it began with, compares the norm before the noise with the
// one noted then, and looks at the difference between the published update and the recomputed sum: it must
// have the size of the mechanism's noise and no direction. Noise that does its work hides much, so this second
// look finds a mechanism that adds too little or too much, or no sum at all, rather than a single wrong
// example; that is what the norm is for.
package retrace
