package dp

// Adjacency says which data sets are neighbours, that is, between which pairs a
// guarantee says that the outputs look alike. It is part of every statement: the
// same noise has another epsilon under another adjacency.
type Adjacency uint8

const (
	// ZeroOut: the contribution of one record becomes nothing, the number of
	// records stays public. Sensitivity C. The headline of this project.
	ZeroOut Adjacency = iota
	// AddRemove: one record is added or removed. Sensitivity C, and the number of
	// records, hence any rate or divisor computed from it, is itself secret.
	AddRemove
	// ReplaceOne: one record is exchanged for another. Sensitivity 2C.
	ReplaceOne
)

// Adjacencies lists the known adjacencies in order.
func Adjacencies() []Adjacency { return []Adjacency{ZeroOut, AddRemove, ReplaceOne} }

// ParseAdjacency is the inverse of [Adjacency.String]; other names are ErrInvalid.
func ParseAdjacency(name string) (Adjacency, error) {
	for _, a := range Adjacencies() {
		if a.String() == name {
			return a, nil
		}
	}
	return 0, invalid("adjacency", name, "zero-out, add-remove or replace-one")
}

// String returns zero-out, add-remove or replace-one.
func (a Adjacency) String() string {
	switch a {
	case ZeroOut:
		return "zero-out"
	case AddRemove:
		return "add-remove"
	case ReplaceOne:
		return "replace-one"
	}
	return "unknown"
}

// Sensitivity is the largest change of a sum of vectors of norm at most clip
// between neighbours: clip, or twice that for replace-one.
func (a Adjacency) Sensitivity(clip float64) float64 {
	if a == ReplaceOne {
		return 2 * clip
	}
	return clip
}

func (a Adjacency) validate() error {
	if a > ReplaceOne {
		return invalid("adjacency", uint8(a), "zero-out, add-remove or replace-one")
	}
	return nil
}
