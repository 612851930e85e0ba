package report

import (
	"math"
	"strconv"
	"testing"
)

// TestPublishedNumbers checks the embedded tables against counts and sums taken from the paper's tables by another program
// (a search for "x±y" that knows nothing of rows and columns): 624 values in all.
func TestPublishedNumbers(t *testing.T) {
	type sum struct {
		values    int
		mean, std float64
	}
	got, total := map[int]sum{}, sum{}
	for key, v := range published {
		mean, err1 := strconv.ParseFloat(v.Mean, 64)
		std, err2 := strconv.ParseFloat(v.Std, 64)
		if err1 != nil || err2 != nil || mean <= 0 || mean > 100 || std <= 0 || std > 4 {
			t.Errorf("%v: %v", key, v)
		}
		s := got[v.Table]
		got[v.Table] = sum{s.values + 1, s.mean + mean, s.std + std}
		total = sum{total.values + 1, total.mean + mean, total.std + std}
	}
	near := func(a, b sum) bool {
		return a.values == b.values && math.Abs(a.mean-b.mean) < 0.005 && math.Abs(a.std-b.std) < 0.005
	}
	if want := (sum{624, 44359.43, 459.25}); !near(total, want) {
		t.Errorf("in all %v, want %v", total, want)
	}
	for table, want := range map[int]sum{2: {96, 7111.14, 66.38}, 3: {96, 6611.06, 78.25}, 4: {48, 2755.25, 21.88}, 6: {64, 5337.93, 39.44}, 7: {64, 4918.47, 49.17},
		8: {64, 4872.85, 38.53}, 9: {64, 4734.88, 39.08}, 10: {64, 4119.27, 56.99}, 11: {64, 3898.58, 69.53}} {
		if !near(got[table], want) {
			t.Errorf("Table %d: %v, want %v", table, got[table], want)
		}
	}
}

// TestPublishedComplete looks up every place of the tables.
func TestPublishedComplete(t *testing.T) {
	for _, epsilon := range publishedEpsilons {
		for _, data := range publishedData[:4] {
			for _, measure := range []string{"local", "neighbour"} {
				for _, method := range publishedMethods {
					if published[publishedKey{false, data, 10, epsilon, method, 8, measure}].Mean == "" {
						t.Errorf("%s, ε %s, %s, %s is missing", data, epsilon, method, measure)
					}
				}
				for _, rank := range []int{1, 2, 4, 8} {
					for _, method := range []string{"dplora", "dpfpl"} {
						if published[publishedKey{true, data, 10, epsilon, method, rank, measure}].Mean == "" {
							t.Errorf("%s, ε %s, %s of rank %d, %s is missing", data, epsilon, method, rank, measure)
						}
					}
				}
			}
		}
		for _, clients := range []int{25, 50} {
			for _, method := range publishedMethods {
				if published[publishedKey{false, "CIFAR-100", clients, epsilon, method, 8, "local"}].Table != 4 {
					t.Errorf("CIFAR-100, %d clients, ε %s, %s is missing", clients, epsilon, method)
				}
			}
		}
	}
}

// TestPublishedAgrees holds the paper against itself: the ablation's rank 8 with residual repeats the means of the main tables,
// with one exception in print (OxfordFlowers, ε 0.01, neighbours: 43.21 and 42.31).
func TestPublishedAgrees(t *testing.T) {
	var differ []publishedKey
	compared := 0
	for key, v := range published {
		if key.Ablation && key.Rank == 8 && key.Method == "dpfpl" {
			key.Ablation = false
			compared++
			if published[key].Mean != v.Mean {
				differ = append(differ, key)
			}
		}
	}
	if compared != 48 || len(differ) != 1 || differ[0] != (publishedKey{false, "OxfordFlowers", 10, "0.01", "dpfpl", 8, "neighbour"}) {
		t.Errorf("of %d compared these differ: %v", compared, differ)
	}
}

func TestPublishedName(t *testing.T) {
	for name, want := range map[string]string{"caltech101": "Caltech101", "Caltech-101": "Caltech101", "oxford_pets": "OxfordPets", "oxford-pets-370": "OxfordPets", "oxford_flowers": "OxfordFlowers",
		"flowers102": "OxfordFlowers", "food-101": "Food101", "cifar100": "CIFAR-100", "cifar10": "", "emoji": "", "": "", "my pets": ""} {
		if got := publishedName(name); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
}

// TestPublishedBest names the paper's winners, which it prints in bold.
func TestPublishedBest(t *testing.T) {
	for _, data := range publishedData[:4] {
		for _, measure := range []string{"local", "neighbour"} {
			for _, epsilon := range publishedEpsilons {
				want := "dpfpl"
				if epsilon == "none" {
					want = map[string]string{"local": "fedotp", "neighbour": "fedpgp"}[measure]
				}
				if got := bestPublished(data, 10, epsilon, measure); got != want {
					t.Errorf("%s, %s, ε %s: %s, want %s", data, measure, epsilon, got, want)
				}
			}
		}
	}
}
