package aggregator

import "dpfpl/schemas"

// prepared is a log message of which all is known that can be known before its turn.
type prepared struct {
	schemas.Body // as it came; nil if unreadable
	checked      error
	digest       [32]byte
}

// Prepare does what can be done with a log message before its turn, which is most of the work: the
// signature and the digest. Giving Step the message that it returns, instead of m, changes nothing but the
// time that Step takes. It may be called concurrently, also with Step.
func (a *Aggregator) Prepare(m schemas.Message) schemas.Message {
	if _, done := m.Body.(*prepared); !done && m.Seq > 0 {
		digest, err := a.gate.check(m)
		m.Body = &prepared{m.Body, err, digest}
	}
	return m
}
