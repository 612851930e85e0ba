package clip

import (
	"testing"

	"golang.org/x/text/unicode/norm"
	"pgregory.net/rapid"
)

// TestNFC compares with the library on strings with fewer marks in a row than
// its limit, where the two must agree.
func TestNFC(t *testing.T) {
	pool := []rune("aeiouAxy \u00e9\u1e69\u0301\u0307\u0323\u0316\u0308\u0327\u0344\u0958\u093c\u0915\u1100\u1161\u11a8\uac00\uac01\u0f71\u0f72\u0f80\u212b\u2126\u0653\u0627\u3099\u304b\u0338=<")
	rapid.Check(t, func(t *rapid.T) {
		runes := rapid.SliceOfN(rapid.OneOf(rapid.SampledFrom(pool), rapid.Rune()), 0, 12).Draw(t, "runes")
		if got, want := nfc(string(runes)), norm.NFC.String(string(runes)); got != want {
			t.Fatalf("%+q: got %+q, want %+q", string(runes), got, want)
		}
	})
}
