// Package soak runs a federation of real processes through every fault that a process can meet, and holds what is
// left at the end against what must be true of it.
//
// # Processes
//
// One NATS server (file store, synced always), two aggregators of which one stands by with the run's lease, and
// clients with real ledgers, real noise and a text tower that costs nothing. They are this same program under a
// hidden command. Each reaches the server through a TCP proxy of its own.
//
// # Faults
//
// A seeded plan of kills (SIGKILL) at random moments and at every named step boundary, pauses (SIGSTOP), slow and
// broken networks, full disks, and ledgers whose last record is torn. The server and every client store on a small tmpfs
// of their own, which a file fills up: writes end short, with ENOSPC. Where the system lets nobody mount one, a limit
// on the size of files (RLIMIT_FSIZE) must do, which any user may set: then writes end short with EFBIG, and the soak
// says so. A record is torn only if its append could just as well not have returned: nobody has acted on it.
//
// # What must hold
//
//   - the log folds, in one sequential pass, to every stored version and checkpoint, bit for bit;
//   - every accepted update is in exactly one version, and every version holds accepted updates only;
//   - the counters of the last checkpoint are those of the log;
//   - every update that a client held ready to send is in the log, with those bytes, however often it was sent;
//   - every update in the log was debited in its client's ledger, and nothing was sent twice under one number.
package soak
