package schemas_test

import (
	"encoding/hex"
	"testing"

	"dpfpl/schemas"
)

// TestChain pins the definition against values made with Python's hashlib:
//
//	c = bytes(32)
//	for m in (b"one", b"two"): c = sha256(c + sha256(m).digest()).digest()
func TestChain(t *testing.T) {
	var chain [32]byte
	for _, step := range []struct{ message, want string }{
		{"one", "c7e3347570821fed43690c2125ce36b1fb0ca7787ba0f219b8e75ee0fc7b4644"},
		{"two", "b88f3f290fe4ac11da329c5515b418b937de9be1abffb4ff40de976ef83a28ee"},
	} {
		before := chain
		chain = schemas.Chain(chain, schemas.Digest([]byte(step.message)))
		if got := hex.EncodeToString(chain[:]); got != step.want {
			t.Errorf("after %q: %s, want %s", step.message, got, step.want)
		}
		if before == chain {
			t.Error("the chain did not move")
		}
	}
}
