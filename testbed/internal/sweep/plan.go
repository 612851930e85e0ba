package sweep

import (
	"math"

	"dpfpl/mathx/dp"
	"dpfpl/mathx/prompt"
	"dpfpl/roles/planfile"
	"dpfpl/schemas"
	"dpfpl/testbed/internal/data"
	"dpfpl/testbed/internal/federation"
)

// planFile makes a cell's plan for a divided set and a model of the given width. Errors name the plan's field.
func (g *Grid) planFile(c *Cell, set *data.Set, width int) (federation.PlanFile, error) {
	p := federation.DefaultPlan(set.Name, len(set.Clients), g.Pace)
	p.Method.Name, p.Method.Mode, p.Method.Rank = c.Method, c.Mode, uint16(c.Rank)
	if !ranked(c.Method) {
		p.Method.Rank = 0
	}
	p.Rule.Name = c.Rule
	if c.Rule == "trimmed" {
		p.Rule.Buffer, p.Rule.Quorum = 0, 2*p.Rule.Trim+1
	}
	p.Versions, p.Seed = uint32(c.Setting.Versions), c.Seed
	v := &p.Privacy
	v.Epsilon, v.Delta = float64(c.Epsilon), g.Delta
	if c.Setting.Batch > 0 {
		n := float64(set.MedianRecords())
		v.Rate = math.Min(1, c.Setting.Batch/n)
		v.Batch = v.Rate * n
	}
	if err := overlay(&p.File, c.Setting.Plan); err != nil {
		return p, err
	}
	batch := v.Batch
	if c.Mode == prompt.Paper {
		v.Batch = 1 // what is released is a mean already
	}
	switch {
	case c.Epsilon.None():
		v.Noise, v.Adjacency = schemas.NoiseNone, ""
		v.Epsilon, v.Delta, v.ZU, v.ZV, v.ZG = 0, 0, 0, 0, 0
	case c.Mode == prompt.Paper:
		paperNoise(&p.File, batch, len(set.Clients), width)
	}
	if err := p.Settle(len(set.Clients), width); err != nil {
		return p, err
	}
	if len(c.Setting.Split) > 0 && c.Mode == prompt.Corrected && !c.Epsilon.None() {
		reweigh(v, c.Setting.Split)
	}
	return p, nil
}

// paperNoise sets the noise of the authors' code for the budget that they claim. PromptFL alone is noised twice there: in
// full at each client, and once more at the server, which here is every client's share of it.
func paperNoise(p *planfile.File, batch float64, clients, width int) {
	v := &p.Privacy
	z := prompt.PaperNoise(v.Epsilon, v.Delta, int(p.Versions), int(math.Round(batch)), clients)
	if p.Method.Name == prompt.PromptFL {
		z.G = math.Hypot(z.U, z.G)
	}
	groups := groupsOf(p, width)
	for i := range groups {
		switch groups[i].Name {
		case "u", "local":
			groups[i].Z = z.U
		case "v":
			groups[i].Z = z.V
		default:
			groups[i].Z = z.G
		}
	}
	setNoise(v, prompt.Multipliers(groups))
}

// groupsOf lists what a step of the plan releases.
func groupsOf(p *planfile.File, width int) []dp.Group {
	v := &p.Privacy
	c := prompt.Config{
		Method: p.Method.Name, Mode: p.Method.Mode, Rank: int(p.Method.Rank), LeftOnly: p.Method.LeftOnly,
		Clip: prompt.Norms{U: v.ClipU, V: v.ClipV, G: v.ClipG}, Z: prompt.Norms{U: v.ZU, V: v.ZV, G: v.ZG},
	}
	return c.Groups(int(p.Prompt.Context), width)
}

// setNoise sets the multipliers; a group that the method does not have gets no clip norm.
func setNoise(v *schemas.PrivacyPlan, z prompt.Norms) {
	v.ZU, v.ZV, v.ZG = z.U, z.V, z.G
	if z.U == 0 {
		v.ClipU = 0
	}
	if z.V == 0 {
		v.ClipV = 0
	}
}

// reweigh divides a plan's joint noise among u, v and the global prompt by weights, at the same joint multiplier.
func reweigh(v *schemas.PrivacyPlan, weights []float64) {
	precision, inverse := 0.0, 0.0
	z := []*float64{&v.ZU, &v.ZV, &v.ZG}
	for i, w := range weights {
		if *z[i] > 0 {
			precision += 1 / (*z[i] * *z[i])
			inverse += 1 / (w * w)
		}
	}
	for i, w := range weights {
		if *z[i] > 0 {
			*z[i] = w * math.Sqrt(inverse/precision)
		}
	}
}

// trueEpsilon is what a run in paper mode costs one record: the clipped mean of a batch moves by up to twice the clip norm
// when one record comes or goes, whatever the batch size, and only the sampling is on its side.
func trueEpsilon(p *planfile.File, width int) (rdp, pld float64, err error) {
	groups := groupsOf(p, width)
	for i := range groups {
		groups[i].Z /= 2
	}
	step, err := dp.NewStep(p.Privacy.Rate, groups...)
	if err != nil {
		return 0, 0, err
	}
	account, err := dp.NewAccount(dp.ZeroOut)
	if err != nil {
		return 0, 0, err
	}
	if err := account.Spend(step, uint64(p.Updates)); err != nil {
		return 0, 0, err
	}
	rdp, pld = math.Inf(1), math.Inf(1)
	if e, err := account.EpsilonRDP(p.Privacy.Delta); err == nil {
		rdp = e.Epsilon
	}
	if e, err := account.EpsilonPLD(p.Privacy.Delta); err == nil {
		pld = e
	}
	return rdp, pld, nil
}
