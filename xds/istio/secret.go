package istio

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"maps"
	"strings"

	"github.com/sluice-dev/sluice/xds/ir"
)

// Secret is a Kubernetes Secret that some object may name. Its bytes stand in no Problem and no log.
type Secret struct {
	Namespace string
	Name      string
	UID       string
	Data      map[string][]byte `json:"-"`
}

// String is the name alone, so that no print of a Secret shows what it holds.
func (s Secret) String() string { return "Secret " + s.Namespace + "/" + s.Name }

// GoString is the same.
func (s Secret) GoString() string { return s.String() }

// Equal reports whether two readings of a Secret say the same.
func (s Secret) Equal(o *Secret) bool {
	return s.Namespace == o.Namespace && s.Name == o.Name && s.UID == o.UID && maps.EqualFunc(s.Data, o.Data, bytes.Equal)
}

const (
	secretPrefix = "kubernetes://"
	caSuffix     = "-cacert"
)

// secretRef is a place in an object that names a Secret of the proxies' own namespace.
type secretRef struct {
	at    Meta
	field string
}

// plainSecret is the name of the Kubernetes Secret that a credential names.
func plainSecret(credential string) string {
	return strings.TrimSuffix(strings.TrimPrefix(credential, secretPrefix), caSuffix)
}

// madeSecret is what a unit makes of a Secret.
type madeSecret struct {
	secret *ir.Secret // nil: it cannot be used
	why    string     // it cannot; never a parser's own words, which might quote what it read
}

// secret gives the certificate or the authorities of a Secret of the proxies' namespace. It is read once as long as it
// stays the same.
func (p *planner) secret(name string, kind unitKind) *madeSecret {
	return made(p, key{kind: kind, name: name}, nil, func(t *translator) *madeSecret {
		if kind == authoritiesUnit {
			return t.authorities(name)
		}
		return t.keyPair(name)
	})
}

// use gives the name under which proxies get the Secret; false: it is missing or wrong, as reported.
func (m *madeSecret) use(found *findings, ref secretRef) (string, bool) {
	if m.secret == nil {
		found.fail(ref.at, "S015", ref.field, m.why, "create it in the namespace of the proxies, or correct it; until then what needs it is left out, the rest stays")
		return "", false
	}
	return m.secret.Name, true
}

// namedSecrets are those that listeners and clusters name.
func (p *planner) namedSecrets() []*ir.Secret {
	names := map[string]bool{}
	for _, l := range p.out.Listeners {
		for _, c := range l.Chains {
			if c.TLS != nil {
				names[c.TLS.Peer.Secret] = true
				for _, cert := range c.TLS.Certificates {
					names[cert.Secret] = true
				}
			}
		}
	}
	for _, c := range p.out.Clusters {
		if c.TLS != nil {
			names[c.TLS.Peer.Secret] = true
			if c.TLS.Certificate != nil {
				names[c.TLS.Certificate.Secret] = true
			}
		}
	}
	var out []*ir.Secret
	for k, u := range p.units {
		if m, ok := u.value.(*madeSecret); ok && m.secret != nil && names[m.secret.Name] && (k.kind == keyPairUnit || k.kind == authoritiesUnit) {
			out = append(out, m.secret)
		}
	}
	return out
}

// kubeSecret is the first of the Secrets that exists.
func (t *translator) kubeSecret(names ...string) (*Secret, string) {
	for _, name := range names {
		if s := ask[*Secret](t, factSecret, name); s != nil {
			return s, ""
		}
	}
	return nil, fmt.Sprintf("namespace %s has no Secret %s", t.class.Namespace, names[len(names)-1])
}

// trustedPEM stands for what a Secret that is taken on trust holds. No proxy ever sees it.
const trustedPEM = "taken on trust"

// trusted is what becomes of a Secret that is missing.
func (t *translator) trusted(why string, s ir.Secret) *madeSecret {
	if t.mesh.in.TrustSecrets {
		return &madeSecret{secret: &s}
	}
	return &madeSecret{why: why}
}

// either is the first of the keys that a Secret holds.
func (s Secret) either(keys ...string) []byte {
	for _, k := range keys {
		if len(s.Data[k]) > 0 {
			return s.Data[k]
		}
	}
	return nil
}

func (s Secret) origins() []ir.Origin {
	return []ir.Origin{{Kind: "Secret", Namespace: s.Namespace, Name: s.Name, Field: "data", UID: s.UID}}
}

func (t *translator) keyPair(name string) *madeSecret {
	s, why := t.kubeSecret(name)
	if s == nil {
		return t.trusted(why, ir.Secret{Name: secretPrefix + name, Certificate: []byte(trustedPEM), Key: []byte(trustedPEM)})
	}
	out := &ir.Secret{Name: secretPrefix + name, Certificate: s.either("cert", "tls.crt"), Key: s.either("key", "tls.key"), Origins: s.origins()}
	if why := checkPair(out.Certificate, out.Key); why != "" {
		return &madeSecret{why: fmt.Sprintf("Secret %s/%s: %s", s.Namespace, s.Name, why)}
	}
	return &madeSecret{secret: out}
}

// authorities stand in a Secret of their own, with -cacert after its name, or else beside the certificate.
func (t *translator) authorities(name string) *madeSecret {
	s, why := t.kubeSecret(name+caSuffix, name)
	if s == nil {
		return t.trusted(why, ir.Secret{Name: secretPrefix + name + caSuffix, CA: []byte(trustedPEM)})
	}
	out := &ir.Secret{Name: secretPrefix + name + caSuffix, CA: s.either("cacert", "ca.crt"), CRL: s.either("crl", "ca.crl"), Origins: s.origins()}
	if why := checkAuthorities(out.CA, out.CRL); why != "" {
		return &madeSecret{why: fmt.Sprintf("Secret %s/%s: %s", s.Namespace, s.Name, why)}
	}
	return &madeSecret{secret: out}
}

// checkPair says what is wrong with a certificate and its key; empty: a proxy takes them.
func checkPair(certificate, key []byte) string {
	switch {
	case len(certificate) == 0:
		return "it holds no certificate under tls.crt or cert"
	case len(key) == 0:
		return "it holds no key under tls.key or key"
	}
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		if _, bad := readCertificates(certificate); bad {
			return "its certificate cannot be read"
		}
		return "its key cannot be read, or is not that of its certificate"
	}
	const leastBits = 2048
	switch public := pair.Leaf.PublicKey.(type) {
	case *rsa.PublicKey:
		if public.N.BitLen() < leastBits {
			return "its RSA key is shorter than the 2048 bits that proxies ask for"
		}
	case *ecdsa.PublicKey:
		if public.Curve != elliptic.P256() && public.Curve != elliptic.P384() && public.Curve != elliptic.P521() {
			return "proxies do not know the curve of its key"
		}
	}
	return ""
}

// checkAuthorities says what is wrong with authorities and their list of revoked certificates, if any; empty: nothing.
func checkAuthorities(ca, crl []byte) string {
	if len(ca) == 0 {
		return "it holds no authorities under ca.crt or cacert"
	}
	if n, bad := readCertificates(ca); bad || n == 0 {
		return "its authorities cannot be read"
	}
	lists := 0
	for rest := crl; len(crl) > 0; lists++ {
		block, after := pem.Decode(rest)
		if block == nil && lists > 0 {
			break
		}
		if block == nil {
			return "its list of revoked certificates cannot be read"
		}
		if _, err := x509.ParseRevocationList(block.Bytes); err != nil || block.Type != "X509 CRL" {
			return "its list of revoked certificates cannot be read"
		}
		rest = after
	}
	return ""
}

// readCertificates counts the certificates of a PEM text; bad: one of them, or something that is none, cannot be read.
func readCertificates(text []byte) (n int, bad bool) {
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		if _, err := x509.ParseCertificate(block.Bytes); err != nil {
			return n, true
		}
		n++
	}
	return n, n == 0
}
