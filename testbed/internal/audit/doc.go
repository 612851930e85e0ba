// Package audit attacks the privacy mechanism as it is built, and holds what the attacks prove lost against
// what the accountant says may be lost. An accountant proves things about a formula; an audit notices when
// the program is not the formula.
//
// Two attacks are here. [Mechanism] runs one training step of a client many times, with and without one
// record, and estimates how well the releases tell the two apart: it sees a factor of two in noise or
// sensitivity. [OneRun] plants many canaries in a whole federation, runs it once, and guesses from what was
// published which of them took part (Steinke, Nasr, Jagielski 2023, arXiv 2305.08846): it sees a leak
// anywhere in the pipeline, but no factor of two.
//
// A canary is a record whose gradient is chosen. That needs no hook in the code under audit: a gradient is
// what the text tower pulls back, so a [Tower] with scripted gradients stands in for the frozen one.
package audit

import "errors"

// ErrOptions reports options outside their domain; the message names the flag.
var ErrOptions = errors.New("audit options")
