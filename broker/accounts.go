package broker

import (
	"fmt"
	"slices"
	"strings"

	"github.com/nats-io/nkeys"

	"dpfpl/schemas"
)

// clientAPI is the name under which client accounts import the reads they need. Under its own name,
// $JS.API, the account's own server would answer first.
const clientAPI = "dpfpl.api"

// FoldSubjects lists what Fold publishes, in a run or, if that is empty, in any: its messages, and the calls
// of the JetStream API that read streams. Who may publish only these cannot make, change or destroy a stream.
func FoldSubjects(run string) []string {
	log, lease, state := logStream(run), leaseStream(run), stateStream(run)
	if run == "" {
		run, log, lease, state = "*", "*", "*", "*"
	}
	var list []string
	for _, rest := range []string{"control.*", "model", "checkpoint", "note.*", "dead.*", "lease", "standby"} {
		list = append(list, subject(run, rest))
	}
	for _, call := range []string{
		"STREAM.INFO." + log, "STREAM.INFO." + state, "STREAM.INFO." + lease, "STREAM.MSG.GET." + lease,
		"DIRECT.GET." + log, "DIRECT.GET." + state, "DIRECT.GET." + state + ".>",
		"CONSUMER.CREATE." + log + ".>", "CONSUMER.INFO." + log + ".*", "CONSUMER.MSG.NEXT." + log + ".*", "CONSUMER.DELETE." + log + ".*",
	} {
		if call := serverAPI + "." + call; !slices.Contains(list, call) {
			list = append(list, call)
		}
	}
	return list
}

// Accounts renders the accounts section of a nats-server configuration that isolates the run's clients.
//
// The streams live in account DPFPL, with the aggregator and the operator. Clients live in account EDGE,
// which has no JetStream: what a client publishes crosses as a service, so that the reply comes back into
// EDGE and cannot be made to land on another client's subject. A client may publish its own updates and
// presence, ask for the plan, the newest model and what is stored of its updates, hear broadcasts and its own notes, and nothing else.
// The aggregator may publish FoldSubjects; the operator, who makes the streams, everything.
// Everybody proves who they are with the key that the plan names. sys, if not empty, is the public key of
// the user in the system account.
func Accounts(plan *schemas.Plan, sys string) string {
	base := schemas.Prefix + plan.Run
	get := "DIRECT.GET." + stateStream(plan.Run) + "." + base
	own := "DIRECT.GET." + logStream(plan.Run) + "." + base + ".update."
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("accounts {")
	line("  DPFPL: {")
	line("    jetstream: enabled")
	line("    users: [ { nkey: %s }, { nkey: %s, permissions: { publish: [ \"%s\" ] } } ]", plan.Operator, plan.Aggregator, strings.Join(FoldSubjects(plan.Run), `", "`))
	line("    exports: [")
	line("      { service: %q }, { service: %q }", base+".update.*.*", base+".presence.*")
	line("      { service: %q }, { service: %q }", "$JS.API."+get+".plan", "$JS.API."+get+".model")
	line("      { service: %q }", "$JS.API."+own+"*.*")
	line("      { stream: %q }, { stream: %q }", base+".pub.*", base+".note.*")
	line("    ]")
	line("  }")
	line("  EDGE: {")
	line("    imports: [")
	line("      { service: { account: DPFPL, subject: %q } }", base+".update.*.*")
	line("      { service: { account: DPFPL, subject: %q } }", base+".presence.*")
	for _, call := range []string{get + ".plan", get + ".model", own + "*.*"} {
		line("      { service: { account: DPFPL, subject: %q }, to: %q }", "$JS.API."+call, clientAPI+"."+call)
	}
	line("      { stream: { account: DPFPL, subject: %q } }", base+".pub.*")
	line("      { stream: { account: DPFPL, subject: %q } }", base+".note.*")
	line("    ]")
	line("    users: [")
	for _, m := range plan.Members {
		line("      { nkey: %s, permissions: {", m.Key)
		line("          publish: [ %q, %q, %q, %q, %q ]", base+".update."+m.ID+".*", base+".presence."+m.ID,
			clientAPI+"."+get+".plan", clientAPI+"."+get+".model", clientAPI+"."+own+m.ID+".*")
		line("          subscribe: [ %q, %q, %q ] } }", inbox(m.ID)+".>", base+".pub.*", base+".note."+m.ID)
	}
	line("    ]")
	line("  }")
	if sys != "" {
		line("  SYS: { users: [ { nkey: %s } ] }", sys)
	}
	line("}")
	if sys != "" {
		line("system_account: SYS")
	}
	return b.String()
}

// ClientOptions completes o for a client of a server configured by Accounts.
func ClientOptions(o Options, client string, key nkeys.KeyPair) Options {
	o.Name, o.NKey, o.InboxPrefix, o.APIPrefix = client, key, inbox(client), clientAPI
	return o
}

// MonitorOptions completes o for a monitor with credentials of its own, whose account imports what it may read.
func MonitorOptions(o Options) Options {
	o.InboxPrefix, o.APIPrefix = inbox("monitor"), clientAPI
	return o
}

// Streams names the streams of a run.
func Streams(run string) []string {
	return []string{logStream(run), stateStream(run), deadStream(run), leaseStream(run)}
}

func inbox(client string) string { return "_INBOX_" + client }
