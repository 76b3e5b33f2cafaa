// Package authority decides which certificates the authority of proxies makes or renews, given what there is and a time:
// its own, which it renews while the one before is trusted still, and those that it signs. It makes no key, signs nothing and
// stores nothing; xds/issuer does, and asks it what.
//
//	course := term.Authorities(held, now)
//	if course.Renew { /* make one from term.Template, and put it before course.Keep */ }
//	reason := term.Judge(leaf, wanted, course.Keep, now) // Kept: nothing is to be done
package authority

import (
	"crypto/ecdsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net/netip"
	"net/url"
	"slices"
	"time"
)

// Backdate is how long before it is made a certificate holds: clocks differ.
const Backdate = time.Hour

// Term says how long certificates last. Leaves must end in time to be signed anew: Authority is at least six times Leaf.
type Term struct {
	Authority time.Duration // of the authority's own
	Leaf      time.Duration // of those that it signs
}

// Check says why a Term is not possible.
func (t Term) Check() error {
	if t.Leaf <= 0 || t.Authority < 6*t.Leaf {
		return fmt.Errorf("certificates that last %v need an authority of at least six times as long, not %v", t.Leaf, t.Authority)
	}
	return nil
}

// settle is how long a new authority is trusted before it signs: by then everybody has it.
func (t Term) settle() time.Duration { return t.Authority / 100 }

// Pair is a certificate with its key.
type Pair struct {
	Cert *x509.Certificate
	Key  *ecdsa.PrivateKey
}

// Parse reads certificates and their keys, in PEM, in the same order.
func Parse(certs, keys []byte) ([]Pair, error) {
	var out []Pair
	for {
		var cert, key *pem.Block
		cert, certs = pem.Decode(certs)
		key, keys = pem.Decode(keys)
		if cert == nil && key == nil {
			break
		}
		if cert == nil || key == nil {
			return nil, errors.New("there are not as many keys as certificates")
		}
		parsed, err := x509.ParseCertificate(cert.Bytes)
		if err != nil {
			return nil, fmt.Errorf("reading a certificate: %w", err)
		}
		private, err := x509.ParseECPrivateKey(key.Bytes)
		if err != nil {
			return nil, fmt.Errorf("reading the key of %s: %w", parsed.Subject.CommonName, err)
		}
		if !private.PublicKey.Equal(parsed.PublicKey) {
			return nil, fmt.Errorf("the key of %s is that of another certificate", parsed.Subject.CommonName)
		}
		out = append(out, Pair{parsed, private})
	}
	if len(out) == 0 {
		return nil, errors.New("there is no certificate in PEM")
	}
	return out, nil
}

// Encode writes certificates and their keys as Parse reads them.
func Encode(pairs []Pair) (certs, keys []byte, err error) {
	for _, p := range pairs {
		der, err := x509.MarshalECPrivateKey(p.Key)
		if err != nil {
			return nil, nil, fmt.Errorf("writing the key of %s: %w", p.Cert.Subject.CommonName, err)
		}
		certs = append(certs, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: p.Cert.Raw})...)
		keys = append(keys, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der})...)
	}
	return certs, keys, nil
}

// Course is what becomes of the authorities.
type Course struct {
	Keep  []Pair // that are trusted further, newest first
	Renew bool   // one is to be made, and trusted before these
}

// Authorities decides about those that are held, newest first. One that has ended is dropped; the newest is followed by
// another when two thirds of its life are over, and is trusted until its own end.
func (t Term) Authorities(held []Pair, now time.Time) Course {
	var c Course
	for _, p := range held {
		if p.Cert.IsCA && now.Before(p.Cert.NotAfter) {
			c.Keep = append(c.Keep, p)
		}
	}
	c.Renew = len(c.Keep) == 0 || !now.Before(due(c.Keep[0].Cert, t.Authority))
	return c
}

// Signer is the one of the authorities, newest first and at least one, that signs now: the newest that everybody has had
// the time to learn, or the newest of all when that one ends too soon.
func (t Term) Signer(held []Pair, now time.Time) Pair {
	for _, p := range held {
		known := now.Sub(p.Cert.NotBefore.Add(Backdate)) >= t.settle()
		if known && p.Cert.NotAfter.Sub(now) >= t.Leaf {
			return p
		}
	}
	return held[0]
}

// due is when a certificate is to be renewed: after two thirds of its life, or up to a twentieth of it earlier, as its
// number has it, so that not all are renewed at once.
func due(cert *x509.Certificate, life time.Duration) time.Time {
	const parts = 256
	early := new(big.Int).Mod(cert.SerialNumber, big.NewInt(parts)).Int64()
	return cert.NotAfter.Add(-life/3 - life/20/parts*time.Duration(early))
}

// Wanted is what a certificate that is signed is to say.
type Wanted struct {
	Name  string           // that people read
	Hosts []string         // names and addresses of a server
	URI   string           // of a proxy; empty: none
	Usage x509.ExtKeyUsage // the side of the connection that it is for
}

// Reason says why a certificate is made; Kept: it is not.
type Reason string

// The reasons.
const (
	Kept       Reason = ""
	Missing    Reason = "Missing"    // there is none
	Unreadable Reason = "Unreadable" // it is damaged
	Untrusted  Reason = "Untrusted"  // none of the authorities signed it
	Renamed    Reason = "Renamed"    // it is for something else than is wanted
	Due        Reason = "Due"        // two thirds of its life are over
)

// Judge says whether the pair that is held, in PEM, does as what is wanted, signed by one of the authorities.
func (t Term) Judge(cert, key []byte, w Wanted, authorities []Pair, now time.Time) Reason {
	if len(cert) == 0 && len(key) == 0 {
		return Missing
	}
	held, err := Parse(cert, key)
	if err != nil {
		return Unreadable
	}
	have := held[0].Cert
	signed := func(by Pair) bool { return have.CheckSignatureFrom(by.Cert) == nil }
	switch {
	case !slices.ContainsFunc(authorities, signed):
		return Untrusted
	case !w.matches(have):
		return Renamed
	case !now.Before(due(have, t.Leaf)):
		return Due
	}
	return Kept
}

func (w Wanted) matches(have *x509.Certificate) bool {
	hosts := slices.Clone(have.DNSNames)
	for _, raw := range have.IPAddresses {
		if ip, ok := netip.AddrFromSlice(raw); ok {
			hosts = append(hosts, ip.String())
		}
	}
	var uris []string
	for _, u := range have.URIs {
		uris = append(uris, u.String())
	}
	var want []string
	if w.URI != "" {
		want = []string{w.URI}
	}
	return slices.Equal(slices.Sorted(slices.Values(hosts)), slices.Sorted(slices.Values(w.Hosts))) && slices.Equal(uris, want) &&
		slices.Equal(have.ExtKeyUsage, []x509.ExtKeyUsage{w.Usage})
}

// Own is the authority's certificate before it signs itself.
func (t Term) Own(serial *big.Int, now time.Time) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: fmt.Sprintf("sluice proxies %x", serial)}, // two that are trusted at a time differ
		NotBefore: now.Add(-Backdate), NotAfter: now.Add(t.Authority),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
	}
}

// Template is a certificate before it is signed.
func (t Term) Template(w Wanted, serial *big.Int, now time.Time) (*x509.Certificate, error) {
	out := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: w.Name},
		NotBefore: now.Add(-Backdate), NotAfter: now.Add(t.Leaf),
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{w.Usage},
	}
	for _, h := range w.Hosts {
		if ip, err := netip.ParseAddr(h); err == nil {
			out.IPAddresses = append(out.IPAddresses, ip.AsSlice())
			continue
		}
		out.DNSNames = append(out.DNSNames, h)
	}
	if w.URI != "" {
		u, err := url.Parse(w.URI)
		if err != nil {
			return nil, fmt.Errorf("the identity of a proxy: %w", err)
		}
		out.URIs = []*url.URL{u}
	}
	return out, nil
}
