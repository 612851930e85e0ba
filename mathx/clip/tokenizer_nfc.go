package clip

import (
	"slices"

	"golang.org/x/text/unicode/norm"
)

// nfc is Unicode's normalisation form C of any length of combining marks.
// norm.NFC.String alone would cut runs of more than 30 marks with U+034F (its
// stream-safe form), which no tokenizer expects; here it only ever sees one
// character, or two.
func nfc(text string) string {
	if norm.NFC.IsNormalString(text) {
		return text
	}
	var runes []rune
	for _, r := range text {
		runes = append(runes, []rune(norm.NFD.String(string(r)))...)
	}
	orderMarks(runes)
	return string(compose(runes))
}

// combining is the canonical combining class, 0 for a starter.
func combining(r rune) uint8 { return norm.NFD.PropertiesString(string(r)).CCC() }

// orderMarks sorts each run of marks by class, keeping the order of equals.
func orderMarks(runes []rune) {
	for i := 0; i < len(runes); {
		j := i
		for j < len(runes) && combining(runes[j]) != 0 {
			j++
		}
		slices.SortStableFunc(runes[i:j], func(a, b rune) int { return int(combining(a)) - int(combining(b)) })
		i = j + 1
	}
}

// compose joins each mark with the starter before it where a composed
// character exists and no mark of the same or a higher class lies between.
func compose(runes []rune) []rune {
	out := runes[:0]
	starter, last := -1, uint8(0) // index in out; class of the rune before
	for _, r := range runes {
		class := combining(r)
		if starter >= 0 && (starter == len(out)-1 || last < class) {
			if c := []rune(norm.NFC.String(string([]rune{out[starter], r}))); len(c) == 1 {
				out[starter] = c[0]
				continue
			}
		}
		if class == 0 {
			starter = len(out)
		}
		last = class
		out = append(out, r)
	}
	return out
}
