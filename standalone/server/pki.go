package server

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

const (
	authorityValid = 10 * 365 * 24 * time.Hour
	leafValid      = 365 * 24 * time.Hour
	renewBefore    = 30 * 24 * time.Hour // leaves are issued anew at a start this long before they end
	clockSlack     = time.Hour
)

// identities are the parts of the PKI that clients of this process need, as PEM.
type identities struct{ ca, adminCert, adminKey []byte }

// pair is a certificate with its key.
type pair struct {
	cert    *x509.Certificate
	key     *ecdsa.PrivateKey
	certPEM []byte
	keyPEM  []byte
}

// issue makes what is missing or about to expire of: the authority of the API server and its clients, a second one
// that only etcd and its one client trust, their leaves, and the key that signs service account tokens.
func issue(f files, now time.Time) (identities, error) {
	if err := os.MkdirAll(f.pki(""), 0o700); err != nil {
		return identities{}, err
	}
	ca, err := authority(f.pki("ca"), "sluice", now)
	if err != nil {
		return identities{}, err
	}
	etcdCA, err := authority(f.pki("etcd-ca"), "sluice-etcd", now)
	if err != nil {
		return identities{}, err
	}
	both := []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	if _, err := leaf(f.pki("etcd"), etcdCA, x509.Certificate{Subject: pkix.Name{CommonName: "etcd"}, ExtKeyUsage: both}, now); err != nil {
		return identities{}, err
	}
	if _, err := leaf(f.pki("apiserver"), ca, x509.Certificate{Subject: pkix.Name{CommonName: "kube-apiserver"}, ExtKeyUsage: both[:1]}, now); err != nil {
		return identities{}, err
	}
	admin, err := leaf(f.pki("admin"), ca, x509.Certificate{
		Subject: pkix.Name{CommonName: "sluice-admin", Organization: []string{"system:masters"}}, ExtKeyUsage: both[1:],
	}, now)
	if err != nil {
		return identities{}, err
	}
	if err := signingKey(f.pki("service-account.key")); err != nil {
		return identities{}, err
	}
	return identities{ca: ca.certPEM, adminCert: admin.certPEM, adminKey: admin.keyPEM}, nil
}

func authority(base, name string, now time.Time) (pair, error) {
	have, err := readPair(base)
	if err == nil && now.Before(have.cert.NotAfter.Add(-renewBefore)) {
		return have, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return pair{}, err
	}
	return create(base, nil, x509.Certificate{
		Subject: pkix.Name{CommonName: name}, NotAfter: now.Add(authorityValid), IsCA: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}, now)
}

// leaf gives the pair at base when parent signed it and it holds for a while; else it makes a new one from template.
func leaf(base string, parent pair, template x509.Certificate, now time.Time) (pair, error) {
	have, err := readPair(base)
	if err == nil && now.Before(have.cert.NotAfter.Add(-renewBefore)) && have.cert.CheckSignatureFrom(parent.cert) == nil {
		return have, nil
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return pair{}, err
	}
	template.NotAfter = now.Add(leafValid)
	template.KeyUsage = x509.KeyUsageDigitalSignature
	template.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1)}
	template.DNSNames = []string{"localhost", "kubernetes.default.svc"}
	return create(base, &parent, template, now)
}

// create makes a pair, signed by parent or, without one, by itself, and writes it.
func create(base string, parent *pair, template x509.Certificate, now time.Time) (pair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return pair{}, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return pair{}, err
	}
	template.SerialNumber, template.NotBefore, template.BasicConstraintsValid = serial, now.Add(-clockSlack), true
	signer, signerKey := &template, key
	if parent != nil {
		signer, signerKey = parent.cert, parent.key
	}
	der, err := x509.CreateCertificate(rand.Reader, &template, signer, &key.PublicKey, signerKey)
	if err != nil {
		return pair{}, fmt.Errorf("signing the certificate of %s: %w", template.Subject.CommonName, err)
	}
	keyPEM, err := encodeKey(key)
	if err != nil {
		return pair{}, err
	}
	// The key goes first: a certificate is only ever found beside its own key.
	if err := writeSecret(base+".key", keyPEM); err != nil {
		return pair{}, err
	}
	if err := writeSecret(base+".crt", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})); err != nil {
		return pair{}, err
	}
	return readPair(base)
}

func readPair(base string) (pair, error) {
	certPEM, err := os.ReadFile(base + ".crt")
	if err != nil {
		return pair{}, err
	}
	keyPEM, err := os.ReadFile(base + ".key")
	if err != nil {
		return pair{}, err
	}
	certBlock, _ := pem.Decode(certPEM)
	keyBlock, _ := pem.Decode(keyPEM)
	if certBlock == nil || keyBlock == nil {
		return pair{}, fmt.Errorf("%s.crt or %s.key is not PEM: remove both to have them made anew", base, base)
	}
	cert, err := x509.ParseCertificate(certBlock.Bytes)
	if err != nil {
		return pair{}, fmt.Errorf("reading %s.crt: %w", base, err)
	}
	key, err := x509.ParseECPrivateKey(keyBlock.Bytes)
	if err != nil {
		return pair{}, fmt.Errorf("reading %s.key: %w", base, err)
	}
	if !key.PublicKey.Equal(cert.PublicKey) { // the process ended between the two writes
		return pair{}, fmt.Errorf("%s.crt is not of %s.key: %w", base, base, fs.ErrNotExist)
	}
	return pair{cert: cert, key: key, certPEM: certPEM, keyPEM: keyPEM}, nil
}

func signingKey(path string) error {
	if _, err := os.Stat(path); err == nil {
		return nil
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	text, err := encodeKey(key)
	if err != nil {
		return err
	}
	return writeSecret(path, text)
}

func encodeKey(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}), nil
}

// writeSecret replaces the file at path in one step, mode 0600.
func writeSecret(path string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*") // made with mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // gone already when all went well
	_, err = f.Write(data)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("writing %s: %w", path, err)
	}
	return os.Rename(f.Name(), path)
}
