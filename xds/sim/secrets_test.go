package sim_test

import (
	"bytes"
	"cmp"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	"google.golang.org/protobuf/reflect/protoreflect"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/sluice-dev/sluice/xds/manifest"
)

// readSecrets adds the Secrets that a case names, one a line: KIND NAMESPACE/NAME [HOST]...
//
//	tls      tls.crt and tls.key of a certificate for the hosts, from the authority of the cases
//	generic  the same as cert and key, with the authority as cacert
//	full     tls.crt, tls.key and ca.crt
//	ca       the authority as ca.crt
//	crl      the authority as ca.crt, and ca.crl, which revokes the certificate called "revoked"
//	foreign  an authority that nobody has a certificate of
//	mixed    a certificate with the key of another
//	short    a certificate with a key of 1024 bits
//	garbage  tls.crt and tls.key that are no PEM
//	empty    nothing
func (s story) readSecrets(t *testing.T, mesh *manifest.Mesh, text string) {
	t.Helper()
	for line := range strings.Lines(text) {
		words := strings.Fields(line)
		if len(words) < 2 {
			continue
		}
		namespace, name, _ := strings.Cut(words[1], "/")
		secret := corev1.Secret{
			TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"}, ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
			Data: secretData(t, words[0], words[2:]),
		}
		data, err := yaml.Marshal(secret)
		if err != nil {
			t.Fatal(err)
		}
		if err := mesh.Read("secrets", bytes.NewReader(data)); err != nil {
			t.Fatal(err)
		}
		s.own["Secret/"+words[1]] = true
	}
}

func secretData(t *testing.T, kind string, hosts []string) map[string][]byte {
	t.Helper()
	ca := authority()
	cert, key := ca.issue(t, "server", hosts...)
	switch kind {
	case "tls":
		return map[string][]byte{"tls.crt": cert, "tls.key": key}
	case "generic":
		return map[string][]byte{"cert": cert, "key": key, "cacert": ca.pem}
	case "full":
		return map[string][]byte{"tls.crt": cert, "tls.key": key, "ca.crt": ca.pem}
	case "ca":
		return map[string][]byte{"ca.crt": ca.pem}
	case "crl":
		return map[string][]byte{"ca.crt": ca.pem, "ca.crl": ca.revoke(t, "revoked")}
	case "foreign":
		return map[string][]byte{"cacert": signer("foreign").pem}
	case "mixed":
		_, other := ca.issue(t, "another", hosts...)
		return map[string][]byte{"tls.crt": cert, "tls.key": other}
	case "short":
		cert, key = short(t)
		return map[string][]byte{"tls.crt": cert, "tls.key": key}
	case "garbage":
		return map[string][]byte{"tls.crt": []byte("neither"), "tls.key": []byte("this")}
	case "empty":
		return nil
	default:
		t.Fatalf("there is no Secret of kind %s", kind)
		return nil
	}
}

// issuer signs certificates. Issuers of one name have the same key in every run, which is therefore no secret.
type issuer struct {
	name string
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
	pem  []byte
}

// authority is the issuer of the certificates of all cases.
func authority() *issuer { return signer("authority") }

func signer(name string) *issuer {
	key := keyOf(name)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<33, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		panic("signing a fixed certificate: " + err.Error())
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		panic("reading a certificate of our own: " + err.Error())
	}
	return &issuer{name, key, cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})}
}

// keyOf is the key that belongs to a name.
func keyOf(name string) *ecdsa.PrivateKey {
	sum := sha256.Sum256([]byte(name))
	key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), sum[:])
	if err != nil {
		panic("a hash is no key: " + err.Error())
	}
	return key
}

func serialOf(name string) *big.Int {
	sum := sha256.Sum256([]byte(name))
	return new(big.Int).SetBytes(sum[:8])
}

// issue gives a certificate for hosts with its key. Certificates of one name have one key and one serial number.
func (i *issuer) issue(t testing.TB, name string, hosts ...string) (cert, key []byte) {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: serialOf(name), Subject: pkix.Name{CommonName: name}, NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<33, 0),
		DNSNames: hosts, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	own := keyOf(name)
	der, err := x509.CreateCertificate(rand.Reader, template, i.cert, own.Public(), i.key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(own)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})
}

// pair is an issued certificate as Go's own TLS takes it.
func (i *issuer) pair(t testing.TB, name string, hosts ...string) tls.Certificate {
	t.Helper()
	out, err := tls.X509KeyPair(i.issue(t, name, hosts...))
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// pool holds the issuer alone.
func (i *issuer) pool() *x509.CertPool {
	out := x509.NewCertPool()
	out.AddCert(i.cert)
	return out
}

// revoke gives a list with the certificates of the names.
func (i *issuer) revoke(t testing.TB, names ...string) []byte {
	t.Helper()
	list := &x509.RevocationList{Number: big.NewInt(1), ThisUpdate: time.Unix(0, 0), NextUpdate: time.Unix(1<<33, 0)}
	for _, name := range names {
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: serialOf(name), RevocationTime: time.Unix(0, 0)})
	}
	der, err := x509.CreateRevocationList(rand.Reader, list, i.cert, i.key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der})
}

// short gives a certificate with an RSA key that proxies refuse.
func short(t testing.TB) (cert, key []byte) {
	t.Helper()
	const bits = 1024
	own, err := rsa.GenerateKey(rand.Reader, bits)
	if err != nil {
		t.Fatal(fmt.Errorf("making a short key: %w", err))
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<33, 0)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, own.Public(), own)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}),
		pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(own)})
}

// believable lets a server show a certificate of the authority for whatever name a client asks for, "backend.example" if
// it asks for none.
func (r *rig) believable() *tls.Config {
	return &tls.Config{GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
		pair := authority().pair(r.t, "backend", cmp.Or(hello.ServerName, "backend.example"), "backend.example")
		return &pair, nil
	}}
}

// identity is the certificate that clients show, whatever authority a server asks for.
func (r *rig) identity(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
	pair := authority().pair(r.t, "client", "client.example")
	return &pair, nil
}

// onDisk puts files of the test in the place of those that m expects on the proxy's disk. Which one follows from the path.
func onDisk(t testing.TB, m protoreflect.Message) {
	t.Helper()
	source, ok := m.Interface().(*corev3.DataSource)
	if !ok || source.GetFilename() == "" {
		return
	}
	cert, key := authority().issue(t, "disk", "disk.example")
	content := cert
	switch base := filepath.Base(source.GetFilename()); {
	case strings.Contains(base, "crl"):
		content = authority().revoke(t, "revoked")
	case strings.Contains(base, "ca"):
		content = authority().pem
	case strings.Contains(base, "key"):
		content = key
	}
	path := filepath.Join(t.TempDir(), "file.pem")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	source.Specifier = &corev3.DataSource_Filename{Filename: path}
}
