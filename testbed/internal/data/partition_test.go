package data

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestPathologicalPaper compares with the class lists that CPython gives for the paper's data sets.
func TestPathologicalPaper(t *testing.T) {
	for _, c := range []struct {
		name    string
		classes int
		want    string
	}{
		{"Caltech101", 100, "[[20 79 93 54 52 65 0 1 48 74] [44 82 35 69 91 42 33 14 5 62] [32 55 96 10 21 31 90 27 28 76] " +
			"[80 71 66 58 23 70 60 72 17 18] [45 34 11 56 84 13 41 30 24 85] [51 75 37 6 53 94 95 39 47 98] [36 7 50 3 63 59 9 77 64 92] " +
			"[86 97 61 19 25 4 16 8 46 26] [2 88 29 22 87 67 68 38 83 15] [12 81 43 73 78 40 99 57 89 49]]"},
		{"OxfordPets", 37, "[[18 14 23 10] [8 4 13 19] [12 29 34 15] [2 32 1 11] [31 0 35 7] [5 27 16 30] [17 22 26 9] [33 3 25 6] [21 20 36 28] [24]]"},
		{"OxfordFlowers", 102, "[[90 54 31 35 55 72 92 42 95 84] [74 0 1 80 27 20 77 50 66 45] [44 82 14 32 52 70 28 51 10 21] " +
			"[33 75 5 48 87 98 23 69 62 7] [17 18 60 34 11 58 86 13 41 30] [24 71 56 76 37 6 53 79 97 39] [47 65 36 91 3 63 59 9 96 64] " +
			"[94 88 99 61 19 25 4 16 8 46] [26 2 93 85 29 22 100 67 68 38] [83 15 12 81 43 73 78 40 101 57 89 49]]"},
		{"Food101", 101, "[[20 79 94 54 52 65 0 1 48 74] [44 99 35 69 82 42 33 14 5 62] [32 55 97 10 21 31 91 27 28 76] " +
			"[80 71 66 58 23 70 60 72 17 18] [45 34 11 56 85 13 41 30 24 86] [51 75 37 6 53 95 96 39 47 90] [36 7 50 3 63 59 9 77 64 93] " +
			"[87 98 61 19 25 4 16 8 46 26] [2 92 84 29 22 88 67 68 38 83] [15 12 81 43 73 78 40 100 57 89 49]]"},
	} {
		lists, err := Pathological(c.classes, 10)
		if err != nil || fmt.Sprint(lists) != c.want {
			t.Errorf("%s: %v, %v\nwant %s", c.name, lists, err, c.want)
		}
	}
}

func TestPathologicalRefuses(t *testing.T) {
	for _, c := range [][2]int{{3, 4}, {10, 0}, {15, 10}} { // round(1.5) = 2: nothing is left after client 8
		if _, err := Pathological(c[0], c[1]); !errors.Is(err, ErrOptions) {
			t.Errorf("%v: %v", c, err)
		}
	}
}

// TestMersenne compares with CPython 3.11: random.seed(s); [random.getrandbits(32) for _ in range(3)], and the
// word after a thousand.
func TestMersenne(t *testing.T) {
	for _, c := range []struct {
		seed uint64
		want [4]uint32
	}{
		{0, [4]uint32{3626764237, 1654615998, 3255389356, 126175447}},
		{2023, [4]uint32{1644637140, 3013484573, 4174115899, 4264088517}},
		{5489, [4]uint32{3382763572, 956215839, 417760592, 10564914}},
		{4294967303, [4]uint32{968553300, 3287823873, 1540179448, 3632070513}},
		{9223372036854775808, [4]uint32{2377109768, 1691753470, 4039908392, 3195442357}},
	} {
		m := newMersenne(c.seed)
		got := [4]uint32{m.uint32(), m.uint32(), m.uint32()}
		for range 997 {
			m.uint32()
		}
		got[3] = m.uint32()
		if got != c.want {
			t.Errorf("seed %d: %v, want %v", c.seed, got, c.want)
		}
	}
}

func cycle(n, classes int) []int {
	labels := make([]int, n)
	for i := range labels {
		labels[i] = i % classes
	}
	return labels
}

func TestByClassAndTruncate(t *testing.T) {
	labels := cycle(12, 4)
	part := ByClass(labels, [][]int{{2, 0}, {3}})
	if fmt.Sprint(part) != "[[2 6 10 0 4 8] [3 7 11]]" {
		t.Fatal(part)
	}
	// The authors' truncation drops the first client's second class altogether.
	if cut := Truncate(part); fmt.Sprint(cut) != "[[2 6 10] [3 7 11]]" {
		t.Error(cut)
	}
}

func TestByStyle(t *testing.T) {
	part, err := ByStyle([]int{0, 0, 1, 1, 0, 2, 1, 0}, 3, 5)
	if err != nil || fmt.Sprint(part) != "[[0 4] [2 6] [5] [1 7] [3]]" {
		t.Error(part, err)
	}
	if _, err := ByStyle([]int{0, 1}, 2, 1); !errors.Is(err, ErrOptions) {
		t.Error(err)
	}
}

// TestDirichletRules checks completeness, disjointness, the minimum and the cap.
func TestDirichletRules(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		clients := rapid.IntRange(1, 8).Draw(t, "clients")
		train, test := cycle(2000, 20), cycle(500, 20)
		a, b, err := Dirichlet(train, test, clients, rapid.Float64Range(0.3, 5).Draw(t, "alpha"), rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range []struct {
			part Partition
			n    int
		}{{a, len(train)}, {b, len(test)}} {
			if err := p.part.Validate(p.n); err != nil || len(slices.Concat(p.part...)) != p.n {
				t.Fatalf("%v, %d of %d", err, len(slices.Concat(p.part...)), p.n)
			}
			if shortest(p.part) < 10 {
				t.Fatal("a client has fewer than 10")
			}
		}
		for i, list := range a {
			if len(list) >= 2000/clients+100+1 { // one class may take it past its share, no more
				t.Fatalf("client %d of %d has %d", i, clients, len(list))
			}
		}
	})
}

// TestDirichletSkew checks that training and test parts have the same skew, and that a small alpha skews more.
func TestDirichletSkew(t *testing.T) {
	train, test := cycle(4000, 20), cycle(4000, 20)
	largest := func(alpha float64) float64 {
		a, b, err := Dirichlet(train, test, 5, alpha, rand.NewPCG(3, 4))
		if err != nil {
			t.Fatal(err)
		}
		sum := 0.0
		for c := range 20 {
			most := 0
			for i := range a {
				inTrain, inTest := count(a[i], train, c), count(b[i], test, c)
				if inTrain != inTest {
					t.Fatalf("client %d has %d training and %d test pictures of class %d", i, inTrain, inTest, c)
				}
				most = max(most, inTrain)
			}
			sum += float64(most) / 200
		}
		return sum / 20
	}
	if skewed, even := largest(0.1), largest(100); skewed < 0.7 || even > 0.4 {
		t.Errorf("mean largest share %v at alpha 0.1, %v at 100", skewed, even)
	}
}

func count(list, labels []int, c int) int {
	n := 0
	for _, at := range list {
		if labels[at] == c {
			n++
		}
	}
	return n
}

func TestDirichletRefuses(t *testing.T) {
	src := rand.NewPCG(1, 2)
	for _, c := range []struct {
		n, clients int
		alpha      float64
	}{{50, 10, 1}, {500, 0, 1}, {500, 5, 0}, {100, 10, 0.01}} {
		if _, _, err := Dirichlet(cycle(c.n, 5), cycle(c.n, 5), c.clients, c.alpha, src); !errors.Is(err, ErrOptions) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

func TestFewShot(t *testing.T) {
	labels := cycle(60, 3)
	part := ByClass(labels, [][]int{{0, 1}, {2}})
	few := FewShot(part, labels, 4, rand.NewPCG(1, 2))
	for i, want := range [][]int{{4, 4, 0}, {0, 0, 4}} {
		for c := range 3 {
			if got := count(few[i], labels, c); got != want[c] {
				t.Errorf("client %d: %d of class %d, want %d", i, got, c, want[c])
			}
		}
	}
	if other := FewShot(part, labels, 4, rand.NewPCG(5, 6)); slices.Equal(other[0], few[0]) {
		t.Error("the choice does not depend on the source")
	}
}

func TestPartitionValidate(t *testing.T) {
	for _, p := range []Partition{{{0}, {0}}, {{-1}}, {{3}}} {
		if err := p.Validate(3); !errors.Is(err, ErrOptions) {
			t.Errorf("%v: %v", p, err)
		}
	}
	if err := (Partition{{2}, {0}}).Validate(3); err != nil {
		t.Error(err)
	}
}
