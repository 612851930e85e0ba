package enroll

import (
	"strings"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nkeys"

	"dpfpl/broker"
	"dpfpl/schemas"
)

// myself stands for a user's name in the permissions of a scope: the server puts it in.
const myself = "{{name()}}"

// reads are the calls of the JetStream API that clients import: the newest plan and model of a run, and the updates
// of a client, which any of them is where it stands for no name.
func (a *Authority) reads(client string) []string {
	return []string{"DIRECT.GET.*." + a.subject("plan"), "DIRECT.GET.*." + a.subject("model"), "DIRECT.GET.*." + a.subject("update."+client+".*")}
}

// monitorReads are the calls that monitors import: whatever is stored of a run, and its plan.
func (a *Authority) monitorReads() []string {
	streams := []string{"*"}
	if a.run != "" {
		streams = broker.Streams(a.run)
	}
	calls := []string{a.reads("*")[0]}
	for _, stream := range streams {
		calls = append(calls, "DIRECT.GET."+stream)
	}
	calls = append(calls, "STREAM.MSG.GET."+streams[len(streams)-1]) // the lease is read where it is written
	return calls
}

// monitorHears are the subjects that monitors import of the pipeline. Presence they hear where clients say it: the
// server passes nothing on that came into an account as a service.
func (a *Authority) monitorHears() []string {
	return []string{a.subject("pub.*"), a.subject("note.*"), a.subject("standby")}
}

// subject returns a subject of the runs that the authority is for.
func (a *Authority) subject(rest string) string {
	run := a.run
	if run == "" {
		run = "*"
	}
	return schemas.Prefix + run + "." + rest
}

// accounts returns the signed accounts by public key.
func (a *Authority) accounts() (map[string]string, error) {
	tokens := map[string]string{}
	for _, claims := range []*jwt.AccountClaims{a.systemAccount(), a.pipelineAccount(), a.clientAccount(), a.monitorAccount()} {
		for public, name := range a.revoked {
			if account, _ := a.placeOf(name); publicKey(account) == claims.Subject {
				claims.RevokeAt(public, time.Unix(1<<40, 0)) // whenever it was issued: the key is not used again
			}
		}
		token, err := claims.Encode(a.root)
		if err != nil {
			return nil, err
		}
		tokens[claims.Subject] = token
	}
	return tokens, nil
}

func (a *Authority) systemAccount() *jwt.AccountClaims {
	c := jwt.NewAccountClaims(publicKey(a.system))
	c.Name = "SYSTEM"
	return c
}

// pipelineAccount holds the streams, and exports what clients and monitors need of them.
func (a *Authority) pipelineAccount() *jwt.AccountClaims {
	c := jwt.NewAccountClaims(publicKey(a.pipeline))
	c.Name = "PIPELINE"
	c.Limits.JetStreamLimits = jwt.JetStreamLimits{
		MemoryStorage: jwt.NoLimit, DiskStorage: jwt.NoLimit, Streams: jwt.NoLimit, Consumer: jwt.NoLimit,
	}
	c.SigningKeys.Add(publicKey(a.signer))
	c.SigningKeys.AddScopedSigner(a.aggregatorScope())
	for _, subject := range []string{a.subject("update.*.*"), a.subject("presence.*")} {
		c.Exports.Add(&jwt.Export{Name: subject, Subject: jwt.Subject(subject), Type: jwt.Service})
	}
	for _, call := range a.reads("*") {
		c.Exports.Add(&jwt.Export{Name: call, Subject: jwt.Subject("$JS.API." + call), Type: jwt.Service})
	}
	for _, call := range a.monitorReads()[1:] {
		c.Exports.Add(&jwt.Export{Name: call, Subject: jwt.Subject("$JS.API." + call), Type: jwt.Service, ResponseType: jwt.ResponseTypeStream})
	}
	for _, subject := range a.monitorHears() {
		c.Exports.Add(&jwt.Export{Name: subject, Subject: jwt.Subject(subject), Type: jwt.Stream})
	}
	return c
}

// monitorAccount has no JetStream either, and imports reads and nothing else: in the account of the streams, even who
// may only read could have a reply or a consumer's messages land on a subject that is stored.
func (a *Authority) monitorAccount() *jwt.AccountClaims {
	c := jwt.NewAccountClaims(publicKey(a.monitors))
	c.Name = "MONITORS"
	c.Limits.LeafNodeConn = 0
	c.Limits.DisallowBearer = true
	c.SigningKeys.AddScopedSigner(a.monitorScope())
	for _, call := range a.monitorReads() {
		take(c, a.pipeline, jwt.Service, "$JS.API."+call, monitorOptions().APIPrefix+"."+call)
	}
	for _, subject := range a.monitorHears() {
		take(c, a.pipeline, jwt.Stream, subject, "")
	}
	take(c, a.clients, jwt.Stream, a.subject("presence.*"), "")
	return c
}

// take imports a subject of another account, under another name if local is not empty.
func take(into *jwt.AccountClaims, from nkeys.KeyPair, kind jwt.ExportType, subject, local string) {
	into.Imports.Add(&jwt.Import{
		Name: subject, Account: publicKey(from), Subject: jwt.Subject(subject),
		LocalSubject: jwt.RenamingSubject(local), Type: kind,
	})
}

// clientAccount has no JetStream and imports what clients need, the API calls under another name: to its
// own the account itself would answer.
func (a *Authority) clientAccount() *jwt.AccountClaims {
	c := jwt.NewAccountClaims(publicKey(a.clients))
	c.Name = "CLIENTS"
	c.Limits.LeafNodeConn = 0
	c.Limits.DisallowBearer = true
	c.SigningKeys.AddScopedSigner(a.clientScope())
	take(c, a.pipeline, jwt.Service, a.subject("update.*.*"), "")
	take(c, a.pipeline, jwt.Service, a.subject("presence.*"), "")
	for _, call := range a.reads("*") {
		take(c, a.pipeline, jwt.Service, "$JS.API."+call, clientOptions().APIPrefix+"."+call)
	}
	take(c, a.pipeline, jwt.Stream, a.subject("pub.*"), "")
	take(c, a.pipeline, jwt.Stream, a.subject("note.*"), "")
	c.Exports.Add(&jwt.Export{Name: "presence", Subject: jwt.Subject(a.subject("presence.*")), Type: jwt.Stream})
	return c
}

// clientOptions is how a client of the name in place connects.
func clientOptions() broker.Options {
	return broker.ClientOptions(broker.Options{}, myself, nil)
}

// clientScope is all that a client may do.
func (a *Authority) clientScope() *jwt.UserScope {
	s := scope(a.scopeC, "client")
	o := clientOptions()
	s.Template.Pub.Allow.Add(a.subject("update."+myself+".*"), a.subject("presence."+myself))
	for _, call := range a.reads(myself) {
		s.Template.Pub.Allow.Add(o.APIPrefix + "." + call)
	}
	s.Template.Sub.Allow.Add(o.InboxPrefix+".>", a.subject("pub.*"), a.subject("note."+myself))
	s.Template.Subs = 50
	s.Template.Payload = maxPayload
	return s
}

// monitorOptions is how a monitor connects.
func monitorOptions() broker.Options { return broker.MonitorOptions(broker.Options{}) }

// monitorScope is all that a monitor may do: ask for what is stored, and listen.
func (a *Authority) monitorScope() *jwt.UserScope {
	s := scope(a.scopeM, "monitor")
	o := monitorOptions()
	for _, call := range a.monitorReads() {
		s.Template.Pub.Allow.Add(o.APIPrefix + "." + call)
	}
	s.Template.Sub.Allow.Add(o.InboxPrefix + ".>")
	s.Template.Sub.Allow.Add(append(a.monitorHears(), a.subject("presence.*"))...)
	s.Template.Subs = 50
	s.Template.Payload = maxQuestion
	return s
}

// maxQuestion is the longest message of a monitor: a request for what is stored.
const maxQuestion = 1 << 10

// aggregatorScope is what folding takes: it reads every stream, and makes, changes and destroys none.
func (a *Authority) aggregatorScope() *jwt.UserScope {
	s := scope(a.scopeA, "aggregator")
	s.Template.Pub.Allow.Add(broker.FoldSubjects(a.run)...)
	return s
}

func scope(signer nkeys.KeyPair, role string) *jwt.UserScope {
	s := jwt.NewUserScope()
	s.Key, s.Role = publicKey(signer), role
	return s
}

// maxPayload is the longest message: an update of the largest prompt.
const maxPayload = 4*schemas.MaxValues + 4096

// scopeText lists what a scope allows, for the comment in the configuration.
func scopeText(s *jwt.UserScope) string {
	return "may publish " + strings.Join(s.Template.Pub.Allow, ", ") + "; subscribe " + strings.Join(s.Template.Sub.Allow, ", ")
}
