package envoy

import (
	"net/netip"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	hcmv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	tlsv3 "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	matcherv3 "github.com/envoyproxy/go-control-plane/envoy/type/matcher/v3"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/sluice-dev/sluice/xds/ir"
)

// systemRoots is where Envoy's images, Debian, Ubuntu and Alpine keep the authorities that the system trusts. Envoy
// has no setting that finds them by itself.
const systemRoots = "/etc/ssl/certs/ca-certificates.crt"

// clientDetails says what of a client's certificate upstreams are told; nil where no client shows one.
func clientDetails(t *ir.ServerTLS) *hcmv3.HttpConnectionManager_SetCurrentClientCertDetails {
	if t == nil || t.Client == ir.NoClientCertificate {
		return nil
	}
	return &hcmv3.HttpConnectionManager_SetCurrentClientCertDetails{Subject: wrapperspb.Bool(true), Cert: true, Dns: true, Uri: true}
}

func transport(context proto.Message) *corev3.TransportSocket {
	return &corev3.TransportSocket{Name: "envoy.transport_sockets.tls", ConfigType: &corev3.TransportSocket_TypedConfig{TypedConfig: packed(context)}}
}

func serverTLS(t *ir.ServerTLS) *tlsv3.DownstreamTlsContext {
	common := &tlsv3.CommonTlsContext{AlpnProtocols: t.Protocols, TlsParams: &tlsv3.TlsParameters{
		TlsMinimumProtocolVersion: version(floor(t.MinVersion)), TlsMaximumProtocolVersion: version(t.MaxVersion), CipherSuites: t.Ciphers,
	}}
	for _, c := range t.Certificates {
		certificate(common, c)
	}
	out := &tlsv3.DownstreamTlsContext{CommonTlsContext: common}
	if t.Client != ir.NoClientCertificate {
		peer(common, t.Peer, nil)
		out.RequireClientCertificate = wrapperspb.Bool(t.Client == ir.RequireClientCertificate)
	}
	return out
}

// floor is the least version where none is given.
func floor(v ir.TLSVersion) ir.TLSVersion {
	if v == ir.TLSDefault {
		return ir.TLS12
	}
	return v
}

func clientTLS(c *ir.Cluster) *tlsv3.UpstreamTlsContext {
	common := &tlsv3.CommonTlsContext{AlpnProtocols: c.TLS.Protocols}
	if c.TLS.Certificate != nil {
		certificate(common, *c.TLS.Certificate)
	}
	var roots *corev3.DataSource
	if c.TLS.SystemRoots {
		roots = file(systemRoots)
	}
	peer(common, c.TLS.Peer, roots)
	return &tlsv3.UpstreamTlsContext{CommonTlsContext: common, Sni: c.TLS.SNI}
}

// upstreamNames takes the names in TLS from each request; nil: they are fixed.
func upstreamNames(t *ir.ClientTLS) *corev3.UpstreamHttpProtocolOptions {
	if t == nil || !t.HostAsSNI && !t.HostAsName {
		return nil
	}
	return &corev3.UpstreamHttpProtocolOptions{AutoSni: t.HostAsSNI, AutoSanValidation: t.HostAsName}
}

// certificate adds one to what is shown to the other side.
func certificate(to *tlsv3.CommonTlsContext, c ir.Certificate) {
	if c.Secret != "" {
		to.TlsCertificateSdsSecretConfigs = append(to.TlsCertificateSdsSecretConfigs, sds(c.Secret))
		return
	}
	to.TlsCertificates = append(to.TlsCertificates, &tlsv3.TlsCertificate{CertificateChain: file(c.File), PrivateKey: file(c.KeyFile)})
}

// peer adds by what the other side's certificate is judged. Without any condition it is not looked at.
func peer(to *tlsv3.CommonTlsContext, p ir.PeerCheck, roots *corev3.DataSource) {
	check := &tlsv3.CertificateValidationContext{
		TrustedCa: roots, VerifyCertificateSpki: p.SPKI, VerifyCertificateHash: p.Hashes, MatchTypedSubjectAltNames: names(p.Names),
	}
	if p.CAFile != "" {
		check.TrustedCa = file(p.CAFile)
	}
	if p.CRLFile != "" {
		check.Crl = file(p.CRLFile)
	}
	if p.Untrusted {
		check.TrustChainVerification = tlsv3.CertificateValidationContext_ACCEPT_UNTRUSTED
	}
	switch bare := proto.Size(check) == 0; {
	case p.Secret != "" && bare:
		to.ValidationContextType = &tlsv3.CommonTlsContext_ValidationContextSdsSecretConfig{ValidationContextSdsSecretConfig: sds(p.Secret)}
	case p.Secret != "":
		to.ValidationContextType = &tlsv3.CommonTlsContext_CombinedValidationContext{CombinedValidationContext: &tlsv3.CommonTlsContext_CombinedCertificateValidationContext{
			DefaultValidationContext: check, ValidationContextSdsSecretConfig: sds(p.Secret),
		}}
	case !bare:
		to.ValidationContextType = &tlsv3.CommonTlsContext_ValidationContext{ValidationContext: check}
	}
}

// names are matchers for the kind that each name has by its form.
func names(list []string) []*tlsv3.SubjectAltNameMatcher {
	var out []*tlsv3.SubjectAltNameMatcher
	for _, name := range list {
		kind := tlsv3.SubjectAltNameMatcher_DNS
		if _, err := netip.ParseAddr(name); err == nil {
			kind = tlsv3.SubjectAltNameMatcher_IP_ADDRESS
		} else if strings.Contains(name, "://") {
			kind = tlsv3.SubjectAltNameMatcher_URI
		} else if strings.Contains(name, "@") {
			kind = tlsv3.SubjectAltNameMatcher_EMAIL
		}
		out = append(out, &tlsv3.SubjectAltNameMatcher{
			SanType: kind, Matcher: &matcherv3.StringMatcher{MatchPattern: &matcherv3.StringMatcher_Exact{Exact: name}},
		})
	}
	return out
}

// sds names a Secret that comes over the aggregated stream.
func sds(name string) *tlsv3.SdsSecretConfig {
	return &tlsv3.SdsSecretConfig{Name: name, SdsConfig: ads(0)}
}

func file(path string) *corev3.DataSource {
	return &corev3.DataSource{Specifier: &corev3.DataSource_Filename{Filename: path}}
}

func inline(data []byte) *corev3.DataSource {
	return &corev3.DataSource{Specifier: &corev3.DataSource_InlineBytes{InlineBytes: data}}
}

func version(v ir.TLSVersion) tlsv3.TlsParameters_TlsProtocol {
	switch v {
	case ir.TLS10:
		return tlsv3.TlsParameters_TLSv1_0
	case ir.TLS11:
		return tlsv3.TlsParameters_TLSv1_1
	case ir.TLS12:
		return tlsv3.TlsParameters_TLSv1_2
	case ir.TLS13:
		return tlsv3.TlsParameters_TLSv1_3
	default:
		return tlsv3.TlsParameters_TLS_AUTO
	}
}

func secret(s *ir.Secret) *tlsv3.Secret {
	if len(s.CA) == 0 {
		return &tlsv3.Secret{Name: s.Name, Type: &tlsv3.Secret_TlsCertificate{TlsCertificate: &tlsv3.TlsCertificate{
			CertificateChain: inline(s.Certificate), PrivateKey: inline(s.Key),
		}}}
	}
	check := &tlsv3.CertificateValidationContext{TrustedCa: inline(s.CA)}
	if len(s.CRL) > 0 {
		check.Crl = inline(s.CRL)
	}
	return &tlsv3.Secret{Name: s.Name, Type: &tlsv3.Secret_ValidationContext{ValidationContext: check}}
}

// listenerSecrets are the Secrets that the chains of a listener name.
func listenerSecrets(l *ir.Listener) []string {
	var out []string
	for _, c := range l.Chains {
		if c.TLS == nil {
			continue
		}
		for _, cert := range c.TLS.Certificates {
			out = appendName(out, cert.Secret)
		}
		out = appendName(out, c.TLS.Peer.Secret)
	}
	return out
}

// clusterSecrets are the Secrets that a cluster names.
func clusterSecrets(c *ir.Cluster) []string {
	if c.TLS == nil {
		return nil
	}
	out := appendName(nil, c.TLS.Peer.Secret)
	if c.TLS.Certificate != nil {
		out = appendName(out, c.TLS.Certificate.Secret)
	}
	return out
}

func appendName(list []string, name string) []string {
	if name == "" {
		return list
	}
	return append(list, name)
}
