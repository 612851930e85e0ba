package report

import (
	_ "embed"
	"encoding/csv"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// publishedCSV is every number of the result tables of Tran et al., ICLR 2025 (arXiv 2501.13904v3): Tables 2 and 3 (local and
// neighbour accuracy, rank 8), 4 (CIFAR-100, of 25 and of 50 clients) and 6 to 11 (rank, without and with the residual: dplora
// and dpfpl). Means and deviations are in percent, with the digits as printed.
//
//go:embed published.csv
var publishedCSV string

// publishedData are the paper's data sets in the order of its tables.
var publishedData = []string{"Caltech101", "OxfordPets", "OxfordFlowers", "Food101", "CIFAR-100"}

// publishedRank is the rank of Tables 2 to 4.
const publishedRank = 8

// publishedKey is a place in the paper's tables.
type publishedKey struct {
	Ablation bool // Tables 6 to 11, which repeat some means of 2 and 3 with other deviations
	Data     string
	Clients  int
	Epsilon  string // as printed, "none" without noise
	Method   string
	Rank     int
	Measure  string // "local" or "neighbour"
}

type publishedValue struct {
	Table     int
	Mean, Std string // percent
}

var published = readPublished()

func readPublished() map[publishedKey]publishedValue {
	rows, err := csv.NewReader(strings.NewReader(publishedCSV)).ReadAll()
	if err != nil {
		panic(err) // the file is part of the program
	}
	number := func(s string) int {
		n, err := strconv.Atoi(s)
		if err != nil {
			panic(err)
		}
		return n
	}
	all := make(map[publishedKey]publishedValue, len(rows))
	for _, r := range rows[1:] {
		table := number(r[0])
		key := publishedKey{table >= 6, r[1], number(r[2]), r[3], r[4], number(r[5]), r[6]}
		all[key] = publishedValue{table, r[7], r[8]}
	}
	return all
}

// publishedName is the paper's name of a data set, empty if the paper has no results for it. Spelling and whatever follows
// the name (a size, a number of shots) do not matter.
func publishedName(data string) string {
	letters := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, strings.ToLower(data))
	for _, known := range [][]string{
		{"Caltech101", "caltech101"}, {"OxfordPets", "oxfordpets", "oxfordiiitpet", "pets"}, {"OxfordFlowers", "oxfordflowers", "flowers"},
		{"Food101", "food101"}, {"CIFAR-100", "cifar100"},
	} {
		if slices.ContainsFunc(known[1:], func(prefix string) bool { return strings.HasPrefix(letters, prefix) }) {
			return known[0]
		}
	}
	return ""
}

// field shows the value, or a dash.
func (v publishedValue) field() field {
	if v.Mean == "" {
		return field{Text: "–"}
	}
	return field{Text: v.Mean + " ± " + v.Std, Key: digits(v.share())}
}

// share is the mean as a share of 1.
func (v publishedValue) share() Number {
	n, err := strconv.ParseFloat(v.Mean, 64)
	if err != nil {
		return Unknown
	}
	return Number(n / 100)
}

// epsilons and methods of the published tables, in their order.
var (
	publishedEpsilons = []string{"none", "0.4", "0.2", "0.1", "0.05", "0.01"}
	publishedMethods  = []string{"promptfl", "fedotp", "fedpgp", "dpfpl"}
)

// clients is for how many clients the paper has results to set beside the scene's, 0 for none. Only for CIFAR-100 does it have
// several.
func (a stageName) published() (name string, clients int) {
	name = publishedName(a.Data)
	switch {
	case name == "":
		return "", 0
	case name != "CIFAR-100":
		return name, 10
	case a.Clients == 25 || a.Clients == 50:
		return name, a.Clients
	default:
		return "", 0
	}
}

// difference is ours less the paper's, in points.
func difference(ours spread, theirs publishedValue) field {
	d := ours.Mean - theirs.share()
	if !d.Known() {
		return field{Text: "–"}
	}
	return field{Text: signed(100*d, 2), Key: digits(d)}
}

// source names the tables that values come from.
func source(tables ...int) string {
	slices.Sort(tables)
	tables = slices.Compact(tables)
	names := make([]string, len(tables))
	for i, t := range tables {
		names[i] = strconv.Itoa(t)
	}
	noun := "Table"
	if len(tables) > 1 {
		noun = "Tables"
	}
	return fmt.Sprintf("%s %s of Tran et al., ICLR 2025 (arXiv 2501.13904v3)", noun, strings.Join(names, ", "))
}
