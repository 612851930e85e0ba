// Package web shows views of a run in a browser: one page, made here and kept up to date by server-sent events, and
// the same view as JSON. It needs no network but the one it is served over, and no build step.
//
// The page is whole without JavaScript; with it, each section that changes is exchanged in place. A listener has no
// queue: it is told what has changed since what it was told last, so who is slow skips states and delays nobody, and
// who takes nothing for a while is dropped.
//
//	GET /           the page
//	GET /events     its changes, as server-sent events; Last-Event-ID goes on from there
//	GET /view.json  the view, for programs
//	GET /healthz    200 while the monitor reaches the broker, else 503
package web
