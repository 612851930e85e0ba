package clip

import (
	"math"
	"testing"
)

// slowHalf evaluates the definition of binary16.
func slowHalf(h int) float64 {
	sign, exp, frac := 1-2*float64(h>>15), h>>10&31, float64(h&1023)
	switch {
	case exp == 0:
		return sign * math.Ldexp(frac, -24)
	case exp == 31 && frac == 0:
		return math.Inf(int(sign))
	case exp == 31:
		return math.NaN()
	}
	return sign * math.Ldexp(1+frac/1024, exp-15)
}

func TestHalf(t *testing.T) {
	for h := range 1 << 16 {
		want := slowHalf(h)
		got := FromHalf(uint16(h))
		if math.IsNaN(want) {
			if got == got || FromHalf(ToHalf(got)) == FromHalf(ToHalf(got)) {
				t.Fatalf("%04x is %v", h, got)
			}
			continue
		}
		if float64(got) != want || ToHalf(got) != uint16(h) {
			t.Fatalf("%04x: %v, want %v; back %04x", h, got, want, ToHalf(got))
		}
	}
}

// Between two neighbours the nearer one wins, half way the even one.
func TestToHalfRounds(t *testing.T) {
	for h := range 0x7bff {
		low, high := float64(FromHalf(uint16(h))), float64(FromHalf(uint16(h+1)))
		middle := float32((low + high) / 2)
		even := uint16(h + h&1)
		for _, tc := range []struct {
			v    float32
			want uint16
		}{{middle, even}, {math.Nextafter32(middle, 0), uint16(h)}, {math.Nextafter32(middle, 1e9), uint16(h + 1)}, {-middle, even | 0x8000}} {
			if got := ToHalf(tc.v); got != tc.want {
				t.Fatalf("%v: %04x, want %04x", tc.v, got, tc.want)
			}
		}
	}
	if ToHalf(65519) != 0x7bff || ToHalf(65520) != 0x7c00 || ToHalf(float32(math.Inf(-1))) != 0xfc00 {
		t.Error("overflow")
	}
}
