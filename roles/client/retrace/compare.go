package retrace

import (
	"cmp"
	"slices"

	"dpfpl/roles/client/ledger"
	"dpfpl/schemas"
)

// Published is an update on the client's subject in the log.
type Published struct {
	Seq    uint64
	K      uint64          // as the subject says
	Digest [32]byte        // of the sealed bytes
	Update *schemas.Update // nil unless the client signed it
}

// Finding says how the ledger and the log agree about a step.
type Finding string

// The findings.
const (
	Same        Finding = "the same bytes"
	Unsent      Finding = "committed, not in the log"
	Unmade      Finding = "spent, but nothing was made of it"
	Other       Finding = "not the bytes that the ledger committed"
	Uncommitted Finding = "in the log, but the ledger has not committed it"
	Undebited   Finding = "in the log, but the ledger has not spent it"
	Underpaid   Finding = "costs more than the ledger has spent"
	Forged      Finding = "not signed by this client"
)

// Bad reports whether the finding must not be: what a crash or a lost connection leaves behind is not bad.
func (f Finding) Bad() bool { return f != Same && f != Unsent && f != Unmade }

// Step is one step of the client, in its ledger or in the log.
type Step struct {
	K       uint64
	Seq     uint64 // of the log, 0 if it is not there
	Finding Finding
}

// Compare returns a run's steps, by number. paid is all that the ledger holds.
func Compare(run string, paid []ledger.Spending, log []Published) []Step {
	debits := map[uint64]ledger.Spending{}
	for _, s := range paid {
		if s.Run == run {
			debits[s.K] = s
		}
	}
	var steps []Step
	logged := map[uint64]bool{}
	for _, p := range log {
		logged[p.K] = true
		debit, spent := debits[p.K]
		steps = append(steps, Step{K: p.K, Seq: p.Seq, Finding: judge(p, debit, spent)})
	}
	for k, s := range debits {
		switch {
		case logged[k]:
		case s.Committed:
			steps = append(steps, Step{K: k, Finding: Unsent})
		default:
			steps = append(steps, Step{K: k, Finding: Unmade})
		}
	}
	slices.SortFunc(steps, func(a, b Step) int { return cmp.Or(cmp.Compare(a.K, b.K), cmp.Compare(a.Seq, b.Seq)) })
	return steps
}

func judge(p Published, debit ledger.Spending, spent bool) Finding {
	switch {
	case p.Update == nil:
		return Forged
	case !spent:
		return Undebited
	case !debit.Committed:
		return Uncommitted
	case p.Digest != debit.Digest:
		return Other
	case underpaid(p.Update.Mechanism, debit):
		return Underpaid
	}
	return Same
}

// underpaid reports whether an update tells of a weaker mechanism than the one that was paid for. A step
// without noise, whose multiplier is 0, is paid for as one with next to none.
func underpaid(m schemas.Mechanism, debit ledger.Spending) bool {
	const next = 1e-6
	return m.Rate > debit.Step.Q || debit.Step.Z > max(m.Z, next)*(1+1e-9)
}
