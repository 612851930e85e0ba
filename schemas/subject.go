package schemas

import (
	"fmt"
	"strconv"
	"strings"
)

// Prefix starts every subject; the run follows.
const Prefix = "dpfpl.v1."

// MaxName is the longest run or client name, in bytes.
const MaxName = 64

// ValidName reports whether s can name a run or a client: 1 to MaxName of A-Z, a-z, 0-9, '_' and '-'.
func ValidName(s string) bool {
	if len(s) == 0 || len(s) > MaxName {
		return false
	}
	for _, c := range []byte(s) {
		switch {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '_', c == '-':
		default:
			return false
		}
	}
	return true
}

// Subject returns where a body belongs. The body must be valid.
func Subject(b Body) string {
	base := Prefix + b.Head().Run + "." + b.Kind().String()
	switch b := b.(type) {
	case *Update:
		return UpdateSubject(b.Run, b.Sender, b.K)
	case *Control:
		return base + "." + strconv.FormatUint(b.N, 10)
	case *Presence:
		return base + "." + b.Sender
	case *Note:
		return base + "." + b.Client
	case *Dead:
		return base + "." + string(b.Reason)
	}
	return base
}

// UpdateSubject returns the subject of a client's update k, which is the update's identity.
func UpdateSubject(run, client string, k uint64) string {
	return Prefix + run + ".update." + client + "." + strconv.FormatUint(k, 10)
}

// Broadcast returns the core subject to which the broker republishes a run's stored plan (KindPlan) or
// model (KindModel).
func Broadcast(run string, k Kind) string { return Prefix + run + ".pub." + k.String() }

// ParseSubject takes a subject apart: client is set for updates, presence and notes, n is the k of an
// update and the n of a control message. Expected error: ErrSubject.
func ParseSubject(s string) (kind Kind, run, client string, n uint64, err error) {
	bad := func(why string) (Kind, string, string, uint64, error) {
		return 0, "", "", 0, fmt.Errorf("%w %.160q: %s", ErrSubject, s, why)
	}
	rest, ok := strings.CutPrefix(s, Prefix)
	if !ok {
		return bad("does not start with " + Prefix)
	}
	part := strings.Split(rest, ".")
	if run = part[0]; !ValidName(run) {
		return bad("run name")
	}
	part = part[1:]
	if len(part) == 2 && part[0] == "pub" && (part[1] == "plan" || part[1] == "model") {
		part = part[1:]
	}
	switch {
	case len(part) == 1 && part[0] == "plan":
		kind = KindPlan
	case len(part) == 1 && part[0] == "model":
		kind = KindModel
	case len(part) == 1 && part[0] == "checkpoint":
		kind = KindCheckpoint
	case len(part) == 3 && part[0] == "update":
		kind, client = KindUpdate, part[1]
		n, ok = parseCount(part[2])
	case len(part) == 2 && part[0] == "control":
		kind = KindControl
		n, ok = parseCount(part[1])
	case len(part) == 2 && part[0] == "presence":
		kind, client = KindPresence, part[1]
	case len(part) == 2 && part[0] == "note":
		kind, client = KindNote, part[1]
	case len(part) == 2 && part[0] == "dead":
		kind, ok = KindDead, Reason(part[1]).valid()
	default:
		return bad("no message lives there")
	}
	if !ok {
		return bad("last token")
	}
	if client != "" && !ValidName(client) || client == "" && (kind == KindUpdate || kind == KindPresence || kind == KindNote) {
		return bad("client name")
	}
	return kind, run, client, n, nil
}

// parseCount reads a positive decimal in its only form: no sign, no leading zero.
func parseCount(s string) (uint64, bool) {
	n, err := strconv.ParseUint(s, 10, 64)
	return n, err == nil && n > 0 && strconv.FormatUint(n, 10) == s
}
