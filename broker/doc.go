// Package broker moves messages between roles and NATS JetStream. It knows streams, positions and fences,
// and nothing of what a message means.
//
// # Streams of a run
//
//	DPFPL_LOG_<run>    update.*.1 … update.*.N and control.*; one message per subject, new ones discarded,
//	                   nothing deleted. The subject is a message's identity, so a retry is harmless for
//	                   ever, and update N+1 has no subject to be stored at.
//	DPFPL_STATE_<run>  plan, model, checkpoint; every version kept; plan and model are republished to core
//	                   subjects (pub.plan, pub.model) when they are stored.
//	DPFPL_DEAD_<run>   dead.*; 30 days.
//	DPFPL_LEASE_<run>  lease; its newest message says who leads, for liveness only.
//
// [Conn.Provision] makes them all. The loops only use them: [FoldSubjects] lists what an aggregator must be
// allowed to publish, and nothing in that list makes, changes or destroys a stream.
//
// # Two loops
//
// [Fold] reads the log in order and hands it to a [Folder]. What the folder makes of it, a model and a
// checkpoint, is stored in one atomic batch, fenced by compare-and-set on the checkpoint's subject. Whoever
// loses the comparison, or does not learn the outcome, forgets everything and starts from what is stored.
// So a crash at any point neither loses nor doubles an update, and two folds may run side by side.
//
// [Follow] hands a [Follower] the newest model and publishes its outbox until every message is known to be
// stored. It never works through old models.
//
// # What is asked twice
//
// A request, or its answer, is lost with the server that has it: nobody says so. So the wait for an answer ends after
// a short time, or as soon as a lost connection is back, and then the outcome is unknown. What follows depends on what
// was asked:
//
//	read, new consumer         asked again; a consumer that nobody heard of is soon idle, and goes
//	update                     the same bytes again, for ever: one message per subject
//	control message            the same bytes again: one message per subject, and the folder says it again
//	dead letter                the same bytes again: one message per id
//	version with checkpoint    never: the fold starts over from what is stored, be it this version or not
//	lease                      never: who is not known to hold it does not lead
//	streams, plan, import      never: the operator does it again
//
// A connection over which nothing at all comes is given up for another one.
//
// # What an ack means
//
// The server's default is to sync its files every two minutes, so that an acknowledged update may be lost
// with the power. [Conn.Provision] therefore asks the servers whether they sync always (sync_interval:
// always) and refuses otherwise, unless told to accept it. Only the system account may ask: a client
// cannot see this setting.
//
// That a subject is taken (10077) is no ack: of several servers, the one that says so may have been cut off from
// the others, and then gives up what it holds. The outbox therefore reads what is stored before it believes it.
package broker
