package federation

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/nats-io/nkeys"

	"dpfpl/testbed/internal/seeded"
)

// Keys are the signing keys of everyone in a testbed run, who all live in one process.
type Keys struct {
	Operator   nkeys.KeyPair
	Aggregator nkeys.KeyPair
	Clients    map[string]nkeys.KeyPair
}

// FreshKeys makes keys from the operating system's randomness.
func FreshKeys(ids []string) (*Keys, error) {
	return makeKeys(ids, func(string) (seed [32]byte, err error) {
		_, err = rand.Read(seed[:])
		return seed, err
	})
}

// SeededKeys makes the same keys for the same seed, for runs in virtual time.
func SeededKeys(ids []string, seed uint64) (*Keys, error) {
	return makeKeys(ids, func(who string) ([32]byte, error) {
		return seeded.Seed(seed, "key", who, 0), nil
	})
}

func makeKeys(ids []string, seed func(who string) ([32]byte, error)) (*Keys, error) {
	one := func(prefix nkeys.PrefixByte, who string) (nkeys.KeyPair, error) {
		raw, err := seed(who)
		if err != nil {
			return nil, err
		}
		text, err := nkeys.EncodeSeed(prefix, raw[:])
		if err != nil {
			return nil, err
		}
		return nkeys.FromSeed(text)
	}
	var err error
	k := &Keys{Clients: make(map[string]nkeys.KeyPair, len(ids))}
	if k.Operator, err = one(nkeys.PrefixByteUser, "/operator"); err != nil {
		return nil, err
	}
	if k.Aggregator, err = one(nkeys.PrefixByteUser, "/aggregator"); err != nil {
		return nil, err
	}
	for _, id := range ids {
		if k.Clients[id], err = one(nkeys.PrefixByteUser, id); err != nil {
			return nil, err
		}
	}
	return k, nil
}

// keyFile is how keys are kept for a run that is to be resumed.
type keyFile struct {
	Operator, Aggregator string
	Clients              map[string]string
}

// MarshalJSON writes the seeds; the file that holds them must be private.
func (k *Keys) MarshalJSON() ([]byte, error) {
	var errs []error
	text := func(pair nkeys.KeyPair) string {
		seed, err := pair.Seed()
		errs = append(errs, err)
		return string(seed)
	}
	f := keyFile{Operator: text(k.Operator), Aggregator: text(k.Aggregator), Clients: map[string]string{}}
	for id, pair := range k.Clients {
		f.Clients[id] = text(pair)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return json.Marshal(f)
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (k *Keys) UnmarshalJSON(b []byte) error {
	var f keyFile
	if err := json.Unmarshal(b, &f); err != nil {
		return err
	}
	var errs []error
	pair := func(who, seed string) nkeys.KeyPair {
		p, err := nkeys.FromSeed([]byte(seed))
		if err != nil {
			errs = append(errs, fmt.Errorf("key of %s: %w", who, err))
		}
		return p
	}
	k.Operator, k.Aggregator = pair("operator", f.Operator), pair("aggregator", f.Aggregator)
	k.Clients = make(map[string]nkeys.KeyPair, len(f.Clients))
	for id, seed := range f.Clients {
		k.Clients[id] = pair(id, seed)
	}
	return errors.Join(errs...)
}

// Complete reports whose key is missing. k may be nil, as in a damaged file.
func (k *Keys) Complete(ids []string) error {
	if k == nil || k.Operator == nil || k.Aggregator == nil {
		return errors.New("no keys")
	}
	for _, id := range ids {
		if k.Clients[id] == nil {
			return fmt.Errorf("no key of %s", id)
		}
	}
	return nil
}

// Public returns the public key of a pair that is known to be sound.
func Public(pair nkeys.KeyPair) string {
	s, err := pair.PublicKey()
	if err != nil {
		panic("federation: " + err.Error())
	}
	return s
}
