package schemas

// Entry says who says what to whom, and how long it is kept.
type Entry struct {
	Subject string // pattern after "dpfpl.v1.<run>."
	Kind    Kind
	From    string
	To      string
	Payload string
	Kept    string
}

// Catalogue lists every message that travels. The README's table is checked against it.
func Catalogue() []Entry {
	return []Entry{
		{"plan", KindPlan, "operator", "all", "the run's constitution: method, prompt, rule, privacy, members, N and T", "for ever; republished to pub.plan"},
		{"update.<client>.<k>", KindUpdate, "client", "aggregator", "the client's k-th noised update of the global prompt", "for ever, one message per subject"},
		{"control.<n>", KindControl, "aggregator", "log", "deadline passed, member admitted or evicted, run stopped", "for ever, in the log of the updates"},
		{"model", KindModel, "aggregator", "all", "a version of the global prompt and the updates folded into it", "for ever; republished to pub.model"},
		{"checkpoint", KindCheckpoint, "aggregator", "aggregator", "the fold's state at that version", "for ever, written in one atomic batch with the model"},
		{"presence.<client>", KindPresence, "client", "all", "join, heartbeat, leave", "not kept"},
		{"note.<client>", KindNote, "aggregator", "client", "what became of an update: accepted, stale or refused, and why", "not kept"},
		{"dead.<reason>", KindDead, "aggregator", "operator", "a refused message with the reason", "30 days"},
	}
}
