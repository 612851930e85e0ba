package schemas_test

import (
	"bytes"
	"errors"
	"testing"

	"dpfpl/schemas"
)

// TestHashed: bytes that are read once get the same digest and the same judgement as by Digest and Verify,
// whatever byte is changed.
func TestHashed(t *testing.T) {
	_, other := testKey(t, 9)
	for _, s := range samples(t) {
		key, public := testKey(t, 3)
		raw, err := schemas.Seal(s.body, key)
		if err != nil {
			t.Fatal(err)
		}
		if h := schemas.Hash(raw); h.Digest() != schemas.Digest(raw) || h.Verify(public) != nil {
			t.Errorf("%s: digest %x, verify %v", s.name, h.Digest(), h.Verify(public))
		}
		if err := schemas.Hash(raw).Verify(other); !errors.Is(err, schemas.ErrSignature) {
			t.Errorf("%s: another's key: %v", s.name, err)
		}
		for _, i := range []int{0, len(raw) / 2, len(raw) - 65, len(raw) - 64, len(raw) - 1} {
			bad := bytes.Clone(raw)
			bad[i] ^= 1
			if h := schemas.Hash(bad); h.Digest() != schemas.Digest(bad) || !errors.Is(h.Verify(public), schemas.ErrSignature) {
				t.Errorf("%s: byte %d changed: %v", s.name, i, h.Verify(public))
			}
		}
		for _, n := range []int{0, 1, 64, 65} {
			if h := schemas.Hash(raw[:n]); h.Digest() != schemas.Digest(raw[:n]) || !errors.Is(h.Verify(public), schemas.ErrSignature) {
				t.Errorf("%s: %d bytes: %v", s.name, n, h.Verify(public))
			}
		}
	}
}
