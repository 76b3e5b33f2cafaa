package pki_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sluice-dev/sluice/standalone/pki"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func issue(t *testing.T, d pki.Dir, now time.Time) pki.Administrator {
	t.Helper()
	a, err := pki.Issue(d, now)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func read(t *testing.T, d pki.Dir, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(d.File(name))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func certificate(t *testing.T, text []byte) *x509.Certificate {
	t.Helper()
	block, _ := pem.Decode(text)
	if block == nil {
		t.Fatalf("no PEM: %q", text)
	}
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestIssue_eachCertificateIsGoodForItsOwnUseOnly(t *testing.T) {
	d := pki.Dir(filepath.Join(t.TempDir(), "pki"))
	issue(t, d, start)
	for _, c := range []struct {
		leaf, authority string
		usage           x509.ExtKeyUsage
		good            bool
	}{
		{pki.APIServer, pki.Authority, x509.ExtKeyUsageServerAuth, true},
		{pki.APIServer, pki.Authority, x509.ExtKeyUsageClientAuth, false},
		{pki.Admin, pki.Authority, x509.ExtKeyUsageClientAuth, true},
		{pki.Admin, pki.EtcdAuthority, x509.ExtKeyUsageClientAuth, false},
		{pki.Etcd, pki.EtcdAuthority, x509.ExtKeyUsageClientAuth, true},
		{pki.Etcd, pki.EtcdAuthority, x509.ExtKeyUsageServerAuth, true},
		{pki.Etcd, pki.Authority, x509.ExtKeyUsageClientAuth, false},
	} {
		roots := x509.NewCertPool()
		roots.AppendCertsFromPEM(read(t, d, c.authority+".crt"))
		_, err := certificate(t, read(t, d, c.leaf+".crt")).Verify(x509.VerifyOptions{
			Roots: roots, CurrentTime: start, KeyUsages: []x509.ExtKeyUsage{c.usage},
		})
		if (err == nil) != c.good {
			t.Errorf("%s under %s for usage %d: %v, want good %v", c.leaf, c.authority, c.usage, err, c.good)
		}
	}
	if err := certificate(t, read(t, d, pki.APIServer+".crt")).VerifyHostname("127.0.0.1"); err != nil {
		t.Error(err)
	}
}

func TestIssue_keepsWhatIsGoodAndRenewsWhatEnds(t *testing.T) {
	d := pki.Dir(filepath.Join(t.TempDir(), "pki"))
	first := issue(t, d, start)
	same := issue(t, d, start.Add(300*24*time.Hour))
	if !bytes.Equal(first.Cert, same.Cert) || !bytes.Equal(first.Key, same.Key) || !bytes.Equal(first.CA, same.CA) {
		t.Error("two months before its end the administrator's certificate is already another")
	}
	signing := read(t, d, pki.ServiceAccountKey)
	later := start.Add(340 * 24 * time.Hour)
	renewed := issue(t, d, later)
	if bytes.Equal(first.Cert, renewed.Cert) || !certificate(t, renewed.Cert).NotAfter.After(later.Add(300*24*time.Hour)) {
		t.Error("a month before its end the administrator's certificate is not renewed")
	}
	if !bytes.Equal(first.CA, renewed.CA) || !bytes.Equal(signing, read(t, d, pki.ServiceAccountKey)) {
		t.Error("the authority or the signing key has changed with it")
	}
	if _, err := tls.X509KeyPair(renewed.Cert, renewed.Key); err != nil {
		t.Error(err)
	}
}

func TestIssue_mendsAPairWhoseCertificateWasNotWritten(t *testing.T) {
	d := pki.Dir(filepath.Join(t.TempDir(), "pki"))
	issue(t, d, start)
	if err := os.WriteFile(d.File(pki.Admin+".key"), read(t, d, pki.APIServer+".key"), 0o600); err != nil {
		t.Fatal(err)
	}
	a := issue(t, d, start)
	if _, err := tls.X509KeyPair(a.Cert, a.Key); err != nil {
		t.Errorf("the administrator's pair does not fit: %v", err)
	}
}

func TestIssue_namesTheFileThatIsBroken(t *testing.T) {
	d := pki.Dir(filepath.Join(t.TempDir(), "pki"))
	issue(t, d, start)
	if err := os.WriteFile(d.File(pki.Authority+".crt"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := pki.Issue(d, start); err == nil || !strings.Contains(err.Error(), d.File(pki.Authority)) {
		t.Errorf("got %v, want the name of the file", err)
	}
}

func TestIssue_keysAreForTheirOwnerAlone(t *testing.T) {
	d := pki.Dir(filepath.Join(t.TempDir(), "pki"))
	issue(t, d, start)
	names, err := os.ReadDir(string(d))
	if err != nil || len(names) != 11 { // five pairs and the signing key
		t.Fatalf("there are %d files (%v), want 11", len(names), err)
	}
	for _, n := range names {
		info, err := n.Info()
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v (%v), want 0600", n.Name(), info.Mode(), err)
		}
	}
}
