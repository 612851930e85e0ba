package blackbox

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/hex"
	"fmt"
	"os"
	"strings"
)

// KeySize is the length of a key in bytes.
const KeySize = 32

// ReadKey reads a key file: 64 hexadecimal digits, as "openssl rand -hex 32" prints them. Errors: ErrKey, and
// those of the file system.
func ReadKey(path string) ([]byte, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	key, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil || len(key) != KeySize {
		return nil, fmt.Errorf("%w: %s does not hold %d hexadecimal digits", ErrKey, path, 2*KeySize)
	}
	return key, nil
}

// newSealer returns AES-256-GCM that draws its nonces itself and puts them first. Errors: ErrKey.
func newSealer(key []byte) (cipher.AEAD, error) {
	if len(key) != KeySize {
		return nil, fmt.Errorf("%w: %d bytes, want %d", ErrKey, len(key), KeySize)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrKey, err)
	}
	return cipher.NewGCMWithRandomNonce(block)
}
