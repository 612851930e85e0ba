package data

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"gonum.org/v1/gonum/stat/distmv"
)

// Partition gives each client its positions in a list of labelled pictures.
type Partition [][]int

// Pathological is the paper's class split, exactly (section 4.1; the authors' code seeds Python's generator with 2023):
// shuffle the classes, give round(classes/clients) to each client in order and the remainder to the last.
// Expected error: ErrOptions.
func Pathological(classes, clients int) ([][]int, error) {
	if clients < 1 || classes < clients {
		return nil, unfit("%d classes cannot be dealt to %d clients", classes, clients)
	}
	order := make([]int, classes)
	for i := range order {
		order[i] = i
	}
	newMersenne(2023).shuffle(order)
	each := int(math.RoundToEven(float64(classes) / float64(clients))) // Python rounds halves to even
	if each*(clients-1) >= classes {
		return nil, unfit("%d classes, %d for each client, leave nothing for the last of %d", classes, each, clients)
	}
	lists := make([][]int, clients)
	for i := range lists[:clients-1] {
		lists[i] = order[i*each : (i+1)*each : (i+1)*each]
	}
	lists[clients-1] = order[(clients-1)*each:]
	return lists, nil
}

// ByClass gives every client all pictures of its classes, class by class as the authors' loader orders them.
func ByClass(labels []int, classes [][]int) Partition {
	of := positions(labels)
	part := make(Partition, len(classes))
	for i, list := range classes {
		for _, c := range list {
			part[i] = append(part[i], of[c]...)
		}
	}
	return part
}

// ByStyle gives client i all pictures of style i mod kinds, dealt in turn to the clients of one style. It is the
// split by domain of DomainNet and Office. Expected error: ErrOptions.
func ByStyle(styles []int, kinds, clients int) (Partition, error) {
	if kinds < 1 || clients < kinds {
		return nil, unfit("%d styles need at least as many clients, not %d", kinds, clients)
	}
	part := make(Partition, clients)
	seen := make([]int, kinds)
	for at, s := range styles {
		holders := (clients - s + kinds - 1) / kinds
		i := s + seen[s]%holders*kinds
		seen[s]++
		part[i] = append(part[i], at)
	}
	return part, nil
}

// Dirichlet splits training and test pictures with the same label skew, by the rules of the paper's code: class by
// class, Dirichlet(alpha) proportions; a client that already holds its equal share of the training pictures gets no
// more; all is drawn again until each client has at least 10 of both. Within a class the pictures are shuffled.
// Expected error: ErrOptions, also when a thousand draws have not met the condition.
func Dirichlet(train, test []int, clients int, alpha float64, src rand.Source) (trainPart, testPart Partition, err error) {
	const least, attempts = 10, 1000
	if clients < 1 || len(train) < clients*least || len(test) < clients*least {
		return nil, nil, unfit("%d training and %d test pictures do not give each of %d clients %d", len(train), len(test), clients, least)
	}
	if !(alpha > 0) || math.IsInf(alpha, 0) {
		return nil, nil, unfit("the Dirichlet parameter must be positive, not %v", alpha)
	}
	d := dirichlet{trainOf: positions(train), testOf: positions(test), clients: clients, share: len(train) / clients, src: src}
	d.alpha = slices.Repeat([]float64{alpha}, clients)
	for range attempts {
		trainPart, testPart = d.draw()
		if shortest(trainPart) >= least && shortest(testPart) >= least {
			return trainPart, testPart, nil
		}
	}
	return nil, nil, unfit("no Dirichlet(%v) split of %d draws gave each of %d clients %d training and test pictures", alpha, attempts, clients, least)
}

type dirichlet struct {
	trainOf, testOf map[int][]int
	clients, share  int
	alpha           []float64
	src             rand.Source
}

func (d *dirichlet) draw() (train, test Partition) {
	train, test = make(Partition, d.clients), make(Partition, d.clients)
	rng := rand.New(d.src)
	for _, c := range keys(d.trainOf, d.testOf) {
		p := distmv.NewDirichlet(d.alpha, d.src).Rand(nil)
		sum := 0.0
		for i := range p {
			if len(train[i]) >= d.share {
				p[i] = 0
			}
			sum += p[i]
		}
		if sum == 0 { // only the full ones got a share: all the same, a class is not dropped
			for i := range p {
				p[i], sum = 1, float64(d.clients)
			}
		}
		cut(train, shuffled(d.trainOf[c], rng), p, sum)
		cut(test, shuffled(d.testOf[c], rng), p, sum)
	}
	return train, test
}

// cut appends consecutive pieces of list, in proportion to p, to the clients' parts.
func cut(part Partition, list []int, p []float64, sum float64) {
	from, done := 0, 0.0
	for i := range part {
		done += p[i]
		to := min(int(done/sum*float64(len(list))), len(list))
		if i == len(part)-1 {
			to = len(list)
		}
		part[i] = append(part[i], list[from:to]...)
		from = to
	}
}

// FewShot keeps at most shots random pictures of every class in each part, in the part's order.
func FewShot(part Partition, labels []int, shots int, src rand.Source) Partition {
	rng := rand.New(src)
	kept := make(Partition, len(part))
	for i, list := range part {
		taken := map[int]int{}
		chosen := map[int]bool{}
		for _, at := range shuffled(list, rng) {
			if taken[labels[at]] < shots {
				taken[labels[at]]++
				chosen[at] = true
			}
		}
		kept[i] = slices.DeleteFunc(slices.Clone(list), func(at int) bool { return !chosen[at] })
	}
	return kept
}

// Truncate cuts every part to the length of the shortest, as the authors' code does with training parts. Under ByClass
// that removes whole classes from the end of the longer ones, while their test pictures stay: off by default for a reason.
func Truncate(part Partition) Partition {
	n := shortest(part)
	cut := make(Partition, len(part))
	for i := range part {
		cut[i] = part[i][:n:n]
	}
	return cut
}

func shortest(part Partition) int {
	n := math.MaxInt
	for _, list := range part {
		n = min(n, len(list))
	}
	return n
}

// positions lists where each label occurs.
func positions(labels []int) map[int][]int {
	of := map[int][]int{}
	for at, l := range labels {
		of[l] = append(of[l], at)
	}
	return of
}

// keys are the sorted keys of two maps.
func keys(a, b map[int][]int) []int {
	var all []int
	for k := range a {
		all = append(all, k)
	}
	for k := range b {
		all = append(all, k)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func shuffled(list []int, rng *rand.Rand) []int {
	out := slices.Clone(list)
	rng.Shuffle(len(out), func(i, j int) { out[i], out[j] = out[j], out[i] })
	return out
}

// Validate checks that every position is below n and in at most one part.
func (p Partition) Validate(n int) error {
	seen := make([]bool, n)
	for i, list := range p {
		for _, at := range list {
			if at < 0 || at >= n || seen[at] {
				return fmt.Errorf("data: %w: client %d is given picture %d, of %d, which is not there or not free", ErrOptions, i, at, n)
			}
			seen[at] = true
		}
	}
	return nil
}
