package schemas

import "math"

// Model is one version of the global prompt. Version 0 is the plan's initial prompt.
type Model struct {
	Header
	Version uint64 `msgpack:"version"`
	// Parent is the digest of the version before, all zero for version 0.
	Parent [32]byte `msgpack:"parent"`
	Params Params   `msgpack:"params"`
	// Folded lists the updates that made this version, in log order.
	Folded []Folded `msgpack:"folded"`
	// Applied is the log sequence after which this version was complete.
	Applied uint64 `msgpack:"applied"`
	Final   bool   `msgpack:"final"` // no version follows
}

// Params is a float32 matrix: Rows×Cols little-endian, row-major.
type Params struct {
	Rows uint16 `msgpack:"rows"`
	Cols uint16 `msgpack:"cols"`
	Data Blob   `msgpack:"data"`
}

// Folded says which update entered a version and with what weight.
type Folded struct {
	Client    string `msgpack:"client"`
	K         uint64 `msgpack:"k"`
	Seq       uint64 `msgpack:"seq"`
	Staleness uint32 `msgpack:"staleness"`
	Weight    uint32 `msgpack:"weight"` // fixed point, 65536 = 1
}

// Kind returns KindModel.
func (*Model) Kind() Kind { return KindModel }

// Head returns the header.
func (m *Model) Head() *Header { return &m.Header }

// Checkpoint is the aggregator's fold at the moment a version was complete. It is written in one atomic,
// fenced batch with that version's Model, so the two never disagree.
type Checkpoint struct {
	Header
	Version uint64 `msgpack:"version"`
	// Model is the digest of the model message of this version.
	Model [32]byte `msgpack:"model"`
	// Applied and AppliedTime (Unix nanoseconds) identify the last log message folded in; a stream that
	// was rolled back has another time, or nothing, at that sequence.
	Applied     uint64 `msgpack:"applied"`
	AppliedTime int64  `msgpack:"applied_time"`
	// Chain is the running SHA-256 over the sealed bytes of every log message up to Applied.
	Chain [32]byte `msgpack:"chain"`
	// Controls is the number of control messages folded in.
	Controls uint64 `msgpack:"controls"`
	// Velocity is the server optimiser's momentum, l×d float64 little-endian; empty without momentum.
	Velocity []byte         `msgpack:"velocity"`
	Members  []MemberRecord `msgpack:"members"` // ascending by id
	Final    bool           `msgpack:"final"`
}

// NoBase is the LastBase of a member whose updates have answered no version.
const NoBase = math.MaxUint64

// MemberRecord is what the fold knows of one member.
type MemberRecord struct {
	ID           string `msgpack:"id"`
	Active       bool   `msgpack:"active"` // counts for the quorum
	LastK        uint64 `msgpack:"last_k"`
	LastBase     uint64 `msgpack:"last_base"` // newest version answered, or NoBase; 0 before the first update
	Accepted     uint64 `msgpack:"accepted"`
	Stale        uint64 `msgpack:"stale"`
	Refused      uint64 `msgpack:"refused"`
	MaxStaleness uint32 `msgpack:"max_staleness"`
}

// Kind returns KindCheckpoint.
func (*Checkpoint) Kind() Kind { return KindCheckpoint }

// Head returns the header.
func (c *Checkpoint) Head() *Header { return &c.Header }
