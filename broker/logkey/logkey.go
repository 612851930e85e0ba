// Package logkey is the catalogue of the keys of log lines, for the broker's loops and for every role. A key is
// equal to the name on the wire where there is one. A test refuses any other key.
//
// What a key may hold is public: no parameter, no count of records, no loss, nothing that a step computed before
// its noise, and no secret.
package logkey

// The keys, beside zerolog's own: time, level, message and error.
const (
	Role       = "role"             // the command
	Run        = "run_id"           // the run
	Client     = "client_id"        // the member
	Version    = "version"          // a version of the global prompt
	Base       = "base"             // the version that an update was made at
	K          = "k"                // the number of an update of its member
	Updates    = "updates"          // how many updates: in a version, or made by a client in the run
	Members    = "members"          // how many members the plan has
	Classes    = "classes"          // how many classes the plan has
	Seq        = "seq"              // the place in the log
	Subject    = "subject"          // where a message came from or goes
	Kind       = "kind"             // what kind of message
	Verdict    = "verdict"          // what became of an update
	Reason     = "reason"           // why a message was refused
	Event      = "event"            // what a control message says
	Final      = "final"            // whether the run ends with this version
	Epsilon    = "epsilon"          // privacy spent in the run
	EpsilonAll = "epsilon_all_runs" // privacy spent in all runs on the client's records
	Holder     = "holder"           // an aggregator among those of the run
	File       = "file"             // a path on this machine
	Address    = "address"          // where something listens
	Status     = "status"           // what a request was answered with
	Pictures   = "pictures"         // how many pictures a request held
	Unreadable = "unreadable"       // how many of them could not be read
	Took       = "took"             // how long a request took, in milliseconds
)
