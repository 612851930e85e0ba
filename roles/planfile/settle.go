package planfile

import (
	"fmt"
	"math"

	"dpfpl/mathx/dp"
	"dpfpl/mathx/prompt"
	"dpfpl/schemas"
)

// Settle fills in what follows from the rest: the number of updates and, if the plan names a budget but no
// noise, the smallest noise that keeps to it. width is d of the model.
func (f *File) Settle(clients, width int) error {
	f.Prompt.Width = uint16(width)
	if f.Updates == 0 {
		f.Updates = f.Versions
		if f.Privacy.Noise == schemas.NoiseClient {
			f.Updates = usefulUpdates(f.Rule, f.Versions, clients)
		}
	}
	v := &f.Privacy
	if v.Noise != schemas.NoiseClient || v.ZU != 0 || v.ZV != 0 || v.ZG != 0 {
		return nil
	}
	adjacency, err := dp.ParseAdjacency(v.Adjacency)
	if err != nil {
		return fmt.Errorf("privacy.adjacency: %w", err)
	}
	joint, err := dp.CalibrateRDP(dp.Budget{
		Epsilon: v.Epsilon, Delta: v.Delta, Adjacency: adjacency, Q: v.Rate, Steps: uint64(f.Updates),
	})
	if err != nil {
		return fmt.Errorf("privacy: no noise reaches epsilon %g at delta %g: %w", v.Epsilon, v.Delta, err)
	}
	config := learning(f.Method, *v)
	z := config.EqualSplit(joint, int(f.Prompt.Context), width)
	v.ZU, v.ZV, v.ZG = z.U, z.V, z.G
	if z.U == 0 { // a group that the method does not have
		v.ClipU = 0
	}
	if z.V == 0 {
		v.ClipV = 0
	}
	return nil
}

// learning is the part of a method's configuration that decides what it releases.
func learning(m schemas.MethodPlan, v schemas.PrivacyPlan) prompt.Config {
	return prompt.Config{
		Method: m.Name, Mode: m.Mode, Rank: int(m.Rank), LeftOnly: m.LeftOnly,
		Clip: prompt.Norms{U: v.ClipU, V: v.ClipV, G: v.ClipG},
		Z:    prompt.Norms{U: v.ZU, V: v.ZV, G: v.ZG},
	}
}

// usefulUpdates is how many updates of one client a run can make use of: one a version under the
// synchronous rules, and half as many again as its fair share under the others. It is the number that the
// noise must pay for, so it should not be larger than need be.
func usefulUpdates(rule schemas.RulePlan, versions uint32, clients int) uint32 {
	per := 0
	switch rule.Name {
	case "fedbuff":
		per = int(rule.Buffer)
	case "fedasync":
		per = 1
	default:
		return versions
	}
	fair := float64(versions) * float64(per) / float64(clients)
	return min(versions, uint32(math.Ceil(1.5*fair)))
}
