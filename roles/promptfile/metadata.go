package promptfile

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"time"
)

// The keys of metadata that are needed by name.
const (
	keySignature = "signature"
	keyFormat    = "format"
)

// metadata returns everything but the signature.
func (f *File) metadata() map[string]string {
	p := f.Privacy
	return map[string]string{
		keyFormat: format, "run": f.Run, "client": f.Client, "plan": f.Plan, "model_version": strconv.FormatUint(f.Version, 10),
		"backbone": f.Backbone, "classes": classList(f.Classes), "ending": f.Ending, "position": position,
		"method": f.Method, "rank": strconv.Itoa(f.Rank), "protection": protection(p.Protected),
		"epsilon_rdp": epsilonText(p.RDP), "epsilon_pld": epsilonText(p.PLD),
		"epsilon_rdp_all_runs": epsilonText(p.AllRDP), "epsilon_pld_all_runs": epsilonText(p.AllPLD),
		"delta": epsilonText(p.Delta), "adjacency": p.Adjacency, "unit": "record", "steps": strconv.FormatUint(p.Steps, 10),
		"statement": p.Statement, "signer": f.Signer, "time": f.Time.UTC().Format(time.RFC3339),
	}
}

func protection(protected bool) string {
	if protected {
		return "noise"
	}
	return "none"
}

func classList(names []string) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.Encode(names) //nolint:errcheck // strings into a buffer
	return string(bytes.TrimSpace(b.Bytes()))
}

func epsilonText(v float64) string {
	switch {
	case math.IsInf(v, 1):
		return "infinity"
	case math.IsNaN(v):
		return "unknown"
	}
	return strconv.FormatFloat(v, 'g', -1, 64)
}

func parseEpsilon(s string) (float64, error) {
	switch s {
	case "infinity":
		return math.Inf(1), nil
	case "unknown":
		return math.NaN(), nil
	}
	v, err := strconv.ParseFloat(s, 64)
	if err == nil && (math.IsInf(v, 0) || math.IsNaN(v)) {
		err = strconv.ErrRange
	}
	return v, err
}

// parse sets the fields from metadata; see [File.same] for what it does not look at. Errors: ErrFile, naming the key.
func (f *File) parse(m map[string]string) error {
	if v := m[keyFormat]; v != format {
		return bad(keyFormat, "%.80q, want %q", v, format)
	}
	var failed error
	number := func(key string, parse func(string) error) {
		if err := parse(m[key]); err != nil && failed == nil {
			failed = bad(key, "%.80q: %v", m[key], err)
		}
	}
	float := func(key string, dst *float64) {
		number(key, func(s string) (err error) { *dst, err = parseEpsilon(s); return err })
	}
	whole := func(key string, dst *uint64) {
		number(key, func(s string) (err error) { *dst, err = strconv.ParseUint(s, 10, 63); return err })
	}
	p := &f.Privacy
	var rank uint64
	f.Run, f.Client, f.Plan, f.Backbone, f.Ending, f.Method, f.Signer = m["run"], m["client"], m["plan"], m["backbone"], m["ending"], m["method"], m["signer"]
	p.Protected, p.Adjacency, p.Statement = m["protection"] == protection(true), m["adjacency"], m["statement"]
	whole("model_version", &f.Version)
	whole("rank", &rank)
	whole("steps", &p.Steps)
	float("epsilon_rdp", &p.RDP)
	float("epsilon_pld", &p.PLD)
	float("epsilon_rdp_all_runs", &p.AllRDP)
	float("epsilon_pld_all_runs", &p.AllPLD)
	float("delta", &p.Delta)
	number("classes", func(s string) error { return json.Unmarshal([]byte(s), &f.Classes) })
	number("time", func(s string) (err error) { f.Time, err = time.Parse(time.RFC3339, s); return err })
	f.Rank, f.Time = int(min(rank, math.MaxInt32)), f.Time.UTC()
	return failed
}

// same compares metadata with what this software writes for the same file, so that a file has one reading and
// says nothing beside it. Errors: ErrFile, naming the key.
func (f *File) same(m map[string]string) error {
	want := f.metadata()
	for _, key := range slices.Sorted(maps.Keys(m)) {
		if v, known := want[key]; key != keySignature && (!known || v != m[key]) {
			return bad(fmt.Sprintf("%.80q", key), "%.80q, want %.80q", m[key], v)
		}
	}
	if len(m) != len(want)+1 {
		return bad("metadata", "%d entries, want %d", len(m), len(want)+1)
	}
	return nil
}
