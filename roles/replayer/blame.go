package replayer

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"dpfpl/schemas"
)

// Contribution is one update's part in a version.
type Contribution struct {
	schemas.Folded
	Norm float64 // of the update by itself, as a mean gradient: sum/B̄
	// Share is the part of the version's sum of weighted updates that this one accounts for, along that
	// sum: the shares of a version add up to 1, and one below 0 pulled the other way. NaN if the sum is 0.
	Share float64
}

// Blame returns who contributed to version v as recorded, in log order. Errors: ErrSource, ErrVersion, and
// those of the source.
func Blame(src Source, v uint64) ([]Contribution, error) {
	var found []Contribution
	seen := false
	err := eachVersion(src, func(version uint64, contributions []Contribution) bool {
		if seen = version == v; seen {
			found = contributions
		}
		return !seen
	})
	if err == nil && !seen {
		err = fmt.Errorf("%w: %d", ErrVersion, v)
	}
	return found, err
}

// Pull is one client's part in a run.
type Pull struct {
	Client  string
	Updates int     // folded in
	Weight  float64 // mean weight
	Total   float64 // sum of weighted norms
	Largest float64 // weighted norm
	Version uint64  // to which the largest went
	Share   float64 // mean share of the versions it contributed to
}

// Top returns all clients that contributed to a run, the one with the largest total first. Errors:
// ErrSource, and those of the source; the result then covers what was read.
func Top(src Source) ([]Pull, error) {
	pulls := map[string]*Pull{}
	err := eachVersion(src, func(version uint64, contributions []Contribution) bool {
		for _, c := range contributions {
			p := pulls[c.Client]
			if p == nil {
				p = &Pull{Client: c.Client}
				pulls[c.Client] = p
			}
			p.add(version, c)
		}
		return true
	})
	var list []Pull
	for _, p := range pulls {
		p.Weight /= float64(p.Updates)
		p.Share /= float64(p.Updates)
		list = append(list, *p)
	}
	slices.SortFunc(list, func(a, b Pull) int {
		return cmp.Or(cmp.Compare(b.Total, a.Total), cmp.Compare(a.Client, b.Client))
	})
	return list, err
}

func (p *Pull) add(version uint64, c Contribution) {
	weight := float64(c.Weight) / 65536
	weighted := weight * c.Norm
	p.Updates++
	p.Weight += weight
	p.Total += weighted
	if weighted > p.Largest {
		p.Largest, p.Version = weighted, version
	}
	if !math.IsNaN(c.Share) {
		p.Share += c.Share
	}
}

// eachVersion calls each with every recorded version after the first and who contributed to it, until it
// returns false.
func eachVersion(src Source, each func(version uint64, contributions []Contribution) bool) error {
	r, err := begin(src)
	if err != nil {
		return err
	}
	defer r.stop()
	updates := map[uint64]*schemas.Update{} // since the version before, by sequence
	for m, err := range r.rest {
		if err != nil {
			return err
		}
		switch b := opened(m).Body.(type) {
		case *schemas.Update:
			updates[m.Seq] = b
		case *schemas.Model:
			contributions, err := contributionsOf(b, updates, r.plan.Privacy.Batch)
			if err != nil {
				return err
			}
			clear(updates)
			if !each(b.Version, contributions) {
				return nil
			}
		}
	}
	return nil
}

// contributionsOf errors: ErrSource if an update that the model names was not in the log before it.
func contributionsOf(m *schemas.Model, updates map[uint64]*schemas.Update, batch float64) ([]Contribution, error) {
	total := make([]float64, len(m.Params.Data)/4)
	vectors := make([][]int32, len(m.Folded))
	for i, f := range m.Folded {
		u := updates[f.Seq]
		if u == nil || u.Sender != f.Client || u.K != f.K || len(u.Sum.Data) != len(m.Params.Data) {
			return nil, fmt.Errorf("%w: version %d names update %d of %s at sequence %d, which is not there", ErrSource, m.Version, f.K, f.Client, f.Seq)
		}
		vectors[i] = u.Sum.Ints(nil)
		for j, x := range vectors[i] {
			total[j] += float64(f.Weight) * float64(x)
		}
	}
	square := 0.0
	for _, x := range total {
		square += x * x
	}
	contributions := make([]Contribution, len(m.Folded))
	for i, f := range m.Folded {
		var own, along float64
		for j, x := range vectors[i] {
			own += float64(x) * float64(x)
			along += float64(f.Weight) * float64(x) * total[j]
		}
		contributions[i] = Contribution{Folded: f, Norm: math.Sqrt(own) * updates[f.Seq].Sum.Step / batch, Share: along / square}
	}
	return contributions, nil
}
