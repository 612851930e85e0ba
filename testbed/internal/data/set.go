package data

import (
	"io/fs"
	"slices"
	"strings"
)

// Set is a data set divided among clients.
type Set struct {
	Name    string
	Classes []string // class names in label order; every client classifies among all of them
	// Words is the context of the zero-shot classifier, "<Words> <class name><Ending>".
	Words  string
	Ending string
	// LocalTest and NeighbourTest say in words what local and neighbour accuracy are measured on, and Record what one
	// record of the privacy guarantee is.
	LocalTest     string
	NeighbourTest string
	Record        string
	Clients       []Client
}

// Client is what one client holds. Only Train may ever be learned from.
type Client struct {
	ID        string    // "client-01", …
	Style     string    // drawing style or camera look, in words
	Classes   []int     // labels it holds, ascending
	Train     []Picture // its records
	Test      []Picture // its classes, never trained on
	Neighbour []Picture // what other clients hold, see NeighbourTest; never trained on
}

// IDs names the clients, in their order.
func (s *Set) IDs() []string {
	ids := make([]string, len(s.Clients))
	for i, c := range s.Clients {
		ids[i] = c.ID
	}
	return ids
}

// MedianRecords is the number of training pictures of the median client, a public figure. The set must have clients.
func (s *Set) MedianRecords() int {
	n := make([]int, len(s.Clients))
	for i, c := range s.Clients {
		n[i] = len(c.Train)
	}
	slices.Sort(n)
	return n[len(n)/2]
}

// Options choose how a built-in set is divided. Zero fields take the documented defaults.
type Options struct {
	Clients int    // number of clients; 0 is 10
	Seed    uint64 // of views and of the division
	// Held is the number of classes a client holds; 0 is 10 for emoji (fewer if there are many
	// clients) and 3 for fashion.
	Held int
	// AllNames makes every concept a class name. By default only those are that some client holds: 100 of
	// 362 names with the defaults, which keeps a training step cheap. Only for emoji.
	AllNames bool
	// Views is the mean number of training views of one drawing, clean one included; clients have from
	// half to one and a half times as many. 0 is 20. Only for emoji.
	Views int
	// TestViews and NeighbourViews are the views per drawing in Test and Neighbour; 0 is 4 and 2. Only
	// for emoji.
	TestViews, NeighbourViews int
	// Limit is the most pictures in a client's Neighbour; 0 is 200. Only for fashion.
	Limit int
}

// openers are the built-in sets.
var openers = map[string]func(fs.FS, Options) (*Set, error){"emoji": emoji, "fashion": fashion}

// Names lists the built-in sets.
func Names() []string { return []string{"emoji", "fashion"} }

// Open reads a built-in set from a folder that holds a sub-folder of its name (testbed/data or a copy).
// Expected errors: ErrOptions, ErrDamaged, fs.ErrNotExist.
func Open(name string, fsys fs.FS, o Options) (*Set, error) {
	open, ok := openers[name]
	if !ok {
		return nil, unfit("no data set is called %q; there are %s", name, strings.Join(Names(), " and "))
	}
	if err := o.fill(); err != nil {
		return nil, err
	}
	return open(fsys, o)
}

// fill puts in the defaults that do not depend on the set.
func (o *Options) fill() error {
	for _, f := range []struct {
		name     string
		value    *int
		standard int
		most     int
	}{
		{"clients", &o.Clients, 10, 1000}, {"held", &o.Held, 0, 1000}, {"views", &o.Views, 20, 1000},
		{"test views", &o.TestViews, 4, 1000}, {"neighbour views", &o.NeighbourViews, 2, 1000},
		{"limit", &o.Limit, 200, 1 << 20},
	} {
		if *f.value < 0 || *f.value > f.most {
			return unfit("%s must be from 0 to %d, not %d", f.name, f.most, *f.value)
		}
		if *f.value == 0 {
			*f.value = f.standard
		}
	}
	return nil
}
