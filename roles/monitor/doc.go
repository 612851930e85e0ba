// Package monitor is the role that looks on: it folds everything that is said in a run into one view, for
// people and for programs, and says nothing itself.
//
// # Consumes
//
// Update and control messages in log order, models and checkpoints in order of version, dead letters; presence
// and notes as they are said; and sights of the broker. The streams may come in any interleaving: the view
// depends on what was seen, not on which stream was faster.
//
// # Produces
//
// Nothing. [Monitor.View] is what there is to know at a moment: a headline, what needs attention, and the
// state of versions, clients, aggregators and the log.
//
// # State kept
//
// What follows from the stored messages, so that a restart reads it again; and beside it what is not stored and
// comes back by itself: who was heard when, what the aggregator has judged since the last version, and how the
// broker is.
//
// # What can go wrong
//
// A message that is not signed by who should have signed it counts for nothing, and is counted. Unreadable ones
// only move the end of the log: what the aggregator thinks of them is in the dead letters.
//
// The time of a stored message is the broker's, the moment of a view its reader's: clocks that differ by seconds
// show as seconds.
//
// # Privacy
//
// The view holds what is public in a run: names, times, counts, and the cost in epsilon that follows from them.
// Every client is charged the plan's whole step for every number that it has used, the worst case; its own
// ledger, over all runs, is its own affair.
package monitor
