// Package aggregator is the role that turns the log of updates into versions of the global prompt.
//
// # Consumes
//
// Update and control messages in log order; presence messages and ticks.
//
// # Produces
//
// Model and checkpoint together whenever a version is complete; a note for every update of a member; a
// dead letter for every message it refuses; control messages for what time and presence imply.
//
// # State kept
//
// Three layers, each usable without the next:
//
//   - the gate ([Fold.Check]) judges a message by itself and the plan, and is safe for concurrent use;
//   - the [Fold] is all that decides what is computed. It sees log messages only, reads no clock, and
//     between versions its state is exactly what a checkpoint holds;
//   - the [Aggregator] adds the signature, and a watch over presence and time. The watch never touches the
//     fold: what it concludes is a control message, which counts when it comes back from the log.
//
// # What can go wrong
//
// Every message in the log has one outcome, and the fold goes on to the next:
//
//	update                                          note      dead letter
//	fits, staleness ≤ max_staleness                 accepted
//	base too old                                    stale
//	base that does not exist yet: answers none      refused   future
//	second one for a base or for a buffer           refused   repeat
//	weaker noise or higher rate than the plan's     refused   mechanism
//	lattice of another shape or step                refused   shape
//	not signed by the member                        refused   signature
//	sender, run or k differ from the subject        refused   sender
//	not a member's subject                                    sender
//	bytes that are no message, a panic in judging   refused   decode
//	another wire version                            refused   version
//
// A forged control message is a dead letter; one that comes too late, for a version that is already
// complete, has no effect.
//
// A version is complete when it holds the updates that the rule asks for; or at least the plan's quorum
// and either its deadline has passed or no member that counts can add to it. When not even all members
// together could bring it to the quorum, it is given up: the next version has the same parameters and
// everybody begins anew.
//
// The run ends with version T; or when too few members have an update left; or by a stop message, which
// the watch writes when no update has come for [Config.Patience]. The last model says Final.
//
// # Paper
//
// DP-FPL (Tran et al., ICLR 2025), algorithm 1, line "Server": the mean gradient of the global prompt.
// FedBuff: Nguyen et al., AISTATS 2022. FedAsync: Xie et al. 2019. Trimmed mean and median: Yin et al.,
// ICML 2018. The arithmetic is in mathx/agg.
package aggregator
