package schemas

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/nats-io/nkeys"
	"github.com/vmihailenco/msgpack/v5"
)

// A sealed message is
//
//	byte 0        wire version
//	byte 1        kind
//	2 … n-65      the body, one msgpack map (see walk for the exact form)
//	n-64 … n-1    Ed25519 signature over signDomain followed by SHA-256 of bytes 0 … n-65
//
// The signature covers version and kind, so a message cannot pass as one of another kind, and the domain
// keeps it apart from anything else the same key may sign.
const (
	headSize   = 2
	tailSize   = ed25519.SignatureSize
	signDomain = "dpfpl message\x00"
)

// MaxDetail and MaxDeadRaw bound what a Dead message quotes, in bytes; Seal cuts what is longer.
const (
	MaxDetail  = 1 << 10
	MaxDeadRaw = 64 << 10
)

// Seal validates, encodes and signs a body: equal bodies and keys give equal bytes. A zero Header.Version
// is set to Version first. Expected errors: ErrInvalid and its children.
func Seal(b Body, key nkeys.KeyPair) ([]byte, error) {
	if b == nil {
		return nil, fmt.Errorf("%w: no body", ErrInvalid)
	}
	if h := b.Head(); h.Version == 0 {
		h.Version = Version
	} else if h.Version != Version {
		return nil, fmt.Errorf("%w: %d, this software speaks %d", ErrVersion, h.Version, Version)
	}
	if newBody(b.Kind()) == nil {
		return nil, fmt.Errorf("%w: a %v never travels", ErrInvalid, b.Kind())
	}
	b = tidy(b)
	if err := b.Validate(); err != nil {
		return nil, err
	}
	raw, err := encode(b)
	if err != nil {
		return nil, err
	}
	signature, err := key.Sign(signed(sha256.Sum256(raw)))
	if err != nil {
		return nil, fmt.Errorf("schemas: sign %v: %w", b.Kind(), err)
	}
	return append(raw, signature...), nil
}

// Open turns sealed bytes into a validated body, which shares its Blobs with them. It accepts exactly what
// Seal can produce and allocates no more than a small multiple of len(raw). It says nothing about
// authenticity: see Verify.
// Expected errors: ErrInvalid and its children.
func Open(raw []byte) (Body, error) {
	if len(raw) < headSize+tailSize {
		return nil, fmt.Errorf("%w: %d bytes are too few for a message", ErrEncoding, len(raw))
	}
	if raw[0] != Version {
		return nil, fmt.Errorf("%w: %d, this software speaks %d", ErrVersion, raw[0], Version)
	}
	kind := Kind(raw[1])
	b := newBody(kind)
	if b == nil {
		return nil, fmt.Errorf("%w: no message has kind %d", ErrEncoding, raw[1])
	}
	payload := raw[headSize : len(raw)-tailSize]
	if err := walk(payload, shapes[kind]); err != nil {
		return nil, fmt.Errorf("%v: %w", kind, err)
	}
	dec := msgpack.NewDecoder(newSource(payload))
	dec.DisallowUnknownFields(true)
	if err := dec.Decode(b); err != nil {
		return nil, fmt.Errorf("%w: %v: %v", ErrEncoding, kind, err)
	}
	if v := b.Head().Version; v != Version {
		return nil, fmt.Errorf("%w: %d in the header, this software speaks %d", ErrVersion, v, Version)
	}
	if err := b.Validate(); err != nil {
		return nil, err
	}
	return b, nil
}

// Verify checks that raw was sealed with the key whose public nkey is given. Expected error: ErrSignature.
func Verify(raw []byte, publicKey string) error {
	if len(raw) < headSize+tailSize {
		return fmt.Errorf("%w: %d bytes are too few for a message", ErrSignature, len(raw))
	}
	n := len(raw) - tailSize
	return verify(sha256.Sum256(raw[:n]), raw[n:], publicKey)
}

// Digest names sealed bytes: SHA-256 over all of them, signature included.
func Digest(raw []byte) [32]byte { return sha256.Sum256(raw) }

// signed returns what the signature of an unsigned envelope with this SHA-256 is computed over.
func signed(unsigned [32]byte) []byte {
	return append([]byte(signDomain), unsigned[:]...)
}

// encode returns the envelope without its signature.
func encode(b Body) ([]byte, error) {
	var buf bytes.Buffer
	buf.Grow(sizeHint(b))
	buf.Write([]byte{Version, byte(b.Kind())})
	enc := msgpack.NewEncoder(&buf)
	enc.UseCompactInts(true)
	if err := enc.Encode(b); err != nil {
		return nil, fmt.Errorf("%w: %v: %v", ErrEncoding, b.Kind(), err)
	}
	return buf.Bytes(), nil
}

// sizeHint spares the buffer from growing over the one large field of the frequent messages.
func sizeHint(b Body) int {
	const rest = 512
	switch b := b.(type) {
	case *Update:
		return len(b.Sum.Data) + rest
	case *Model:
		return len(b.Params.Data) + 96*len(b.Folded) + rest
	case *Checkpoint:
		return len(b.Velocity) + 160*len(b.Members) + rest
	}
	return rest
}

// tidy returns b in the one form that is encoded: nil for empty optional fields, and quotations of
// hostile input made valid and cut. It copies where it changes something.
func tidy(b Body) Body {
	switch b := b.(type) {
	case *Model:
		if b.Folded != nil && len(b.Folded) == 0 {
			c := *b
			c.Folded = nil
			return &c
		}
	case *Checkpoint:
		if b.Velocity != nil && len(b.Velocity) == 0 {
			c := *b
			c.Velocity = nil
			return &c
		}
	case *Dead:
		c := *b
		c.Detail = quote(b.Detail)
		c.Subject = quote(b.Subject)
		c.Raw = b.Raw[:min(len(b.Raw), MaxDeadRaw)]
		if len(c.Raw) == 0 {
			c.Raw = nil
		}
		return &c
	}
	return b
}

// quote makes foreign text safe to carry: valid UTF-8 of at most MaxDetail bytes.
func quote(s string) string {
	s = strings.ToValidUTF8(s, "�")
	if len(s) <= MaxDetail {
		return s
	}
	end := MaxDetail
	for !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end]
}
