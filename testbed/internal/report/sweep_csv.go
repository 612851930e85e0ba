package report

import (
	"bytes"
	"encoding/csv"
	"strconv"
)

// columns of sweep.csv: a row for each trial, accuracies as shares of 1, empty where unknown.
var columns = []string{"data", "partition", "clients", "shots", "method", "mode", "rank", "epsilon", "epsilon_rdp", "epsilon_pld", "delta",
	"noise_only", "variant", "rule", "cast", "versions", "seed", "local", "neighbour", "harmonic_mean", "zero_shot_local", "zero_shot_neighbour"}

// csv returns the bytes of sweep.csv. Numbers have the digits that read back as the same float64.
func (l *ledger) csv() ([]byte, error) {
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	w.Write(columns) // a bytes.Buffer does not fail
	for i := range l.trials {
		t := &l.trials[i]
		local, neighbour := t.outcome()
		w.Write([]string{t.Data, t.Partition, strconv.Itoa(t.Clients), strconv.Itoa(t.Shots), t.Method, t.Mode, strconv.Itoa(t.Rank),
			digits(t.Nominal), digits(t.EpsilonRDP), digits(t.EpsilonPLD), digits(Number(t.Delta)), strconv.FormatBool(t.NoiseOnly),
			t.Variant, t.Rule, t.Cast, strconv.Itoa(t.Versions), strconv.FormatUint(t.Seed, 10),
			digits(local), digits(neighbour), digits(harmonic(local, neighbour)), digits(t.ZeroShotLocal), digits(t.ZeroShotNeighbour)})
	}
	w.Flush()
	return b.Bytes(), w.Error()
}

// digits are the shortest that read back as n, none if it is unknown.
func digits(n Number) string {
	if !n.Known() {
		return ""
	}
	return strconv.FormatFloat(float64(n), 'g', -1, 64)
}
