// Package schemas is the whole conversation of a federation: its messages, their subjects, and how
// bytes become a message or are refused.
//
// # The life of a run, message by message
//
// The operator publishes one [Plan]. The aggregator answers with [Model] version 0 and a [Checkpoint].
// Each client that has a newer model than it last worked from takes one Poisson batch of its own data,
// clips, noises, and publishes [Update] k = 1, 2, …, N. The aggregator reads updates in log order; when
// the plan's rule says that a version is complete it writes the next Model and Checkpoint in one fenced
// batch, and tells each contributor by [Note] what became of its update. What it refuses goes to the
// operator as [Dead]. Clients show [Presence]; what follows from silence, or from a deadline, enters the
// log as a [Control] message, so that the log alone decides what was computed.
package schemas
