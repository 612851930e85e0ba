package enroll

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"testing"
	"time"
)

// TestCertificates: the server's certificate holds for its names and addresses, now and in two years, by the
// authority that was made with it, and for nothing else.
func TestCertificates(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	made, err := NewCertificates([]string{"broker.example.org", "10.0.0.7"}, now)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(made.Cert, made.Key)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(made.CA) {
		t.Fatal("no authority")
	}
	for _, c := range []struct {
		host string
		at   time.Time
		good bool
	}{
		{"broker.example.org", now, true},
		{"10.0.0.7", now.AddDate(2, 0, 0), true},
		{"10.0.0.8", now, false},
		{"example.org", now, false},
		{"10.0.0.7", now.AddDate(3, 0, 0), false},
		{"10.0.0.7", now.AddDate(0, 0, -1), false},
	} {
		_, err := pair.Leaf.Verify(x509.VerifyOptions{DNSName: c.host, Roots: roots, CurrentTime: c.at})
		if (err == nil) != c.good {
			t.Errorf("%s at %v: %v", c.host, c.at, err)
		}
	}
	block, _ := pem.Decode(made.CA)
	ca, err := x509.ParseCertificate(block.Bytes)
	if err != nil || !ca.IsCA || pair.Leaf.IsCA {
		t.Errorf("who may sign: %v", err)
	}
	for _, hosts := range [][]string{nil, {""}, {"a", ""}} {
		if _, err := NewCertificates(hosts, now); !errors.Is(err, ErrName) {
			t.Errorf("%q: %v", hosts, err)
		}
	}
}
