package schemas

import "time"

// Plan is the run's constitution: published once by the operator, it fixes everything that the
// aggregator and the clients must agree on. A client checks it against its own limits before it
// takes part.
type Plan struct {
	Header

	Method   MethodPlan  `msgpack:"method" yaml:"method"`
	Prompt   PromptPlan  `msgpack:"prompt" yaml:"prompt"`
	Rule     RulePlan    `msgpack:"rule" yaml:"rule"`
	Server   ServerPlan  `msgpack:"server" yaml:"server"`
	Privacy  PrivacyPlan `msgpack:"privacy" yaml:"privacy"`
	Presence TimingPlan  `msgpack:"presence" yaml:"presence"`

	// Classes are the class names in index order. All clients use all of them, so that a client's
	// own classes stay unknown.
	Classes []string `msgpack:"classes" yaml:"classes"`
	// Backbone is the hex SHA-256 digest of the frozen model that every client must hold.
	Backbone string `msgpack:"backbone" yaml:"backbone"`

	// Versions is T: the global prompt versions after which the run is over.
	Versions uint32 `msgpack:"versions" yaml:"versions"`
	// Updates is N: the most updates one client may publish. The broker refuses update N+1.
	Updates uint32 `msgpack:"updates" yaml:"updates"`
	// Seed makes version 0 of the global prompt, and nothing secret.
	Seed uint64 `msgpack:"seed" yaml:"seed"`

	// Members lists who may take part, in strictly ascending order of id.
	Members []Member `msgpack:"members" yaml:"members"`
	// Aggregator is the public nkey whose signature models, control messages and notes carry.
	Aggregator string `msgpack:"aggregator" yaml:"aggregator"`
	// Operator is the public nkey that signs the plan itself.
	Operator string `msgpack:"operator" yaml:"operator"`
}

// Member is one client that may take part.
type Member struct {
	ID  string `msgpack:"id" yaml:"id"`
	Key string `msgpack:"key" yaml:"key"` // public user nkey (Ed25519)
}

// MethodPlan chooses the learning method (mathx/prompt).
type MethodPlan struct {
	Name string `msgpack:"name" yaml:"name"` // dpfpl, promptfl, fedotp, fedpgp, dplora
	// Mode is "corrected" (per-example clipping, one joint account) or "paper" (batch clipping with
	// the authors' constants: no formal guarantee, for comparison only).
	Mode     string  `msgpack:"mode" yaml:"mode"`
	Rank     uint16  `msgpack:"rank" yaml:"rank"` // k
	LeftOnly bool    `msgpack:"left_only" yaml:"left_only"`
	Rate     float64 `msgpack:"rate" yaml:"rate"` // eta_L, step of the local prompt on the mean gradient
	Momentum float64 `msgpack:"momentum" yaml:"momentum"`
}

// PromptPlan gives the shape and the start of the global prompt.
type PromptPlan struct {
	Context uint16 `msgpack:"context" yaml:"context"` // l
	Width   uint16 `msgpack:"width" yaml:"width"`     // d
	// Init is "random", N(0, Std²), or "words": the token embeddings of Words, repeated or cut to l.
	Init  string  `msgpack:"init" yaml:"init"`
	Std   float64 `msgpack:"std" yaml:"std"`
	Words string  `msgpack:"words" yaml:"words"`
}

// RulePlan chooses how updates become versions (mathx/agg).
type RulePlan struct {
	// Name is "sync", "fedbuff", "fedasync", "trimmed" or "median".
	Name string `msgpack:"name" yaml:"name"`
	// Buffer is K, the updates that make a version under fedbuff.
	Buffer uint32 `msgpack:"buffer" yaml:"buffer"`
	// Quorum is the fewest updates with which a deadline may close a synchronous round.
	Quorum uint32 `msgpack:"quorum" yaml:"quorum"`
	// Deadline closes a synchronous round, or flushes a buffer that holds Quorum, this long after the
	// version it started from. 0 means never.
	Deadline time.Duration `msgpack:"deadline" yaml:"deadline"`
	// MaxStaleness is the largest staleness in versions that is still folded in.
	MaxStaleness uint32 `msgpack:"max_staleness" yaml:"max_staleness"`
	// Trim is the number of updates dropped at each end of each coordinate under trimmed.
	Trim uint32 `msgpack:"trim" yaml:"trim"`
}

// ServerPlan is the aggregator's optimiser.
type ServerPlan struct {
	Rate     float64 `msgpack:"rate" yaml:"rate"` // eta_G, step of the global prompt on the mean gradient
	Momentum float64 `msgpack:"momentum" yaml:"momentum"`
}

// PrivacyPlan is the mechanism that every client must run, and the guarantee it buys.
type PrivacyPlan struct {
	// Noise is "client" (each client noises before bytes exist) or "none" (no privacy, says so everywhere).
	Noise string `msgpack:"noise" yaml:"noise"`
	// Adjacency is "zero-out", "add-remove" or "replace-one". The unit is one record of one client.
	Adjacency string  `msgpack:"adjacency" yaml:"adjacency"`
	Epsilon   float64 `msgpack:"epsilon" yaml:"epsilon"` // budget of one record for the whole run
	Delta     float64 `msgpack:"delta" yaml:"delta"`
	// Rate is q, the Poisson sampling rate, a public constant.
	Rate float64 `msgpack:"rate" yaml:"rate"`
	// Batch is the public divisor B̄ of every client's sum of clipped gradients.
	Batch float64 `msgpack:"batch" yaml:"batch"`
	// Clip norms of one example's gradients with respect to u, v and the global prompt.
	ClipU float64 `msgpack:"clip_u" yaml:"clip_u"`
	ClipV float64 `msgpack:"clip_v" yaml:"clip_v"`
	ClipG float64 `msgpack:"clip_g" yaml:"clip_g"`
	// Noise multipliers sigma/clip of the three groups; 0 only for a group the method does not have.
	ZU float64 `msgpack:"z_u" yaml:"z_u"`
	ZV float64 `msgpack:"z_v" yaml:"z_v"`
	ZG float64 `msgpack:"z_g" yaml:"z_g"`
}

// TimingPlan says how presence is kept.
type TimingPlan struct {
	Heartbeat time.Duration `msgpack:"heartbeat" yaml:"heartbeat"`
	// Silence is how long without a heartbeat until the aggregator evicts a member from the quorum.
	Silence time.Duration `msgpack:"silence" yaml:"silence"`
}

// Kind returns KindPlan.
func (*Plan) Kind() Kind { return KindPlan }

// Head returns the header.
func (p *Plan) Head() *Header { return &p.Header }
