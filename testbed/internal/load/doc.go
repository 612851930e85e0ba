// Package load measures what the pipeline costs beside a bare broker. Many clients publish one sealed update each at
// the same instant, once to a log that nobody reads and once to a log that an aggregator folds, and the two are
// compared. Server and aggregator are processes of their own, so that their memory and processor time can be told
// apart; the clients share a few connections of this one, since ten thousand of them would cost it two gigabytes.
package load
