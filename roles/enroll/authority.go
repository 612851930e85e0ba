package enroll

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nkeys"

	"dpfpl/schemas"
)

// Errors of this package.
var (
	// ErrName reports a name that cannot be enrolled; the message says why.
	ErrName = errors.New("enroll: bad name")
	// ErrCluster reports servers that cannot form a cluster.
	ErrCluster = errors.New("enroll: no cluster")
	// ErrUnknown reports a name that was never enrolled.
	ErrUnknown = errors.New("enroll: unknown name")
	// ErrFormat reports bytes that are no authority.
	ErrFormat = errors.New("enroll: not an authority file")
)

// The users that every federation has beside its clients.
const (
	Operator   = "operator"
	Aggregator = "aggregator"
	System     = "system"
	Monitor    = "monitor"
)

// Authority decides who may connect. It holds the secret keys of accounts, and only the public ones of users.
type Authority struct {
	run      string // the only run it is for; empty for any
	root     nkeys.KeyPair
	token    string        // the operator, signed by root; always the same, else no server could reload
	system   nkeys.KeyPair // accounts
	pipeline nkeys.KeyPair
	clients  nkeys.KeyPair
	signer   nkeys.KeyPair // of users, by role
	scopeA   nkeys.KeyPair // of aggregators
	scopeC   nkeys.KeyPair // of clients
	monitors nkeys.KeyPair // another account
	scopeM   nkeys.KeyPair // of monitors
	users    map[string]string
	revoked  map[string]string // public keys with the name that had them
}

// New returns an authority with fresh keys, for the runs of a name or, if that is empty, for all runs.
// Errors: ErrName, and those of the operating system's randomness.
func New(run string) (*Authority, error) {
	if run != "" && !schemas.ValidName(run) {
		return nil, fmt.Errorf("%w: run %.80q: want 1 to %d of A-Z a-z 0-9 _ -", ErrName, run, schemas.MaxName)
	}
	a := &Authority{run: run, users: map[string]string{}, revoked: map[string]string{}}
	var err error
	if a.root, err = nkeys.CreateOperator(); err != nil {
		return nil, err
	}
	for _, pair := range a.accountKeys() {
		if *pair, err = nkeys.CreateAccount(); err != nil {
			return nil, err
		}
	}
	root := jwt.NewOperatorClaims(publicKey(a.root))
	root.Name, root.SystemAccount = "dpfpl", publicKey(a.system)
	a.token, err = root.Encode(a.root)
	return a, err
}

func (a *Authority) accountKeys() []*nkeys.KeyPair {
	return []*nkeys.KeyPair{&a.system, &a.pipeline, &a.clients, &a.signer, &a.scopeA, &a.scopeC, &a.monitors, &a.scopeM}
}

// Issue makes a new key for a name and returns its credentials, which exist nowhere else. The names Operator,
// Aggregator, Monitor and System have their own rights, every other one is a client. The key that a name had before
// is revoked. Errors: ErrName.
func (a *Authority) Issue(name string) (creds []byte, err error) {
	if !schemas.ValidName(name) {
		return nil, fmt.Errorf("%w: %.80q: want 1 to %d of A-Z a-z 0-9 _ -", ErrName, name, schemas.MaxName)
	}
	pair, err := nkeys.CreateUser()
	if err != nil {
		return nil, err
	}
	public := publicKey(pair)
	claims := jwt.NewUserClaims(public)
	claims.Name = name
	account, signer := a.placeOf(name)
	claims.IssuerAccount = publicKey(account)
	claims.SetScoped(signer == a.scopeA || signer == a.scopeC || signer == a.scopeM)
	token, err := claims.Encode(signer)
	if err != nil {
		return nil, err
	}
	seed, err := pair.Seed()
	if err != nil {
		return nil, err
	}
	if old, ok := a.users[name]; ok {
		a.revoked[old] = name
	}
	a.users[name] = public
	return jwt.FormatUserConfig(token, seed)
}

// placeOf returns the account that a name belongs to, and the key that signs for it there.
func (a *Authority) placeOf(name string) (account, signer nkeys.KeyPair) {
	switch name {
	case Operator:
		return a.pipeline, a.signer
	case Aggregator:
		return a.pipeline, a.scopeA
	case System:
		return a.system, a.system
	case Monitor:
		return a.monitors, a.scopeM
	}
	return a.clients, a.scopeC
}

// Revoke takes back the key of a name. Servers must read the new configuration. Error: ErrUnknown.
func (a *Authority) Revoke(name string) error {
	public, ok := a.users[name]
	if !ok {
		return fmt.Errorf("%w: %.80q", ErrUnknown, name)
	}
	a.revoked[public] = name
	delete(a.users, name)
	return nil
}

// Public returns the public key of a name; empty if it has none.
func (a *Authority) Public(name string) string { return a.users[name] }

// Members lists the clients with their public keys, in ascending order of name.
func (a *Authority) Members() []schemas.Member {
	var members []schemas.Member
	for name, public := range a.users {
		if account, _ := a.placeOf(name); account == a.clients {
			members = append(members, schemas.Member{ID: name, Key: public})
		}
	}
	slices.SortFunc(members, func(x, y schemas.Member) int {
		if x.ID < y.ID {
			return -1
		}
		return 1
	})
	return members
}

// authorityFile is how an authority is kept. It holds seeds.
type authorityFile struct {
	Format  string            `json:"format"`
	Run     string            `json:"run,omitempty"`
	Root    string            `json:"root"`
	Token   string            `json:"token"`
	Keys    []string          `json:"keys"` // in the order of accountKeys
	Users   map[string]string `json:"users"`
	Revoked map[string]string `json:"revoked"`
}

const format = "dpfpl authority 1"

// MarshalJSON writes the seeds; the file that holds them must be private.
func (a *Authority) MarshalJSON() ([]byte, error) {
	root, err := a.root.Seed()
	if err != nil {
		return nil, err
	}
	f := authorityFile{Format: format, Run: a.run, Root: string(root), Token: a.token, Users: a.users, Revoked: a.revoked}
	for _, pair := range a.accountKeys() {
		seed, err := (*pair).Seed()
		if err != nil {
			return nil, err
		}
		f.Keys = append(f.Keys, string(seed))
	}
	return json.Marshal(f)
}

// UnmarshalJSON reads what MarshalJSON wrote. Error: ErrFormat.
func (a *Authority) UnmarshalJSON(b []byte) error {
	var f authorityFile
	if err := json.Unmarshal(b, &f); err != nil {
		return fmt.Errorf("%w: %v", ErrFormat, err)
	}
	read := &Authority{run: f.Run, token: f.Token, users: f.Users, revoked: f.Revoked}
	if f.Format != format || len(f.Keys) != len(read.accountKeys()) || f.Users == nil || f.Revoked == nil {
		return fmt.Errorf("%w: format %.80q, %d keys", ErrFormat, f.Format, len(f.Keys))
	}
	if err := readSeed(&read.root, f.Root, nkeys.PrefixByteOperator); err != nil {
		return err
	}
	for i, pair := range read.accountKeys() {
		if err := readSeed(pair, f.Keys[i], nkeys.PrefixByteAccount); err != nil {
			return err
		}
	}
	claims, err := jwt.DecodeOperatorClaims(f.Token)
	if err != nil || claims.Subject != publicKey(read.root) || claims.SystemAccount != publicKey(read.system) {
		return fmt.Errorf("%w: its token is not of its keys: %v", ErrFormat, err)
	}
	for name, public := range f.Users {
		if !schemas.ValidName(name) || !nkeys.IsValidPublicUserKey(public) {
			return fmt.Errorf("%w: user %.80q with key %.80q", ErrFormat, name, public)
		}
	}
	for public := range f.Revoked {
		if !nkeys.IsValidPublicUserKey(public) {
			return fmt.Errorf("%w: revoked key %.80q", ErrFormat, public)
		}
	}
	*a = *read
	return nil
}

func readSeed(to *nkeys.KeyPair, seed string, prefix nkeys.PrefixByte) error {
	pair, err := nkeys.FromSeed([]byte(seed))
	if err != nil {
		return fmt.Errorf("%w: a key: %v", ErrFormat, err)
	}
	if err := nkeys.CompatibleKeyPair(pair, prefix); err != nil {
		return fmt.Errorf("%w: a key: %v", ErrFormat, err)
	}
	*to = pair
	return nil
}

// publicKey returns the public half of a pair that is known to be sound.
func publicKey(pair nkeys.KeyPair) string {
	s, err := pair.PublicKey()
	if err != nil {
		panic("enroll: " + err.Error())
	}
	return s
}
