package data

import (
	"os"
	"testing"
)

// TestBuiltIn opens the two sets of the repository with the defaults.
func TestBuiltIn(t *testing.T) {
	for _, c := range []struct {
		name                   string
		classes, train, test   int
		leastTrain, neighbours int
	}{
		{"emoji", 100, 1960, 400, 100, 1800},
		{"fashion", 10, 4000, 1748, 200, 2000},
	} {
		s, err := Open(c.name, os.DirFS("../../data"), Options{})
		if err != nil {
			t.Fatal(err)
		}
		train, test, neighbours := 0, 0, 0
		for i := range s.Clients {
			checkClient(t, s, &s.Clients[i])
			train, test, neighbours = train+len(s.Clients[i].Train), test+len(s.Clients[i].Test), neighbours+len(s.Clients[i].Neighbour)
			if len(s.Clients[i].Train) < c.leastTrain {
				t.Errorf("%s: %s has %d training pictures", c.name, s.Clients[i].ID, len(s.Clients[i].Train))
			}
		}
		if len(s.Classes) != c.classes || train != c.train || test != c.test || neighbours != c.neighbours {
			t.Errorf("%s: %d classes, %d training, %d test, %d neighbour pictures, want %+v", c.name, len(s.Classes), train, test, neighbours, c)
		}
	}
}
