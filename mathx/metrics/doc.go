// Package metrics scores classifiers and summarises scores over clients, versions and seeds.
//
// The paper (Tran et al., ICLR 2025, section 5.1) reports two accuracies of a client's personal prompt, each a mean over
// clients: local accuracy on its own classes and neighbour accuracy on those of the others. Their harmonic mean is our
// single figure for the balance of the two.
//
// Slices whose shapes do not fit are a caller's mistake and panic.
package metrics
