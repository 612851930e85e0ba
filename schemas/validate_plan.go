package schemas

import (
	"math"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/nats-io/nkeys"
)

// The values of PrivacyPlan.Noise and Mechanism.Noise.
const (
	NoiseClient = "client"
	NoiseNone   = "none"
)

// Bounds of a plan beyond MaxUpdates.
const (
	MaxContext = 64      // tokens; CLIP's text tower takes 77, SOS, EOT and the class name included
	MaxValues  = 1 << 17 // context times width, so that an update fits one broker message
)

var (
	methods     = []string{"dpfpl", "promptfl", "fedotp", "fedpgp", "dplora"}
	lowRank     = []string{"dpfpl", "fedpgp", "dplora"}
	modes       = []string{"corrected", "paper"}
	inits       = []string{"random", "words"}
	rules       = []string{"sync", "fedbuff", "fedasync", "trimmed", "median"}
	noises      = []string{NoiseClient, NoiseNone}
	adjacencies = []string{"zero-out", "add-remove", "replace-one"}
)

// Validate reports everything that is wrong with the plan by itself, each fault with the field's path in
// the plan file.
func (p *Plan) Validate() error {
	var f faults
	p.Header.check(&f)
	p.checkMethod(&f)
	p.checkPrompt(&f)
	p.checkRule(&f)
	f.positive("server.rate", p.Server.Rate)
	f.momentum("server.momentum", p.Server.Momentum)
	p.checkPrivacy(&f)
	p.checkTiming(&f)
	p.checkClasses(&f)
	f.must(isDigest(p.Backbone), "backbone", "%.80q is not a SHA-256 digest of 64 lower-case hex digits", p.Backbone)
	f.must(p.Versions >= 1, "versions", "T = 0 versions leave nothing to do")
	f.must(p.Updates >= 1, "updates", "N = 0 updates let no client take part")
	f.must(p.Updates <= MaxUpdates, "updates", "N = %d: the broker keeps clients to N by listing N subjects, which takes it seconds beyond %d", p.Updates, MaxUpdates)
	p.checkMembers(&f)
	return f.err(KindPlan)
}

func (p *Plan) checkMethod(f *faults) {
	m := p.Method
	f.oneOf("method.name", m.Name, methods)
	f.oneOf("method.mode", m.Mode, modes)
	f.must(m.Rank >= 1 || !slices.Contains(lowRank, m.Name), "method.rank", "%s needs a rank of at least 1", m.Name)
	f.must(m.Rank <= p.Prompt.Context, "method.rank", "%d is more than the %d context vectors", m.Rank, p.Prompt.Context)
	f.must(m.Rank <= p.Prompt.Width, "method.rank", "%d is more than the width %d", m.Rank, p.Prompt.Width)
	f.positive("method.rate", m.Rate)
	f.momentum("method.momentum", m.Momentum)
}

func (p *Plan) checkPrompt(f *faults) {
	t := p.Prompt
	f.must(t.Context >= 1 && t.Context <= MaxContext, "prompt.context", "%d is outside 1 to %d", t.Context, MaxContext)
	f.must(t.Width >= 1, "prompt.width", "0 leaves nothing to learn")
	f.must(int(t.Context)*int(t.Width) <= MaxValues, "prompt.width", "%d×%d values, at most %d fit a message", t.Context, t.Width, MaxValues)
	f.oneOf("prompt.init", t.Init, inits)
	f.within("prompt.std", t.Std, 0, math.MaxFloat64)
	f.must(t.Init != "random" || t.Std > 0, "prompt.std", "random start needs a positive one")
	f.must(t.Init != "words" || strings.TrimSpace(t.Words) != "", "prompt.words", "start from words needs some")
	f.text("prompt.words", t.Words)
}

func (p *Plan) checkRule(f *faults) {
	r, members := p.Rule, uint64(len(p.Members))
	f.oneOf("rule.name", r.Name, rules)
	f.must(uint64(r.Buffer) <= members, "rule.buffer", "%d is more than the %d members, who give one update each", r.Buffer, members)
	f.must(r.Name != "fedbuff" || r.Buffer >= 1, "rule.buffer", "fedbuff needs at least 1")
	f.must(uint64(r.Quorum) <= members, "rule.quorum", "%d is more than the %d members", r.Quorum, members)
	f.must(r.Name != "fedbuff" || r.Quorum <= r.Buffer, "rule.quorum", "%d is more than the buffer of %d", r.Quorum, r.Buffer)
	f.duration("rule.deadline", r.Deadline)
	f.must(r.Deadline == 0 || r.Quorum >= 1, "rule.quorum", "a deadline needs a quorum of at least 1")
	f.must(2*uint64(r.Trim) < max(p.fewest(), 1) || r.Name != "trimmed", "rule.trim", "dropping %d at each end leaves nothing of %d updates", r.Trim, p.fewest())
}

// fewest is the smallest number of updates with which the rule may make a version.
func (p *Plan) fewest() uint64 {
	n := uint64(len(p.Members))
	if p.Rule.Buffer > 0 {
		n = min(n, uint64(p.Rule.Buffer))
	}
	if p.Rule.Deadline > 0 {
		n = min(n, uint64(p.Rule.Quorum))
	}
	return n
}

func (p *Plan) checkPrivacy(f *faults) {
	v := p.Privacy
	f.oneOf("privacy.noise", v.Noise, noises)
	f.must(v.Rate > 0, "privacy.rate", "q = %v samples nothing", v.Rate)
	f.within("privacy.rate", v.Rate, 0, 1)
	f.positive("privacy.batch", v.Batch)
	f.positive("privacy.clip_g", v.ClipG)
	f.must(v.ClipU > 0 || p.Method.Name != "dpfpl", "privacy.clip_u", "dpfpl needs a positive one")
	p.checkNoise(f, "u", v.ClipU, v.ZU)
	p.checkNoise(f, "v", v.ClipV, v.ZV)
	p.checkNoise(f, "g", v.ClipG, v.ZG)
	if v.Noise == NoiseNone {
		f.must(v.Epsilon == 0, "privacy.epsilon", "%v promised without noise", v.Epsilon)
		f.must(v.Adjacency == "" || slices.Contains(adjacencies, v.Adjacency), "privacy.adjacency", "%.80q is none of %s", v.Adjacency, strings.Join(adjacencies, ", "))
		f.within("privacy.delta", v.Delta, 0, 1)
		return
	}
	f.oneOf("privacy.adjacency", v.Adjacency, adjacencies)
	f.positive("privacy.epsilon", v.Epsilon)
	f.must(v.Delta > 0 && v.Delta < 1, "privacy.delta", "%v is not between 0 and 1", v.Delta)
}

// checkNoise holds one gradient group's clip norm and noise multiplier against each other.
func (p *Plan) checkNoise(f *faults, group string, clip, z float64) {
	f.within("privacy.clip_"+group, clip, 0, math.MaxFloat64)
	f.within("privacy.z_"+group, z, 0, math.MaxFloat64)
	if p.Privacy.Noise == NoiseNone {
		f.must(z == 0, "privacy.z_"+group, "%v asks for noise where privacy.noise is none", z)
		return
	}
	f.must(clip == 0 || z != 0, "privacy.z_"+group, "0 would release this group without noise")
}

func (p *Plan) checkTiming(f *faults) {
	t := p.Presence
	f.duration("presence.heartbeat", t.Heartbeat)
	f.duration("presence.silence", t.Silence)
	f.must(t.Silence == 0 || t.Heartbeat > 0, "presence.heartbeat", "silence cannot be noticed without heartbeats")
	f.must(t.Silence == 0 || t.Silence > t.Heartbeat, "presence.silence", "%v is not longer than the heartbeat of %v", t.Silence, t.Heartbeat)
}

func (p *Plan) checkClasses(f *faults) {
	f.must(len(p.Classes) >= 2, "classes", "%d leave nothing to tell apart", len(p.Classes))
	seen := make(map[string]bool, len(p.Classes))
	for i, c := range p.Classes {
		f.text("classes", c)
		f.must(strings.TrimSpace(c) != "" && !strings.ContainsFunc(c, unicode.IsControl), "classes", "entry %d, %.80q, is no name", i, c)
		f.must(!seen[c], "classes", "%.80q is there twice", c)
		seen[c] = true
	}
}

func (p *Plan) checkMembers(f *faults) {
	f.must(len(p.Members) >= 1, "members", "nobody may take part")
	seen := make(map[string]bool, len(p.Members))
	for i, m := range p.Members {
		f.name("members", m.ID)
		f.must(i == 0 || p.Members[i-1].ID < m.ID, "members", "%.80q is not in ascending order", m.ID)
		f.must(nkeys.IsValidPublicUserKey(m.Key), "members", "key %.80q of %.80q is not a public user nkey", m.Key, m.ID)
		f.must(!seen[m.Key], "members", "%.80q shares a key with another member", m.ID)
		seen[m.Key] = true
	}
	f.signer("aggregator", p.Aggregator)
	f.signer("operator", p.Operator)
	f.must(!seen[p.Aggregator], "aggregator", "shares its key with a member")
}

// oneOf records a fault unless s is one of names.
func (f *faults) oneOf(field, s string, names []string) {
	f.must(slices.Contains(names, s), field, "%.80q is none of %s", s, strings.Join(names, ", "))
}

// within records a fault unless v is finite and between low and high.
func (f *faults) within(field string, v, low, high float64) {
	f.number(field, v)
	f.must(!(v < low || v > high) || math.IsInf(v, 0), field, "%v is outside %v to %v", v, low, high)
}

// positive records a fault unless v is finite and above 0.
func (f *faults) positive(field string, v float64) {
	f.number(field, v)
	f.must(!(v <= 0) || math.IsInf(v, 0), field, "%v is not positive", v)
}

func (f *faults) momentum(field string, v float64) {
	f.number(field, v)
	f.must(!(v < 0 || v >= 1) || math.IsInf(v, 0), field, "%v is not from 0 up to, but without, 1", v)
}

func (f *faults) duration(field string, d time.Duration) {
	f.must(d >= 0, field, "%v is negative", d)
}

// signer records a fault unless s is a public nkey that can sign.
func (f *faults) signer(field, s string) {
	f.must(nkeys.IsValidPublicKey(s) && !nkeys.IsValidPublicCurveKey(s), field, "%.80q is not a public nkey that can sign", s)
}

func isDigest(s string) bool {
	return len(s) == 64 && strings.Trim(s, "0123456789abcdef") == ""
}
