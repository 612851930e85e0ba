// Package logfile is the single file that holds a whole run, usually run.dpfpl: its plan, every message of
// its update log, and every version of the model with its checkpoint, all as the bytes that were sealed and
// sent. A run can be exported to it, replayed from it, and imported into another server.
//
// # Format, version 1
//
// All integers are little-endian. A file is a header, chunks, and nothing after the trailer.
//
//	header   8 bytes  89 64 70 66 70 6c 0d 0a        ("\x89dpfpl\r\n": no text, and line-end conversion shows)
//	         2 bytes  format version, 1
//
//	chunk    1 byte   type: 'R' record, 'T' trailer
//	         4 bytes  index: 0, 1, 2, … in the order of the file
//	         4 bytes  length of the payload, at most 2^24
//	         n bytes  payload
//	         4 bytes  CRC-32C over type, index, length and payload
//
//	record   8 bytes  sequence, as the stream numbered it
//	        32 bytes  chain: the digest chain (schemas.Chain) over all log records up to and including this one
//	         8 bytes  time, Unix nanoseconds, as the stream stored it
//	         2 bytes  length of the subject
//	         n bytes  subject, which says what the record is
//	         n bytes  sealed message, the rest of the payload
//
//	trailer  8 bytes  number of log records (updates and control messages)
//	         8 bytes  number of models
//	         8 bytes  number of checkpoints
//	        32 bytes  chain over all log records
//
// The first record is the plan; all others are of the same run. Log records ascend by sequence, and so do
// models and checkpoints among themselves; a version's model and checkpoint follow the log record with
// which it was complete, so that a reader needs to hold one version at a time ([Interleave]).
//
// # What is found
//
// The checksum finds bytes that changed; index, sequence and chain find records that were removed, doubled
// or moved, even by somebody who mends the checksums; the signatures find whoever mends the chain, too
// ([Verify]). A file that ends without a trailer was cut: what it holds up to there is whole and usable.
package logfile
