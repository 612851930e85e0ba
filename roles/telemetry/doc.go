// Package telemetry is what a role shows of itself while it runs: metrics in the words of Prometheus, and spans
// in those of OpenTelemetry.
//
// # What may be shown
//
// A metrics endpoint is read by people and machines that must learn nothing about private records. The update of a
// step is noised; how long the step took, how many records it saw, its loss, or how much memory it used are not, and
// any of them gives away the size of a batch, which the privacy of the step assumes to be secret. So a client's
// metrics are made from what passes between the client and the broker ([broker.FollowEvents]) and from the numbers of
// the privacy account, which follow from the plan and the number of steps; they change when a message comes from the
// broker or goes there, and at no other time. With --hold, that time does not tell how long a step took either.
// A client therefore shows no processor time and no memory of its own (Options.Private), and has no span for a step.
//
// A metric or span that is moved by private data fails a test (roles: TestMetricsKeepSecrets).
package telemetry
