package schemas

import (
	"crypto/sha256"
	"fmt"

	"github.com/nats-io/nkeys"
)

// Hashed is a sealed message that has been read once, which is enough for its digest and for any number of
// signature checks.
type Hashed struct {
	signature []byte   // the end of the bytes; nil if they are too few for a message
	unsigned  [32]byte // SHA-256 of what comes before
	all       [32]byte // SHA-256 of all of them
}

// Hash reads sealed bytes, which it keeps a part of.
func Hash(raw []byte) Hashed {
	if len(raw) < headSize+tailSize {
		return Hashed{all: Digest(raw)}
	}
	n := len(raw) - tailSize
	h := Hashed{signature: raw[n:]}
	sum := sha256.New()
	sum.Write(raw[:n])
	sum.Sum(h.unsigned[:0])
	sum.Write(h.signature)
	sum.Sum(h.all[:0])
	return h
}

// Digest returns what Digest returns for the bytes.
func (h Hashed) Digest() [32]byte { return h.all }

// Verify returns what Verify returns for the bytes. Expected error: ErrSignature.
func (h Hashed) Verify(publicKey string) error {
	if h.signature == nil {
		return fmt.Errorf("%w: too few bytes for a message", ErrSignature)
	}
	return verify(h.unsigned, h.signature, publicKey)
}

// verify checks the signature under the digest of an unsigned envelope. Expected error: ErrSignature.
func verify(unsigned [32]byte, signature []byte, publicKey string) error {
	key, err := nkeys.FromPublicKey(publicKey)
	if err != nil {
		return fmt.Errorf("%w: key %q: %v", ErrSignature, publicKey, err)
	}
	if err := key.Verify(signed(unsigned), signature); err != nil {
		return fmt.Errorf("%w: not signed by %s", ErrSignature, publicKey)
	}
	return nil
}
