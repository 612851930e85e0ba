package data

import (
	"errors"
	"fmt"
	"image"
	"slices"
	"strings"
	"testing"
)

// numbers is a pool of features, so that no pixels are needed: n training and n/2 test pictures of each class.
func numbers(classes, n int) *Pool {
	p := &Pool{Name: "numbers"}
	for c := range classes {
		p.Classes = append(p.Classes, fmt.Sprint("number ", c))
		for i := range n {
			p.Train = append(p.Train, Picture{Key: fmt.Sprintf("train/%d/%d", c, i), Label: c, Feature: []float32{1}})
			if i%2 == 0 {
				p.Test = append(p.Test, Picture{Key: fmt.Sprintf("test/%d/%d", c, i), Label: c, Feature: []float32{1}})
			}
		}
	}
	return p
}

func TestDividePathological(t *testing.T) {
	s, err := numbers(37, 16).Divide(Division{Rule: RulePathological, Clients: 10})
	if err != nil {
		t.Fatal(err)
	}
	lists, _ := Pathological(37, 10)
	for i, c := range s.Clients {
		checkClient(t, s, &c)
		if want := slices.Sorted(slices.Values(lists[i])); !slices.Equal(c.Classes, want) {
			t.Errorf("%s holds %v, want %v", c.ID, c.Classes, want)
		}
		if n := len(c.Classes); len(c.Train) != 16*n || len(c.Test) != 8*n || len(c.Neighbour) != 8*(37-n) {
			t.Errorf("%s: %d, %d, %d pictures of %d classes", c.ID, len(c.Train), len(c.Test), len(c.Neighbour), n)
		}
	}
	// What the authors' truncation does to OxfordPets: all train on as much as the client with one class, and are still tested on all.
	cut, err := numbers(37, 16).Divide(Division{Rule: RulePathological, Clients: 10, Truncate: true})
	if err != nil {
		t.Fatal(err)
	}
	for i, c := range cut.Clients {
		if len(c.Train) != 16 || len(c.Test) != len(s.Clients[i].Test) || c.Train[0].Label != lists[i][0] {
			t.Errorf("%s: %d training pictures from class %d, %d test pictures", c.ID, len(c.Train), c.Train[0].Label, len(c.Test))
		}
	}
}

func TestDivideShots(t *testing.T) {
	division := Division{Rule: RulePathological, Clients: 5, Shots: 3, Seed: 1}
	s, err := numbers(10, 20).Divide(division)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range s.Clients {
		for _, l := range c.Classes {
			if n := count(all(len(c.Train)), labelsOf(c.Train), l); n != 3 {
				t.Errorf("%s has %d training pictures of class %d", c.ID, n, l)
			}
		}
		if len(c.Test) != 20 {
			t.Errorf("%s has %d test pictures", c.ID, len(c.Test))
		}
	}
	division.Seed = 2
	if other, _ := numbers(10, 20).Divide(division); slices.EqualFunc(s.Clients[0].Train, other.Clients[0].Train, func(a, b Picture) bool { return a.Key == b.Key }) {
		t.Error("the shots do not depend on the seed")
	}
}

func TestDivideDirichlet(t *testing.T) {
	s, err := numbers(10, 100).Divide(Division{Rule: RuleDirichlet, Clients: 4, Seed: 3})
	if err != nil {
		t.Fatal(err)
	}
	total := 0
	for _, c := range s.Clients {
		total += len(c.Train)
		for _, p := range c.Neighbour {
			if slices.Contains(c.Classes, p.Label) {
				t.Fatalf("%s holds class %d of a neighbour picture", c.ID, p.Label)
			}
		}
	}
	if total != 1000 {
		t.Errorf("%d training pictures of 1000 are dealt out", total)
	}
}

func TestDivideRefuses(t *testing.T) {
	for _, d := range []Division{{}, {Rule: "fair", Clients: 2}, {Rule: RulePathological}, {Rule: RuleDirichlet, Clients: 500}} {
		if _, err := numbers(10, 20).Divide(d); !errors.Is(err, ErrOptions) {
			t.Errorf("%+v: %v", d, err)
		}
	}
	p := numbers(10, 20)
	p.Test = p.Test[:50] // classes 5 to 9 have no test pictures
	if err := p.validate(); !errors.Is(err, ErrOptions) || !strings.Contains(err.Error(), "5 classes: number 5, ") {
		t.Error(err)
	}
}

func TestFeatureHasNoPixels(t *testing.T) {
	if _, err := numbers(2, 2).Train[0].Image(); !errors.Is(err, ErrOptions) {
		t.Error(err)
	}
}

func TestCheck(t *testing.T) {
	pool := func() *Pool {
		p := numbers(2, 4)
		p.Train = append(p.Train,
			NewPicture("torn.png", 0, func() (image.Image, error) { return nil, damaged("torn.png", "cut short") }),
			NewPicture("fine.png", 1, func() (image.Image, error) { return image.NewGray(image.Rect(0, 0, 1, 1)), nil }))
		return p
	}
	p := pool()
	if err := p.Check(false); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), "1 pictures cannot be read: torn.png") || p.Skipped != nil {
		t.Error(p.Skipped, err)
	}
	p = pool()
	if err := p.Check(true); err != nil || !slices.Equal(p.Skipped, []string{"torn.png"}) || len(p.Train) != 9 {
		t.Error(p.Skipped, err, len(p.Train))
	}
	p = pool()
	p.Train = p.Train[8:] // class 0 has only the torn picture
	if err := p.Check(true); !errors.Is(err, ErrOptions) {
		t.Error(err)
	}
}
