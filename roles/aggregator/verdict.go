package aggregator

import (
	"errors"

	"dpfpl/schemas"
)

// verdict counts and words what became of a log message: a note to the member whose subject it was on,
// and a dead letter to the operator if it was refused. checked is nil or wraps a *Refusal.
func (f *Fold) verdict(m schemas.Message, kind schemas.Kind, client string, n uint64, checked error) []schemas.Body {
	refusal, known := errors.AsType[*Refusal](checked)
	if checked != nil && !known {
		refusal = refuse(schemas.ReasonDecode, "%v", checked)
	}
	var out []schemas.Body
	if from := f.members.get(client); from != nil && kind == schemas.KindUpdate {
		out = append(out, f.note(from, n, m.Seq, refusal))
	}
	if refusal != nil && refusal.Reason != schemas.ReasonStale {
		out = append(out, &schemas.Dead{
			Header: f.header(), Reason: refusal.Reason, Detail: refusal.Detail,
			Subject: m.Subject, Seq: m.Seq, Raw: m.Raw,
		})
	}
	return out
}

func (f *Fold) note(from *member, k, seq uint64, refusal *Refusal) *schemas.Note {
	note := &schemas.Note{Header: f.header(), Client: from.ID, K: k, Seq: seq, Version: f.version + 1}
	switch {
	case refusal == nil:
		from.Accepted++
		note.Verdict = schemas.VerdictAccepted
		return note
	case refusal.Reason == schemas.ReasonStale:
		from.Stale++
		note.Verdict = schemas.VerdictStale
	default:
		from.Refused++
		note.Verdict = schemas.VerdictRefused
	}
	note.Reason = refusal.Reason
	return note
}
