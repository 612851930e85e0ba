// Package enroll decides who may connect to the broker of a federation, and what they may say there.
//
// An [Authority] is the root of trust: the key of a NATS operator and of four accounts.
//
//	PIPELINE  the streams, the aggregator and the operator. The aggregator can neither publish a plan or an
//	          update nor delete a stream.
//	CLIENTS   every client, without JetStream. What a client publishes crosses into PIPELINE as a service, so
//	          that the reply comes back into CLIENTS and cannot be made to land on another client's subject.
//	MONITORS  who looks on, without JetStream: it imports reads of what is stored, and hears what is said.
//	SYSTEM    the server's own account, which may ask the server how it is configured.
//
// Clients, aggregators and monitors are signed with scoped keys: their permissions stand in the account, with the name
// in place, and not in what they hold. So a client may publish its own updates and presence, ask for plan
// and newest model, hear broadcasts and its own notes, and nothing else; and adding a client changes nothing
// on the server. Revoking one does: the server must read its new configuration.
//
// What a member is given is one credentials file. Its key also signs its messages, and the plan lists its
// public half; so a new key for a member holds from the next plan on.
package enroll
