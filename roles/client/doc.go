// Package client is the role that learns: it holds private records and a local prompt,
// and answers each new version of the global prompt with one noised update.
//
// # Consumes
//
// The run's plan at the start; then the newest model, notes on its own updates, ticks. A
// model counts only with the aggregator's signature, of this run, of the plan's shape
// and newer than the newest one seen.
//
// # Produces
//
// One update for every model that is newer than the last one it worked from, unless a
// note says that its last update still waits in a later version's buffer, where a second
// one would be refused. Updates are numbered k = 1, 2, …, N, sealed and of a size that the
// data cannot change. Nothing else that it
// says depends on its data: no loss, no count, no batch size.
//
// # State kept
//
// In the ledger ([dpfpl/roles/client/ledger]), on disk: every step ever debited, the
// updates not yet acknowledged, and beside each the local prompt as it was after that
// step. In memory: the newest model. For debugging, and only if it is given one, a client
// also fills a black box ([dpfpl/roles/client/blackbox]), which weakens its protection on its
// own disk.
//
// A step goes debit, noise, update, commit, send. What a crash leaves behind follows
// from where it struck:
//
//	before the debit          nothing happened; the next model starts step k
//	between debit and commit  step k is spent and never computed again, since that would
//	                          be a second noising of it; the next model starts step k+1
//	after the commit          the bytes of update k are in Pending, and are sent as they are
//	after the acknowledgement nothing is lost
//
// # Publishing
//
// Not a part of the loop, and asked for by no message: [Publish] gives the personal prompt to whoever
// holds the ledger, if the ledger has paid for every step in it.
//
// # What can go wrong
//
// A plan that asks for more than the client grants (weaker noise, a higher rate, a larger
// epsilon, another backbone, other classes) is refused by [New], naming the field. A plan
// never changes during a run: a different one, signed by the operator, makes the client
// receive-only. So do a spent budget and the last update. A receive-only client still
// follows the global prompt, answers for what is in its outbox, and says why in an event.
// A failing ledger is an error of Step, after which every Step fails: memory and disk may
// differ, and the role must be started anew. Messages that are forged, damaged or out of
// place are events and change nothing.
//
// # Paper
//
// DP-FPL (Tran et al., ICLR 2025), algorithm 1, lines 3 to 9, with per-example clipping
// and noise on the global gradient at the client. The arithmetic is in mathx/prompt.
package client
