package report

import (
	"bytes"
	"encoding/json"
	"math"
	"strconv"
)

// Number is a float64 that may be unknown or infinite: NaN and the infinities are null in JSON, and null reads as NaN.
type Number float64

// Unknown is the Number that is not known.
var Unknown = Number(math.NaN())

// Known tells whether it is a finite number.
func (n Number) Known() bool { return !math.IsNaN(float64(n)) && !math.IsInf(float64(n), 0) }

// MarshalJSON writes the shortest digits that read back as the same float64.
func (n Number) MarshalJSON() ([]byte, error) {
	if !n.Known() {
		return []byte("null"), nil
	}
	return json.Marshal(float64(n))
}

// UnmarshalJSON reads a number or null.
func (n *Number) UnmarshalJSON(raw []byte) error {
	if bytes.Equal(raw, []byte("null")) {
		*n = Unknown
		return nil
	}
	return json.Unmarshal(raw, (*float64)(n))
}

// percent shows a share with one decimal, "–" if unknown.
func percent(n Number) string {
	if !n.Known() {
		return "–"
	}
	return strconv.FormatFloat(100*float64(n), 'f', 1, 64)
}

// points shows a difference of shares in points, with its sign.
func points(n Number) string {
	if !n.Known() {
		return "–"
	}
	s := strconv.FormatFloat(100*float64(n), 'f', 1, 64)
	if s == "-0.0" {
		s = "0.0"
	}
	if s[0] != '-' {
		s = "+" + s
	}
	return s
}

// epsilon shows a privacy loss: rounded up to two decimals, since rounding down would promise too much.
func epsilon(n Number) string {
	switch {
	case math.IsInf(float64(n), 1):
		return "∞"
	case !n.Known():
		return "–"
	}
	return strconv.FormatFloat(math.Ceil(100*float64(n)-1e-9)/100, 'f', 2, 64)
}
