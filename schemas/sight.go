package schemas

// Sight tells a role that watches a run what its loop sees of the broker itself. It is made by the loop and
// never travels.
type Sight struct {
	Header
	// Anew says that the streams are not the ones that were read so far: what was derived from them is void.
	Anew bool
	// Connected is whether the broker can be reached; the rest is then what is true now.
	Connected bool
	// Left is how many stored messages have not been read yet.
	Left uint64
	// Unread names what cannot be read, because it is not there or not for us: "log", "state", "dead", "lease".
	Unread []string
	// Holder leads, among the aggregators that stand by; empty if nobody does.
	Holder  string
	Standby []string
}

// Kind returns KindSight.
func (*Sight) Kind() Kind { return KindSight }

// Head returns the header.
func (s *Sight) Head() *Header { return &s.Header }

// Validate accepts every sight.
func (*Sight) Validate() error { return nil }
