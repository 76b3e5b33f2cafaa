// Package pki makes the certificates and keys of the API server, its clients and etcd, and keeps them in a directory.
// Each is made once and again a month before it ends; private keys never leave their files but for the administrator's.
package pki

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

	"github.com/sluice-dev/sluice/standalone/file"
)

const (
	authorityValid = 10 * 365 * 24 * time.Hour
	leafValid      = 365 * 24 * time.Hour
	renewBefore    = 30 * 24 * time.Hour // leaves are issued anew at a start this long before they end
	clockSlack     = time.Hour
)

// Dir names the files in a directory of keys.
type Dir string

// File gives the path of a file.
func (d Dir) File(name string) string { return filepath.Join(string(d), name) }

// The files, each with .crt and .key, but for ServiceAccountKey, which is the name as it stands.
const (
	Authority         = "ca"      // of the API server and its clients
	EtcdAuthority     = "etcd-ca" // that only etcd and its one client trust
	Etcd              = "etcd"    // of etcd, and of its client
	APIServer         = "apiserver"
	Admin             = "admin"
	ServiceAccountKey = "service-account.key"
)

// Administrator is what a client with all rights needs, as PEM.
type Administrator struct{ CA, Cert, Key []byte }

// pair is a certificate with its key.
type pair struct {
	cert    *x509.Certificate
	key     *ecdsa.PrivateKey
	certPEM []byte
	keyPEM  []byte
}

// Issue makes what is missing or about to end, and gives the administrator's part.
func Issue(d Dir, now time.Time) (Administrator, error) {
	if err := os.MkdirAll(string(d), 0o700); err != nil {
		return Administrator{}, err
	}
	ca, err := authority(d.File(Authority), "sluice", now)
	if err != nil {
		return Administrator{}, err
	}
	etcdCA, err := authority(d.File(EtcdAuthority), "sluice-etcd", now)
	if err != nil {
		return Administrator{}, err
	}
	server, client := x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth
	var admin pair
	for _, l := range []struct {
		name   string
		parent pair
		who    pkix.Name
		usage  []x509.ExtKeyUsage
		out    *pair
	}{
		{Etcd, etcdCA, pkix.Name{CommonName: "etcd"}, []x509.ExtKeyUsage{server, client}, &pair{}},
		{APIServer, ca, pkix.Name{CommonName: "kube-apiserver"}, []x509.ExtKeyUsage{server}, &pair{}},
		{Admin, ca, pkix.Name{CommonName: "sluice-admin", Organization: []string{"system:masters"}}, []x509.ExtKeyUsage{client}, &admin},
	} {
		if *l.out, err = leaf(d.File(l.name), l.parent, x509.Certificate{Subject: l.who, ExtKeyUsage: l.usage}, now); err != nil {
			return Administrator{}, err
		}
	}
	if err := signingKey(d.File(ServiceAccountKey)); err != nil {
		return Administrator{}, err
	}
	return Administrator{CA: ca.certPEM, Cert: admin.certPEM, Key: admin.keyPEM}, nil
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
	if err := file.Write(base+".key", keyPEM); err != nil {
		return pair{}, err
	}
	if err := file.Write(base+".crt", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})); err != nil {
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
	return file.Write(path, text)
}

func encodeKey(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}), nil
}
