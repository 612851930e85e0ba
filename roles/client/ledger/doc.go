// Package ledger is a client's durable record of the privacy it has spent, and its
// outbox. One ledger belongs to one set of private records and outlives every run on
// them: budgets add up across runs.
//
// # Order
//
// A step goes through the ledger in this order, so that a crash at any point neither
// forgets a cost nor computes a step twice:
//
//  1. Debit, on disk before it returns. From here on the step is spent, whatever
//     happens: there is no refund.
//  2. The noise is drawn and the update is made.
//  3. Commit: the bytes of the update and the learner's new local state, on disk
//     together before it returns.
//  4. The bytes are sent, and sent again as often as need be: Pending holds them.
//  5. Acked, once the broker has stored them.
//
// A second noising of one gradient, or a second step on the record of the first, would
// be a second release. So Debit refuses a step it has seen (ErrSpent): after a crash
// between 1 and 3 the client goes on with the next step; after 3 it sends the bytes
// that are pending.
//
// # File
//
// The file is the magic string "dpfpl ledger 1\n" and then records, each
//
//	length   uint32  bytes of the body
//	check    uint32  CRC-32C of the length and of the record's offset in the file
//	body     kind byte and fields: strings and byte strings behind a uvarint length,
//	         integers as uvarints, floats as 8 bytes
//	sum      uint32  CRC-32C of the body
//
// in little endian. A record that the end of the file cuts short, or whose sum was
// never written (zeros), is the trace of a crash: the append had not returned, nobody
// acted on it, and opening the ledger removes it. Anything else that does not check is
// damage: ErrDamaged with the offset, and the file is left alone, since dropping a
// record could refund a step. Old states and acknowledged updates are removed by
// writing a new file and renaming it over the old one; debits are kept for ever, and so
// is the digest of each update, for [Read].
//
// A second file beside it, with ".lock" appended to its name, carries the lock that
// keeps two processes from spending one budget.
package ledger
