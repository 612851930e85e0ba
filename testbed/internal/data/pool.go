package data

import (
	"math/rand/v2"
	"slices"
	"strings"
)

// Pool is a data set before it is divided among clients.
type Pool struct {
	Name    string
	Classes []string // names in label order
	Ending  string   // what follows a class name in a prompt; the paper's code ends with "."
	Styles  []string // names of the pictures' styles, if they have any
	Train   []Picture
	Test    []Picture
	Skipped []string // pictures that were left out by choice, because they are missing or cannot be read
}

// The rules by which a Pool is divided.
const (
	RulePathological = "pathological" // whole classes to clients, exactly as the paper's code deals them
	RuleDirichlet    = "dirichlet"    // every class over all clients, in Dirichlet proportions
	RuleStyle        = "style"        // whole styles to clients, as DomainNet and Office are divided
)

// Division says how a Pool becomes a Set.
type Division struct {
	Rule     string
	Clients  int
	Alpha    float64 // of RuleDirichlet; 0 is 0.3, the paper's
	Shots    int     // training pictures kept of each class; 0 is all
	Truncate bool    // cut every client's training pictures to the smallest client's number, as the paper's code does
	Seed     uint64  // of everything but the class lists of RulePathological
}

// Divide deals the pictures out. Test pictures follow the training pictures' division, and a client's Neighbour are all test
// pictures of classes that only others hold; under RuleStyle, where clients share classes, of other styles.
// Expected error: ErrOptions.
func (p *Pool) Divide(d Division) (*Set, error) {
	train, test := labelsOf(p.Train), labelsOf(p.Test)
	kept := all(len(train))
	if d.Shots > 0 {
		kinds := slices.Clone(train) // of every class and style
		for i := range kinds {
			kinds[i] += p.Train[i].Style * len(p.Classes)
		}
		kept = FewShot(Partition{kept}, kinds, d.Shots, rand.NewPCG(d.Seed, 1))[0]
	}
	trainPart, testPart, held, err := p.split(d, pick(p.Train, kept), pick(train, kept), test)
	if err != nil {
		return nil, err
	}
	if d.Truncate {
		trainPart = Truncate(trainPart)
	}
	s := &Set{Name: p.Name, Classes: p.Classes, Words: "a photo of a", Ending: p.Ending,
		LocalTest: "the data set's own test pictures of the client's classes", NeighbourTest: "those of the classes that only others hold", Record: "one training picture"}
	if d.Rule == RuleStyle {
		s.LocalTest, s.NeighbourTest = "the data set's own test pictures in the client's style", "those in the other styles"
	}
	for i := range trainPart {
		c := Client{ID: clientID(i), Style: p.Name, Classes: held[i], Train: pick(p.Train, pick(kept, trainPart[i])), Test: pick(p.Test, testPart[i])}
		if len(c.Train) == 0 || len(c.Test) == 0 {
			return nil, unfit("%s: client %d gets %d training and %d test pictures", p.Name, i+1, len(c.Train), len(c.Test))
		}
		foreign := func(t Picture) bool { return !slices.Contains(held[i], t.Label) }
		if d.Rule == RuleStyle {
			own := c.Train[0].Style
			c.Style, foreign = p.Styles[own], func(t Picture) bool { return t.Style != own }
		}
		for _, t := range p.Test {
			if foreign(t) {
				c.Neighbour = append(c.Neighbour, t)
			}
		}
		s.Clients = append(s.Clients, c)
	}
	return s, nil
}

// split applies the rule to the pictures that are kept, or their labels; held are each client's classes, ascending.
func (p *Pool) split(d Division, kept []Picture, train, test []int) (trainPart, testPart Partition, held [][]int, err error) {
	switch d.Rule {
	case RulePathological:
		if held, err = Pathological(len(p.Classes), d.Clients); err != nil {
			return nil, nil, nil, err
		}
		trainPart, testPart = ByClass(train, held), ByClass(test, held)
	case RuleDirichlet:
		if d.Alpha == 0 {
			d.Alpha = 0.3
		}
		if trainPart, testPart, err = Dirichlet(train, test, d.Clients, d.Alpha, rand.NewPCG(d.Seed, 2)); err != nil {
			return nil, nil, nil, err
		}
	case RuleStyle:
		if len(p.Styles) == 0 {
			return nil, nil, nil, unfit("%s has no styles to divide it by: only a folder of pictures has, with a sub-folder for each style", p.Name)
		}
		if trainPart, err = ByStyle(stylesOf(kept), len(p.Styles), d.Clients); err != nil {
			return nil, nil, nil, err
		}
		if testPart, err = ByStyle(stylesOf(p.Test), len(p.Styles), d.Clients); err != nil {
			return nil, nil, nil, err
		}
	default:
		return nil, nil, nil, unfit("no division is called %q; there are %s, %s and %s", d.Rule, RulePathological, RuleDirichlet, RuleStyle)
	}
	if held == nil {
		for i := range trainPart {
			held = append(held, slices.Concat(pick(train, trainPart[i]), pick(test, testPart[i])))
		}
	}
	for i := range held {
		held[i] = slices.Compact(slices.Sorted(slices.Values(held[i])))
	}
	return trainPart, testPart, held, nil
}

// validate checks that every class has pictures of both kinds, and every label a class.
func (p *Pool) validate() error {
	for _, part := range []struct {
		name     string
		pictures []Picture
	}{{"training", p.Train}, {"test", p.Test}} {
		n := make([]int, len(p.Classes))
		for _, picture := range part.pictures {
			if picture.Label < 0 || picture.Label >= len(n) {
				return damaged(picture.Key, "its label is %d, there are %d classes", picture.Label, len(n))
			}
			n[picture.Label]++
		}
		var without []string
		for c, count := range n {
			if count == 0 {
				without = append(without, p.Classes[c])
			}
		}
		if len(without) > 0 {
			return unfit("%s: no %s picture of %d classes: %s", p.Name, part.name, len(without), few(without))
		}
	}
	return nil
}

// few lists the first names.
func few(names []string) string {
	const most = 5
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return strings.Join(names[:most], ", ") + ", …"
}

func stylesOf(pictures []Picture) []int {
	styles := make([]int, len(pictures))
	for i, p := range pictures {
		styles[i] = p.Style
	}
	return styles
}

func labelsOf(pictures []Picture) []int {
	labels := make([]int, len(pictures))
	for i, p := range pictures {
		labels[i] = p.Label
	}
	return labels
}

func all(n int) []int {
	list := make([]int, n)
	for i := range list {
		list[i] = i
	}
	return list
}

// pick returns the elements at the given positions.
func pick[T any](list []T, at []int) []T {
	picked := make([]T, len(at))
	for i, j := range at {
		picked[i] = list[j]
	}
	return picked
}
