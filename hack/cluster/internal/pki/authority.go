// Package pki makes a cluster's certificates and kubeconfigs anew at each start. Keys are ECDSA, which take no time to make.
package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"time"

	"k8s.io/client-go/util/cert"
	"k8s.io/client-go/util/keyutil"

	"github.com/echo-operator/echo-operator/hack/cluster/internal/layout"
)

// clockSlack lets certificates hold on a machine whose clock was set back, as a restored one's may be.
const clockSlack = 24 * time.Hour

// lifetime is longer than any cluster of this program is kept.
const lifetime = 365 * 24 * time.Hour

// Authority signs the certificates of one cluster.
type Authority struct {
	certificate *x509.Certificate
	key         crypto.Signer
	files       layout.Layout
}

// NewAuthority makes a certificate authority and writes its certificate under a name; its key never leaves this process.
func NewAuthority(l layout.Layout, name string) (Authority, error) {
	key, err := newKey()
	if err != nil {
		return Authority{}, err
	}
	certificate, err := cert.NewSelfSignedCACert(cert.Config{CommonName: "echo-cluster-" + name, NotBefore: time.Now().Add(-clockSlack)}, key)
	if err != nil {
		return Authority{}, fmt.Errorf("sign the certificate authority: %w", err)
	}
	if err := writeCertificate(l.Certificate(name), certificate.Raw); err != nil {
		return Authority{}, err
	}
	return Authority{certificate: certificate, key: key, files: l}, nil
}

// Issue signs a certificate for a server and client, and writes it with its key under a name.
func (a Authority) Issue(name string, config cert.Config) error {
	key, err := newKey()
	if err != nil {
		return err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 62))
	if err != nil {
		return fmt.Errorf("draw a serial number: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: serial.Add(serial, big.NewInt(1)),
		Subject:      pkix.Name{CommonName: config.CommonName, Organization: config.Organization},
		DNSNames:     config.AltNames.DNSNames,
		IPAddresses:  config.AltNames.IPs,
		NotBefore:    time.Now().Add(-clockSlack),
		NotAfter:     time.Now().Add(lifetime),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	signed, err := x509.CreateCertificate(rand.Reader, template, a.certificate, key.Public(), a.key)
	if err != nil {
		return fmt.Errorf("sign the certificate of %s: %w", name, err)
	}
	if err := writeCertificate(a.files.Certificate(name), signed); err != nil {
		return err
	}
	return writeKey(a.files.Key(name), key)
}

// IssueServiceAccountKeys writes the pair of keys by which the API server signs and checks service account tokens.
func IssueServiceAccountKeys(l layout.Layout) error {
	key, err := newKey()
	if err != nil {
		return err
	}
	if err := writeKey(l.Key("service-account"), key); err != nil {
		return err
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		return fmt.Errorf("encode the service account key: %w", err)
	}
	block := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})
	return keyutil.WriteKey(l.State("pki", "service-account.pub"), block)
}

// newKey makes a private key on the P-256 curve.
func newKey() (*ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("make a private key: %w", err)
	}
	return key, nil
}

// writeCertificate writes a certificate as PEM.
func writeCertificate(path string, der []byte) error {
	block := pem.EncodeToMemory(&pem.Block{Type: cert.CertificateBlockType, Bytes: der})
	if err := cert.WriteCert(path, block); err != nil {
		return fmt.Errorf("write certificate: %w", err)
	}
	return nil
}

// writeKey writes a private key as PEM, readable by its owner alone.
func writeKey(path string, key *ecdsa.PrivateKey) error {
	block, err := keyutil.MarshalPrivateKeyToPEM(key)
	if err != nil {
		return fmt.Errorf("encode a private key: %w", err)
	}
	if err := keyutil.WriteKey(path, block); err != nil {
		return fmt.Errorf("write a private key: %w", err)
	}
	return nil
}
