package issuer

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"fmt"
	"math/big"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/sluice-dev/sluice/xds/authority"
)

// issue gives a copy of a Secret with a fresh certificate where the one that it holds does not do.
func (i *Issuer) issue(have *corev1.Secret, w authority.Wanted, authorities []authority.Pair) (*corev1.Secret, authority.Reason, error) {
	now, term, out := i.config.Now(), i.config.Term, have.DeepCopy()
	if out.Data == nil {
		out.Data = map[string][]byte{}
	}
	why := term.Judge(have.Data[corev1.TLSCertKey], have.Data[corev1.TLSPrivateKeyKey], w, authorities, now)
	if why == authority.Kept {
		return out, why, nil
	}
	serial, err := number()
	if err != nil {
		return nil, why, err
	}
	template, err := term.Template(w, serial, now)
	if err != nil {
		return nil, why, err
	}
	fresh, err := sign(template, term.Signer(authorities, now))
	if err != nil {
		return nil, why, err
	}
	out.Data[corev1.TLSCertKey], out.Data[corev1.TLSPrivateKeyKey], err = authority.Encode([]authority.Pair{fresh})
	return out, why, err
}

// authority makes an authority that signed itself.
func (i *Issuer) authority(now time.Time) (authority.Pair, error) {
	serial, err := number()
	if err != nil {
		return authority.Pair{}, err
	}
	return sign(i.config.Term.Own(serial, now), authority.Pair{})
}

// sign makes a key and signs its certificate; by no authority: by itself.
func sign(template *x509.Certificate, by authority.Pair) (authority.Pair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return authority.Pair{}, fmt.Errorf("making the key of %s: %w", template.Subject.CommonName, err)
	}
	if by.Cert == nil {
		by = authority.Pair{Cert: template, Key: key}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, by.Cert, key.Public(), by.Key)
	if err != nil {
		return authority.Pair{}, fmt.Errorf("signing the certificate of %s: %w", template.Subject.CommonName, err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return authority.Pair{}, fmt.Errorf("reading the certificate of %s: %w", template.Subject.CommonName, err)
	}
	return authority.Pair{Cert: cert, Key: key}, nil
}

// number is that of a certificate.
func number() (*big.Int, error) {
	n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, fmt.Errorf("numbering a certificate: %w", err)
	}
	return n, nil
}
