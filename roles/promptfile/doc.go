// Package promptfile is the file in which a personal prompt leaves its client: a safetensors file with one
// tensor, "context" (l×d float32, the global prompt plus the local one), and all that one must know of it as
// metadata, signed by the client.
//
// # Metadata
//
// Every key is there, and no other; all values are strings.
//
//	format                 "dpfpl prompt 1"
//	run, client            who made it
//	plan                   hex SHA-256 of the sealed plan of the run
//	model_version          the version of the global prompt in it
//	backbone               hex SHA-256 digest of the frozen model that it is for
//	classes                JSON array of the class names it was learned with
//	ending                 the text that follows a class name
//	position               "front": SOS, the context, the class name and its ending, EOT
//	method, rank           of learning
//	protection             "noise", or "none": then every epsilon is "infinity"
//	epsilon_rdp            what one record has spent in the run when the file was made, by Rényi divergence
//	epsilon_pld            the same by the privacy-loss distribution; "unknown" where there is none
//	epsilon_rdp_all_runs   over all runs on the same records
//	epsilon_pld_all_runs
//	delta, adjacency, unit of the guarantee; the unit is "record"
//	steps                  that were spent in the run
//	statement              the guarantee in words
//	signer                 public nkey of the client
//	time                   of the export, RFC 3339 in UTC
//	signature              hex Ed25519 signature
//
// # Signature
//
// The signature is over "dpfpl prompt\x00" and the SHA-256 of: the number of metadata entries without the
// signature; for each of them, in the order of the keys' bytes, the length of the key, the key, the length of the
// value, the value; l; d; the tensor's bytes. Numbers are uint64 in little endian. So it holds whatever order
// and spacing a safetensors writer gives the header.
package promptfile
