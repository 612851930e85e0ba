// Package replayer is the role that debugs a federation from its log.
//
// # Consumes
//
// A run in file order ([Source]): the plan, model 0, then log messages in log order, each version's model
// and checkpoint after the log message with which it was complete. schemas/logfile reads and writes that
// order, and logfile.Interleave makes it from a broker's streams.
//
// # Produces
//
// No messages. [Replay] says whether the fold gives the recorded versions, bit for bit, and where it does
// not. [WhatIf] says what would have come of the same updates without a client, with one client only, or
// under another rule. [Blame] says who made a version, [Top] who pulled hardest over the run, [Diff] how
// two runs part.
//
// # State kept
//
// That of the fold, which the caller passes in: a role does not import another role.
//
// # What can go wrong
//
// A source that ends with an error gives the result up to there, with the error. A source that lacks the
// plan or model 0, or is not in file order, is ErrSource. Updates that do not stand up to their signature
// are what they were for the aggregator: refused.
//
// A replay gives the same bits on any machine: up to the sum all is integer arithmetic, and after it every
// float64 operation is rounded by itself (mathx/agg), so neither the processor nor a compiler that fuses
// operations shows. Tests read the code that is made for arm64, and fold a run that was recorded once.
//
// # Paper
//
// None. That re-aggregating noised updates costs no privacy is post-processing (Dwork and Roth 2014,
// proposition 2.1).
package replayer
