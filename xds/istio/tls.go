package istio

import (
	"cmp"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	networking "istio.io/api/networking/v1alpha3"

	"github.com/sluice-dev/sluice/xds/ir"
)

// checkSecure decides what a server of protocol HTTPS or TLS does; false: it is left out.
func (p gates) checkSecure(s *server) bool {
	tls, at := s.spec.GetTls(), s.field+".tls"
	if tls == nil {
		p.found.fail(s.gateway.Meta, "S032", at, "a server of protocol "+s.spec.GetPort().GetProtocol()+" has no TLS settings",
			"set tls.mode and a certificate; until then the server is left out")
		return false
	}
	if len(s.spec.GetHosts()) == 0 {
		p.found.fail(s.gateway.Meta, "S002", s.field+".hosts", "the server names no host", `name hosts, or "*"; until then the server is left out`)
		return false
	}
	if tls.GetHttpsRedirect() {
		p.found.policy(s.gateway.Meta, at+".httpsRedirect", "httpsRedirect on a server that is secure already")
	}
	switch tls.GetMode() {
	case networking.ServerTLSSettings_PASSTHROUGH:
		s.kind = passesTLS
		p.reportUnused(*s, "a setting of TLS that passes through")
		return true
	case networking.ServerTLSSettings_SIMPLE, networking.ServerTLSSettings_MUTUAL, networking.ServerTLSSettings_OPTIONAL_MUTUAL:
		s.kind = endsTLS
		if strings.EqualFold(s.spec.GetPort().GetProtocol(), "https") {
			s.kind = endsHTTPS
		}
		return p.complete(*s) && p.legible(*s)
	default: // ISTIO_MUTUAL, AUTO_PASSTHROUGH, and what is not known yet
		p.found.selection(s.gateway.Meta, at+".mode", "TLS mode "+tls.GetMode().String())
		return false
	}
}

// reportUnused names settings of a server that end no TLS there.
func (p gates) reportUnused(s server, what string) {
	tls := s.spec.GetTls()
	set := []struct {
		field string
		is    bool
	}{
		{"mode", s.kind != passesTLS && tls.GetMode() != networking.ServerTLSSettings_PASSTHROUGH},
		{"httpsRedirect", s.kind == passesTCP && tls.GetHttpsRedirect()},
		{"credentialName", tls.GetCredentialName() != ""},
		{"credentialNames", len(tls.GetCredentialNames()) > 0},
		{"serverCertificate", tls.GetServerCertificate() != ""},
		{"tlsCertificates", len(tls.GetTlsCertificates()) > 0},
	}
	for _, one := range set {
		if one.is {
			p.found.policy(s.gateway.Meta, s.field+".tls."+one.field, what)
		}
	}
	for _, field := range peerFields(tls) {
		p.found.policy(s.gateway.Meta, s.field+".tls."+field, what)
	}
}

// peerFields are the settings in force about the certificates of clients.
func peerFields(tls *networking.ServerTLSSettings) []string {
	var out []string
	for _, one := range []struct {
		field string
		is    bool
	}{
		{"caCertificates", tls.GetCaCertificates() != ""},
		{"caCertCredentialName", tls.GetCaCertCredentialName() != ""},
		{"caCrl", tls.GetCaCrl() != ""},
		{"subjectAltNames", len(tls.GetSubjectAltNames()) > 0},
		{"verifyCertificateSpki", len(tls.GetVerifyCertificateSpki()) > 0},
		{"verifyCertificateHash", len(tls.GetVerifyCertificateHash()) > 0},
		{"insecureSkipVerify", tls.GetInsecureSkipVerify().GetValue()},
	} {
		if one.is {
			out = append(out, one.field)
		}
	}
	return out
}

// credentials are the Secrets with the certificates of a server; none: they are files.
func credentials(tls *networking.ServerTLSSettings) (names []string, field string) {
	if list := tls.GetCredentialNames(); len(list) > 0 {
		return list, "credentialNames"
	}
	if name := tls.GetCredentialName(); name != "" {
		return []string{name}, "credentialName"
	}
	return nil, ""
}

// files are the certificates of a server that are written as paths.
func files(tls *networking.ServerTLSSettings) []*networking.ServerTLSSettings_TLSCertificate {
	if list := tls.GetTlsCertificates(); len(list) > 0 {
		return list
	}
	if tls.GetServerCertificate() == "" && tls.GetPrivateKey() == "" {
		return nil
	}
	return []*networking.ServerTLSSettings_TLSCertificate{{ServerCertificate: tls.GetServerCertificate(), PrivateKey: tls.GetPrivateKey()}}
}

// complete reports whether a server that ends TLS says with what; false: it is left out.
func (p gates) complete(s server) bool {
	tls, missing := s.spec.GetTls(), ""
	names, field := credentials(tls)
	pairs := files(tls)
	switch {
	case len(names) > 2 || len(pairs) > 2:
		missing = "at most two certificates can be given"
	case len(names) > 0:
		if field == "credentialNames" && tls.GetCredentialName() != "" {
			p.found.policy(s.gateway.Meta, s.field+".tls.credentialName", "credentialName beside credentialNames")
		}
		if len(pairs) > 0 {
			p.found.policy(s.gateway.Meta, s.field+".tls", "a certificate from files beside "+field)
		}
	case len(pairs) == 0:
		missing = "no certificate is given"
	case slices.ContainsFunc(pairs, func(p *networking.ServerTLSSettings_TLSCertificate) bool {
		return p.GetServerCertificate() == "" || p.GetPrivateKey() == ""
	}):
		missing = "a certificate is given without its key, or a key without its certificate"
	}
	mutual := tls.GetMode() != networking.ServerTLSSettings_SIMPLE
	if missing == "" && mutual && len(names) == 0 && tls.GetCaCertificates() == "" && tls.GetCaCertCredentialName() == "" {
		missing = "no authorities are given by which to check the certificates of clients"
	}
	if missing != "" {
		p.found.fail(s.gateway.Meta, "S032", s.field+".tls", missing, "give credentialName, or serverCertificate and privateKey, and with MUTUAL also caCertificates; until then the server is left out")
		return false
	}
	if !mutual {
		for _, field := range peerFields(tls) {
			p.found.policy(s.gateway.Meta, s.field+".tls."+field, field+" with mode SIMPLE, which asks for no client certificate,")
		}
	}
	return true
}

// legible reports whether versions and fingerprints can be read; false: the server is left out.
func (p gates) legible(s server) bool {
	tls := s.spec.GetTls()
	bad := func(field, what string) bool {
		p.found.fail(s.gateway.Meta, "S002", s.field+".tls."+field, what, "correct it; until then the server is left out")
		return false
	}
	least, high := cmp.Or(tls.GetMinProtocolVersion(), networking.ServerTLSSettings_TLSV1_2), tls.GetMaxProtocolVersion()
	if high != networking.ServerTLSSettings_TLS_AUTO && high < least {
		return bad("maxProtocolVersion", fmt.Sprintf("%s is below %s, the least that is taken", high, least))
	}
	for i, text := range tls.GetVerifyCertificateSpki() {
		if sum, err := base64.StdEncoding.DecodeString(text); err != nil || len(sum) != 32 {
			return bad(fmt.Sprintf("verifyCertificateSpki[%d]", i), "it is no SHA-256 in base64")
		}
	}
	for i, text := range tls.GetVerifyCertificateHash() {
		if sum, err := hex.DecodeString(plainHash(text)); err != nil || len(sum) != 32 {
			return bad(fmt.Sprintf("verifyCertificateHash[%d]", i), "it is no SHA-256 in hexadecimal digits")
		}
	}
	return true
}

// plainHash is a hash without colons.
func plainHash(text string) string { return strings.ToLower(strings.ReplaceAll(text, ":", "")) }

// serverTLS is how a server ends TLS; false: not before its Secrets exist.
func (p gates) serverTLS(s server) (*ir.ServerTLS, bool) {
	tls := s.spec.GetTls()
	out := &ir.ServerTLS{
		MinVersion: ir.TLSVersion(tls.GetMinProtocolVersion()), MaxVersion: ir.TLSVersion(tls.GetMaxProtocolVersion()),
		Ciphers: p.ciphers(s),
	}
	if s.kind == endsHTTPS {
		out.Protocols = []string{"h2", "http/1.1"}
	}
	names, field := credentials(tls)
	ok := true
	for _, name := range names {
		cert, found := p.secret(strings.TrimPrefix(name, secretPrefix), keyPairUnit).use(p.found, secretRef{s.gateway.Meta, s.field + ".tls." + field})
		out.Certificates, ok = append(out.Certificates, ir.Certificate{Secret: cert}), ok && found
	}
	for _, pair := range files(tls) {
		if len(names) == 0 {
			out.Certificates = append(out.Certificates, ir.Certificate{File: pair.GetServerCertificate(), KeyFile: pair.GetPrivateKey()})
		}
	}
	switch tls.GetMode() {
	case networking.ServerTLSSettings_MUTUAL:
		out.Client = ir.RequireClientCertificate
	case networking.ServerTLSSettings_OPTIONAL_MUTUAL:
		out.Client = ir.OptionalClientCertificate
	default:
		return out, ok
	}
	peer, found := p.clientCheck(s)
	out.Peer = peer
	return out, ok && found
}

// clientCheck is by what a server judges the certificates of clients; false: not before its Secret exists.
func (p gates) clientCheck(s server) (ir.PeerCheck, bool) {
	tls := s.spec.GetTls()
	out := ir.PeerCheck{
		Names: sortedSet(tls.GetSubjectAltNames()), SPKI: sortedSet(tls.GetVerifyCertificateSpki()), CRLFile: tls.GetCaCrl(),
		Untrusted: tls.GetInsecureSkipVerify().GetValue(),
	}
	for _, h := range tls.GetVerifyCertificateHash() {
		out.Hashes = append(out.Hashes, plainHash(h))
	}
	out.Hashes = sortedSet(out.Hashes)
	names, field := credentials(tls)
	at := s.field + ".tls." + field
	var name string
	switch {
	case tls.GetCaCertCredentialName() != "":
		at, name = s.field+".tls.caCertCredentialName", tls.GetCaCertCredentialName()
	case len(names) > 0:
		name = names[0]
	default:
		out.CAFile = tls.GetCaCertificates()
		return out, true
	}
	if tls.GetCaCertificates() != "" {
		p.found.policy(s.gateway.Meta, s.field+".tls.caCertificates", "caCertificates beside authorities from a Secret")
	}
	secret, ok := p.secret(plainSecret(name), authoritiesUnit).use(p.found, secretRef{s.gateway.Meta, at})
	out.Secret = secret
	return out, ok
}

// ciphers are those that proxies know, in the order written.
func (p gates) ciphers(s server) []string {
	var out []string
	for i, name := range s.spec.GetTls().GetCipherSuites() {
		if !slices.Contains(knownCiphers(), name) {
			p.found.fail(s.gateway.Meta, "S002", fmt.Sprintf("%s.tls.cipherSuites[%d]", s.field, i), fmt.Sprintf("there is no cipher suite %q", name), "correct it; until then it is left out")
			continue
		}
		if !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	return out
}

// knownCiphers are the cipher suites that Istio's API admits. A proxy refuses a listener with any other.
func knownCiphers() []string {
	return []string{
		"ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES256-GCM-SHA384", "ECDHE-RSA-AES256-GCM-SHA384",
		"ECDHE-ECDSA-CHACHA20-POLY1305", "ECDHE-RSA-CHACHA20-POLY1305", "ECDHE-ECDSA-AES128-SHA", "ECDHE-RSA-AES128-SHA",
		"ECDHE-ECDSA-AES256-SHA", "ECDHE-RSA-AES256-SHA", "AES128-GCM-SHA256", "AES256-GCM-SHA384", "AES128-SHA", "AES256-SHA", "DES-CBC3-SHA",
	}
}

// sortedSet gives each text once.
func sortedSet(texts []string) []string {
	out := slices.Clone(texts)
	slices.Sort(out)
	return slices.Compact(out)
}

// endingChain is the chain of a server that ends TLS; none: it cannot be served now.
func (p gates) endingChain(o *opening, s server, names serverNames) []ir.Chain {
	sni, ok := names.claim(s)
	if !ok {
		return nil
	}
	c := ir.Chain{Match: ir.ChainMatch{ServerNames: sni, Transport: ir.TLSTransport}, Origins: []ir.Origin{s.gateway.origin(s.field)}}
	c.TLS, ok = p.serverTLS(s)
	if s.kind == endsTLS {
		var out []ir.Chain
		for _, inside := range p.forwardingChains(p.tcpSite(o, s)) {
			inside.TLS, inside.Origins = c.TLS, slices.Concat(c.Origins, inside.Origins)
			inside.Match.ServerNames, inside.Match.Transport = c.Match.ServerNames, c.Match.Transport
			if ok {
				out = append(out, inside)
			}
		}
		return out
	}
	c.Table = s.table()
	table := p.gatewayTable(place{table: c.Table, port: s.port(), tls: true}, []server{s})
	if !ok {
		return nil
	}
	p.addTable(table)
	return []ir.Chain{c}
}
