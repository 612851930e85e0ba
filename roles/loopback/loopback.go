// Package loopback tells what only this machine can reach: what may be open without asking who is there.
package loopback

import (
	"net"
	"strings"
)

// Is reports whether an address to listen on, or the host that a request asks for, with or without a port, is this machine's
// own: localhost or a loopback address. A name that is made to point here is not, and neither is every address at once.
func Is(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		host = strings.TrimSuffix(strings.TrimPrefix(address, "["), "]")
	}
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}
