package aggregator

import (
	"cmp"
	"fmt"
	"math"

	"dpfpl/mathx/agg"
	"dpfpl/schemas"
)

// rule is the plan's aggregation rule: the buffer says what a version is, the rest when it is complete.
type rule struct {
	buffer agg.Buffer
	// size is the number of updates that completes a version by itself; 0 when only the deadline, or
	// an update of every member that counts, does.
	size int
	// least is the fewest updates of a version.
	least int
	// weigh gives the weight of an update by its staleness.
	weigh func(tau uint32) uint32
}

// newRule errors: ErrPlan.
func newRule(p *schemas.Plan) (rule, error) {
	members := len(p.Members)
	if members == 0 || members > math.MaxUint16 {
		return rule{}, fmt.Errorf("%w: members: %d of them, want 1 to %d", ErrPlan, members, math.MaxUint16)
	}
	dim := int(p.Prompt.Context) * int(p.Prompt.Width)
	if dim == 0 {
		return rule{}, fmt.Errorf("%w: prompt: context and width must be positive", ErrPlan)
	}
	r := rule{least: max(int(p.Rule.Quorum), 1), weigh: agg.Staleness}
	switch p.Rule.Name {
	case "sync":
		r.buffer = agg.NewSum(dim, members)
	case "fedbuff":
		r.size = int(p.Rule.Buffer)
		if r.size < 1 || r.size > members {
			return rule{}, fmt.Errorf("%w: rule.buffer: %d, want 1 to the %d members", ErrPlan, r.size, members)
		}
		r.buffer = agg.NewSum(dim, r.size)
	case "fedasync":
		r.size = 1
		r.buffer = agg.NewSum(dim, 1)
	case "trimmed":
		r.least = max(r.least, 2*int(p.Rule.Trim)+1)
		r.buffer = agg.NewTrimmed(dim, int(p.Rule.Trim))
		r.weigh = equally
	case "median":
		r.buffer = agg.NewMedian(dim)
		r.weigh = equally
	default:
		return rule{}, fmt.Errorf("%w: rule.name: %q, want sync, fedbuff, fedasync, trimmed or median", ErrPlan, p.Rule.Name)
	}
	if most := cmp.Or(r.size, members); r.least > most {
		return rule{}, fmt.Errorf("%w: rule: a version needs %d updates but holds at most %d (quorum, trim)", ErrPlan, r.least, most)
	}
	return r, nil
}

func equally(uint32) uint32 { return agg.One }
