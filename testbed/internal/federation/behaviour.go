package federation

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// Behaviour is how one client differs from an ideal one. Versions are global prompt versions, so that a
// plan of faults means the same on a fast and on a slow machine.
type Behaviour struct {
	Think   time.Duration // what one step takes on top of its arithmetic
	Offset  time.Duration // how much later than others it comes to what all are told at one instant
	JoinAt  uint64        // first takes part at this version
	CutAt   uint64        // loses its connection at this version; 0 never
	BackAt  uint64        // and has it again at this one
	LeaveAt uint64        // leaves for good at this version; 0 never
	Slow    bool          // the straggler
}

// String says in words what the client does.
func (b Behaviour) String() string {
	switch {
	case b.LeaveAt > 0:
		return fmt.Sprintf("leaves at version %d", b.LeaveAt)
	case b.CutAt > 0:
		return fmt.Sprintf("cut off from version %d to %d", b.CutAt, b.BackAt)
	case b.JoinAt > 0:
		return fmt.Sprintf("joins at version %d", b.JoinAt)
	case b.Slow:
		return "straggler, 10 times slower"
	default:
		return "steady"
	}
}

// Behaviours is the main job's cast for n clients over so many versions: one straggler ten times slower, one
// that joins late, one that is cut off and returns, one that leaves for good; the others steady at unequal speeds.
func Behaviours(n int, versions uint64, pace time.Duration) []Behaviour {
	cast := Steady(n, pace)
	at := func(percent uint64) uint64 { return max(1, versions*percent/100) }
	roles := []func(b *Behaviour){
		func(b *Behaviour) { b.Think *= 10; b.Slow = true },
		func(b *Behaviour) { b.JoinAt = at(25) },
		func(b *Behaviour) { b.CutAt, b.BackAt = at(30), max(at(30)+1, at(55)) },
		func(b *Behaviour) { b.LeaveAt = at(60) },
	}
	// One in two clients at the most has a role, so that the run can always go on.
	for r, give := range roles {
		if i := n - 1 - 2*r; i > 0 && versions >= 4 {
			give(&cast[i])
		}
	}
	return cast
}

// Steady is a cast of n clients that do nothing special, at unequal speeds.
// Odd nanoseconds keep any two from acting at the same instant, so that a run in virtual time has one transcript.
func Steady(n int, pace time.Duration) []Behaviour {
	cast := make([]Behaviour, n)
	for i := range cast {
		spread := time.Duration(i) * pace / time.Duration(2*n)
		odd := rand.New(rand.NewPCG(uint64(i), uint64(n)))
		cast[i].Think = pace*3/4 + spread + time.Duration(odd.Int64N(int64(pace/100)+1))
		cast[i].Offset = time.Duration(i+1)*pace/time.Duration(8*n) + time.Duration(odd.Int64N(int64(pace/1000)+1))
	}
	return cast
}

// Casts are the casts of an experiment on heterogeneity, by name. In each, three in ten clients are not steady.
var Casts = map[string]string{
	"none":       "all steady",
	"stragglers": "three in ten are ten times slower",
	"dropouts":   "three in ten lose their connection half of the time",
	"late":       "three in ten join when two fifths of the versions are made",
}

// Cast is the named one of Casts, for n clients over so many versions.
func Cast(name string, n int, versions uint64, pace time.Duration) []Behaviour {
	cast := Steady(n, pace)
	at := func(percent uint64) uint64 { return max(1, versions*percent/100) }
	for j := range n * 3 / 10 {
		switch b := &cast[n-1-j]; name {
		case "stragglers":
			b.Think *= 10
			b.Slow = true
		case "dropouts":
			b.CutAt = at(10 + 10*uint64(j%3))
			b.BackAt = b.CutAt + at(50)
		case "late":
			b.JoinAt = at(40)
		}
	}
	return cast
}
