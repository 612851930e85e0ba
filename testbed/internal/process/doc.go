// Package process runs parts of the testbed as processes of their own: children that are this same program under a
// hidden command, told what to do over their standard input and heard over their standard output. So they can be
// killed, paused and measured like what is deployed.
package process
