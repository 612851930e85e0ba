package enroll

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"time"
)

// Certificates are PEM files for TLS: CA goes to everybody who connects, Cert and Key to the server.
type Certificates struct{ CA, Cert, Key []byte }

// certificateLife is how long certificates hold; the clocks of two machines may differ by clockSkew.
const (
	certificateLife = 825 * 24 * time.Hour
	clockSkew       = time.Hour
)

// NewCertificates makes an authority for certificates, whose key is thrown away, and the certificate of a server
// that is reached by names or addresses, or of all servers of a cluster. Errors: ErrName for an empty list or name, and those of the operating system's randomness.
func NewCertificates(hosts []string, now time.Time) (*Certificates, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, err
	}
	ca := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: "dpfpl"},
		NotBefore: now.Add(-clockSkew), NotAfter: now.Add(certificateLife),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true, KeyUsage: x509.KeyUsageCertSign,
	}
	server := &x509.Certificate{
		SerialNumber: new(big.Int).Add(serial, big.NewInt(1)), NotBefore: ca.NotBefore, NotAfter: ca.NotAfter,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}, // to the other servers of a cluster it is a client
	}
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			server.IPAddresses = append(server.IPAddresses, ip)
		} else if host != "" {
			server.DNSNames = append(server.DNSNames, host)
		}
	}
	if len(hosts) == 0 || len(server.IPAddresses)+len(server.DNSNames) != len(hosts) {
		return nil, fmt.Errorf("%w: a host of %q", ErrName, hosts)
	}
	caKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	caDER, err := x509.CreateCertificate(rand.Reader, ca, ca, &caKey.PublicKey, caKey)
	if err != nil {
		return nil, err
	}
	certDER, err := x509.CreateCertificate(rand.Reader, server, ca, &key.PublicKey, caKey)
	if err != nil {
		return nil, err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	text := func(kind string, der []byte) []byte { return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}) }
	return &Certificates{CA: text("CERTIFICATE", caDER), Cert: text("CERTIFICATE", certDER), Key: text("PRIVATE KEY", keyDER)}, nil
}
