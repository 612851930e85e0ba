// Package blackbox is a client's private flight recorder: what it takes to compute a step again, kept on the
// client's own disk for debugging. It is off unless the client is given one.
//
// # Risk
//
// A record says which examples were in a batch, and the norm of their gradients before the noise. Whoever can
// read it knows more than the guarantee of the run allows for: without the secret of the batch the sampling
// amplifies nothing, and the norm was never noised at all. The seed of the noise is not recorded, and neither
// is the sum itself, but with the examples at hand a reader can compute the sum and so the noise. So records
// are encrypted, the file must never leave the client, and it is best removed when the question it was kept
// for is answered; without its key it is random bytes. The size of a record depends on the number of examples
// that the client holds and on nothing else about them.
//
// # File
//
// The magic string "dpfpl black box 1\n", then records, each
//
//	length  uint32  bytes that follow, little endian
//	run     uint8 length, and the name of the run
//	sealed  12 bytes of random nonce, then the record under AES-256-GCM with the magic string and the name of
//	        the run as additional data
//
// A record that the end of the file cuts short is the trace of a crash and is removed by the next [Open].
package blackbox
